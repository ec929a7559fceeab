"""Thousands of agents that wait are no Python objects and no questions."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telerelay.authority.profile import certify_agent
from telerelay.node.registry import SEEN_S
from telerelay_core import Agent, Dial, Stopped, format_computer_id
from telerelay_endpoint.certificates import encode_certificate, format_chain
from telerelay_endpoint.keys import make_key
from tests.kit.hostile.endpoints import RunningAgent, online
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

AGENTS: Final = 5_000
"""Two processes of fewer than 20,000 descriptors hold them: an agent has two here."""
FIRST: Final = 50
"""So many stand before it is counted, so that whatever is made once is made."""
AT_ONCE: Final = 64
BLOCKS: Final = 1_000
"""What may come and go meanwhile: one block for each fifth agent is five times as much as was seen, ever."""

# The node, with a thread that collects what is garbage already: only what is held shall be counted.
COLLECTED: Final = """
import gc, threading, time
from telerelay.cli.main import main

def collect():
    while True:
        gc.collect()
        time.sleep(0.5)

threading.Thread(target=collect, daemon=True).start()
main()
"""


@pytest.mark.timeout(180)
async def test_waiting_agents_cost_python_nothing(tmp_path: Path) -> None:
    with NodeProcess(tmp_path, program=(sys.executable, "-c", COLLECTED)) as node:
        tenant = Tenant(now=int(time.time()))
        node.admit(tenant)
        agents = [_agent(node, tenant, tmp_path, number) for number in range(AGENTS)]
        turns = asyncio.Semaphore(AT_ONCE)

        async def come(agent: RunningAgent) -> None:
            async with turns:
                agent.handle.start()
                await online(agent)

        await asyncio.gather(*map(come, agents[:FIRST]))
        before = await _settled(node, FIRST)
        await asyncio.gather(*map(come, agents[FIRST:]))
        after = await _settled(node, AGENTS)
        assert after["ready_agents"] == AGENTS
        assert after["python_blocks"] - before["python_blocks"] < BLOCKS
        assert after["routes_decided"] == 0
        await asyncio.gather(*map(_leave, agents))


def _agent(node: NodeProcess, tenant: Tenant, folder: Path, number: int) -> RunningAgent:
    """A computer's agent that has not started yet; its desktop is never asked for."""
    key, computer = make_key(), number.to_bytes(10, "big")
    signer = (tenant.issuer.certificate, tenant.issuer.key)
    leaf = certify_agent(key.public_key(), computer, *signer, tenant.now)
    both = folder / f"{number}.pem"
    both.touch(0o600)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(format_chain([leaf, tenant.issuer.certificate]) + secret)
    return RunningAgent(
        Agent(
            dial=Dial(nodes=[("relay-1", [node.address])], pins=node.line(tenant).pins, chain=both, key=both),
            root=encode_certificate(tenant.root),
            computer=format_computer_id(computer),
            desktop="127.0.0.1:9",
            service="rfb",
            program="telerelay-test/1",
        )
    )


async def _leave(agent: RunningAgent) -> None:
    agent.handle.stop()
    await agent.wait(Stopped)
    agent.close()


async def _settled(node: NodeProcess, agents: int) -> dict[str, int]:
    """The node's counts once all are known, told, written down, and what that left is collected."""
    deadline = time.monotonic() + 50 + 2 * SEEN_S
    while True:
        counts = await asyncio.to_thread(node.statistics)
        waiting = counts["newcomers_waiting"] + counts["sightings_waiting"] + counts["audit_backlog_bytes"]
        if counts["agents_present"] == agents and waiting == 0:
            break
        assert time.monotonic() < deadline, f"never settled: {counts}"
        await asyncio.sleep(0.1)
    collections = counts["python_collections"]
    while counts["python_collections"] < collections + 2:
        counts = await asyncio.to_thread(node.statistics)
        await asyncio.sleep(0.1)
    return counts
