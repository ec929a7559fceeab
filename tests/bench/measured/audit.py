"""The audit: records a second where they share a sync, and what writing them does to live sessions."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from telerelay.audit.records import Record
from telerelay.audit.spool import WAITING_MAXIMUM, Spool
from tests.bench.benchmark import ROUNDS, Benchmark, Say
from tests.bench.rows import Goal, Row, measured
from tests.bench.scene import Scene, open_scene, wait_until, whole_seconds
from tests.bench.spooling import start_record
from tests.kit.audit import office

_GROUPED: Final = WAITING_MAXIMUM // 2
_ALONE: Final = 100
_LIVE: Final = 40
_CLIENTS: Final = 400
_RATE: Final = 60.0
_SECONDS: Final = 5.0
_RECORDS: Final = 2
"""Of a set-up: START and END."""


def _measure(say: Say) -> Sequence[Row]:
    say("records in groups, and each with a sync of its own")
    grouped, alone = [], []
    for _ in range(ROUNDS):
        grouped.append(_records_per_s(_GROUPED, _together))
        alone.append(_records_per_s(_ALONE, _one_by_one))
    with open_scene(agents=_CLIENTS, clients=_CLIENTS) as scene:
        scene.ready_agents(_CLIENTS)
        written, beside, quiet = _through_the_node(scene, say)
    return [
        measured(
            "AUDIT",
            "durable audit records a second, in groups",
            "1/s",
            grouped,
            peer=alone,
            note="peer: a sync for each, at most one in 20 ms (`audit_group_ms`)",
        ),
        measured(
            "AUDIT.node",
            f"audit records a second through the node, at {_RATE:g} set-ups a second",
            "1/s",
            written,
            peer=[_RECORDS * _RATE] * len(written),
            goal=Goal("least", 0.95, of="ratio"),
            note="peer: two for each set-up that was due",
        ),
        measured(
            "AUDIT.live",
            "live sessions' p99 meanwhile",
            "ms",
            beside,
            peer=quiet,
            goal=Goal("most", 1.1, of="ratio"),
            note="peer: the seconds before; the drivers of the set-ups run on the same processors",
        ),
    ]


# ---------------------------------------------------------------- the spool alone


def _records_per_s(count: int, write: Callable[[Spool, Sequence[Record]], Any]) -> float:
    async def run() -> float:
        with tempfile.TemporaryDirectory(prefix="telerelay-bench-") as folder:
            notary = office().notary(Path(folder))
            spool = Spool(Path(folder), office().head(), notary)
            wanted = [start_record(number) for number in range(count)]
            try:
                began = time.perf_counter()
                await write(spool, wanted)
                return count / (time.perf_counter() - began)
            finally:
                await spool.stop()

    return asyncio.run(run())


async def _together(spool: Spool, wanted: Sequence[Record]) -> None:
    await spool.write(wanted)


async def _one_by_one(spool: Spool, wanted: Sequence[Record]) -> None:
    for record in wanted:
        await spool.write([record])


# ---------------------------------------------------------------- through the node


def _through_the_node(scene: Scene, say: Say) -> tuple[list[float], list[float], list[float]]:
    """Records a second, and live sessions' p99 (ms) beside set-ups and before them."""
    held = scene.sessions(_LIVE)
    written, beside, quiet = [], [], []
    for number in range(ROUNDS):
        begin = time.monotonic()
        wait_until(begin + _SECONDS)
        before, busy = scene.node.statistics()["audit_records"], time.monotonic()
        scene.set_ups(_RATE, _SECONDS, clients=_CLIENTS - _LIVE, first=_LIVE).summary(_SECONDS + 60)
        over = time.monotonic()
        counts = scene.settled(_CLIENTS, attempts=_LIVE)
        written.append((counts["audit_records"] - before) / _SECONDS)
        quiet.append(_p99_ms(whole_seconds(held, begin, busy)))
        beside.append(_p99_ms(whole_seconds(held, busy, over)))
        say(f"round {number + 1} of {ROUNDS}: {written[-1]:.0f} records a second")
    held.stop()
    return written, beside, quiet


def _p99_ms(seconds: Sequence[Mapping[str, Any]]) -> float:
    return float(median(line["delay"]["p99_us"] for line in seconds) / 1e3)


BENCHMARK: Final = Benchmark("AUDIT", "durable audit records a second", _measure)
