"""B6: what one more ready agent costs the node in user memory: the slope between counts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tests.bench.benchmark import Benchmark, Say
from tests.bench.machine import anonymous_bytes
from tests.bench.rows import Goal, Row, measured
from tests.bench.scene import open_scene

_STEP: Final = 2_000
_STEPS: Final = 4
"""The first brings what is made once, and what allocators keep of many handshakes: it is not counted."""


def _measure(say: Say) -> Sequence[Row]:
    memory: list[int] = []
    with open_scene(agents=_STEP * _STEPS, clients=0) as scene:
        for step in range(_STEPS):
            scene.ready_agents(_STEP, first=step * _STEP)
            memory.append(anonymous_bytes(scene.pid))
            say(f"{(step + 1) * _STEP} agents are ready: {memory[-1] / 2**20:.1f} MiB")
    slopes = [(after - before) / _STEP for before, after in pairwise(memory)]
    row = measured(
        "B6",
        "user memory for each ready agent",
        "bytes",
        # The whole slope is the figure: memory grows in steps, so the parts tell of the steps.
        [(memory[-1] - memory[0]) / (_STEP * (_STEPS - 1))],
        goal=Goal("most", 8 * 1024),
        parts={f"{count * _STEP}–{(count + 1) * _STEP}": slope for count, slope in enumerate(slopes, 1)},
        note="anonymous memory of smaps_rollup; parts: the slope of each step",
    )
    return [row]


BENCHMARK: Final = Benchmark("B6", "user memory for each ready agent", _measure)
