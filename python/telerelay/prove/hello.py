"""The first flight of TLS by hand (RFC 8446 §4.1.2): a library does not say what it would not accept."""

import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Final

from telerelay.prove.tls13 import HEAD_SIZE

# draft-ietf-tls-ecdhe-mlkem: X25519MLKEM768; RFC 8446 §4.2.7.
_HYBRID, _X25519, _P256 = 0x11EC, 0x001D, 0x0017
_TLS_1_2, _TLS_1_3 = 0x0303, 0x0304
ALERT, HANDSHAKE = 21, 22
CLOSE_NOTIFY, PROTOCOL_VERSION = 0, 70
"""Numbers of alerts (RFC 8446 §6)."""
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_BEFORE_SESSION_LENGTH: Final = 38
"""Bytes of a ServerHello up to the length of its session ID: head, version and random."""
_SUPPORTED_GROUPS, _POINT_FORMATS, _SIGNATURES, _ALPN, _VERSIONS, _KEY_SHARE = 10, 11, 13, 16, 43, 51
INNER: Final = b"telerelay-inner/1"
"""The protocol that an agent answers to."""
# Of ML-KEM's encapsulation key: one of zeros is well-formed (FIPS 203 §7.2). And of X25519's.
_LATTICE_SIZE, _CURVE_SIZE = 1184, 32
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
    """What it was answered: an alert's number, or version, group and key share of a ServerHello.

    All None: nothing. A HelloRetryRequest asks for another group and agrees to nothing: `retry`.
    """

    alert: int | None = None
    version: int | None = None
    group: int | None = None
    share: bytes = b""
    retry: bool = False

    @property
    def agrees(self) -> bool:
        """Whether the other side would go on with what was offered."""
        return self.version is not None and not self.retry

    @property
    def refuses(self) -> bool:
        """Whether it was refused in words. An end without a refusal may be the path's."""
        return is_refusal(self.alert)

    @property
    def is_hybrid(self) -> bool:
        """Whether it agreed to TLS 1.3 with the hybrid group."""
        return self.agrees and (self.version, self.group) == (_TLS_1_3, _HYBRID)


def client_hello(offer: Offer, share: bytes | None = None, protocol: bytes = INNER) -> bytes:
    """One record with the ClientHello. `share`: its key share; without one nobody can open the answer."""
    if share is None:
        share = bytes(_LATTICE_SIZE if offer is Offer.HYBRID else 0) + secrets.token_bytes(_CURVE_SIZE)
    group = _HYBRID if offer is Offer.HYBRID else _X25519
    # TLS 1.2 asks for the curve of the certificate as well (RFC 8422 §5.1).
    groups = [group, _P256] if offer is Offer.OLD else [group]
    extensions = _extension(_SUPPORTED_GROUPS, vector(b"".join(one.to_bytes(2) for one in groups), 2))
    extensions += _extension(_SIGNATURES, vector(bytes.fromhex("0403 0503 0804"), 2))
    extensions += _extension(_ALPN, vector(vector(protocol, 1), 2))
    if offer is Offer.OLD:
        extensions += _extension(_POINT_FORMATS, vector(b"\0", 1))
    else:
        extensions += _extension(_VERSIONS, vector(_TLS_1_3.to_bytes(2), 1))
        extensions += _extension(_KEY_SHARE, vector(group.to_bytes(2) + vector(share, 2), 2))
    body = _TLS_1_2.to_bytes(2) + secrets.token_bytes(32) + vector(b"", 1)
    body += vector(_SUITES, 2) + vector(b"\0", 1) + vector(extensions, 2)
    message = bytes([_CLIENT_HELLO]) + vector(body, 3)
    return bytes([HANDSHAKE]) + _TLS_1_2.to_bytes(2) + vector(message, 2)


def is_refusal(alert: int | None) -> bool:
    """Whether an alert, or none, says that the other side does not go on with what it was shown."""
    return alert is not None and alert != CLOSE_NOTIFY


def record_length(begun: bytes) -> int | None:
    """The length of the record that begins here; None where its head is not whole."""
    return HEAD_SIZE + int.from_bytes(begun[3:5]) if len(begun) >= HEAD_SIZE else None


def read_reply(record: bytes) -> Reply:
    """The first record of an answer, whole. Raises ValueError where it is neither alert nor ServerHello."""
    kind, content = record[0], record[HEAD_SIZE:]
    if kind == ALERT and len(content) >= 2:  # noqa: PLR2004 — level and number
        return Reply(alert=content[1])
    if kind != HANDSHAKE or len(content) <= _BEFORE_SESSION_LENGTH or content[0] != _SERVER_HELLO:
        raise ValueError("neither an alert nor a ServerHello")
    version, group, share = int.from_bytes(content[4:6]), None, b""
    random = content[6:_BEFORE_SESSION_LENGTH]
    session = content[_BEFORE_SESSION_LENGTH]
    extensions = content[_BEFORE_SESSION_LENGTH + 1 + session + 3 :]
    rest = extensions[2 : 2 + int.from_bytes(extensions[:2])]
    while rest:
        number, length = int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])
        value, rest = rest[4 : 4 + length], rest[4 + length :]
        if number == _VERSIONS:
            version = int.from_bytes(value)
        elif number == _KEY_SHARE:
            group, share = int.from_bytes(value[:2]), value[4:]
    return Reply(version=version, group=group, share=share, retry=random == _RETRY)


def _extension(number: int, value: bytes) -> bytes:
    return number.to_bytes(2) + vector(value, 2)


def vector(content: bytes, width: int) -> bytes:
    """Content behind its length in `width` bytes."""
    return len(content).to_bytes(width) + content
