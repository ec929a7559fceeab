"""A disk that fails under a running node: /readyz says so, and takes that back when it is well again."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from telerelay_core import SessionEnded, SessionOpened
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.errors import TelerelayError
from tests.kit.beside import beside, newcomer
from tests.kit.condition import eventually
from tests.kit.hostile.endpoints import end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

SIZE: Final = "8m"
# What was allocated before a disk was full still takes some records.
TRIES: Final = 40
UNRECORDED: Final = "audit records cannot be written"
UNWRITTEN: Final = "the database cannot be written"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """A node whose database lies on one disk, and whose records on another."""
    made = NodeProcess(tmp_path)
    disks = (made.data, made.data / "audit")
    for disk in disks:
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", disk], check=True)
    try:
        with made:
            yield made
    finally:
        for disk in reversed(disks):
            subprocess.run(["umount", disk], check=True)


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    """While it lasts, the disk has not a page left."""
    for _ in range(TRIES):
        found = os.statvfs(disk)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        # A size below what is used by then is refused.
        if _resize(disk, str(used)) == 0:
            break
    else:
        raise AssertionError(f"{disk} cannot be made full")
    try:
        yield
    finally:
        assert _resize(disk, SIZE) == 0


def _resize(disk: Path, size: str) -> int:
    """The exit code of mount."""
    return subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=False).returncode


def _ready(node: NodeProcess) -> tuple[int, list[str]]:
    answer = node.ask("/readyz")
    return answer.status_code, answer.json()["reasons"]


async def _is_ready(node: NodeProcess) -> None:
    await eventually(lambda: _ready(node) == (200, []), 20)


async def _code(node: NodeProcess, tenant: Tenant) -> str:
    """How a session ends that is closed as soon as it is open."""
    async with client_of(node, tenant) as client:
        await eventually(lambda: bool(client.of(SessionOpened) or client.of(SessionEnded)))
        client.handle.stop()
        return (await end_of(client)).code


def _publish_until_refused(node: NodeProcess, tenant: Tenant) -> str:
    """The code that at last refuses another version of the tenant's document."""
    with node.organisation(tenant, Role.ADMIN) as admin:
        for version in range(2, 2 + TRIES):
            try:
                admin.post_document(tenant.document(version))
            except TelerelayError as error:
                return error.code
    raise AssertionError("the disk took everything")


async def test_a_node_that_cannot_record_is_not_ready_until_it_can(node: NodeProcess) -> None:
    tenant = await asyncio.to_thread(newcomer, node)
    async with agent_of(node, tenant), beside(node) as session:
        assert _ready(node) == (200, [])
        with _full(node.data / "audit"):
            codes = [await _code(node, tenant)]
            while codes[-1] == "DONE" and len(codes) < TRIES:
                codes.append(await _code(node, tenant))
            assert codes[-1] == "AUDIT_UNAVAILABLE"
            assert _ready(node) == (503, [UNRECORDED])
            assert node.ask("/healthz").status_code == 200
            await session.runs()
        await _is_ready(node)
        assert await _code(node, tenant) == "DONE"


async def test_a_node_that_nobody_asks_finds_out_by_itself_that_it_can_record_again(
    node: NodeProcess,
) -> None:
    tenant = await asyncio.to_thread(newcomer, node)
    with _full(node.data / "audit"):
        assert await asyncio.to_thread(_publish_until_refused, node, tenant) == "AUDIT_UNAVAILABLE"
        assert _ready(node) == (503, [UNRECORDED])
    await _is_ready(node)


async def test_a_node_whose_database_cannot_be_written_is_not_ready_and_lets_people_in(
    node: NodeProcess,
) -> None:
    tenant, other = [await asyncio.to_thread(newcomer, node) for _ in range(2)]
    async with agent_of(node, tenant), beside(node) as session:
        assert await _code(node, tenant) == "DONE"
        with _full(node.data):
            assert await asyncio.to_thread(_publish_until_refused, node, other) == "STORE"
            assert _ready(node) == (503, [UNWRITTEN])
            # What it knows of them is in memory, and their records are on the other disk.
            assert await _code(node, tenant) == "DONE"
            await session.runs()
        await _is_ready(node)
