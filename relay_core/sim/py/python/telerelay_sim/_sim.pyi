"""The codecs and the simulator for the tests. A frame is named as in relay_core/spec/vectors: bytes are hexadecimal digits, an absent
field is None.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

__all__ = [
    "BrokenError",
    "MistypedError",
    "__version__",
    "decode_inner",
    "decode_outer",
    "encode_inner",
    "encode_outer",
    "format_attempt_id",
    "format_computer_id",
    "parse_attempt_id",
    "parse_computer_id",
    "read_inner",
    "read_outer",
    "scan_records",
]

__version__: str

class _Frame(TypedDict):
    frame: str
    fields: dict[str, Any]

class BrokenError(Exception):
    """Bytes that break PROTOCOL.md; the argument is the name that the vectors use for it."""

class MistypedError(Exception):
    """A text that is no ID: `foreign` with position and character, `length` with the number found, or `check`."""

def read_outer(pieces: Sequence[bytes]) -> tuple[list[_Frame], int]:
    """All frames of a stream that comes in these pieces, and how many bytes of an unfinished one are held at its end (PROTOCOL.md §4).
    Raises BrokenError.
    """

def read_inner(pieces: Sequence[bytes]) -> tuple[list[_Frame], int]:
    """As `read_outer`, for the frames inside inner TLS (PROTOCOL.md §8)."""

def decode_outer(data: bytes) -> _Frame:
    """The frame that `data` is. Raises BrokenError; ValueError unless it is exactly one frame."""

def decode_inner(data: bytes) -> _Frame:
    """As `decode_outer`, for a frame inside inner TLS."""

def encode_outer(frame: _Frame) -> bytes:
    """The bytes of a frame. Raises ValueError for fields that it cannot have, BrokenError(too_long) where they are too many."""

def encode_inner(frame: _Frame) -> bytes:
    """As `encode_outer`, for a frame inside inner TLS."""

def parse_computer_id(text: str) -> bytes:
    """The 10 bytes of a computer ID, typing errors corrected (PROTOCOL.md §2.1). Raises MistypedError."""

def format_computer_id(value: bytes) -> str:
    """A computer ID as it is shown. Raises ValueError unless 10 bytes."""

def parse_attempt_id(text: str) -> bytes:
    """The 5 bytes of an attempt ID, typing errors corrected (PROTOCOL.md §2.2). Raises MistypedError."""

def format_attempt_id(value: bytes) -> str:
    """An attempt ID as it is shown. Raises ValueError unless 5 bytes."""

def scan_records(stream: bytes) -> list[tuple[str, int, int]]:
    """The whole TLS records of a stream: what each says it holds, where it begins and ends (PROTOCOL.md §1.2). Raises BrokenError."""
