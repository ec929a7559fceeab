"""Strangers in numbers before a whole node: nobody who is known notices (security.md T9, T10)."""

import asyncio
import os
import socket
import time
from pathlib import Path
from typing import Final

import pytest

from telerelay_endpoint.certificates import Role
from telerelay_endpoint.keys import make_key
from tests.kit.beside import beside, newcomer
from tests.kit.condition import eventually
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.outer_leg import OuterLeg
from tests.kit.tenant import Files, Tenant

pytestmark = pytest.mark.timeout(120)

HELLO: Final = bytes([22, 3, 1, 15, 255, 1, 0, 15, 251])
"""The beginning of a ClientHello of 4 KiB that never comes to its end."""


def _small(descriptors: int) -> tuple[str, ...]:
    """A node with so many descriptors."""
    return ("/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$0" "$@"', TELERELAY)


def _computer(tenant: Tenant, folder: Path) -> Files:
    """A computer of the tenant's that nobody else is."""
    return tenant.sibling(agent_key=make_key(), computer=os.urandom(10)).files(folder, Role.AGENT)


async def _log_in(node: NodeProcess, files: Files, timeout_s: float = 5) -> OuterLeg:
    async with asyncio.timeout(timeout_s):
        leg = await OuterLeg.dial(node.address, files)
        assert (await leg.hello("agent")).name == "WELCOME"
    return leg


async def _stranger(node: NodeProcess, says: bytes) -> socket.socket:
    """One more, from the very address of the good ones."""
    stranger = socket.socket()
    stranger.settimeout(0)
    host, _, port = node.address.rpartition(":")
    loop = asyncio.get_running_loop()
    await loop.sock_connect(stranger, (host, int(port)))
    await loop.sock_sendall(stranger, says)
    return stranger


def _dribble(strangers: list[socket.socket]) -> list[socket.socket]:
    """One byte more from each; those that are still there."""
    left = []
    for stranger in strangers:
        try:
            stranger.send(bytes(1))
            left.append(stranger)
        except OSError:
            stranger.close()
    return left


def _resident(node: NodeProcess) -> int:
    """Bytes of the node's memory."""
    pages = Path(f"/proc/{node.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _processor_s(node: NodeProcess) -> float:
    """Seconds that the node has computed for."""
    fields = Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_five_thousand_dribbling_handshakes(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        tenant = newcomer(node)
        good = _computer(tenant, tmp_path)
        async with beside(node) as session:
            strangers: list[socket.socket] = []
            for _ in range(50):
                strangers += await asyncio.gather(*(_stranger(node, HELLO) for _ in range(100)))
                (await _log_in(node, good)).close()
            await session.runs()
            # One byte a while does not lengthen anybody's time.
            while strangers:
                strangers = _dribble(strangers)
                (await _log_in(node, good)).close()
            await session.runs()
            counts = await asyncio.to_thread(node.statistics)
            # Some went because there were too many, all others at their deadline; nobody stayed.
            assert counts["handshakes_failed.hello_late"] + counts["guests_evicted"] == 5_000
            assert counts["handshakes_failed.hello_late"] > 0
            assert counts["live_paths"] == 1


async def test_parked_strangers_cost_no_more_than_their_places(tmp_path: Path) -> None:
    descriptors, parked = 2_000, 2_500
    places = descriptors // 4
    with NodeProcess(tmp_path, program=_small(descriptors)) as node:
        tenant = newcomer(node)
        good = _computer(tenant, tmp_path)
        async with beside(node) as session:
            (await _log_in(node, good)).close()
            before = _resident(node)
            strangers: list[socket.socket] = []
            most = before
            for _ in range(parked // 100):
                said = HELLO + bytes(4_000)
                strangers += await asyncio.gather(*(_stranger(node, said) for _ in range(100)))
                most = max(most, _resident(node))
                assert (await asyncio.to_thread(node.statistics))["guests"] <= places
            (await _log_in(node, good)).close()
            await session.runs()
            # 4 KiB for what it said, as much again for whoever reads it, and a task.
            assert most - before <= places * 32 * 1024
            assert (await asyncio.to_thread(node.statistics))["guests_evicted"] > 0
            for stranger in strangers:
                stranger.close()


async def test_without_descriptors_the_operator_and_the_session_go_on(tmp_path: Path) -> None:
    descriptors, kept, least = 300, 128, 64
    with NodeProcess(tmp_path, program=_small(descriptors)) as node:
        tenant = newcomer(node)
        async with beside(node) as session:
            legs: list[OuterLeg] = []
            with node.control() as control:

                def count(name: str) -> int:
                    return control.statistics()[name]

                while not count("accept_pauses"):
                    legs.append(await _log_in(node, _computer(tenant, tmp_path)))
                assert (descriptors - kept - least) // 2 <= len(legs) <= descriptors - kept - least
                # Whoever dials waits in the kernel, and the node does not spin.
                dial = asyncio.ensure_future(_log_in(node, _computer(tenant, tmp_path), timeout_s=30))
                waiting = [await _stranger(node, HELLO) for _ in range(20)]
                began, pauses, accepted = _processor_s(node), count("accept_pauses"), count("accepted")
                await eventually(lambda: count("accept_pauses") >= pauses + 10)
                assert _processor_s(node) - began < 1
                assert count("accepted") == accepted
                await session.runs()
                # The operator's socket, the database and the audit have descriptors of their own.
                another = Tenant(now=int(time.time()))
                await asyncio.to_thread(node.admit, another)
                await asyncio.to_thread(node.record, kind="ADMIT", organisation=another.id.hex())
                assert not dial.done()
                for leg in legs[:10]:
                    leg.close()
                legs.append(await dial)
                await session.runs()
            for stranger in waiting:
                stranger.close()
            for leg in legs:
                leg.close()
