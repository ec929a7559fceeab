"""REDRAW: what it costs to draw a real desktop anew with a watermark, beside following it without one.

Two agents of the driver stand in front of one Xvnc, one that draws and one that follows, and take turns. The
viewer asks for ZRLE and CopyRect, and for the next picture as soon as one begins, as TigerVNC's does.
Then the same with 20 Mbit/s between home and relay.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from typing import Final, NamedTuple

from telerelay.demo.desktop import Desktop, open_desktop
from tests.bench.benchmark import ROUNDS, Benchmark, Say, teller
from tests.bench.driver import Driver
from tests.bench.home import Home, Viewer
from tests.bench.machine import cpu_s
from tests.bench.peers.ground import RELAY_NETWORK, open_segments
from tests.bench.peers.line import narrow
from tests.bench.rows import Row, Unit, measured, unmeasured
from tests.bench.scene import Scene, open_scene
from tests.kit.namespace import private_network
from tests.kit.rfb import key
from tests.kit.screen import Encoding

_SIDES: Final = ("drawn", "followed")
_SCREEN: Final = (1920, 1080)
_FRAME_RATE: Final = 1_000
"""Xvnc's own limit is 60 a second: without it the slowest part decides."""
_LASTS_S: Final = 4.0
_KEYS: Final = 200
_LINE_MBIT_S: Final = 20
_LINE_PORT: Final = 2_443
_OVER_LINE: Final = "REDRAW.line"
_AGENTS: Final = 6
_TEXT: Final = (
    r"\033[3$((i % 8))m$i\033[0m the quick brown fox jumps over the lazy dog $((i * 7919 % 10007))\n"
)
_PROGRAMS: Final[Mapping[str, Sequence[str]]] = {
    "typing": ("xterm", "-geometry", "200x70+0+0", "-e", "cat"),
    "scrolling": (
        *("xterm", "-geometry", "200x70+0+0", "-e", "sh", "-c"),
        f'i=0; while :; do i=$((i + 1)); printf "{_TEXT}"; sleep 0.005; done',
    ),
    "film": ("ico", "-geometry", "800x700+0+0", "-faces", "-noedges", "-sleep", "0.005"),
}


class _Side(NamedTuple):
    """One of both ways to the desktop."""

    agent: Driver
    home: Callable[[], Home]
    """A new client: one ends with its viewer."""


class _Figures(NamedTuple):
    """Of one round. `pace`: frames a second, or the microseconds from a key to its picture."""

    pace: float
    cpu_ms: float
    bytes: float


def _measure(say: Say) -> Sequence[Row]:
    with open_scene(agents=_AGENTS, clients=_AGENTS) as scene:
        rows = _loads("REDRAW", scene, say)
    if os.geteuid() != 0:
        why = "networks of its own need root"
        return [*rows, unmeasured(_OVER_LINE, f"over {_LINE_MBIT_S} Mbit/s", "count", why)]
    return [*rows, *_apart(_over_line)]


def _apart(measure: Callable[[], Sequence[Row]]) -> Sequence[Row]:
    """By a process of its own: the core's thread of this one stays in the network in which it began."""
    context = multiprocessing.get_context("spawn")
    rows, told = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(measure, told))
    process.start()
    try:
        told.close()
        # Raises EOFError where it broke: why stands on standard error.
        found: Sequence[Row] = rows.recv()
        return found
    finally:
        process.terminate()
        process.join()


def _tell(measure: Callable[[], Sequence[Row]], to: Connection) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    to.send(measure())


def _over_line() -> Sequence[Row]:
    with private_network(), open_segments(f"{_LINE_MBIT_S} Mbit/s") as cables:
        narrow(_LINE_MBIT_S)
        with open_scene(
            agents=_AGENTS,
            clients=_AGENTS,
            settings={"TELERELAY_NODE_ADVERTISE": f"{cables.relay_for_offices}:{_LINE_PORT}"},
            address=f"0.0.0.0:{_LINE_PORT}",
            before=("ip", "netns", "exec", RELAY_NETWORK),
        ) as scene:
            return _loads(_OVER_LINE, scene, teller(_OVER_LINE), f"{cables.relay_for_homes}:{_LINE_PORT}")


def _loads(prefix: str, scene: Scene, say: Say, node: str | None = None) -> list[Row]:
    """The rows of all loads; `node`: where homes find the node, if not where agents do."""
    rows: list[Row] = []
    for number, (load, program) in enumerate(_PROGRAMS.items()):
        with _desktop(program) as desktop:
            sides = _sides(scene, f"{desktop.host}:{desktop.port}", node, first=2 * number)
            rows += _rows(f"{prefix}.{load}", load, _rounds(load, sides, say))
    return rows


def _sides(scene: Scene, desktop: str, node: str | None, *, first: int) -> Mapping[str, _Side]:
    """Both, by the devices from this number on."""
    sides = {}
    for number, side in enumerate(_SIDES, first):
        agent = scene.office(number, desktop, guarded=True, marked=side == "drawn")
        sides[side] = _Side(agent, partial(Home, scene.folder, number, node))
    return sides


def _rounds(load: str, sides: Mapping[str, _Side], say: Say) -> Mapping[str, list[_Figures]]:
    """The figures of each side, one a round; whoever was first is second the next time."""
    look = _type if load == "typing" else _watch
    figures: dict[str, list[_Figures]] = {side: [] for side in sides}
    for number in range(ROUNDS):
        for side in _SIDES[:: -1 if number % 2 else 1]:
            figures[side].append(_round(sides[side], look))
        told = ", ".join(f"{side} {values[-1].pace:.3g}" for side, values in figures.items())
        say(f"{load}, round {number + 1} of {ROUNDS}: {told}")
    return figures


def _round(side: _Side, look: Callable[[Viewer], tuple[float, int]]) -> _Figures:
    encodings = (Encoding.ZRLE, Encoding.COPY_RECT, Encoding.LAST_RECT)
    with side.home() as home, home.viewer(*encodings) as viewer:
        viewer.ask()
        viewer.frame()
        before = (cpu_s(side.agent.pid), viewer.taken)
        pace, frames = look(viewer)
        used, taken = cpu_s(side.agent.pid) - before[0], viewer.taken - before[1]
        return _Figures(pace, 1_000 * used / frames, taken / frames)


def _watch(viewer: Viewer) -> tuple[float, int]:
    """Frames a second, and how many."""
    frames, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < _LASTS_S:
        viewer.frame()
        frames += 1
    return frames / elapsed, frames


def _type(viewer: Viewer) -> tuple[float, int]:
    """Microseconds from a key to its picture, p50, and how many keys."""
    taken = []
    for _ in range(_KEYS):
        began = time.perf_counter()
        viewer.say(key(ord("a"), down=True) + key(ord("a"), down=False))
        viewer.frame()
        taken.append(1e6 * (time.perf_counter() - began))
    return median(taken), _KEYS


def _rows(identifier: str, load: str, figures: Mapping[str, list[_Figures]]) -> list[Row]:
    drawn, followed = (figures[side] for side in _SIDES)
    pace: tuple[str, str, Unit] = ("", "frames", "1/s")
    if load == "typing":
        pace = ("", "a key and its picture, p50", "us")
    columns: list[tuple[str, str, Unit]] = [
        pace,
        (".cpu", "the agent's processor time a frame", "ms"),
        (".bytes", "bytes a frame", "bytes"),
    ]
    return [
        measured(
            f"{identifier}{ending}",
            f"{load}: {title}",
            unit,
            [figure[place] for figure in drawn],
            peer=[figure[place] for figure in followed],
            note="peer: followed" if place == 0 else "",
        )
        for place, (ending, title, unit) in enumerate(columns)
    ]


@contextmanager
def _desktop(program: Sequence[str]) -> Iterator[Desktop]:
    """One that a program moves on, with the pointer in it."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        desktop = runner.run(stack.enter_async_context(open_desktop(size=_SCREEN)))
        try:
            runner.run(_begin(desktop, program))
            yield desktop
        finally:
            runner.run(stack.aclose())


async def _begin(desktop: Desktop, program: Sequence[str]) -> None:
    await desktop.run("vncconfig", "-set", f"FrameRate={_FRAME_RATE}")
    await desktop.start(*program)
    await desktop.run("xdotool", "search", "--sync", "--onlyvisible", "--class", "--name", program[0])
    await desktop.run("xdotool", "mousemove", "--sync", "60", "60")


BENCHMARK: Final = Benchmark("REDRAW", "what a watermark costs", _measure)
