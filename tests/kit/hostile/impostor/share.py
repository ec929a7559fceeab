"""The server's key share of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem)."""

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

_ENCAPSULATION = 1184


def answer_share(share: bytes) -> tuple[bytes, bytes]:
    """The server's key share to a client's, and the shared secret."""
    own = X25519PrivateKey.generate()
    lattice, ciphertext = MLKEM768PublicKey.from_public_bytes(share[:_ENCAPSULATION]).encapsulate()
    curve = own.exchange(X25519PublicKey.from_public_bytes(share[_ENCAPSULATION:]))
    return ciphertext + own.public_key().public_bytes_raw(), lattice + curve
