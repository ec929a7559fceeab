"""The types of the CDDL: each reads a CBOR value into the vectors' JSON form and writes it back."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.kit.decoder.items import BrokenError


@dataclass(frozen=True)
class Kind:
    """Bytes are hexadecimal digits in JSON; an absent optional field is null there."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _require(condition: bool, name: str) -> None:  # noqa: FBT001 - the one thing that is required
    if not condition:
        raise BrokenError(name)


def uint(width: int) -> Kind:
    """`uint .size width`."""

    def read(value: Any) -> int:
        _require(type(value) is int and value >= 0, "wrong_type")
        _require(value < 1 << 8 * width, "out_of_bounds")
        return int(value)

    return Kind(read, _same)


def text(least: int, most: int, pattern: str = "(?s:.*)") -> Kind:
    """`tstr .size (least..most)`, counted in bytes of UTF-8, of a certain form."""

    def read(value: Any) -> str:
        _require(isinstance(value, str), "wrong_type")
        _require(least <= len(value.encode()) <= most, "out_of_bounds")
        _require(re.fullmatch(pattern, value) is not None, "unknown_value")
        return str(value)

    return Kind(read, _same)


def octets(least: int, most: int | None = None) -> Kind:
    """`bstr .size (least..most)`; without `most` of exactly that length."""

    def read(value: Any) -> str:
        _require(isinstance(value, bytes), "wrong_type")
        _require(least <= len(value) <= (least if most is None else most), "out_of_bounds")
        return bytes(value).hex()

    return Kind(read, bytes.fromhex)


def word(*words: str) -> Kind:
    """One of some words that travels as its number."""

    def read(value: Any) -> str:
        _require(type(value) is int and value >= 0, "wrong_type")
        _require(value < len(words), "unknown_value")
        return words[int(value)]

    return Kind(read, words.index)


def listed(kind: Kind, least: int, most: int) -> Kind:
    """`[least*most kind]`."""

    def read(value: Any) -> list[Any]:
        _require(isinstance(value, list), "wrong_type")
        _require(least <= len(value) <= most, "out_of_bounds")
        return [kind.read(item) for item in value]

    return Kind(read, lambda items: [kind.write(item) for item in items])


def group(**kinds: Kind) -> Kind:
    """An array of exactly these."""

    def read(value: Any) -> dict[str, Any]:
        _require(isinstance(value, list), "wrong_type")
        _require(len(value) == len(kinds), "out_of_bounds")
        return {name: kind.read(item) for (name, kind), item in zip(kinds.items(), value, strict=True)}

    return Kind(read, lambda fields: [kind.write(fields[name]) for name, kind in kinds.items()])


def _boolean(value: Any) -> bool:
    _require(isinstance(value, bool), "wrong_type")
    return bool(value)


NAME = text(1, 63, "[a-z]([a-z0-9-]*[a-z0-9])?")
NODE = group(name=NAME, addresses=listed(text(3, 72), 1, 8))
KINDS = {
    "address": text(1, 72),
    "answer": octets(0, 512),
    "attempt": octets(5),
    "banner": text(0, 512),
    "bool": Kind(_boolean, _same),
    "code": text(0, 1 << 16, "[A-Z][A-Z_]{1,31}"),
    "computer": octets(10),
    "document": octets(1, 1984),
    "early": octets(0, 4096),
    "features": listed(text(1, 32), 0, 16),
    "hash": octets(32),
    "instance": octets(16),
    "kind": word("computer", "stamp", "revocations", "nodes"),
    "method": text(1, 32),
    "name": NAME,
    "node": NODE,
    "nodes": listed(NODE, 0, 8),
    "nonce": octets(16, 64),
    "notices": listed(octets(32), 0, 16),
    "path": octets(16),
    "posture": octets(0, 3072),
    "program": text(1, 64),
    "resume": group(session=octets(16), generation=uint(4)),
    "return_window": uint(2),
    "role": word("agent", "client", "bridge"),
    "rules": listed(text(1, 64), 0, 32),
    "service": text(0, 1 << 16, "rfb|rdp"),
    "session": octets(16),
    "stage": word("dial", "hello", "route", "claim", "accept", "inner", "auth", "open", "session"),
    "supported": listed(uint(2), 1, 8),
    "text": text(1, 8000),
    "u16": uint(2),
    "u32": uint(4),
    "u64": uint(8),
}
