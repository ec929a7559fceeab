"""Deterministic CBOR (RFC 8949 §4.2.1) read strictly: the unnamed is refused (PROTOCOL.md §9, §10.1)."""

from collections.abc import Collection, Mapping
from typing import Any

import cbor2

UINT16 = 2**16 - 1
UINT32 = 2**32 - 1
UINT64 = 2**64 - 1


class FormRefusedError(ValueError):
    """The bytes do not have the form that the protocol gives them; the text says what is wrong."""


def encode(value: Any) -> bytes:
    """Deterministic CBOR of what the protocol uses: maps with integer keys, definite lengths, no floats."""
    return cbor2.dumps(value, canonical=True)


def decode(encoded: bytes) -> Any:
    """Any CBOR, its form not believed: the reader checks shapes, then compares with `encode`.

    Raises FormRefusedError.
    """
    try:
        return cbor2.loads(encoded)
    except (
        cbor2.CBORDecodeError,
        ValueError,
        TypeError,
        ArithmeticError,
        LookupError,
        RecursionError,
    ) as error:
        raise FormRefusedError("it cannot be read as CBOR") from error


def fields(
    value: Any, *, required: Collection[int], what: str, optional: Collection[int] = ()
) -> Mapping[int, Any]:
    """A map with exactly these keys; an unknown one might be a restriction. Raises FormRefusedError."""
    if not isinstance(value, dict) or any(type(key) is not int for key in value):
        raise FormRefusedError(f"{what} must be a map with integer keys")
    missing = [key for key in required if key not in value]
    if missing:
        raise FormRefusedError(f"{what} lacks the key {missing[0]}")
    unknown = [key for key in value if key not in required and key not in optional]
    if unknown:
        raise FormRefusedError(f"{what} has the key {unknown[0]}, which this version does not know")
    return value


def uint(value: Any, maximum: int, what: str) -> int:
    """An unsigned number up to `maximum`; true is not 1. Raises FormRefusedError."""
    if type(value) is not int or not 0 <= value <= maximum:
        raise FormRefusedError(f"{what} must be a number from 0 to {maximum}")
    return value


def boolean(value: Any, what: str) -> bool:
    """True or false; 1 is not true. Raises FormRefusedError."""
    if not isinstance(value, bool):
        raise FormRefusedError(f"{what} must be true or false")
    return value


def byte_string(value: Any, size: int, what: str) -> bytes:
    """Exactly `size` bytes. Raises FormRefusedError."""
    if not isinstance(value, bytes) or len(value) != size:
        raise FormRefusedError(f"{what} must be {size} bytes")
    return value


def text(value: Any, size: range, what: str) -> str:
    """Text whose UTF-8 has a length in `size`. Raises FormRefusedError."""
    if not isinstance(value, str) or len(value.encode()) not in size:
        raise FormRefusedError(f"{what} must be text of {size.start} to {size.stop - 1} bytes")
    return value


def array(value: Any, size: range, what: str) -> list[Any]:
    """A list with a length in `size`. Raises FormRefusedError."""
    if not isinstance(value, list) or len(value) not in size:
        raise FormRefusedError(f"{what} must be a list of {size.start} to {size.stop - 1}")
    return value
