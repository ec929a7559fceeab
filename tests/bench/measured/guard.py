"""GUARD: what the guard costs an agent, in processor time, in delay and in frames of a real desktop.

Two agents of the driver stand in front of one desktop, one with the guard and one without it, and take turns.
An agent without a guard exists in this program and in tests only.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

from telerelay.demo.desktop import Desktop, open_desktop
from tests.bench.benchmark import ROUNDS, Benchmark, Say
from tests.bench.desk import Desk, raw, update, zrle
from tests.bench.driver import Driver
from tests.bench.home import Home, Viewer
from tests.bench.machine import cpu_s
from tests.bench.rounds import ratios
from tests.bench.rows import Goal, Row, measured
from tests.bench.scene import Scene, open_scene
from tests.kit.screen import Encoding

_SIDES: Final = ("guarded", "open")
_LOADS: Final[Mapping[str, tuple[str, bytes]]] = {
    "cost": ("ZRLE of 16 KiB", update(*[zrle(16_384)] * 64)),
    "cost-raw": ("Raw, 512 x 512", update(raw(512))),
    "cost-small": ("Raw, 16 x 16", update(*[raw(16)] * 1_000)),
}
_BULK: Final = 1_000_000_000
"""Bytes of screen of one round: one and a half seconds of an agent's processor."""
_KEYS: Final = 2_000
"""Keys of one round."""
_FRAMES_S: Final = 4.0
_SCREEN: Final = (1280, 800)
_FRAME_RATE: Final = 1_000
"""Xvnc's own limit is 60 a second: without it the slowest part decides."""
_PAINTER: Final = (
    "ico",
    "-geometry",
    "1000x750+0+0",
    "-size",
    "600x600",
    "-faces",
    "-noedges",
    "-sleep",
    "0.005",
)

_Figure = TypeVar("_Figure")


@dataclass(frozen=True)
class _Side:
    """One of both ways to the desktop."""

    agent: Driver
    folder: Path
    number: int

    @contextmanager
    def viewer(self, *asked: Encoding) -> Iterator[Viewer]:
        """A viewer that understands these encodings."""
        with Home(self.folder, self.number) as home, home.viewer(*asked) as viewer:
            yield viewer


def _measure(say: Say) -> Sequence[Row]:
    with open_scene(agents=5, clients=5) as scene:
        with Desk() as desk:
            sides = _sides(scene, desk.address, first=0)
            rows = [_cost(desk, sides, load, say) for load in _LOADS]
            rows.append(_delay(desk, sides, say))
        with _moving_desktop() as desktop:
            return [*rows, _frames(scene, f"{desktop.host}:{desktop.port}", say)]


def _sides(scene: Scene, desktop: str, *, first: int) -> Mapping[str, _Side]:
    """Both, by the devices from this number on."""
    return {
        side: _Side(scene.office(number, desktop, guarded=side == "guarded"), scene.folder, number)
        for number, side in enumerate(_SIDES, first)
    }


def _rounds(
    sides: Mapping[str, _Figure], measure: Callable[[str], float], say: Say, what: str
) -> dict[str, list[float]]:
    """The figures of each side, one a round; whoever was first is second the next time."""
    figures: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(ROUNDS):
        for side in list(sides)[:: -1 if number % 2 else 1]:
            figures[side].append(measure(side))
        told = ", ".join(f"{side} {values[-1]:.3g}" for side, values in figures.items())
        say(f"{what}, round {number + 1} of {ROUNDS}: {told}")
    return figures


def _cost(desk: Desk, sides: Mapping[str, _Side], load: str, say: Say) -> Row:
    title, desk.shown = _LOADS[load]
    desk.times = _BULK // len(desk.shown)
    size = desk.times * len(desk.shown)
    with ExitStack() as viewing:
        viewers = {
            name: viewing.enter_context(side.viewer(Encoding.ZRLE, Encoding.RAW))
            for name, side in sides.items()
        }

        def measure(side: str) -> float:
            before = cpu_s(sides[side].agent.pid)
            viewers[side].ask()
            viewers[side].take(size)
            return (cpu_s(sides[side].agent.pid) - before) / (size / 1e9)

        # The first gigabyte is dearer for whoever comes first: buffers grow.
        for side in _SIDES:
            measure(side)
        costs = _rounds(sides, measure, say, f"{title}, s/GB")
    return measured(
        f"GUARD.{load}",
        f"processor time of an agent with the guard, {title}",
        "s/GB",
        costs["guarded"],
        peer=costs["open"],
        goal=Goal("most", 1.3, of="ratio"),
        note="peer: the same agent without the guard",
    )


def _delay(desk: Desk, sides: Mapping[str, _Side], say: Say) -> Row:
    """Of a key and the small update that answers it; both sides press keys in turn."""
    with ExitStack() as viewing:
        viewers = {name: viewing.enter_context(side.viewer(Encoding.RAW)) for name, side in sides.items()}
        desk.times = 1
        for viewer in viewers.values():
            viewer.ask()
            viewer.take(len(desk.shown))
        p50: dict[str, list[float]] = {side: [] for side in _SIDES}
        for number in range(ROUNDS):
            taken: dict[str, list[float]] = {side: [] for side in _SIDES}
            for key in range(_KEYS):
                for side in _SIDES[:: -1 if key % 2 else 1]:
                    taken[side].append(_echoed(viewers[side], len(desk.echo)))
            for side, times in taken.items():
                p50[side].append(1e6 * median(times))
            told = ", ".join(f"{side} {values[-1]:.0f}" for side, values in p50.items())
            say(f"key and answer, us, round {number + 1} of {ROUNDS}: {told}")
    added = [mine - theirs for mine, theirs in zip(p50["guarded"], p50["open"], strict=True)]
    return measured(
        "GUARD.delay",
        "a key and the update that answers it, p50",
        "us",
        p50["guarded"],
        peer=p50["open"],
        parts={"us added by both messages": median(added)},
        note="peer: the same agent without the guard",
    )


def _echoed(viewer: Viewer, length: int) -> float:
    """Seconds from a key to the end of its answer."""
    began = time.perf_counter()
    viewer.press()
    viewer.take(length)
    return time.perf_counter() - began


def _frames(scene: Scene, desktop: str, say: Say) -> Row:
    """A second agent without the guard says how far two that are alike differ."""
    again = _Side(scene.office(4, desktop, guarded=False), scene.folder, 4)
    sides = {**_sides(scene, desktop, first=2), "again": again}

    def measure(side: str) -> float:
        with sides[side].viewer(Encoding.ZRLE, Encoding.COPY_RECT, Encoding.LAST_RECT) as viewer:
            viewer.ask()
            viewer.frame()
            frames, began = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - began) < _FRAMES_S:
                viewer.frame()
                frames += 1
            return frames / elapsed

    rates = _rounds(sides, measure, say, "frames a second")
    return measured(
        "GUARD.frames",
        f"frames of a moving picture, Xvnc of {_SCREEN[0]} x {_SCREEN[1]}, ZRLE",
        "1/s",
        rates["guarded"],
        peer=rates["open"],
        goal=Goal("least", 0.97, of="ratio"),
        parts={"ratio of two without the guard": median(ratios(rates["again"], rates["open"]))},
        note="peer: the same agent without the guard; the goal is one within what two without it differ by",
    )


@contextmanager
def _moving_desktop() -> Iterator[Desktop]:
    """A solid body that turns, as fast as it is drawn."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        switches = [f"-FrameRate={_FRAME_RATE}"]
        desktop = runner.run(stack.enter_async_context(open_desktop(size=_SCREEN, switches=switches)))
        try:
            runner.run(desktop.start(*_PAINTER))
            yield desktop
        finally:
            runner.run(stack.aclose())


BENCHMARK: Final = Benchmark("GUARD", "what the guard costs", _measure)
