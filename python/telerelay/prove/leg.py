"""A leg to a node by hand (PROTOCOL.md §4, §5.5): what the core's client would never say goes over it.

The one place where Python opens TLS: a client that is hostile has no dial stack. The node is not judged here:
what is tried is what node and agent do, and nothing secret is said.
"""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import cbor2

from telerelay.prove.hello import record_length
from telerelay.prove.tls13 import HEAD_SIZE
from telerelay.prove.way import PROGRAM, Answer
from telerelay_core import format_attempt_id
from telerelay_endpoint.credentials import CHAIN_FILE, KEY_FILE, Credentials
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.strict_cbor import encode

_ANSWER_S: Final = LIMITS["prove_answer_s"]
PROTOCOL: Final = "telerelay/1"
"""The protocol that a node answers to."""
_HELLO, _WELCOME, _ERROR, _CONNECT, _PAIRED, _PATH = 0x01, 0x02, 0x03, 0x23, 0x25, 0x30
_CRITICAL, _CLIENT_ROLE = 1, 1
_ATTEMPT_SIZE, _INSTANCE_SIZE, _FRAME_HEAD_SIZE = 5, 16, 4


class Leg:
    """One connection to a node, behind its outer TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._begun = b""

    async def connect(self, computer: bytes) -> Answer:
        """Ask for a path to a computer (ID of 10 bytes). Raises ConnectionError, TimeoutError."""
        attempt = secrets.token_bytes(_ATTEMPT_SIZE)
        instance = secrets.token_bytes(_INSTANCE_SIZE)
        self._send(_HELLO, {0: 1, 1: _CLIENT_ROLE, 2: [], 3: instance, 4: 1, 5: PROGRAM})
        self._send(_CONNECT, {0: computer, 1: "rfb", 2: attempt})
        shown = format_attempt_id(attempt)
        async with asyncio.timeout(_ANSWER_S):
            while True:
                kind, body = await self._receive()
                if kind == _PAIRED:
                    return Answer(shown, None)
                if kind == _ERROR:
                    fields = cbor2.loads(body)
                    return Answer(shown, str(fields[0]), retry_after_s=fields.get(1))
                if kind != _WELCOME:
                    raise ConnectionError(f"a frame of type {kind} before PAIRED")

    def say(self, records: bytes) -> None:
        """Records of an inner TLS, on the path."""
        self._send_raw(_PATH, records)

    async def record(self) -> bytes | None:
        """The next record that comes on the path; None behind the last. Raises TimeoutError."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                while (length := record_length(self._begun)) is None or len(self._begun) < length:
                    kind, body = await self._receive()
                    self._begun += body if kind == _PATH else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        record, self._begun = self._begun[:length], self._begun[length:]
        return record

    def _send(self, kind: int, body: dict[int, Any]) -> None:
        self._send_raw(kind, encode(body))

    def _send_raw(self, kind: int, body: bytes) -> None:
        self._writer.write(len(body).to_bytes(2) + bytes([kind, _CRITICAL]) + body)

    async def _receive(self) -> tuple[int, bytes]:
        head = await self._reader.readexactly(_FRAME_HEAD_SIZE)
        return head[2], await self._reader.readexactly(int.from_bytes(head[:2]))


@asynccontextmanager
async def dial(credentials: Credentials) -> AsyncIterator[Leg]:
    """A leg with the device's own certificate. Raises OSError, TimeoutError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([PROTOCOL])
    context.load_cert_chain(credentials.folder / CHAIN_FILE, credentials.folder / KEY_FILE)
    async with asyncio.timeout(_ANSWER_S):
        reader, writer = await asyncio.open_connection(*_place(credentials), ssl=context)
    try:
        yield Leg(reader, writer)
    finally:
        writer.transport.abort()


async def answer_of_node(credentials: Credentials, flight: bytes) -> bytes | None:
    """The first record with which a node answers this first flight; None where it resets the connection.

    Raises OSError, EOFError, TimeoutError where it answers nothing.
    """
    async with asyncio.timeout(_ANSWER_S):
        reader, writer = await asyncio.open_connection(*_place(credentials))
        try:
            writer.write(flight)
            await writer.drain()
            head = await reader.readexactly(HEAD_SIZE)
            return head + await reader.readexactly(int.from_bytes(head[3:]))
        except ConnectionResetError:
            return None
        finally:
            writer.transport.abort()


def _place(credentials: Credentials) -> tuple[str, int]:
    host, _, port = credentials.relay.cluster.nodes[0].addresses[0].rpartition(":")
    return host.strip("[]"), int(port)
