"""From `connect` to the desktop's first byte, at a rate that the node does not feel."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from tests.bench.benchmark import ROUNDS, Benchmark, Say
from tests.bench.rows import Row, measured
from tests.bench.scene import open_scene

_CLIENTS: Final = 100
_RATE: Final = 20.0
_SECONDS: Final = 10.0


def _measure(say: Say) -> Sequence[Row]:
    with open_scene(agents=_CLIENTS, clients=_CLIENTS) as scene:
        scene.ready_agents(_CLIENTS)
        rounds: list[Mapping[str, Any]] = []
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}: {_RATE:g} set-ups a second for {_SECONDS:g} s")
            told = scene.set_ups(_RATE, _SECONDS, clients=_CLIENTS).summary(_SECONDS + 30)
            if told["failed"] or told["unmade"]:
                raise ValueError(f"set-ups failed: {told['failed']}, {told['unmade']} not begun")
            rounds.append(told)
    return [
        measured(
            "SETUP",
            "set-up to the first desktop byte, p50",
            "ms",
            [told["total"]["p50_us"] / 1e3 for told in rounds],
            parts=_shares(rounds),
            note="parts: share of each stage in %, of the stages' own p50",
        ),
        measured(
            "SETUP.p99",
            "set-up to the first desktop byte, p99",
            "ms",
            [told["total"]["p99_us"] / 1e3 for told in rounds],
            parts={"lateness of the driver, p99 ms": median(told["late"]["p99_us"] for told in rounds) / 1e3},
        ),
    ]


def _shares(rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    stages = {name: median(told["stages"][name]["p50_us"] for told in rounds) for name in rounds[0]["stages"]}
    whole = sum(stages.values())
    return {name: 100 * took / whole for name, took in stages.items()}


BENCHMARK: Final = Benchmark("SETUP", "set-up to the first desktop byte", _measure)
