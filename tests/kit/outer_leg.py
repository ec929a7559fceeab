"""An endpoint's leg by hand: Python's own TLS, frames of the independent decoder (PROTOCOL.md §4)."""

import asyncio
import os
import ssl
from typing import Any, Self

from tests.kit.deaf import go_deaf
from tests.kit.decoder import frames
from tests.kit.decoder.frames import Frame
from tests.kit.tenant import Files

PROGRAM = "telerelay-test/1"


class OuterLeg:
    """One connection of an endpoint to a node."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def dial(cls, address: str, files: Files) -> Self:
        """Outer TLS up to its end, with a certificate. The node's own is not judged here."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["telerelay/1"])
        context.load_cert_chain(files.chain, files.key)
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port), ssl=context))

    async def send(self, name: str, **fields: Any) -> None:
        """One frame; optional fields may be left out."""
        await self.send_bytes(encoded(name, **fields))

    async def send_bytes(self, frame: bytes) -> None:
        """A frame that was encoded before, where its time counts."""
        self._writer.write(frame)
        await self._writer.drain()

    async def hello(self, role: str, *, instance: str | None = None, counter: int = 1) -> Frame:
        """HELLO; what the node answers."""
        await self.send(
            "HELLO",
            version=1,
            role=role,
            features=[],
            instance=instance or os.urandom(16).hex(),
            counter=counter,
            program=PROGRAM,
        )
        return await self.receive()

    async def receive(self) -> Frame:
        """The next frame. Raises asyncio.IncompleteReadError at the end."""
        return decoded(await self.receive_bytes())

    async def receive_bytes(self) -> bytes:
        """The next frame as it came. Raises as `receive`."""
        header = await self._reader.readexactly(frames.HEADER)
        return header + await self._reader.readexactly(int.from_bytes(header[:2], "big"))

    def go_deaf(self) -> None:
        """Nothing that the node sends arrives any more, and it is not told so."""
        go_deaf(self._writer.get_extra_info("socket"))

    def finish(self) -> None:
        """End it as TLS says: close_notify, then FIN."""
        self._writer.close()

    def close(self) -> None:
        """End it without a word."""
        self._writer.transport.abort()


def encoded(name: str, **fields: Any) -> bytes:
    """A frame of the outer layer; optional fields may be left out."""
    whole = {field.name: fields.get(field.name) for field in frames.LAYERS["outer"][name].fields}
    return frames.write("outer", Frame(name, whole))


def decoded(frame: bytes) -> Frame:
    """The one frame of these bytes."""
    (found,), _ = frames.read("outer", frame)
    return found
