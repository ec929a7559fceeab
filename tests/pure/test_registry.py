"""What the registry writes down about devices: all of it, in batches, nothing older over something newer."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from telerelay.documents.news import Agent, News
from telerelay.node.registry import GATHER_S, STORM, STORM_S, WRITTEN, Registry
from telerelay.store.engine import Store
from telerelay.store.tables import Device
from tests.kit.condition import eventually
from tests.kit.fake_core import FakeCore
from tests.kit.tenant import Tenant

_TURNS = round(STORM_S / GATHER_S)
"""How often look-ups are put off at most."""


async def test_thousands_are_written_in_batches_and_a_newer_sighting_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tenant = await Store.open(tmp_path / "store.db"), Tenant(now=int(time.time()))
    await tenant.admit(store)
    devices = [os.urandom(32) for _ in range(2 * WRITTEN + 1)]
    async with store.writing() as session:
        session.add_all(
            Device(
                organisation=tenant.id,
                id=device,
                kind="agent",
                label="",
                computer=number.to_bytes(10, "big"),
                enrolled=1,
            )
            for number, device in enumerate(devices)
        )
    registry = Registry(store, FakeCore())
    for device in devices:
        registry.seen(tenant.id, device)
    registry.flagged(tenant.id, devices[0], "ID_IN_USE")
    writing, transactions = store.writing, 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[AsyncSession]:
        nonlocal transactions
        transactions += 1
        async with writing() as session:
            yield session
            # It comes again while the first batch is written.
            if transactions == 1:
                registry._seen[(tenant.id, devices[0])] = 2**40

    monkeypatch.setattr(store, "writing", counted)
    await registry.flush()
    assert transactions == 3 + 1
    assert registry.statistics()["sightings_waiting"] == 1
    async with store.reading() as session:
        seen = list(await session.scalars(select(Device.last_seen)))
        flagged = list(await session.scalars(select(Device.flagged).where(Device.flagged.is_not(None))))
    assert len(seen) == len(devices)
    assert None not in seen
    assert flagged == ["ID_IN_USE"]
    await registry.flush()
    assert registry.statistics()["sightings_waiting"] == 0
    async with store.reading() as session:
        assert 2**40 in set(await session.scalars(select(Device.last_seen)))
    await store.close()


async def test_who_comes_alone_is_told_at_once_and_those_behind_it_share_a_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, tenant = await Store.open(tmp_path / "store.db"), Tenant(now=int(time.time()))
    await tenant.admit(store)
    registry = Registry(store, FakeCore())
    reading, waiting_at_look_up = store.reading, list[int]()

    @asynccontextmanager
    async def counted() -> AsyncIterator[AsyncSession]:
        waiting_at_look_up.append(registry.statistics()["newcomers_waiting"])
        async with reading() as session:
            yield session

    monkeypatch.setattr(store, "reading", counted)
    telling = asyncio.create_task(registry.tell_newcomers())
    # Each comes in a turn of the loop of its own, as they do behind their sessions.
    for number in range(6):
        registry.newcomer(tenant.id, number.to_bytes(10, "big"), os.urandom(32))
        if number == 0:
            await eventually(lambda: registry.statistics()["newcomers_waiting"] == 0)
        await asyncio.sleep(0)
    await eventually(lambda: registry.statistics()["newcomers_waiting"] == 0)
    assert waiting_at_look_up == [1, 5]
    telling.cancel()
    await store.close()


class _OverError(Exception):
    """Nobody comes any more."""


@pytest.mark.parametrize(
    ("come", "looked_up"),
    [
        # It is over with the fourth: nobody is looked up before.
        ([STORM, STORM, STORM, STORM - 1], [1, 1, 1, 1, 4 * STORM]),
        # It goes on: once the time is up, they are.
        ([STORM] * _TURNS, [1] * _TURNS + [1 + _TURNS * STORM]),
    ],
)
async def test_look_ups_wait_for_everybodys_return_to_be_over_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, come: Sequence[int], looked_up: Sequence[int]
) -> None:
    store = await Store.open(tmp_path / "store.db")
    registry, coming = Registry(store, FakeCore()), list(come)
    told, told_at_pause = 0, list[int]()

    def newcomers(count: int) -> None:
        for _ in range(count):
            registry.newcomer(os.urandom(32), os.urandom(10), os.urandom(32))

    async def news_for(_session: AsyncSession, agents: Collection[Agent]) -> list[News]:
        nonlocal told
        told += len(agents)
        return []

    async def sleep(seconds: float) -> None:
        assert seconds == GATHER_S
        told_at_pause.append(told)
        if not coming:
            raise _OverError
        newcomers(coming.pop(0))

    monkeypatch.setattr("telerelay.node.registry.news_for", news_for)
    monkeypatch.setattr("telerelay.node.registry.asyncio.sleep", sleep)
    newcomers(1)
    with pytest.raises(_OverError):
        await registry.tell_newcomers()
    assert told_at_pause == looked_up
    monkeypatch.undo()
    await store.close()
