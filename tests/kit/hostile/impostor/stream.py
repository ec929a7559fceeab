"""The records of one inner TLS on a leg, and the handshake messages in them."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from telerelay.prove.tls13 import APPLICATION_DATA, Protection, Transcript
from tests.kit.hostile.node.leg import Leg

ALERT, HANDSHAKE = 21, 22
CERTIFICATE, CERTIFICATE_VERIFY, FINISHED = 11, 15, 20
ECDSA_P256 = bytes.fromhex("0403")


@dataclass(frozen=True)
class Mask:
    """What an impostor shows: a chain (DER, leaf first), and a signature by some key."""

    chain: list[bytes]
    key: ec.EllipticCurvePrivateKey


@dataclass
class Heard:
    """What the victim said: its alert (RFC 8446 §6), whether a client finished, and its application bytes."""

    alert: int | None = None
    finished: bool = False
    application: bytes = b""


class InnerStream:
    """One end of an inner TLS. `reading` and `writing` are None while records are in the clear."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self._received = b""
        self._messages = b""
        self.transcript = Transcript()
        self.reading: Protection | None = None
        self.writing: Protection | None = None
        self.heard = Heard()

    async def send(self, *messages: bytes) -> None:
        """Handshake messages, in a record of their own, into the transcript."""
        content = b"".join(messages)
        self.transcript.add(content)
        if self.writing is None:
            record = bytes([HANDSHAKE, 3, 3]) + vector(content, 2)
        else:
            record = self.writing.seal(content, HANDSHAKE)
        await self._leg.send_path(record)

    async def send_application(self, content: bytes) -> None:
        """Application bytes, in a record of their own."""
        assert self.writing is not None
        await self._leg.send_path(self.writing.seal(content, APPLICATION_DATA))

    async def message(self) -> tuple[int, bytes] | None:
        """Kind and body of the next handshake message; None when there is an alert, or the end, instead."""
        while len(self._messages) < 4 or len(self._messages) < 4 + self._length():
            if not await self._read_record():
                return None
        end = 4 + self._length()
        message, self._messages = self._messages[:end], self._messages[end:]
        self.transcript.add(message)
        return message[0], message[4:]

    async def listen(self) -> Heard:
        """Wait for the first application bytes, or for the end."""
        while not self.heard.application and await self._read_record():
            pass
        return self.heard

    def _length(self) -> int:
        return int.from_bytes(self._messages[1:4], "big")

    async def _read_record(self) -> bool:
        record = await self._next_record()
        if record is None:
            return False
        kind, content = record[0], record[5:]
        if kind == APPLICATION_DATA and self.reading is not None:
            kind, content = self.reading.open(record)
        if kind == ALERT:
            self.heard.alert = self.heard.alert or content[1]
            return False
        if kind == HANDSHAKE:
            self._messages += content
        elif kind == APPLICATION_DATA:
            self.heard.application += content
        return True

    async def _next_record(self) -> bytes | None:
        while len(self._received) < 5 or len(self._received) < 5 + int.from_bytes(self._received[3:5], "big"):
            frame = await self._leg.receive()
            if frame is None or frame.name != "PATH":
                return None
            self._received += bytes.fromhex(frame.fields["bytes"])
        end = 5 + int.from_bytes(self._received[3:5], "big")
        record, self._received = self._received[:end], self._received[end:]
        return record


def message(kind: int, body: bytes) -> bytes:
    """A handshake message."""
    return bytes([kind]) + vector(body, 3)


def extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(body, 2)


def vector(content: bytes, width: int) -> bytes:
    """Content behind a length of `width` bytes."""
    return len(content).to_bytes(width, "big") + content


def certificate(chain: list[bytes]) -> bytes:
    """The message Certificate; an empty chain is a legal one of a client's."""
    entries = b"".join(vector(item, 3) + vector(b"", 2) for item in chain)
    return message(CERTIFICATE, vector(b"", 1) + vector(entries, 3))


def certificate_verify(transcript: Transcript, key: ec.EllipticCurvePrivateKey, side: str) -> bytes:
    """The message CertificateVerify of `side`, "client" or "server"."""
    signed = b" " * 64 + f"TLS 1.3, {side} CertificateVerify".encode() + b"\0" + transcript.digest
    return message(CERTIFICATE_VERIFY, ECDSA_P256 + vector(key.sign(signed, ec.ECDSA(SHA256())), 2))
