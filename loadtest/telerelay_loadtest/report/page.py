"""A result as one page for people, in English and Japanese, that loads nothing from anywhere."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from telerelay.prove.verdicts import Said
from telerelay_endpoint.pages import both, document, facts, heading, table
from telerelay_loadtest.play.verdict import Word
from telerelay_loadtest.report import charts

_STYLE: Final = """
figure { margin: 1.5rem 0; break-inside: avoid; } figure svg { width: 100%; height: auto; }
figcaption p { margin: 0; } .word { font-size: 140%; font-weight: 700; }
.MET { color: #14602c; } .UNMET, .INVALID { color: #a4121f; } .PARTIAL { color: #6a5200; }
"""
SENTENCES: Final = {
    Word.MET: Said("Every goal was met.", "すべての目標を満たしました。"),
    Word.UNMET: Said("Not every goal was met.", "満たされなかった目標があります。"),
    Word.INVALID: Said(
        "The generator itself was the bottleneck: this run says nothing about the relay.",
        "負荷の生成側が追いつきませんでした。この試験から中継の性能は判断できません。",
    ),
    Word.PARTIAL: Said(
        "The run was ended before its time: what follows is of the part that was played.",
        "試験は途中で終了しました。以下は実施した部分の結果です。",
    ),
}
NAMES: Final = {
    "set_up_success": Said("set-ups that reached the desktop", "接続の成功率"),
    "set_up_p99": Said("set-up time, p99", "接続までの時間 p99"),
    "delay_p99": Said("message delay, p99", "応答の遅延 p99"),
    "kept": Said("sessions that ended as meant", "意図どおり終了した接続"),
    "begun": Said("planned visits that were begun", "開始した接続の割合"),
    "late_p99": Said("visits begun late, p99", "開始の遅れ p99"),
    "message_late_p99": Said("messages sent late, p99", "送信の遅れ p99"),
    "own_share": Said("processors that the generator used", "生成側のプロセッサ占有"),
}
_BOUNDS: Final = {
    "processors": Said("processors", "プロセッサ"),
    "memory": Said("memory", "メモリ"),
    "descriptors": Said("descriptors", "記述子"),
}
_CHARTS: Final = (
    (charts.arrivals, Said("Arrivals and sessions", "到着と接続数")),
    (
        charts.set_up_times,
        Said("Set-up time, from the moment that was meant", "接続までの時間（予定時刻から）"),
    ),
    (charts.set_up_stages, Said("Set-up time by stage", "段階別の所要時間")),
    (charts.set_up_stages_over_time, Said("Set-up stages over time, p99", "段階別の推移 p99")),
    (charts.delays, Said("Message delay", "応答の遅延")),
    (charts.errors, Said("Errors by code", "エラーの内訳")),
    (charts.processors, Said("Processors", "プロセッサ")),
    (charts.memory, Said("Memory of the nodes", "中継のメモリ")),
)


def page(result: Mapping[str, Any]) -> str:
    """HTML of a result (`telerelay.loadtest/1`)."""
    word = Word(result["verdict"])
    return document(
        f"telerelay-loadtest {result['scenario']}: {word}",
        _STYLE,
        [
            '<h1>Load test <span lang="ja">負荷試験</span></h1>',
            f'<div class="verdict {word}"><p class="word">{word}</p>{both(SENTENCES[word])}</div>',
            heading("Goals", "目標"),
            _findings(result["goals"]),
            heading("Was the generator the bottleneck?", "生成側は足りていたか"),
            _findings(result["proof"]),
            heading("What was played", "試験の内容"),
            _facts(result),
            *(_figure(draw(result), said) for draw, said in _CHARTS),
            heading("Capacity", "必要な台数"),
            _capacity(result["capacity"]),
        ],
    )


def shown(value: float | None, unit: str) -> str:
    """A measured value or a goal for people."""
    if value is None:
        return "–"
    return f"{value:.2%}" if unit == "share" else f"{value:,.1f} ms"


def _findings(findings: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [
            "✓" if finding["met"] else "✗",
            both(NAMES[finding["name"]]),
            escape(shown(finding["measured"], finding["unit"])),
            escape(shown(finding["goal"], finding["unit"])),
        ]
        for finding in findings
    ]
    return table(("", "", "measured 実測", "goal 目標"), rows, numbers=(2, 3))


def _facts(result: Mapping[str, Any]) -> str:
    played, machine = result["played"], result["machine"]
    nodes = "; ".join(f"{node['name']} {', '.join(node['addresses'])}" for node in result["target"])
    gib = machine["memory_bytes"] / 2**30
    where = "nodes and generator on one machine" if machine["shared"] else "nodes elsewhere"
    speed = "" if played["speed"] == 1 else f", {played['speed']:g} times as fast: as many times as dense"
    opened, planned = result["sessions_opened"], result["planned"]
    rows = [
        ("scenario シナリオ", f"{result['scenario']}: {result['title']} (seed {played['seed']})"),
        ("played 時間帯", f"{played['from']}, {played['length_s']:g} s{speed}"),
        ("began 開始", result["time"]),
        ("target 対象", nodes),
        (
            "machine 試験機",
            f"{machine['processors']} processors, {gib:.1f} GiB, {machine['kernel']}, {where}",
        ),
        ("office PCs 職場PC", f"{result['staff']:,}"),
        ("visits 接続の試み", f"{planned:,} planned, {result['begun']:,} begun, {opened:,} sessions"),
        ("most at once 最大同時", f"{result['sessions_most']:,}"),
        ("screens 画面", ", ".join(f"{name} {share:.0%}" for name, share in result["models"].items())),
        ("lines 回線", ", ".join(f"{name} {share:.0%}" for name, share in result["links"].items())),
    ]
    rows += [("fault 障害", f"{fault['name']} at {fault['at_s']:g} s") for fault in result["faults"]]
    rows += [
        ("not read 未取得", f"{node['url']}: {node['missed']} times")
        for node in result["unread"]
        if node["missed"]
    ]
    if result["lost_events"]:
        rows.append(("lost events", f"{result['lost_events']:,}: charts over time lack them, counts do not"))
    if result["stopped"]:
        rows.append(("ended by 中断", result["stopped"]))
    return facts(rows)


def _capacity(capacity: Mapping[str, Any] | None) -> str:
    if capacity is None:
        return both(
            Said(
                "Not reckoned: the nodes' metrics were not read (--metrics), nobody had a session, or the"
                " office PCs did not wait before people came.",
                "算出していません: メトリクスを取得していない (--metrics)、接続がない、または職場PCが"
                "先に待機していない試験です。",
            )
        )
    busiest, node = capacity["busiest"], capacity["node"]
    kib = capacity["bytes_per_session"] / 1024
    per_core, per_gib = capacity["sessions_per_core"], capacity["sessions_per_gib"]
    bound = _BOUNDS[capacity["bound"]]
    lead = Said(
        f"In the busiest ten seconds {busiest['sessions']:,} sessions, with {busiest['set_ups_per_s']:g}"
        f" set-ups a second, took {busiest['cores']:.2f} processors: {per_core:,} sessions a core. A session"
        f" with its three sockets takes {kib:,.1f} KiB of the nodes' memory: {per_gib:,} sessions a GiB; what"
        f" the kernel's sockets buffer comes on top. A node with {node['processors']} processors,"
        f" {node['memory_gib']:g} GiB and {node['descriptors']:,} descriptors carries"
        f" {capacity['staff_per_node']:,} people; what runs out first: {bound.en}. Beyond what was played"
        " this is arithmetic, not a measurement.",
        f"最も忙しい10秒間に {busiest['sessions']:,} 接続で {busiest['cores']:.2f} プロセッサを使用:"
        f" 1コアあたり {per_core:,} 接続。1接続（ソケット3本）あたり {kib:,.1f} KiB: 1 GiB あたり"
        f" {per_gib:,} 接続（カーネルのソケットバッファは別）。1台で {capacity['staff_per_node']:,} 人、"
        f"最初に不足するのは{bound.ja}。試験した規模を超える値は計算によるものです。",
    )
    rows = [[f"{row['staff']:,}", f"{row['sessions']:,}", f"{row['nodes']:,}"] for row in capacity["needed"]]
    header = ("staff 職員", "sessions at once 同時接続", "nodes, one may be lost 台数（1台故障可）")
    return both(lead) + table(header, rows, numbers=(0, 1, 2))


def _figure(svg: str, said: Said) -> str:
    return f"<figure><figcaption>{both(said)}</figcaption>{svg}</figure>"
