"""B11: a thread in the node holds Python's lock for two seconds, and nobody's screen may notice."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from tests.bench.benchmark import ROUNDS, Benchmark, Say
from tests.bench.driver import Driver
from tests.bench.rows import Goal, Row, measured
from tests.bench.scene import Scene, open_scene, wait_until, whole_seconds

_LIVE: Final = 40
_CLIENTS: Final = 200
_RATE: Final = 20.0
_HELD_S: Final = 2.0
_QUIET_S: Final = 4.0
_SET_UPS_S: Final = 6.0
_Seconds = list[Mapping[str, Any]]


def _measure(say: Say) -> Sequence[Row]:
    with open_scene(agents=_CLIENTS, clients=_CLIENTS, probe=True) as scene:
        scene.ready_agents(_CLIENTS)
        held = scene.sessions(_LIVE)
        quiet, beside = _live(scene, held, say)
        before, during, after = [], [], []
        for number in range(ROUNDS):
            say(f"set-ups before, during and behind it, round {number + 1} of {ROUNDS}")
            before.append(_set_ups(scene).summary(_SET_UPS_S + 60))
            meanwhile = _set_ups(scene)
            wait_until(time.monotonic() + _HELD_S)
            scene.hold_gil(_HELD_S)
            during.append(meanwhile.summary(_SET_UPS_S + 60))
            after.append(_set_ups(scene).summary(_SET_UPS_S + 60))
        held.stop()
    return [
        measured(
            "B11",
            "messages of live sessions while the GIL is held for 2 s",
            "1/s",
            beside[0],
            peer=quiet[0],
            goal=Goal("least", 0.99, of="ratio"),
            note="peer: the seconds before",
        ),
        measured(
            "B11.live",
            "their p99 delay",
            "ms",
            beside[1],
            peer=quiet[1],
            goal=Goal("most", 1.1, of="ratio"),
        ),
        measured(
            "B11.requests",
            "the longest set-up while the GIL is held",
            "s",
            [told["total"]["max_us"] / 1e6 for told in during],
            peer=[_HELD_S + told["total"]["max_us"] / 1e6 for told in before],
            goal=Goal("most", 1.05, of="ratio"),
            note="peer: two seconds more than the longest before",
        ),
        measured(
            "B11.after",
            "p99 of set-ups behind it",
            "ms",
            [told["total"]["p99_us"] / 1e3 for told in after],
            peer=[told["total"]["p99_us"] / 1e3 for told in before],
            goal=Goal("most", 1.5, of="ratio"),
            note="peer: before it; each p99 is of 120 set-ups",
        ),
        measured(
            "B11.failed",
            "set-ups that failed",
            "count",
            [sum(sum(told["failed"].values()) + told["unmade"] for told in [*before, *during, *after])],
            goal=Goal("most", 0),
        ),
    ]


def _live(scene: Scene, held: Driver, say: Say) -> tuple[list[list[float]], list[list[float]]]:
    """Messages a second and p99 (ms), round by round: without it, and with it."""
    quiet: list[_Seconds] = []
    beside: list[_Seconds] = []
    for number in range(ROUNDS):
        say(f"round {number + 1} of {ROUNDS}")
        begin = time.monotonic()
        wait_until(begin + _QUIET_S)
        hold = time.monotonic()
        scene.hold_gil(_HELD_S)
        end = time.monotonic()
        # The line of the last second comes when it is over.
        wait_until(end + 0.5)
        quiet.append(whole_seconds(held, begin, hold))
        beside.append(whole_seconds(held, hold, end))
    return _figures(quiet), _figures(beside)


def _figures(rounds: Sequence[_Seconds]) -> list[list[float]]:
    return [
        [median(line["delay"]["count"] for line in seconds) for seconds in rounds],
        [median(line["delay"]["p99_us"] for line in seconds) / 1e3 for seconds in rounds],
    ]


def _set_ups(scene: Scene) -> Driver:
    return scene.set_ups(_RATE, _SET_UPS_S, clients=_CLIENTS - _LIVE, first=_LIVE)


BENCHMARK: Final = Benchmark("B11", "live sessions while the GIL is held", _measure)
