"""What 5,000 agents that wait cost in processor time."""

import time
from collections.abc import Sequence
from typing import Final

from tests.bench.benchmark import Benchmark, Say
from tests.bench.rows import Goal, Row, measured
from tests.bench.scene import open_scene, wait_until

_AGENTS: Final = 5_000
_SECONDS: Final = 90.0
"""Two keepalives of each."""
_ROUNDS: Final = 3


def _measure(say: Say) -> Sequence[Row]:
    shares = []
    with open_scene(agents=_AGENTS, clients=0) as scene:
        scene.ready_agents(_AGENTS)
        for number in range(_ROUNDS):
            before, began = scene.cpu_s(), time.monotonic()
            wait_until(began + _SECONDS / _ROUNDS)
            shares.append(100 * (scene.cpu_s() - before) / (time.monotonic() - began))
            say(f"part {number + 1} of {_ROUNDS}: {shares[-1]:.2f} % of a core")
    row = measured(
        "IDLE",
        "processor time of a node with 5,000 ready agents",
        "%",
        shares,
        goal=Goal("most", 1),
        note=f"of one core, over {_SECONDS:g} s of two keepalives",
    )
    return [row]


BENCHMARK: Final = Benchmark("IDLE", "processor time of a node with 5,000 ready agents", _measure)
