"""A batch of the core's events through the bridge: requests, answers, attempts' ends, with a real spool."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from telerelay.audit.spool import Spool
from telerelay.node.bridge import BATCH, Bridge
from telerelay.node.registry import Registry
from telerelay.presence.memory import PresenceInMemory
from telerelay.store.engine import Store
from telerelay.store.snapshot import Snapshots
from telerelay_endpoint.log_lines import log_to_stderr
from tests.kit.audit import office
from tests.kit.condition import eventually
from tests.kit.fake_core import KINDS, AttemptEnded, FakeCore, asks
from tests.kit.tenant import Tenant

ROUNDS = 50
"""Few enough that the spool holds what is not written yet."""


@dataclass
class Drained:
    """A bridge whose loop runs only where the benchmark lets it."""

    loop: asyncio.AbstractEventLoop
    tenant: Tenant
    core: FakeCore
    bridge: Bridge
    spool: Spool

    def batch(self) -> tuple[tuple[list[object]], dict[str, object]]:
        """Half of it asks, the other half are ends of what asked the time before; all before is durable."""
        self.loop.run_until_complete(self._written())
        asked = [asks(self.tenant) for _ in range(BATCH // 2)]
        ended = [AttemptEnded(asks(self.tenant)) for _ in range(BATCH // 2)]
        return ([*asked, *ended],), {}

    def take(self, events: list[object]) -> None:
        """What the event loop does when the core tells."""

        async def take() -> None:
            self.bridge.take(events)

        self.loop.run_until_complete(take())

    async def _written(self) -> None:
        await eventually(lambda: not self.spool.statistics()["audit_waiting"])


@asynccontextmanager
async def _open(folder: Path, loop: asyncio.AbstractEventLoop) -> AsyncIterator[Drained]:
    (folder / "audit").mkdir()
    store = await Store.open(folder / "store.db")
    tenant = Tenant(now=int(time.time()))
    await tenant.admit(store)
    await tenant.publish(store)
    spool = Spool(folder / "audit", office().head(), office().notary(folder))
    core, snapshots = FakeCore(), Snapshots(store)
    await snapshots.load(tenant.id)
    bridge = Bridge(
        KINDS, core, snapshots, spool, PresenceInMemory(), Registry(store, core), lambda _connection: None
    )
    yield Drained(loop, tenant, core, bridge, spool)
    await bridge.close()
    await spool.stop()
    await store.close()


@pytest.fixture
def drained() -> Iterator[Drained]:
    # As a node logs that no terminal looks at.
    log_to_stderr(json=True)
    with tempfile.TemporaryDirectory(prefix="telerelay-bench-") as folder, asyncio.Runner() as runner:
        opened = _open(Path(folder), runner.get_loop())
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


def bench_event_drain(benchmark: BenchmarkFixture, drained: Drained) -> None:
    benchmark.extra_info |= {"title": f"{BATCH} events of the core taken: requests and ends", "items": BATCH}
    # Untyped in pytest-benchmark.
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        drained.take, setup=drained.batch, rounds=ROUNDS, warmup_rounds=3
    )
    assert len(drained.core.answers) == (ROUNDS + 3) * BATCH // 2
