"""Frames of both layers, read and written from the tables and the CDDL of PROTOCOL.md §4 and §8 alone."""

from dataclasses import dataclass
from typing import Any

import cbor2

from tests.kit.decoder.items import BrokenError, walk
from tests.kit.decoder.kinds import KINDS

HEADER = 4
UNKNOWN_MAXIMUM = 1_024
# A line a type: byte, name, maximum, flags, fields in the order of their keys. A field is of the kind of its
# name unless it says another; `?` is optional; a raw body says how many bytes of offset it begins with.
OUTER = """
0x01 HELLO        1024 1 version:u16 role features instance counter:u64 program
0x02 WELCOME      1024 1 version:u16 features node:name keepalive:u16 nodes_version:u64 return_window banner?
0x03 ERROR        1024 1 code retry:u32? server_time:u64 attempt? supported? place:u32?
0x10 KEEPALIVE    1024 1 ask:bool return_window?
0x11 GOAWAY       1024 0 nodes spread:u16
0x12 CUT          1024 1 path code
0x13 NEWS         2048 0 kind version:u64 document?
0x20 INCOMING     6144 1 path attempt client:hash service address program resume? early?
0x21 ACCEPT       6144 1 path early?
0x22 REFUSE       1024 1 path attempt code
0x23 CONNECT      6144 1 computer service attempt resume? early?
0x24 REDIRECT     1024 1 node attempt?
0x25 PAIRED       1024 1 path
0x30 PATH        16380 1 raw 0
0x31 SWITCH          1 1
0x40 SESSION_END  1024 1 path code stage session? notices
"""
INNER = """
0x81 AUTH_ASK     1024 1 method nonce
0x82 AUTH_ANSWER  1024 1 method answer
0x83 AUTH_DONE    1024 1
0x84 NOTICE       8192 1 hash text
0x85 CONFIRM      1024 1 hash
0x86 OPEN         4096 1 service instance program attempt path posture?
0x87 OPENED       4096 1 session resume_limit:u32 idle_timeout:u32 rules nodes
0x90 DATA        16354 1 raw 8
0x91 ACK          1024 1 offset:u64
0x92 FIN          1024 1 offset:u64
0x93 PING         1024 1 token:u64
0x94 PONG         1024 1 token:u64
0x95 STANDBY      1024 0 node
0x96 MIGRATE      1024 0 within:u16
0x97 RESUME       1024 1 session generation:u32 received:u64 proof:hash attempt path
0x98 RESUMED      1024 1 received:u64
0x99 CLOSE        1024 1 code stage
"""


@dataclass(frozen=True)
class Field:
    """A field of a body: its key is its place."""

    name: str
    kind: str
    optional: bool


@dataclass(frozen=True)
class Row:
    """One type of frame; `offset` is set for a raw body."""

    name: str
    kind: int
    maximum: int
    flags: int
    fields: list[Field]
    offset: int | None


def _rows(table: str) -> dict[str, Row]:
    rows = {}
    for line in table.strip().splitlines():
        kind, name, maximum, flags, *rest = line.split()
        offset = int(rest[1]) if rest[:1] == ["raw"] else None
        fields = []
        for field in rest if offset is None else []:
            label, _, kind_name = field.rstrip("?").partition(":")
            fields.append(Field(label, kind_name or label, field.endswith("?")))
        rows[name] = Row(name, int(kind, 16), int(maximum), int(flags), fields, offset)
    return rows


LAYERS = {"outer": _rows(OUTER), "inner": _rows(INNER)}


@dataclass(frozen=True)
class Frame:
    """A frame's name and its fields in the vectors' JSON form."""

    name: str
    fields: dict[str, Any]


def read(layer: str, stream: bytes) -> tuple[list[Frame], int]:
    """All frames of a stream, and how many bytes of an unfinished one end it. Raises BrokenError."""
    frames: list[Frame] = []
    while len(stream) >= HEADER:
        length = int.from_bytes(stream[:2], "big")
        row = _judge(layer, length, kind=stream[2], flags=stream[3])
        if len(stream) < HEADER + length:
            return frames, 0 if row is None else len(stream)
        body, stream = stream[HEADER : HEADER + length], stream[HEADER + length :]
        if row is not None:
            frames.append(Frame(row.name, _read_body(row, body)))
    return frames, len(stream)


def write(layer: str, frame: Frame) -> bytes:
    """The bytes of a frame. Raises BrokenError where its body would be longer than its type allows."""
    row = LAYERS[layer][frame.name]
    body = _write_body(row, frame.fields)
    if len(body) > row.maximum:
        raise BrokenError("too_long")
    return len(body).to_bytes(2, "big") + bytes([row.kind, row.flags]) + body


def _judge(layer: str, length: int, kind: int, flags: int) -> Row | None:
    if flags & ~1:
        raise BrokenError("flags")
    row = next((row for row in LAYERS[layer].values() if row.kind == kind), None)
    if row is None and flags & 1:
        raise BrokenError("unknown_critical")
    if length > (UNKNOWN_MAXIMUM if row is None else row.maximum):
        raise BrokenError("too_long")
    return row


def _read_body(row: Row, body: bytes) -> dict[str, Any]:
    if row.offset is not None:
        if len(body) <= row.offset:
            raise BrokenError("too_short")
        offset = {"offset": int.from_bytes(body[: row.offset], "big")} if row.offset else {}
        return {**offset, "bytes": body[row.offset :].hex()}
    walk(body)
    values = cbor2.loads(body)
    fields = {
        field.name: KINDS[field.kind].read(values[key]) if key in values else None
        for key, field in enumerate(row.fields)
    }
    if any(key not in values and not field.optional for key, field in enumerate(row.fields)):
        raise BrokenError("missing")
    return fields


def _write_body(row: Row, fields: dict[str, Any]) -> bytes:
    if row.offset is not None:
        offset = fields["offset"].to_bytes(row.offset, "big") if row.offset else b""
        return bytes(offset + bytes.fromhex(fields["bytes"]))
    present = {key: field for key, field in enumerate(row.fields) if fields[field.name] is not None}
    return cbor2.dumps({key: KINDS[field.kind].write(fields[field.name]) for key, field in present.items()})
