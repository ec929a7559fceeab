"""`telerelay top`: watch a running node."""

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated, Final

import rich.console
import rich.live
import rich.text
import typer

from telerelay.cli.node_options import ConfigOption, DataOption, open_control
from telerelay.metrics.view import KINDS, STEPS, View, Waits
from telerelay.node.control import NodeControl
from telerelay_endpoint.console import Console, JsonOption, LangOption, columns, rfc3339

_WINDOW_S: Final = 60.0
"""What is told of is the last minute: long enough for a wait that is rare, short enough to see it end."""
_CODES: Final = 8
"""Refusals by code, the most frequent first; --json has all."""


def top(
    once: Annotated[bool, typer.Option("--once", help="Look once: the time since the node's start.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two looks.")] = 1.0,
    config: ConfigOption = None,
    data: DataOption = None,
    json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Watch a node: sessions, agents, how fast requests become sessions, what is refused, what is short.

    The first look tells of the time since the node's start, later ones of the last minute. Ctrl-C ends it.

    Examples:

      telerelay top

      telerelay top --once --json | jq .set_up.p99
    """
    console = Console(json=json, lang=lang)
    with open_control(config, data) as control, ExitStack() as stack:
        live = sys.stdout.isatty() and not (once or json)
        show = _screen(console, stack) if live else _printer(console)
        watched = _Watched(control)
        show(watched.first())
        while not once:
            time.sleep(interval)
            show(watched.next())


class _Watched:
    """A node over the last minute."""

    def __init__(self, control: NodeControl) -> None:
        self._control = control
        self._looks = deque([(time.monotonic(), control.snapshot())])

    def first(self) -> View:
        """Since the node's start."""
        _, snapshot = self._looks[0]
        return View(snapshot, None, time.time() - snapshot.numbers["started"])

    def next(self) -> View:
        """Since a minute ago, or the first look."""
        now, snapshot = time.monotonic(), self._control.snapshot()
        while len(self._looks) > 1 and now - self._looks[0][0] > _WINDOW_S:
            self._looks.popleft()
        began, before = self._looks[0]
        self._looks.append((now, snapshot))
        return View(snapshot, before, now - began)


def _printer(console: Console) -> Callable[[View], None]:
    def show(view: View) -> None:
        record = {"time": rfc3339(int(time.time())), **view.record()}
        console.data("top", record, _text(console, view))

    return show


def _screen(console: Console, stack: ExitStack) -> Callable[[View], None]:
    """The terminal's other screen: what stood on the first is there again at the end, however it comes."""
    live = rich.live.Live(console=rich.console.Console(), screen=True, auto_refresh=False)
    stack.enter_context(live)
    return lambda view: live.update(rich.text.Text(_text(console, view)), refresh=True)


# ---------------------------------------------------------------- text


def _text(console: Console, view: View) -> str:
    say = console.text
    sessions = {kind: view.number(f"live_paths.{kind}") for kind in KINDS}
    kinds = ", ".join(f"{count} {kind}" for kind, count in sessions.items() if count)
    refusals = list(view.group("refused").items())
    facts = [
        (say("sessions", "接続"), f"{sum(sessions.values())}" + (f" ({kinds})" if kinds else "")),
        (say("ready agents", "待機中のエージェント"), f"{view.number('ready_agents')}"),
        (say("requests under way", "処理中の要求"), f"{view.number('attempts')}"),
        (say("set-ups", "接続の確立"), f"{view.rate('set_ups.PAIRED'):.2f}/s"),
        (
            say("refused", "拒否"),
            ", ".join(f"{count} {code}" for code, count in refusals[:_CODES]) or say("nothing", "なし"),
        ),
        (
            say("connections", "TCP 接続"),
            say(
                f"{view.number('connections')}, {view.number('guests')} of nobody known,"
                f" {view.rate('handshakes'):.1f} handshakes/s",
                f"{view.number('connections')}、うち身元不明 {view.number('guests')}、"
                f"ハンドシェイク {view.rate('handshakes'):.1f}/s",
            ),
        ),
        (say("messages wait", "中継の待ち"), _pair(view.waits("message_wait"))),
        (say("event loop", "イベントループ"), _event_loop(console, view)),
        (say("audit", "監査"), _audit(console, view)),
        (say("memory", "メモリ"), f"{view.number('memory_bytes') / 2**20:.0f} MiB"),
        (
            say("descriptors", "記述子"),
            f"{view.number('descriptors')} / {view.number('descriptors_limit')}",
        ),
    ]
    header = [say("step", "段階"), "p50", "p99"]
    steps = [(step, view.waits(f"set_up_step.{step}")) for step in STEPS]
    steps.append((say("all", "全体"), view.waits("set_up")))
    rows = [[name, _ms(waits.p50), _ms(waits.p99)] for name, waits in steps]
    window = say(f"the last {view.seconds:.0f} s", f"直近 {view.seconds:.0f} 秒")
    begun = say(f"since the start {view.seconds:.0f} s ago", f"起動から {view.seconds:.0f} 秒")
    title = begun if view.before is None else window
    return "\n".join(
        [title, "", columns(["", ""], [list(fact) for fact in facts]).lstrip(), "", columns(header, rows)]
    )


def _event_loop(console: Console, view: View) -> str:
    late, longest = _pair(view.waits("loop_lag")), _ms(view.number("loop_lag_longest_us") / 1e6)
    waiting = view.number("events_waiting")
    return console.text(
        f"late {late}, at most {longest}; {waiting} events wait",
        f"遅れ {late}、最長 {longest}、待ちイベント {waiting}",
    )


def _audit(console: Console, view: View) -> str:
    if view.number("audit_failing"):
        return console.text("records cannot be written", "記録を書き込めません")
    waiting, backlog = view.number("audit_waiting"), view.number("audit_backlog_bytes") / 1024
    rate, sync = view.rate("audit_records"), _pair(view.waits("audit_sync"))
    return console.text(
        f"{rate:.1f} records/s, sync {sync}; {waiting} wait, {backlog:.0f} KiB not in the database",
        f"{rate:.1f} 件/s、同期 {sync}、待ち {waiting} 件、データベース未登録 {backlog:.0f} KiB",
    )


def _pair(waits: Waits) -> str:
    return f"p50 {_ms(waits.p50)} p99 {_ms(waits.p99)}"


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"
