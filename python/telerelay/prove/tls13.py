"""TLS 1.3 by hand (RFC 8446): a hybrid key share, secrets of TLS_AES_128_GCM_SHA256, records."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

APPLICATION_DATA: Final = 23
HEAD_SIZE: Final = 5
"""Of a record."""
_HASH_SIZE: Final = 32
_TAG_SIZE: Final = 16
_CIPHERTEXT_SIZE: Final = 1088


@dataclass(frozen=True)
class OfferedShare:
    """A client's key share of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem)."""

    lattice: MLKEM768PrivateKey = field(default_factory=MLKEM768PrivateKey.generate)
    curve: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    @property
    def encoded(self) -> bytes:
        """As ClientHello has it."""
        return self.lattice.public_key().public_bytes_raw() + self.curve.public_key().public_bytes_raw()

    def agree(self, share: bytes) -> bytes:
        """The shared secret with a server's share."""
        shared = self.lattice.decapsulate(share[:_CIPHERTEXT_SIZE])
        return shared + self.curve.exchange(X25519PublicKey.from_public_bytes(share[_CIPHERTEXT_SIZE:]))


class Transcript:
    """Every handshake message so far, and the secrets that hang on them (§7.1)."""

    def __init__(self) -> None:
        self._heard = hashlib.sha256()
        self._secret = _extract(bytes(_HASH_SIZE), bytes(_HASH_SIZE))

    @property
    def digest(self) -> bytes:
        """Of every message so far."""
        return self._heard.digest()

    def add(self, message: bytes) -> None:
        """A message was sent or came."""
        self._heard.update(message)

    def agree(self, shared: bytes) -> None:
        """Both key shares are known, and with them the shared secret."""
        self._secret = _extract(self._next(), shared)

    def finish(self) -> None:
        """The server's Finished is in."""
        self._secret = _extract(self._next(), bytes(_HASH_SIZE))

    def secret(self, label: str) -> bytes:
        """One side's traffic secret at this point."""
        return _expand(self._secret, label, self.digest)

    def finished(self, secret: bytes) -> bytes:
        """What Finished holds, by its sender's traffic secret."""
        return hmac.digest(_expand(secret, "finished", b""), self.digest, "sha256")

    def _next(self) -> bytes:
        return _expand(self._secret, "derived", hashlib.sha256().digest())


class Protection:
    """Records of one direction under one traffic secret (§5.2)."""

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
        """Kind and content of a whole record. Raises InvalidTag."""
        head, sealed = record[:HEAD_SIZE], record[HEAD_SIZE:]
        plain = self._aead.decrypt(self._nonce(), sealed, head).rstrip(b"\0")
        return plain[-1], plain[:-1]

    def _nonce(self) -> bytes:
        nonce = (self._iv ^ self._count).to_bytes(12)
        self._count += 1
        return nonce


def _extract(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, key, "sha256")


def _expand(secret: bytes, label: str, context: bytes, length: int = _HASH_SIZE) -> bytes:
    """HKDF-Expand-Label; one block, since nothing here is longer than a hash."""
    name = b"tls13 " + label.encode()
    info = length.to_bytes(2) + bytes([len(name)]) + name + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]
