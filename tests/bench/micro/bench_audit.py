"""One group of audit records from the event loop to the disk and back."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from telerelay.audit.spool import GROUP_ROWS, Spool
from tests.bench.spooling import start_record
from tests.kit.audit import office

ROUNDS = 30


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.fixture
def spool(runner: asyncio.Runner) -> Iterator[Spool]:
    async def open_spool(folder: Path) -> Spool:
        return Spool(folder, office().head(), office().notary(folder))

    with tempfile.TemporaryDirectory(prefix="telerelay-bench-") as folder:
        opened = runner.run(open_spool(Path(folder)))
        yield opened
        runner.run(opened.stop())


def bench_audit_group(benchmark: BenchmarkFixture, runner: asyncio.Runner, spool: Spool) -> None:
    benchmark.extra_info |= {"title": f"{GROUP_ROWS} audit records made durable", "items": GROUP_ROWS}
    group = [start_record(number) for number in range(GROUP_ROWS)]
    # Untyped in pytest-benchmark.
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: runner.run(spool.write(group)), rounds=ROUNDS, warmup_rounds=1
    )
    # Checkpoints stand between the records.
    assert spool.head.seq >= (ROUNDS + 1) * GROUP_ROWS
