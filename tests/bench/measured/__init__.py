"""The benchmarks, in the order in which they run and are shown."""

from typing import Final

from tests.bench.benchmark import Benchmark
from tests.bench.measured import (
    audit,
    decisions,
    generator,
    guard,
    held_gil,
    idle,
    pieces,
    ready_memory,
    redraw,
    return_of_all,
    rush,
    scrape,
    set_up,
    set_ups_per_core,
)

BENCHMARKS: Final[tuple[Benchmark, ...]] = (
    set_up.BENCHMARK,
    ready_memory.BENCHMARK,
    set_ups_per_core.BENCHMARK,
    return_of_all.BENCHMARK,
    idle.BENCHMARK,
    held_gil.BENCHMARK,
    decisions.BENCHMARK,
    audit.BENCHMARK,
    rush.BENCHMARK,
    scrape.BENCHMARK,
    guard.BENCHMARK,
    redraw.BENCHMARK,
    generator.BENCHMARK,
    pieces.BENCHMARK,
)
