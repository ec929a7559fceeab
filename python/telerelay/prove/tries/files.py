"""File transfer of every dialect, and the log-ins that negotiate it or hide what follows."""

from collections.abc import Sequence
from functools import partial
from struct import pack
from typing import Final

from telerelay.prove.ground import DESKTOP_ENDS, END_S, Ground
from telerelay.prove.messages import Security
from telerelay.prove.trial import Try
from telerelay.prove.verdicts import NotTestedError, Said, Verdict, failed, passed

POLICY_FILE: Final = "POLICY_FILE"
POLICY_UNKNOWN: Final = "POLICY_UNKNOWN"
_NAME: Final = b"/telerelay-prove.txt"
# TightVNC 1: list, download, upload, its data, cancel of either, a new folder.
_TIGHT_1: Final = [bytes([kind, 0]) + pack(">HI", len(_NAME), 0) + _NAME for kind in range(130, 137)]
# TightVNC 2: a list of a folder, uncompressed. UltraVNC: a folder's content.
_TIGHT_2: Final = bytes.fromhex("fc000103 00") + pack(">I", len(_NAME)) + _NAME
_ULTRA: Final = bytes.fromhex("07 01 02 00") + pack(">II", 0, len(_NAME)) + _NAME


async def say_each(ground: Ground, said: Sequence[bytes], code: str) -> Verdict:
    """Say each in a session of its own, which must end with `code` before anything comes of it.

    Nothing is said behind a message: what would be refused there could pass for a refusal of the message.
    """
    attempts = []
    for message in said:
        viewer = await ground.fresh()
        attempts.append(viewer.session.attempt)
        viewer.say(message)
        ended = await viewer.session.end(END_S)
        if (wrong := _judge(message, ended, code, viewer.heard.strange)) is not None:
            return failed(*wrong, viewer.session.attempt)
        # That session alone, and not the desktop.
        await ground.neighbour()
    count = len(said)
    return passed(
        f"refused with {code} ({count} of {count}); the session beside went on",
        f"{code} で拒否 ({count}/{count})。並行する接続は継続",
        *attempts,
    )


def _judge(said: bytes, ended: str | None, code: str, strange: Sequence[str]) -> Said | None:
    kind = said[:4].hex()
    if strange:
        return Said(f"{kind}: answered with {', '.join(strange)}", f"{kind}: 応答 {', '.join(strange)}")
    if ended == code:
        return None
    if ended is None:
        return Said(f"{kind}: nothing was refused", f"{kind}: 拒否されない")
    if ended in DESKTOP_ENDS:
        return Said(f"{kind}: it reached the desktop ({ended})", f"{kind}: デスクトップに届いた ({ended})")
    if ended.startswith("POLICY_"):
        return Said(f"{kind}: refused with {ended}, not {code}", f"{kind}: {code} でなく {ended} で拒否")
    raise NotTestedError(f"{kind}: the session ended with {ended}", f"{kind}: 接続が {ended} で終了")


async def choose(ground: Ground, kinds: Sequence[int]) -> Verdict:
    """Choose a log-in that only None stands beside: it may neither be offered nor taken."""
    attempts = []
    for kind in kinds:
        viewer = await ground.ungreeted()
        attempts.append(viewer.session.attempt)
        await viewer.greet()
        if viewer.offered != bytes([Security.NONE]):
            shown = ", ".join(map(str, viewer.offered))
            return failed(f"offered: {shown}", f"提示された方式: {shown}", viewer.session.attempt)
        viewer.say(bytes([kind]))
        if await viewer.is_answered():
            return failed(f"{kind}: answered", f"{kind}: 応答あり", viewer.session.attempt)
        ended = await viewer.session.end(END_S)
        if (wrong := _judge(bytes([kind]), ended, POLICY_UNKNOWN, ())) is not None:
            return failed(*wrong, viewer.session.attempt)
    return passed("not offered, and refused when chosen", "提示されず、選んでも拒否", *attempts)


TRIES: Final = (
    Try(
        "files-tightvnc-1",
        (1, 4),
        Said("File transfer of TightVNC 1 (messages 130 to 136).", "TightVNC 1 のファイル転送 (130~136)。"),
        partial(say_each, said=_TIGHT_1, code=POLICY_FILE),
    ),
    Try(
        "files-tightvnc-2",
        (1, 4),
        Said("File transfer of TightVNC 2 (message 252).", "TightVNC 2 のファイル転送 (252)。"),
        partial(say_each, said=[_TIGHT_2], code=POLICY_FILE),
    ),
    Try(
        "files-ultravnc",
        (1, 4),
        Said("File transfer of UltraVNC (message 7).", "UltraVNC のファイル転送 (7)。"),
        partial(say_each, said=[_ULTRA], code=POLICY_FILE),
    ),
    Try(
        "log-in-tight",
        (1, 4),
        Said(
            "The log-in of TightVNC (16), which negotiates file transfer.",
            "ファイル転送を取り決める TightVNC の認証方式 (16)。",
        ),
        partial(choose, kinds=[Security.TIGHT]),
    ),
    Try(
        "log-in-ultra",
        (1, 4),
        Said("The log-in of UltraVNC (17).", "UltraVNC の認証方式 (17)。"),
        partial(choose, kinds=[Security.ULTRA]),
    ),
    Try(
        "log-in-opaque",
        (1, 3, 4),
        Said(
            "Log-ins of RealVNC (5), VeNCrypt (19), Apple (30), behind which nobody sees files and printing.",
            "内容を読めなくする RealVNC (5)、VeNCrypt (19)、Apple (30) の認証方式。",
        ),
        partial(choose, kinds=[Security.REALVNC, Security.VENCRYPT, Security.APPLE]),
    ),
)
