"""Bytes that are no frames of the outer layer (PROTOCOL.md §4)."""

CRITICAL = 1
KEEPALIVE, NEWS = 0x10, 0x13


def raw(kind: int, body: bytes, flags: int = CRITICAL, length: int | None = None) -> bytes:
    """A frame as a test wants it, whose length may lie."""
    claimed = len(body) if length is None else length
    return claimed.to_bytes(2, "big") + bytes([kind, flags]) + body


MALFORMED = {
    "unknown critical type": raw(0x7F, b"\xa0"),
    "a type of the session layer": raw(0x84, b"\xa0"),
    "unknown type above its maximum": raw(0x7F, b"", flags=0, length=1025),
    "known type above its maximum": raw(KEEPALIVE, b"", length=1025),
    "PATH above its maximum": raw(0x30, b"", length=16_381),
    "reserved flag": raw(KEEPALIVE, b"\xa1\x00\xf5", flags=0b11),
    "empty body": raw(KEEPALIVE, b""),
    "no map": raw(KEEPALIVE, b"\x80"),
    "map of indefinite length": raw(KEEPALIVE, b"\xbf\x00\xf5\xff"),
    "number not in its shortest form": raw(KEEPALIVE, b"\xa2\x00\xf5\x01\x18\x01"),
    "key twice": raw(KEEPALIVE, b"\xa2\x00\xf5\x00\xf4"),
    "keys out of order": raw(KEEPALIVE, b"\xa2\x01\x05\x00\xf5"),
    "key missing": raw(KEEPALIVE, b"\xa0"),
    "wrong type": raw(KEEPALIVE, b"\xa1\x00\x01"),
    "null": raw(KEEPALIVE, b"\xa2\x00\xf5\x01\xf6"),
    "tag": raw(KEEPALIVE, b"\xa1\x00\xc1\xf5"),
    "bytes behind the map": raw(KEEPALIVE, b"\xa1\x00\xf5\x00"),
    "body cut short": raw(KEEPALIVE, b"\xa2\x00\xf5"),
    "nested too deep": raw(KEEPALIVE, b"\xa2\x00\xf5\x18\x20" + b"\x81" * 8 + b"\x00"),
    "length of a string beyond the body": raw(NEWS, b"\xa3\x00\x00\x01\x01\x02\x5a\xff\xff\xff\xff"),
}
