"""An inner handshake by hand (RFC 8446), to show the agent whatever certificate, with whatever key behind it.

Nothing of the agent is verified: who is hostile goes on, whatever it is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from telerelay.prove.hello import ALERT, HANDSHAKE, Offer, client_hello, read_reply, vector
from telerelay.prove.leg import Leg
from telerelay.prove.tls13 import APPLICATION_DATA, HEAD_SIZE, OfferedShare, Protection, Transcript
from telerelay_endpoint.certificates import encode_certificate

_CERTIFICATE, _CERTIFICATE_VERIFY, _FINISHED = 11, 15, 20
_MESSAGE_HEAD_SIZE = 4


@dataclass(frozen=True)
class Shown:
    """What the agent said to it: its alert, or that it lets the client in (its first application bytes)."""

    alert: int | None = None
    let_in: bool = False


async def show(leg: Leg, chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey) -> Shown:
    """Run a handshake on a leg behind PAIRED with this chain, leaf first.

    Raises ConnectionError where the agent does not get as far as asking for it, TimeoutError.
    """
    offered, transcript = OfferedShare(), Transcript()
    flight = client_hello(Offer.HYBRID, offered.encoded)
    transcript.add(flight[HEAD_SIZE:])
    leg.say(flight)
    answer = await leg.record()
    if answer is None or not (reply := read_reply(answer)).is_hybrid:
        raise ConnectionError("the agent did not agree to a handshake")
    transcript.add(answer[HEAD_SIZE:])
    transcript.agree(offered.agree(reply.share))
    writing, reading = transcript.secret("c hs traffic"), transcript.secret("s hs traffic")
    await _hear_finished(leg, transcript, Protection(reading))
    transcript.finish()
    reading_on = Protection(transcript.secret("s ap traffic"))
    said = [_certificate(chain)]
    transcript.add(said[0])
    said.append(_certificate_verify(transcript.digest, key))
    transcript.add(said[1])
    said.append(_message(_FINISHED, transcript.finished(writing)))
    leg.say(Protection(writing).seal(b"".join(said), HANDSHAKE))
    record = await leg.record()
    if record is None:
        return Shown()
    kind, content = _open(reading_on, record)
    return Shown(alert=content[1]) if kind == ALERT else Shown(let_in=kind == APPLICATION_DATA)


async def _hear_finished(leg: Leg, transcript: Transcript, protection: Protection) -> None:
    """Take the agent's messages into the transcript, up to its Finished."""
    begun, message = b"", b""
    while message[:1] != bytes([_FINISHED]):
        while (end := _message_length(begun)) is None or len(begun) < end:
            record = await leg.record()
            if record is None:
                raise ConnectionError("the agent ended the handshake")
            kind, content = _open(protection, record)
            # Others are there for middleboxes (appendix D.4).
            begun += content if kind == HANDSHAKE else b""
        message, begun = begun[:end], begun[end:]
        transcript.add(message)


def _open(protection: Protection, record: bytes) -> tuple[int, bytes]:
    """Kind and content of a record, also of an alert in the clear. Raises ConnectionError."""
    if record[0] != APPLICATION_DATA:
        return record[0], record[HEAD_SIZE:]
    try:
        return protection.open(record)
    except InvalidTag:
        raise ConnectionError("a record of the agent's cannot be opened") from None


def _message_length(begun: bytes) -> int | None:
    """The length of the message that begins here; None where its head is not whole."""
    return (
        _MESSAGE_HEAD_SIZE + int.from_bytes(begun[1:_MESSAGE_HEAD_SIZE])
        if len(begun) >= _MESSAGE_HEAD_SIZE
        else None
    )


def _message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(body, 3)


def _certificate(chain: Sequence[x509.Certificate]) -> bytes:
    entries = b"".join(vector(encode_certificate(one), 3) + vector(b"", 2) for one in chain)
    return _message(_CERTIFICATE, vector(b"", 1) + vector(entries, 3))


def _certificate_verify(digest: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    signed = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + digest
    ecdsa_p256 = bytes.fromhex("0403")
    return _message(_CERTIFICATE_VERIFY, ecdsa_p256 + vector(key.sign(signed, ec.ECDSA(SHA256())), 2))
