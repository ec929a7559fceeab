"""More keepers than the API has places: they are heard in turn, and nobody is kept out (§11)."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from telerelay_endpoint.certificates import Role
from telerelay_endpoint.limits import LIMITS
from tests.kit.beside import beside, counting, newcomer
from tests.kit.condition import eventually
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

ORGANISATIONS: Final = 160
POLLS: Final = ("/v1/org/enrolments?wait=25", "/v1/org/changes?since=0&wait=25")
PLACES: Final = LIMITS["api_connections"]
RETURN: Final = str(LIMITS["api_return_s"])
# Who asks at the same moment may be held in another order.
BLUR: Final = 16

pytestmark = pytest.mark.timeout(120)


@dataclass
class _Poll:
    """A long poll that a keeper has begun."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answer: "asyncio.Task[dict[str, str]]"

    @classmethod
    async def begin(cls, node: NodeProcess, tenant: Tenant, path: str) -> "_Poll":
        files = tenant.files(node.folder, Role.KEEPER)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(files.chain, files.key)
        host, _, port = node.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: node\r\n\r\n".encode())
        return cls(reader, writer, asyncio.create_task(_headers(reader)))

    async def close(self) -> None:
        self.answer.cancel()
        await asyncio.gather(self.answer, return_exceptions=True)
        self.writer.transport.abort()


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    """Of the answer, once it comes; its status under the empty name."""
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    return {"": status, **dict(line.lower().split(": ", 1) for line in lines)}


@asynccontextmanager
async def _crowd(node: NodeProcess, tenants: list[Tenant]) -> AsyncIterator[list[_Poll]]:
    """Two polls of each keeper, one after the other."""
    polls: list[_Poll] = []
    try:
        for tenant in tenants:
            polls += [await _Poll.begin(node, tenant, path) for path in POLLS]
        yield polls
    finally:
        for poll in polls:
            await poll.close()


def _admit(node: NodeProcess) -> list[Tenant]:
    tenants = [Tenant(now=int(time.time())) for _ in range(ORGANISATIONS)]
    with node.control() as control:
        for tenant in tenants:
            control.admit(tenant.root.public_bytes(Encoding.PEM))
    return tenants


async def test_more_keepers_than_places_are_answered_in_turn_and_keep_nobody_out(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        tenants, town = await asyncio.to_thread(_admit, node), await asyncio.to_thread(newcomer, node)
        # Nobody is refused: `api_full` is among what is counted.
        async with beside(node) as session, counting(node, {}), _crowd(node, tenants) as polls:
            assert len(polls) > PLACES
            await eventually(lambda: node.statistics()["api_open"] < PLACES)
            with node.organisation(town, Role.ADMIN) as admin:
                overview = await asyncio.to_thread(admin.overview)
            assert overview.organisation == town.id
            await session.runs()
            hurried = [number for number, poll in enumerate(polls) if poll.answer.done()]
            assert len(hurried) >= len(polls) - PLACES
            assert max(hurried) < len(hurried) + BLUR, "the longest wait ends first"
            for number in hurried:
                answer = polls[number].answer.result()
                assert answer[""] == "HTTP/1.1 200 OK"
                assert (answer["connection"], answer["retry-after"]) == ("close", RETURN)
            assert node.statistics()["api_hurried"] >= len(hurried)
