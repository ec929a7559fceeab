"""An inner handshake by hand (RFC 8446), to show the agent whatever certificate, with whatever key behind it.

Nothing of the agent is verified: who is hostile goes on, whatever it is shown.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from telerelay.prove.hello import (
    ALERT,
    APPLICATION_DATA,
    HANDSHAKE,
    RECORD_HEAD_SIZE,
    Offer,
    client_hello,
    read_reply,
    vector,
)
from telerelay.prove.leg import Leg
from telerelay_endpoint.certificates import encode_certificate

_CERTIFICATE, _CERTIFICATE_VERIFY, _FINISHED = 11, 15, 20
_HASH_SIZE, _CIPHERTEXT_SIZE, _TAG_SIZE, _HEAD_SIZE = 32, 1088, 16, 4


@dataclass(frozen=True)
class Shown:
    """What the agent said to it: its alert, or that it lets the client in (its first application bytes)."""

    alert: int | None = None
    let_in: bool = False


async def show(leg: Leg, chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey) -> Shown:
    """Run a handshake on a leg behind PAIRED with this chain, leaf first.

    Raises ConnectionError where the agent does not get as far as asking for it, TimeoutError.
    """
    keys = _Keys()
    flight = client_hello(Offer.HYBRID, keys.share)
    keys.heard(flight[RECORD_HEAD_SIZE:])
    leg.say(flight)
    answer = await leg.record()
    if answer is None or not (reply := read_reply(answer)).is_hybrid:
        raise ConnectionError("the agent did not agree to a handshake")
    keys.heard(answer[RECORD_HEAD_SIZE:])
    keys.agree(reply.share)
    writing, reading = keys.secret("c hs traffic"), keys.secret("s hs traffic")
    await _hear_finished(leg, keys, _Protection(reading))
    keys.finish()
    reading_on = _Protection(keys.secret("s ap traffic"))
    said = [_certificate(chain)]
    keys.heard(said[0])
    said.append(_certificate_verify(keys.digest, key))
    keys.heard(said[1])
    said.append(_message(_FINISHED, keys.finished(writing)))
    leg.say(_Protection(writing).seal(b"".join(said), HANDSHAKE))
    record = await leg.record()
    if record is None:
        return Shown()
    kind, content = reading_on.open(record)
    return Shown(alert=content[1]) if kind == ALERT else Shown(let_in=kind == APPLICATION_DATA)


async def _hear_finished(leg: Leg, keys: "_Keys", protection: "_Protection") -> None:
    """Take the agent's messages into the transcript, up to its Finished."""
    begun, message = b"", b""
    while message[:1] != bytes([_FINISHED]):
        while (end := _message_length(begun)) is None or len(begun) < end:
            record = await leg.record()
            if record is None:
                raise ConnectionError("the agent ended the handshake")
            kind, content = protection.open(record)
            # Others are there for middleboxes (appendix D.4).
            begun += content if kind == HANDSHAKE else b""
        message, begun = begun[:end], begun[end:]
        keys.heard(message)


def _message_length(begun: bytes) -> int | None:
    """The length of the message that begins here; None where its head is not whole."""
    return _HEAD_SIZE + int.from_bytes(begun[1:_HEAD_SIZE]) if len(begun) >= _HEAD_SIZE else None


class _Keys:
    """The client's key share, the transcript, and the secrets that hang on them (§7.1)."""

    def __init__(self) -> None:
        self._lattice, self._curve = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        self._transcript = hashlib.sha256()
        self._secret = _extract(bytes(_HASH_SIZE), bytes(_HASH_SIZE))

    @property
    def share(self) -> bytes:
        """As ClientHello has it (draft-ietf-tls-ecdhe-mlkem)."""
        return self._lattice.public_key().public_bytes_raw() + self._curve.public_key().public_bytes_raw()

    @property
    def digest(self) -> bytes:
        """Of every message so far."""
        return self._transcript.digest()

    def heard(self, message: bytes) -> None:
        """A message was sent or came."""
        self._transcript.update(message)

    def agree(self, share: bytes) -> None:
        """The agent's key share is known."""
        shared = self._lattice.decapsulate(share[:_CIPHERTEXT_SIZE])
        shared += self._curve.exchange(X25519PublicKey.from_public_bytes(share[_CIPHERTEXT_SIZE:]))
        self._secret = _extract(self._next(), shared)

    def finish(self) -> None:
        """The agent's Finished is in."""
        self._secret = _extract(self._next(), bytes(_HASH_SIZE))

    def secret(self, label: str) -> bytes:
        """One side's traffic secret at this point."""
        return _expand(self._secret, label, self.digest)

    def finished(self, secret: bytes) -> bytes:
        """What Finished holds."""
        return hmac.digest(_expand(secret, "finished", b""), self.digest, "sha256")

    def _next(self) -> bytes:
        return _expand(self._secret, "derived", hashlib.sha256().digest())


class _Protection:
    """Records of one direction under one traffic secret: AES-128-GCM (§5.2, §5.3)."""

    def __init__(self, secret: bytes) -> None:
        self._aead = AESGCM(_expand(secret, "key", b"", 16))
        self._iv = int.from_bytes(_expand(secret, "iv", b"", 12))
        self._count = 0

    def seal(self, content: bytes, kind: int) -> bytes:
        """A whole record."""
        length = len(content) + 1 + _TAG_SIZE
        head = bytes([APPLICATION_DATA, 3, 3]) + length.to_bytes(2)
        return head + self._aead.encrypt(self._nonce(), content + bytes([kind]), head)

    def open(self, record: bytes) -> tuple[int, bytes]:
        """Kind and content of a whole record, also of an alert in the clear. Raises ConnectionError."""
        head, sealed = record[:RECORD_HEAD_SIZE], record[RECORD_HEAD_SIZE:]
        if head[0] != APPLICATION_DATA:
            return head[0], sealed
        try:
            plain = self._aead.decrypt(self._nonce(), sealed, head).rstrip(b"\0")
        except InvalidTag:
            raise ConnectionError("a record of the agent's cannot be opened") from None
        return plain[-1], plain[:-1]

    def _nonce(self) -> bytes:
        nonce = (self._iv ^ self._count).to_bytes(12)
        self._count += 1
        return nonce


def _message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(body, 3)


def _certificate(chain: Sequence[x509.Certificate]) -> bytes:
    entries = b"".join(vector(encode_certificate(one), 3) + vector(b"", 2) for one in chain)
    return _message(_CERTIFICATE, vector(b"", 1) + vector(entries, 3))


def _certificate_verify(digest: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    signed = b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + digest
    ecdsa_p256 = bytes.fromhex("0403")
    return _message(_CERTIFICATE_VERIFY, ecdsa_p256 + vector(key.sign(signed, ec.ECDSA(SHA256())), 2))


def _extract(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, key, "sha256")


def _expand(secret: bytes, label: str, context: bytes, length: int = _HASH_SIZE) -> bytes:
    """HKDF-Expand-Label; one block, since nothing here is longer than a hash."""
    info = length.to_bytes(2) + vector(b"tls13 " + label.encode(), 1) + vector(context, 1)
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]
