"""What a node that writes everything down has in its hands afterwards (proofs: inner TLS is there)."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from telerelay_core import format_computer_id
from tests.kit.decoder import records
from tests.kit.hostile.endpoints import end_of, running_client
from tests.kit.hostile.node.handshake import (
    ALPN,
    EARLY_DATA,
    HYBRID,
    PRE_SHARED_KEY,
    SERVER_NAME,
    SUPPORTED_VERSIONS,
    client_hello,
    server_hello,
)
from tests.kit.hostile.node.relay import Pairing
from tests.kit.hostile.world import World, open_world

PATH_MAXIMUM = 16_380
X25519, SECP256R1 = 0x001D, 0x0017


@asynccontextmanager
async def recorded(world: World, typed: bytes) -> AsyncIterator[Pairing]:
    """A session in which `typed` was typed and shown; and what the node has of it."""
    async with open_world(world), world.session() as (_, client):
        reader, writer = await client.viewer()
        await reader.readexactly(12)
        writer.write(typed)
        assert await reader.readexactly(len(typed)) == typed
        writer.close()
        await end_of(client)
        yield world.relay.pairings[0]


async def test_inner_tls_offers_and_takes_the_hybrid_group_alone(tmp_path: Path) -> None:
    async with recorded(World(tmp_path), b"secret") as pairing:
        offered = client_hello(pairing.crossed("to_agent"))
        assert offered.offered_groups == [HYBRID]
        assert list(offered.offered_shares) == [HYBRID]
        assert len(offered.offered_shares[HYBRID]) == 1184 + 32
        assert server_hello(pairing.crossed("to_client")).chosen_group == HYBRID


async def test_the_inner_client_hello_names_nobody(tmp_path: Path) -> None:
    async with recorded(World(tmp_path), b"secret") as pairing:
        extensions = client_hello(pairing.crossed("to_agent")).extensions
        assert SERVER_NAME not in extensions
        assert extensions[ALPN] == b"\x00\x12\x11telerelay-inner/1"
        assert extensions[SUPPORTED_VERSIONS] == b"\x02\x03\x04"
        assert PRE_SHARED_KEY not in extensions
        assert EARLY_DATA not in extensions
        answer = server_hello(pairing.crossed("to_client")).extensions
        assert answer[SUPPORTED_VERSIONS] == b"\x03\x04"
        assert ALPN not in answer


async def test_behind_the_hellos_everything_is_ciphertext_in_whole_records(tmp_path: Path) -> None:
    typed = os.urandom(3 * PATH_MAXIMUM)
    async with recorded(World(tmp_path), typed) as pairing:
        for pieces in (pairing.to_agent, pairing.to_client):
            assert max(map(len, pieces)) == PATH_MAXIMUM
            contents = []
            for piece in pieces:
                found = records.scan(piece)
                assert len(found) == 1
                assert (found[0].start, found[0].end) == (0, len(piece))
                contents.append(found[0].content)
            assert contents[0] == "handshake"
            assert set(contents[1:]) <= {"change_cipher_spec", "application_data"}
            assert contents.count("change_cipher_spec") <= 1


async def test_neither_screen_nor_key_nor_name_is_among_what_crossed(tmp_path: Path) -> None:
    world = World(tmp_path)
    typed = os.urandom(4096)
    async with recorded(world, typed) as pairing:
        identities = [
            world.office.root,
            world.agent_certificate.der,
            world.client_certificate.der,
            format_computer_id(world.computer).encode(),
            world.office.keys.organisation,
        ]
        for crossed in (pairing.crossed("to_agent"), pairing.crossed("to_client")):
            assert len(crossed) > len(typed)
            assert b"RFB 003.008" not in crossed
            for start in range(0, len(typed), 64):
                assert typed[start : start + 64] not in crossed
            for identity in identities:
                assert identity[-64:] not in crossed


async def test_outer_tls_offers_the_hybrid_group_first_and_once_more_without_it(tmp_path: Path) -> None:
    """Something between that drops a ClientHello of two segments costs one dial, not the day."""
    world = World(tmp_path)
    hellos: list[bytes] = []

    async def close_without_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = await reader.readexactly(records.HEADER)
        hellos.append(header + await reader.readexactly(int.from_bytes(header[3:5], "big")))
        writer.close()

    server = await asyncio.start_server(close_without_an_answer, "127.0.0.1", 0)
    world.gate.port = server.sockets[0].getsockname()[1]
    own = world.client_certificate
    async with server, running_client(own, world.office.root, world.dial, world.computer) as client:
        assert await client.code() == "UNREACHABLE"
    first, second = map(client_hello, hellos)
    assert first.offered_groups == [HYBRID, X25519, SECP256R1]
    assert HYBRID in first.offered_shares
    assert second.offered_groups == [X25519, SECP256R1]
    for hello in (first, second):
        # A list of names with one entry: of type host_name, `first`.
        assert hello.extensions[SERVER_NAME] == b"\x00\x08\x00\x00\x05first"
        assert hello.extensions[ALPN] == b"\x00\x0c\x0btelerelay/1"
        assert hello.extensions[SUPPORTED_VERSIONS] == b"\x02\x03\x04"
        assert PRE_SHARED_KEY not in hello.extensions
        assert EARLY_DATA not in hello.extensions
