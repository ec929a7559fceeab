"""Where TLS records begin and end, read from RFC 8446 §5 alone."""

from dataclasses import dataclass

from tests.kit.decoder.items import BrokenError

HEADER = 5
TYPES = {20: "change_cipher_spec", 21: "alert", 22: "handshake", 23: "application_data"}


@dataclass(frozen=True)
class Record:
    """What a record says it holds and where it stands, its header included."""

    content: str
    start: int
    end: int


def scan(stream: bytes) -> list[Record]:
    """All whole records of a stream. Raises BrokenError as soon as a header shows that it begins none."""
    records: list[Record] = []
    start = 0
    while rest := stream[start:]:
        if rest[0] not in TYPES:
            raise BrokenError("content_type")
        content = TYPES[rest[0]]
        if len(rest) >= 3 and rest[1:3] not in (
            [b"\x03\x03", b"\x03\x01"] if rest[0] == 22 else [b"\x03\x03"]
        ):
            raise BrokenError("version")
        if len(rest) < HEADER:
            break
        length = int.from_bytes(rest[3:5], "big")
        if length == 0:
            raise BrokenError("empty")
        if length > (1 << 14) + (256 if rest[0] == 23 else 0):
            raise BrokenError("too_long")
        end = start + HEADER + length
        if end > len(stream):
            break
        records.append(Record(content, start, end))
        start = end
    return records
