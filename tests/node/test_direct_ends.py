"""Whoever may ends a direct session: both sockets close, both ends are told why, the rest stays (§5.6)."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from telerelay_core import AgentOffline, SessionOpened
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.lines import to_base64url
from tests.kit.beside import GREETING, beside, counting, newcomer
from tests.kit.condition import eventually
from tests.kit.hostile.endpoints import RunningAgent, RunningClient, Told, end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

BESIDE: Final = 3
"""Connections of the session beside: its two legs, and its agent's next ready connection."""
_STATE, _INODE, _LISTENS = 3, 9, "0A"
"""Fields of /proc/net/tcp (proc_pid_net(5)), and the state of a socket that listens."""
End = Callable[[NodeProcess, Tenant], None]


def _cut(node: NodeProcess, tenant: Tenant) -> None:
    with node.control() as control:
        assert control.cut({"organisation": to_base64url(tenant.id)}, "akiko", "ticket 4711") == 1


def _suspend(node: NodeProcess, tenant: Tenant) -> None:
    with node.control() as control:
        control.suspend(tenant.id, "ticket 4711")


def _revoke_client(node: NodeProcess, tenant: Tenant) -> None:
    _revoke(node, tenant, tenant.client)


def _revoke_agent(node: NodeProcess, tenant: Tenant) -> None:
    _revoke(node, tenant, tenant.agent)


def _revoke(node: NodeProcess, tenant: Tenant, device: bytes) -> None:
    with node.organisation(tenant, Role.ADMIN) as admin:
        admin.post_document(tenant.revocations(2, [device]))


# How it is ended, and what else is counted: whoever may not stay is refused on its other connection.
ENDS: Final[Mapping[End, tuple[str, Mapping[str, int]]]] = {
    _cut: ("CUT", {}),
    _suspend: ("SUSPENDED", {"refused.SUSPENDED": 1}),
    _revoke_client: ("REVOKED", {}),
    _revoke_agent: ("REVOKED", {"refused.REVOKED": 1}),
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


def _connections(node: NodeProcess) -> int:
    """TCP connections that the node's process holds open; what it listens on is none."""
    sockets = map(str.split, Path(f"/proc/{node.process.pid}/net/tcp").read_text().splitlines()[1:])
    connected = {f"socket:[{fields[_INODE]}]" for fields in sockets if fields[_STATE] != _LISTENS}
    return sum(
        _target(descriptor) in connected for descriptor in Path(f"/proc/{node.process.pid}/fd").iterdir()
    )


def _target(descriptor: Path) -> str:
    """What is open, or nothing where it was closed just now."""
    with contextlib.suppress(FileNotFoundError):
        return str(descriptor.readlink())
    return ""


async def _is_direct(node: NodeProcess, told: Told, others: int = 0) -> str:
    """The attempt of an open session, once its sockets are with the engine, beside those of `others`."""
    opened = await told.wait(SessionOpened)
    assert opened.path_kind == "direct"
    await eventually(lambda: node.statistics()["engine.paths"] == others + 1)
    return opened.attempt


async def _ended(agent: RunningAgent, client: RunningClient, code: str) -> None:
    """Both were told so: the agent by the node, on its ready connection, the client by the agent."""
    for end in (await end_of(client), await end_of(agent)):
        assert (end.code, end.path_kind) == (code, "direct")
    assert await client.code() == code


@pytest.mark.parametrize("how", ENDS, ids=lambda how: how.__name__[1:])
async def test_whoever_may_ends_a_direct_session_and_no_other(node: NodeProcess, how: End) -> None:
    code, refused = ENDS[how]
    tenant = newcomer(node)
    async with beside(node) as session:
        # Its agent's next ready connection, and whatever a test before it asked the API.
        await eventually(lambda: _connections(node) == BESIDE)
        async with counting(node, {f"ended.{code}": 1, **refused}):
            async with agent_of(node, tenant) as agent, client_of(node, tenant) as client:
                attempt = await _is_direct(node, client, others=1)
                reader, _ = await client.viewer()
                assert await reader.readexactly(len(GREETING)) == GREETING
                await asyncio.to_thread(how, node, tenant)
                await _ended(agent, client, code)
                assert await reader.read() == b""
                await session.runs()
                # The agent is served on, unless it is the one who may not come any more.
                await eventually(lambda: bool(agent.of(AgentOffline)) == bool(refused))
            record = await asyncio.to_thread(node.record, kind="END", attempt=attempt)
        assert (record["code"], record["path_kind"]) == (code, "direct")
        assert record["bytes_to_client"] > len(GREETING)
        await eventually(lambda: _connections(node) == BESIDE)
        assert node.statistics()["engine.paths"] == 1


async def test_a_forced_drain_ends_every_direct_session(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        tenant = newcomer(node)
        async with agent_of(node, tenant) as agent, client_of(node, tenant) as client:
            attempt = await _is_direct(node, client)
            reader, writer = await client.viewer()
            assert await reader.readexactly(len(GREETING)) == GREETING

            def drain() -> None:
                with node.control() as control:
                    control.drain()

            await asyncio.to_thread(drain)
            # A direct session is waited for as any other.
            writer.write(b"typed")
            assert await reader.readexactly(5) == b"typed"

            def force() -> int:
                with node.control() as control:
                    return control.force_drain("akiko", "ticket 4711")

            assert await asyncio.to_thread(force) == 1
            await _ended(agent, client, "DRAINED")
            assert await reader.read() == b""
        record = await asyncio.to_thread(node.record, kind="END", attempt=attempt)
        assert (record["code"], record["path_kind"]) == ("DRAINED", "direct")
        counted = node.statistics()
        assert (counted["engine.paths"], counted["live_paths"]) == (0, 0)
