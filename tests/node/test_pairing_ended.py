"""Sessions that the operator ends: an organisation is suspended, a node is stopped (PROTOCOL.md §5.6)."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from telerelay.demo.pair import Client
from telerelay.demo.programs import Commands
from telerelay_core import SessionOpened
from tests.kit.condition import eventually
from tests.kit.hostile.desktop import open_desktop
from tests.kit.hostile.endpoints import end_of
from tests.kit.machines import Machines
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.rfb import ring
from tests.kit.tenant import Tenant

GRACE_S: Final = 2.0
# Beyond the grace: the agent's CLOSE crosses within a second, and its report is waited for.
MARGIN_S: Final = 5.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    made = NodeProcess(tmp_path, environment={"TELERELAY_NODE_STOP_GRACE_S": str(GRACE_S)})
    with made:
        yield made


@pytest.fixture
def tenant(node: NodeProcess) -> Tenant:
    made = Tenant(now=int(time.time()))
    node.admit(made)
    node.publish(made)
    return made


async def test_a_suspension_ends_the_session_and_keeps_its_organisation_out(
    node: NodeProcess, tenant: Tenant, tmp_path: Path
) -> None:
    machines = Machines(node, tenant, tmp_path)
    async with (
        open_desktop(ring) as desktop,
        machines.agent(desktop.address) as agent,
        machines.client() as client,
    ):
        began = time.monotonic()
        suspend = ("telerelay", "node", "suspend", tenant.id.hex()[:12], "--reason", "ticket 4711")
        await Commands.under(tmp_path).run(*suspend, "--data", str(node.data))
        finished = await client.program.event(lambda event: event.get("event") == "finished", 5)
        assert time.monotonic() - began < 5
        assert (finished["code"], finished["exit"]) == ("SUSPENDED", 3)
        assert await client.program.end() == "ended with status 3"
        assert await agent.program.end() == "ended with status 3"
        assert "error[SUSPENDED]" in agent.program.log.read_text()
    end = await asyncio.to_thread(node.record, kind="END", attempt=_attempt(client))
    assert end["code"] == "SUSPENDED"
    admit = node.record(kind="ADMIT", action="suspended", organisation=tenant.id.hex())
    assert admit["reason"] == "ticket 4711"
    # Whoever comes anew is told the same, by the node's first frame.
    async with client_of(node, tenant) as again:
        assert (await end_of(again)).code == "SUSPENDED"


def _attempt(client: Client) -> str:
    """The attempt whose session the client opened."""
    (opened,) = [event for event in client.program.told() if event.get("event") == "opened"]
    return str(opened["attempt"])


async def test_a_node_that_stops_takes_nobody_new_and_lets_sessions_end(
    node: NodeProcess, tenant: Tenant
) -> None:
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        opened = await client.wait(SessionOpened)
        reader, writer = await client.viewer()
        assert await reader.readexactly(12) == b"RFB 003.008\n"
        began = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(node.stop))
        await eventually(lambda: "stopping" in node.log.read_text())
        async with client_of(node, tenant) as late:
            assert (await end_of(late)).code == "TRY_LATER"
        # What runs goes on meanwhile.
        writer.write(b"typed")
        assert await reader.readexactly(5) == b"typed"
        assert time.monotonic() - began < GRACE_S
        assert (await end_of(client)).code == "DRAINED"
        assert time.monotonic() - began >= GRACE_S
        assert await stopping == 0
        assert time.monotonic() - began < GRACE_S + MARGIN_S
    mine = [record for record in node.records() if record.get("attempt") == opened.attempt]
    assert [(record["kind"], record.get("code")) for record in mine] == [("START", None), ("END", "DRAINED")]
