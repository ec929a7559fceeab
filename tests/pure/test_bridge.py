"""The bridge: one decision for a question, records in their order, and nothing that outlives its event."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from telerelay.audit.spool import Spool
from telerelay.node.bridge import BATCH, RETRY_S, TICKET_MEMORY_S, Bridge
from telerelay.node.registry import Registry
from telerelay.presence.memory import PresenceInMemory
from telerelay.store.engine import Store
from telerelay.store.snapshot import Snapshots
from telerelay.store.tables import Device
from telerelay_core import format_computer_id
from telerelay_endpoint.errors import TelerelayError
from tests.kit.audit import office
from tests.kit.condition import eventually
from tests.kit.fake_core import KINDS, AgentGone, AgentReady, AttemptEnded, FakeCore, Flagged, Stopped, asks
from tests.kit.tenant import Tenant


@dataclass
class Setup:
    """A bridge with a real store and spool, and a core that keeps what it is told."""

    folder: Path
    tenant: Tenant
    store: Store
    spool: Spool
    core: FakeCore
    bridge: Bridge
    registry: Registry
    presence: PresenceInMemory

    async def warm(self) -> None:
        """Let the tenant's snapshot be held, so that decisions come at once."""
        self.bridge.take([asks(self.tenant)])
        await eventually(lambda: len(self.core.answers) == 1)
        await eventually(lambda: len(self.core.records) == 1)
        self.core.answers.clear()
        self.core.records.clear()
        self.bridge._started.clear()

    def records(self) -> list[dict[str, Any]]:
        files = sorted((self.folder / "audit").iterdir())
        found = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
        return [record for record in found if record["kind"] != "CHECKPOINT"]


@pytest_asyncio.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    (tmp_path / "audit").mkdir()
    store = await Store.open(tmp_path / "store.db")
    tenant = Tenant(now=int(time.time()))
    await tenant.admit(store)
    await tenant.publish(store)
    async with store.writing() as session:
        session.add(
            Device(
                organisation=tenant.id,
                id=tenant.agent,
                kind="agent",
                label="desk 4",
                computer=tenant.computer,
                enrolled=1,
            )
        )
    spool = Spool(tmp_path / "audit", office().head(), office().notary(tmp_path))
    core, presence = FakeCore(), PresenceInMemory()
    registry = Registry(store, core)
    bridge = Bridge(KINDS, core, Snapshots(store), spool, presence, registry, lambda _connection: None)
    yield Setup(tmp_path, tenant, store, spool, core, bridge, registry, presence)
    await bridge.close()
    await spool.stop()
    await store.close()


# ---------------------------------------------------------------- one attempt


async def test_a_granted_request_is_answered_at_once_and_recorded_behind_it(setup: Setup) -> None:
    await setup.warm()
    asked = asks(setup.tenant)
    setup.bridge.take([asked])
    # Before anything is durable: the agent is asked meanwhile.
    assert setup.core.answers == [("here", asked.ticket, setup.tenant.agent)]
    assert setup.core.records == []
    await eventually(lambda: setup.core.records != [])
    assert setup.core.records == [([asked.ticket], None)]
    record = setup.records()[-1]
    assert (record["kind"], record["path"], record["agent"]) == (
        "START",
        asked.path.hex(),
        setup.tenant.agent.hex(),
    )


async def test_a_refused_request_has_an_end_and_no_start(setup: Setup) -> None:
    asked = asks(setup.tenant, client=os.urandom(32))
    setup.bridge.take([asked])
    await eventually(lambda: setup.core.answers != [])
    assert setup.core.answers == [("deny", asked.ticket, "DENIED")]
    setup.bridge.take([AttemptEnded(asked, code="DENIED", routed=False, stage="route")])
    await setup.spool.stop()
    assert [(record["kind"], record["code"], record["routed"]) for record in setup.records()] == [
        ("END", "DENIED", False)
    ]


async def test_requests_that_come_together_read_the_snapshot_once(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = 0
    load = Snapshots.load

    async def counted(snapshots: Snapshots, organisation: bytes) -> Any:
        nonlocal loads
        loads += 1
        return await load(snapshots, organisation)

    monkeypatch.setattr(Snapshots, "load", counted)
    asked = [asks(setup.tenant) for _ in range(50)]
    setup.bridge.take(asked[:25])
    setup.bridge.take(asked[25:])
    await eventually(lambda: len(setup.core.answers) == 50)
    assert loads == 1
    await eventually(lambda: sum(len(tickets) for tickets, _ in setup.core.records) == 50)
    # Told in groups, not one by one.
    assert len(setup.core.records) <= 2


async def test_a_request_whose_peer_is_gone_is_not_decided(setup: Setup) -> None:
    await setup.warm()
    before = setup.bridge.statistics()["routes_decided"]
    asked = asks(setup.tenant)
    setup.bridge.take([asked, AttemptEnded(asked, code="CLIENT_GONE", routed=False, stage="route")])
    assert setup.core.answers == []
    assert setup.bridge.statistics()["routes_decided"] == before


async def test_a_request_whose_peer_goes_while_the_snapshot_is_read_is_not_decided(setup: Setup) -> None:
    gone, stays = asks(setup.tenant), asks(setup.tenant)
    setup.bridge.take([gone, stays])
    setup.bridge.take([AttemptEnded(gone, code="CLIENT_GONE", routed=False, stage="route")])
    await eventually(lambda: setup.core.answers != [])
    assert [ticket for _, ticket, _ in setup.core.answers] == [stays.ticket]
    assert setup.bridge.statistics()["routes_waiting"] == 0


async def test_an_end_that_crossed_our_answer_closes_the_start(setup: Setup) -> None:
    await setup.warm()
    asked = asks(setup.tenant)
    setup.bridge.take([asked])
    setup.bridge.take([AttemptEnded(asked, code="TRY_LATER", routed=False, stage="route")])
    await setup.spool.stop()
    start, end = setup.records()[-2:]
    assert (start["kind"], end["kind"]) == ("START", "END")
    assert (end["routed"], end["path"], end["code"]) == (True, start["path"], "TRY_LATER")


async def test_a_ticket_is_forgotten_after_its_time(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    await setup.warm()
    for _ in range(3):
        setup.bridge.take([asks(setup.tenant)])
    assert len(setup.bridge._started) == 3
    later = time.monotonic() + TICKET_MEMORY_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    # A full batch may have ends behind it that still need the memory.
    setup.bridge.take([AgentGone(setup.tenant.id, setup.tenant.agent)] * BATCH)
    assert len(setup.bridge._started) == 3
    setup.bridge.take([AgentGone(setup.tenant.id, setup.tenant.agent)])
    assert setup.bridge._started == {}


async def test_without_a_database_a_request_is_told_to_come_later(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_snapshots: Snapshots, _organisation: bytes) -> Any:
        raise TelerelayError("STORE", "gone")

    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "load", broken)
        asked = asks(setup.tenant)
        setup.bridge.take([asked])
        await eventually(lambda: setup.core.answers != [])
        assert setup.core.answers == [("later", asked.ticket, RETRY_S)]
    # The next one finds the database again.
    await setup.warm()


async def test_a_spool_that_refuses_is_told_to_the_core(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    await setup.warm()

    def fail(_descriptor: object) -> None:
        raise OSError("no disk")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        asked = asks(setup.tenant)
        setup.bridge.take([asked])
        await eventually(lambda: setup.core.records != [])
        assert setup.core.records == [([asked.ticket], "AUDIT_UNAVAILABLE")]


# ---------------------------------------------------------------- agents


async def test_agents_come_and_go(setup: Setup) -> None:
    tenant = setup.tenant
    setup.bridge.take([AgentReady(tenant.id, tenant.agent, format_computer_id(tenant.computer))])
    assert setup.presence.present([tenant.agent]) == {tenant.agent}
    telling = asyncio.create_task(setup.registry.tell_newcomers())
    await eventually(lambda: len(setup.core.told) == 3)
    assert [told[:4] for told in setup.core.told] == [
        (tenant.id, tenant.agent, "revocations", 1),
        (tenant.id, tenant.agent, "computer", 1),
        (tenant.id, tenant.agent, "stamp", 1),
    ]
    setup.bridge.take([AgentGone(tenant.id, tenant.agent)])
    assert setup.presence.present([tenant.agent]) == set()
    setup.bridge.take([Flagged(tenant.id, tenant.agent, "ID_IN_USE")])
    before = int(time.time()) - 60
    await setup.registry.flush()
    async with setup.store.reading() as session:
        device = (await session.scalars(select(Device))).one()
    assert device.last_seen is not None
    assert device.last_seen > before
    assert device.flagged == "ID_IN_USE"
    telling.cancel()


async def test_what_breaks_on_one_event_stays_with_it(setup: Setup) -> None:
    await setup.warm()
    broken = AgentReady(setup.tenant.id, setup.tenant.agent, "no computer ID")
    asked = asks(setup.tenant)
    setup.bridge.take([broken, asked])
    assert [ticket for _, ticket, _ in setup.core.answers] == [asked.ticket]


async def test_the_last_event_is_noticed(setup: Setup) -> None:
    assert not setup.bridge.stopped.is_set()
    setup.bridge.take([Stopped()])
    assert setup.bridge.stopped.is_set()
