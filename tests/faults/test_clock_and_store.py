"""A clock that jumps, a database that does not answer or holds nonsense: what that costs, and whom."""

import asyncio
import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from telerelay_core import SessionOpened
from telerelay_endpoint.certificates import Role
from tests.kit.beside import beside, counting, newcomer
from tests.kit.condition import eventually
from tests.kit.hostile.endpoints import end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant
from tests.kit.wall_clock import WallClock

COST = {"refused.TRY_LATER": 1, "ended.TRY_LATER": 1, "ended.DONE": 1}
JUMPS_S = (-300, 300, -300)
MINUTE_MS = 60_000
# The locks in SQLite's shared memory (sqlite.org/walformat.html): write, move, recover, and five to read.
LOCKS, FIRST_LOCK = 8, 120
# Each takes the place of a value that the node needs to answer whoever asks for that computer.
NONSENSE = {
    "read": "UPDATE computer_documents SET agent = 'nobody' WHERE computer = ?",
    "decided": "UPDATE computer_documents SET expires = 'never' WHERE computer = ?",
    "told": "UPDATE computer_documents SET agent = x'00' WHERE computer = ?",
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path) as running:
        yield running


async def _opens(node: NodeProcess, tenant: Tenant) -> str:
    """A new session; its attempt."""
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        return (await client.wait(SessionOpened)).attempt


async def _end(node: NodeProcess, attempt: str) -> dict[str, Any]:
    return await asyncio.to_thread(node.record, kind="END", attempt=attempt)


# ---------------------------------------------------------------- 19: the database does not answer


@contextmanager
def _locked(node: NodeProcess) -> Iterator[None]:
    """Nobody reads or writes the database: as where a process stands still that was recovering it."""
    with (node.data / "store.db-shm").open("r+b") as shared:
        fcntl.lockf(shared, fcntl.LOCK_EX, LOCKS, FIRST_LOCK)
        yield


async def test_without_the_database_sessions_go_on_and_whoever_is_known_gets_in(node: NodeProcess) -> None:
    known, unread = newcomer(node), newcomer(node)
    await _opens(node, known)
    async with beside(node) as session, counting(node, COST):
        with _locked(node):
            async with agent_of(node, unread), client_of(node, unread) as client:
                refused = await end_of(client)
                await session.runs()
            assert refused.code == "TRY_LATER"
            assert (await asyncio.to_thread(node.ask, "/readyz")).status_code == 503
            opened = await asyncio.wait_for(_opens(node, known), 10)
            await session.runs()
        await eventually(lambda: node.ask("/readyz").status_code == 200)
        # Nothing that happened meanwhile is lost.
        assert (await _end(node, opened))["code"] == "DONE"
        assert (await _end(node, refused.attempt))["code"] == "TRY_LATER"
    await _opens(node, unread)


# ---------------------------------------------------------------- 33: nonsense in one organisation's rows


@pytest.mark.parametrize("broken", NONSENSE)
async def test_an_exception_costs_one_organisation_its_request_and_passes_with_its_cause(
    node: NodeProcess, broken: str
) -> None:
    tenant = newcomer(node)
    with closing(sqlite3.connect(node.data / "store.db")) as store, store:
        (row,) = store.execute(
            "SELECT agent, expires FROM computer_documents WHERE computer = ?", [tenant.computer]
        )
        store.execute(NONSENSE[broken], [tenant.computer])
    expected = {"refused.TRY_LATER": 2, "ended.TRY_LATER": 2}
    async with beside(node), agent_of(node, tenant):
        async with counting(node, expected):
            for _ in range(2):
                async with client_of(node, tenant) as client:
                    # From Python at once, not from the core that waited for it in vain.
                    ended = await asyncio.wait_for(end_of(client), 3)
                assert ended.code == "TRY_LATER"
                assert (await _end(node, ended.attempt))["code"] == "TRY_LATER"
        assert "a request cannot be decided" in node.log.read_text()
        with closing(sqlite3.connect(node.data / "store.db")) as store, store:
            store.execute(
                "UPDATE computer_documents SET agent = ?, expires = ? WHERE computer = ?",
                [*row, tenant.computer],
            )
            store.execute("UPDATE organisations SET version = version + 1 WHERE id = ?", [tenant.id])
        # What was read before is kept until something changes, and a document's owner changes it.
        await asyncio.to_thread(_change, node, tenant)
        async with client_of(node, tenant) as client:
            await client.wait(SessionOpened)


def _change(node: NodeProcess, tenant: Tenant) -> None:
    with node.organisation(tenant, Role.ADMIN) as admin, node.organisation(tenant, Role.KEEPER) as keeper:
        admin.post_document(tenant.document(2))
        keeper.post_document(tenant.stamp(2, 2))


# ---------------------------------------------------------------- 21: the clock jumps


async def test_no_timer_follows_a_clock_that_jumps(tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    with NodeProcess(tmp_path, environment=clock.environment) as node:
        tenant = newcomer(node)
        async with counting(node, {"ended.DONE": 1 + len(JUMPS_S)}):
            async with beside(node) as session:
                began = await asyncio.to_thread(node.record, kind="START", attempt=session.attempt)
                for jump in JUMPS_S:
                    clock.set_off(jump)
                    attempt = await _opens(node, tenant)
                    end = await _end(node, attempt)
                    assert end["duration_ms"] < MINUTE_MS
                    # The clock did jump.
                    assert abs(_seconds(end) - _seconds(began) - jump) < MINUTE_MS / 1000
                    await session.runs()
            assert (await _end(node, session.attempt))["duration_ms"] < MINUTE_MS


def _seconds(record: dict[str, Any]) -> float:
    return datetime.fromisoformat(record["time"]).timestamp()
