"""The first flight of TLS by hand (RFC 8446 §4.1.2): a library does not say what it would not accept."""

import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Final

# draft-ietf-tls-ecdhe-mlkem: X25519MLKEM768; RFC 8446 §4.2.7.
_HYBRID, _X25519 = 0x11EC, 0x001D
_TLS_1_2, _TLS_1_3 = 0x0303, 0x0304
_HANDSHAKE, _ALERT = 22, 21
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_HEAD_SIZE: Final = 5
_SUPPORTED_GROUPS, _POINT_FORMATS, _SIGNATURES, _ALPN, _VERSIONS, _KEY_SHARE = 10, 11, 13, 16, 43, 51
_PROTOCOL: Final = b"telerelay-inner/1"
# Of ML-KEM's encapsulation key. One of zeros is well-formed (FIPS 203 §7.2); nobody opens the answer.
_LATTICE_SIZE: Final = 1184
# TLS_AES_128_GCM_SHA256, and of TLS 1.2 ECDHE-ECDSA and ECDHE-RSA with AES-GCM.
_SUITES: Final = bytes.fromhex("1301 c02b c02c c02f c030")
_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""A ServerHello with this random is a HelloRetryRequest (RFC 8446 §4.1.3)."""


class Offer(Enum):
    """What a first flight offers."""

    HYBRID = "TLS 1.3 with X25519MLKEM768"
    CLASSICAL = "TLS 1.3 with X25519 alone"
    OLD = "TLS 1.2"


@dataclass(frozen=True)
class Reply:
    """What it was answered: an alert's number, or version and group of a ServerHello; all None: nothing.

    A HelloRetryRequest asks for another group and agrees to nothing: `retry`.
    """

    alert: int | None = None
    version: int | None = None
    group: int | None = None
    retry: bool = False

    @property
    def agrees(self) -> bool:
        """Whether the other side would go on with what was offered."""
        return self.version is not None and not self.retry

    @property
    def is_hybrid(self) -> bool:
        """Whether it agreed to TLS 1.3 with the hybrid group."""
        return self.agrees and (self.version, self.group) == (_TLS_1_3, _HYBRID)


def client_hello(offer: Offer) -> bytes:
    """One record with the ClientHello."""
    share = secrets.token_bytes(32)
    group = _HYBRID if offer is Offer.HYBRID else _X25519
    extensions = _extension(_SUPPORTED_GROUPS, _vector(group.to_bytes(2), 2))
    extensions += _extension(_SIGNATURES, _vector(bytes.fromhex("0403 0503 0804"), 2))
    extensions += _extension(_ALPN, _vector(_vector(_PROTOCOL, 1), 2))
    if offer is Offer.OLD:
        extensions += _extension(_POINT_FORMATS, _vector(b"\0", 1))
    else:
        key = bytes(_LATTICE_SIZE) + share if offer is Offer.HYBRID else share
        extensions += _extension(_VERSIONS, _vector(_TLS_1_3.to_bytes(2), 1))
        extensions += _extension(_KEY_SHARE, _vector(group.to_bytes(2) + _vector(key, 2), 2))
    body = _TLS_1_2.to_bytes(2) + secrets.token_bytes(32) + _vector(b"", 1)
    body += _vector(_SUITES, 2) + _vector(b"\0", 1) + _vector(extensions, 2)
    message = bytes([_CLIENT_HELLO]) + _vector(body, 3)
    return bytes([_HANDSHAKE]) + _TLS_1_2.to_bytes(2) + _vector(message, 2)


def record_length(begun: bytes) -> int | None:
    """The length of the record that begins here; None where its head is not whole."""
    return _HEAD_SIZE + int.from_bytes(begun[3:5]) if len(begun) >= _HEAD_SIZE else None


def read_reply(record: bytes) -> Reply:
    """The first record of an answer, whole. Raises ValueError where it is neither alert nor ServerHello."""
    kind, content = record[0], record[_HEAD_SIZE:]
    if kind == _ALERT and len(content) >= 2:  # noqa: PLR2004 — level and number
        return Reply(alert=content[1])
    if kind != _HANDSHAKE or not content or content[0] != _SERVER_HELLO:
        raise ValueError("neither an alert nor a ServerHello")
    version, group, random = int.from_bytes(content[4:6]), None, content[6:38]
    session = content[38]
    extensions = content[38 + 1 + session + 3 :]
    rest = extensions[2 : 2 + int.from_bytes(extensions[:2])]
    while rest:
        number, length = int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])
        value, rest = rest[4 : 4 + length], rest[4 + length :]
        if number == _VERSIONS:
            version = int.from_bytes(value)
        elif number == _KEY_SHARE:
            group = int.from_bytes(value[:2])
    return Reply(version=version, group=group, retry=random == _RETRY)


def _extension(number: int, value: bytes) -> bytes:
    return number.to_bytes(2) + _vector(value, 2)


def _vector(content: bytes, width: int) -> bytes:
    """Content behind its length in `width` bytes."""
    return len(content).to_bytes(width) + content
