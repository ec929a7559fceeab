"""Twice the arrivals that a node is planned for: sessions stay as they are, who is too many hears BUSY."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from telerelay.node.settings import Settings
from tests.bench.benchmark import ROUNDS, Benchmark, Say
from tests.bench.rows import Goal, Row, measured, unmeasured
from tests.bench.scene import open_scene, wait_until, whole_seconds

_SETTING: Final = "arrivals_per_s"
_PLANNED: Final = 30
_LIVE: Final = 40
_CLIENTS: Final = 600
_SECONDS: Final = 8.0
_QUIET_S: Final = 5.0
_ID: Final = "RUSH"
_TITLE: Final = "live sessions' p99 at twice the planned arrivals"


def _measure(say: Say) -> Sequence[Row]:
    if _SETTING not in Settings.__struct_fields__:
        return [unmeasured(_ID, _TITLE, "ms", f"the node has no setting {_SETTING} yet")]
    environment = {f"TELERELAY_NODE_{_SETTING.upper()}": str(_PLANNED)}
    beside, quiet, told = [], [], []
    with open_scene(agents=_CLIENTS, clients=_CLIENTS, settings=environment) as scene:
        scene.ready_agents(_CLIENTS)
        held = scene.sessions(_LIVE)
        for number in range(ROUNDS):
            begin = time.monotonic()
            wait_until(begin + _QUIET_S)
            rush = time.monotonic()
            set_ups = scene.set_ups(2 * _PLANNED, _SECONDS, clients=_CLIENTS - _LIVE, first=_LIVE)
            told.append(set_ups.summary(_SECONDS + 120))
            end = rush + _SECONDS
            quiet.append(_p99_ms(whole_seconds(held, begin, rush)))
            beside.append(_p99_ms(whole_seconds(held, rush, end)))
            say(
                f"round {number + 1} of {ROUNDS}: {told[-1]['done']} came in, the others {told[-1]['failed']}"
            )
        held.stop()
    return [
        measured(
            _ID, _TITLE, "ms", beside, peer=quiet, goal=Goal("most", 1.1, of="ratio"), note="peer: before it"
        ),
        measured(
            "RUSH.in",
            "set-ups a second that came in",
            "1/s",
            [one["done"] / _SECONDS for one in told],
            peer=[float(_PLANNED)] * ROUNDS,
            goal=Goal("least", 0.95, of="ratio"),
            note="peer: planned",
        ),
        measured(
            "RUSH.else",
            "set-ups that failed with anything but BUSY",
            "count",
            [sum(count for code, count in one["failed"].items() if code != "BUSY") for one in told],
            goal=Goal("most", 0),
        ),
    ]


def _p99_ms(seconds: Sequence[Mapping[str, Any]]) -> float:
    return float(median(line["delay"]["p99_us"] for line in seconds) / 1e3)


BENCHMARK: Final = Benchmark(_ID, _TITLE, _measure)
