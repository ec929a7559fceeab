"""The report as one page for people, in English and Japanese, that loads nothing from anywhere."""

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from telerelay.prove.verdicts import Outcome, Said
from telerelay_endpoint.pages import both, document, facts, heading, table

_STYLE: Final = """
.mark { white-space: nowrap; font-weight: 600; }
.pass { color: #14602c; } .fail { color: #a4121f; } .not { color: #6a5200; }
"""
_WORDS: Final = {
    Outcome.PASS: ("pass", "✓", Said("pass", "合格")),
    Outcome.FAIL: ("fail", "✗", Said("fail", "不合格")),
    Outcome.NOT_TESTED: ("not", "–", Said("not tested here", "ここでは未検査")),
}
"""By outcome: class, sign, words."""
_GUARDED: Final = Said(
    "Guarded: nothing but screen, keyboard and mouse got through.",
    "保護されています: 画面・キーボード・マウス以外は通りませんでした。",
)
_FAILED: Final = Said("Not guarded: something got through.", "保護されていません: 通り抜けたものがあります。")
_IN_PART: Final = Said(
    "What was tried got through nowhere; but only a part was tried (--only), which proves nothing yet.",
    "試した範囲では何も通りませんでした。ただし一部のみの試験 (--only) であり、保護の証明にはなりません。",
)
_OPEN: Final = Said(
    "Not shown: a try without which nothing can be said could not be made here.",
    "示されていません: 判定に欠かせない試験をここでは行えませんでした。",
)


def verdict_of(reported: Mapping[str, Any]) -> tuple[Outcome, Said]:
    """The whole run in one sentence."""
    if reported["guarded"]:
        return Outcome.PASS, _GUARDED
    if reported["counts"][Outcome.FAIL]:
        return Outcome.FAIL, _FAILED
    if reported["well"]:
        return Outcome.NOT_TESTED, _IN_PART
    return Outcome.NOT_TESTED, _OPEN


def page(reported: Mapping[str, Any], file: str, digest: str) -> str:
    """HTML of a report (`telerelay.prove/1`); `digest`: SHA-256 of its `file`, in hexadecimal."""
    outcome, sentence = verdict_of(reported)
    return document(
        f"telerelay prove {reported['asked']['computer']}",
        _STYLE,
        [
            '<h1>Proof of the guard <span lang="ja">保護の検査報告</span></h1>',
            f'<div class="verdict {_WORDS[outcome][0]}">{both(sentence)}</div>',
            _facts(reported, file, digest),
            heading("Requirements", "要件"),
            table(
                ("", "S", "Requirement 要件", "Why 理由", "Tries 試験"),
                map(_requirement, reported["requirements"]),
            ),
            heading("Tries", "試験"),
            table(
                ("", "Try 試験", "What was tried 内容", "What was seen 結果", "S"),
                map(_try, reported["tries"]),
            ),
            heading("What the signature says", "署名の意味"),
            both(Said(**reported["signature"]["means"])),
        ],
    )


def _facts(reported: Mapping[str, Any], file: str, digest: str) -> str:
    counts = reported["counts"]
    rows = [
        ("Computer コンピューター", reported["asked"]["computer"]),
        ("Watched display 監視した画面", reported["asked"]["watch"] or "–"),
        ("Time 日時", reported["time"]),
        ("Organisation 団体", reported["organisation"]),
        ("Device 端末", reported["device"]),
        ("Program プログラム", reported["program"]),
        (
            "Tries 試験",
            ", ".join(
                f"{_WORDS[outcome][2].en} {_WORDS[outcome][2].ja} {counts[outcome]}" for outcome in Outcome
            ),
        ),
        ("Left out 省いた試験", ", ".join(reported["left_out"]) or "–"),
        (f"SHA-256 {file}", digest),
    ]
    return facts(rows)


def _requirement(row: Mapping[str, Any]) -> list[str]:
    tries = ", ".join(f"<code>{escape(one)}</code>" for one in row["tries"])
    return [_mark(row), escape(row["id"]), both(Said(**row["title"])), both(Said(**row["why"])), tries]


def _try(row: Mapping[str, Any]) -> list[str]:
    attempts = "".join(f" <code>{escape(one)}</code>" for one in row["attempts"])
    seen = both(Said(**row["why"])) + (f"<p>{attempts}</p>" if attempts else "")
    return [
        _mark(row),
        f"<code>{escape(row['id'])}</code>",
        both(Said(**row["sentence"])),
        seen,
        escape(", ".join(row["requirements"])),
    ]


def _mark(row: Mapping[str, Any]) -> str:
    name, sign, words = _WORDS[Outcome(row["outcome"])]
    return f'<span class="mark {name}">{sign} {words.en}<br><span lang="ja">{words.ja}</span></span>'
