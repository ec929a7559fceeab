"""One leg at the node: frames in, frames or any other bytes out (PROTOCOL.md §4)."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.kit.decoder import frames
from tests.kit.decoder.frames import HEADER, Frame

PATH = 0x30


class Leg:
    """A leg that said HELLO. `device`: 32 bytes, as its certificate says; `hello`: its fields."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.device = _device(writer)
        self.hello: dict[str, Any] = {}
        self.heard: list[Frame] = []
        """Every frame but PATH, in order."""

    async def receive(self) -> Frame | None:
        """The next frame; None at the end, however it came."""
        try:
            header = await self._reader.readexactly(HEADER)
            body = await self._reader.readexactly(int.from_bytes(header[:2], "big"))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return None
        found, _ = frames.read("outer", header + body)
        frame = found[0]
        if frame.name != "PATH":
            self.heard.append(frame)
        return frame

    async def frames(self) -> AsyncIterator[Frame]:
        """Every frame until the end."""
        while (frame := await self.receive()) is not None:
            yield frame

    async def expect(self, name: str) -> dict[str, Any]:
        """The fields of the next frame, which has to be of this name."""
        frame = await self.receive()
        assert frame is not None, f"the leg ended where {name} was expected"
        assert frame.name == name, f"{frame} where {name} was expected"
        return frame.fields

    async def ended(self) -> list[Frame]:
        """What came until the end."""
        return [frame async for frame in self.frames()]

    async def send(self, name: str, **fields: Any) -> None:
        """One frame; optional fields may be left out. Waits while the other end does not read."""
        row = frames.LAYERS["outer"][name]
        whole = {field.name: fields.pop(field.name, None) for field in row.fields}
        assert not fields, f"{name} has no {set(fields)}"
        await self.send_bytes(frames.write("outer", Frame(name, whole)))

    async def send_path(self, piece: bytes) -> None:
        """One PATH frame, in a record of its own."""
        await self.send_bytes(len(piece).to_bytes(2, "big") + bytes([PATH, 1]) + piece)

    async def send_bytes(self, plaintext: bytes) -> None:
        """Anything. A leg that is gone takes it too: its end is seen where it is read."""
        if self._writer.is_closing():
            return
        self._writer.write(plaintext)
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        """End it, once what was sent has left."""
        self._writer.close()


def _device(writer: asyncio.StreamWriter) -> bytes:
    leaf = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(leaf).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
