"""A full disk and a read-only one: what a node says, and that it goes on when there is room again."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telerelay_core import SessionEnded, SessionOpened
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.errors import TelerelayError
from tests.kit.beside import beside
from tests.kit.condition import eventually
from tests.kit.hostile.endpoints import end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.tenant import Tenant


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    """A node whose data folder is a disk of four megabytes."""
    made = NodeProcess(tmp_path)
    made.data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", made.data], check=True)
    try:
        yield made
        made.stop()
    finally:
        subprocess.run(["umount", made.data], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


async def _code(node: NodeProcess, tenant: Tenant) -> str:
    """How a session ends that is closed as soon as it is open."""
    async with client_of(node, tenant) as client:
        await eventually(lambda: bool(client.of(SessionOpened) or client.of(SessionEnded)))
        client.handle.stop()
        return (await end_of(client)).code


async def test_a_full_disk_joins_nobody_and_keeps_the_node(node: NodeProcess) -> None:
    node.start()
    tenant = Tenant(now=int(time.time()))
    node.admit(tenant)
    node.publish(tenant)
    ballast = node.data / "ballast"
    async with agent_of(node, tenant), beside(node) as session:
        _fill(ballast)
        # The page of the spool that was begun still takes some records; then there is not a byte left.
        codes = [await _code(node, tenant)]
        while codes[-1] == "DONE" and len(codes) < 20:
            codes.append(await _code(node, tenant))
        assert codes[-1] == "AUDIT_UNAVAILABLE"
        await session.runs()
        counts = await asyncio.to_thread(node.statistics)
        assert (counts["audit_failing"], counts["refused.AUDIT_UNAVAILABLE"]) == (1, 1)
        with node.organisation(tenant, Role.ADMIN) as admin:
            assert admin.overview().organisation == tenant.id
            with pytest.raises(TelerelayError) as caught:
                admin.post_document(tenant.document(2))
            assert caught.value.code in ("AUDIT_UNAVAILABLE", "STORE")
        ballast.unlink()
        # Within a second or two the spool tries again.
        deadline = time.monotonic() + 10
        while node.statistics()["audit_failing"]:
            assert time.monotonic() < deadline, "the spool did not recover"
        async with client_of(node, tenant) as client:
            await client.wait(SessionOpened)
    with node.organisation(tenant, Role.ADMIN) as admin:
        admin.post_document(tenant.document(2))


def test_a_read_only_store_is_said_in_one_line(node: NodeProcess) -> None:
    node.start()
    node.stop()
    subprocess.run(["mount", "-o", "remount,ro", node.data], check=True)
    ended = subprocess.run(
        [TELERELAY, "serve", "--lang", "en", "--data", str(node.data), "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 6
    assert ended.stderr.startswith(("error[MACHINE]", "error[STORE]"))
    assert ended.stderr.count("\n") == 1
