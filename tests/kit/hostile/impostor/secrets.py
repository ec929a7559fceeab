"""Keys of TLS_AES_128_GCM_SHA256 with X25519MLKEM768, and records under them (RFC 8446 §5.2, §7.1)."""

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

APPLICATION_DATA = 23
_HASH = 32
_ENCAPSULATION, _CIPHERTEXT = 1184, 1088


class Transcript:
    """Every handshake message so far, and the secrets that hang on them."""

    def __init__(self) -> None:
        self.messages = b""
        self._secret = _extract(bytes(_HASH), bytes(_HASH))

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.messages).digest()

    def agree(self, shared: bytes) -> None:
        """Both shares are known."""
        self._secret = _extract(self._next(), shared)

    def finish(self) -> None:
        """The server's Finished is in."""
        self._secret = _extract(self._next(), bytes(_HASH))

    def secret(self, label: str) -> bytes:
        """One side's traffic secret at this point."""
        return _expand(self._secret, label, self.digest)

    def finished(self, secret: bytes) -> bytes:
        """The body of Finished."""
        return hmac.digest(_expand(secret, "finished", b""), self.digest, "sha256")

    def _next(self) -> bytes:
        return _expand(self._secret, "derived", hashlib.sha256().digest())


class Protection:
    """One direction under one traffic secret."""

    def __init__(self, secret: bytes) -> None:
        self._aead = AESGCM(_expand(secret, "key", b"", 16))
        self._iv = int.from_bytes(_expand(secret, "iv", b"", 12), "big")
        self._sequence = 0

    def seal(self, content: bytes, kind: int) -> bytes:
        """A whole record."""
        header = bytes([APPLICATION_DATA, 3, 3]) + (len(content) + 17).to_bytes(2, "big")
        return header + self._aead.encrypt(self._nonce(), content + bytes([kind]), header)

    def open(self, record: bytes) -> tuple[int, bytes]:
        """Kind and content of a whole record. Raises InvalidTag."""
        plain = self._aead.decrypt(self._nonce(), record[5:], record[:5]).rstrip(b"\0")
        return plain[-1], plain[:-1]

    def _nonce(self) -> bytes:
        nonce = (self._iv ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        return nonce


def answer_share(share: bytes) -> tuple[bytes, bytes]:
    """The server's key share to a client's, and the shared secret (draft-ietf-tls-ecdhe-mlkem)."""
    own = X25519PrivateKey.generate()
    lattice, ciphertext = MLKEM768PublicKey.from_public_bytes(share[:_ENCAPSULATION]).encapsulate()
    curve = own.exchange(X25519PublicKey.from_public_bytes(share[_ENCAPSULATION:]))
    return ciphertext + own.public_key().public_bytes_raw(), lattice + curve


@dataclass(frozen=True)
class OfferedShare:
    """A client's key share."""

    lattice: MLKEM768PrivateKey
    curve: X25519PrivateKey

    @classmethod
    def new(cls) -> "OfferedShare":
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @property
    def encoded(self) -> bytes:
        return self.lattice.public_key().public_bytes_raw() + self.curve_alone

    @property
    def curve_alone(self) -> bytes:
        """The part that is not hybrid."""
        return self.curve.public_key().public_bytes_raw()

    def agree(self, share: bytes) -> bytes:
        """The shared secret with a server's share."""
        curve = self.curve.exchange(X25519PublicKey.from_public_bytes(share[_CIPHERTEXT:]))
        return self.lattice.decapsulate(share[:_CIPHERTEXT]) + curve


def _extract(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, key, "sha256")


def _expand(secret: bytes, label: str, context: bytes, length: int = _HASH) -> bytes:
    name = b"tls13 " + label.encode()
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + bytes([len(context)]) + context
    # One block of HKDF-Expand: nothing here is longer than a hash.
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]
