"""The files of the spool: their names, and what of them may be read (PROTOCOL.md §14)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from telerelay.audit.chain import LINK_SIZE
from telerelay_endpoint import foreign_json
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

_SUFFIX: Final = ".jsonl"
_BLOCK: Final = LIMITS["audit_block"]


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A file and how many bytes of it are durable."""

    path: Path
    size: int

    @property
    def first_seq(self) -> int:
        """The number of its first record."""
        return int(self.path.name.removesuffix(_SUFFIX))


@dataclass(frozen=True, slots=True)
class Line:
    """A record as it stands in a file: the exact bytes without the line feed, and what they say."""

    encoded: bytes
    fields: dict[str, Any]

    @property
    def seq(self) -> int:
        """The record's number."""
        return int(self.fields["seq"])

    @property
    def prev(self) -> bytes:
        """The link of the chain before the record."""
        return bytes.fromhex(self.fields["prev"])


def file_name(first_seq: int) -> str:
    """Of the file whose first record has this number; names sort as numbers do."""
    return f"{first_seq:020}{_SUFFIX}"


def left_files(folder: Path) -> list[tuple[SpoolFile, int | None]]:
    """What an earlier process left, oldest first, each with the number at which the next file begins."""
    files = [SpoolFile(path, path.stat().st_size) for path in sorted(folder.glob(f"*{_SUFFIX}"))]
    ends: list[int | None] = [later.first_seq for _, later in pairwise(files)]
    return list(zip(files, [*ends, None], strict=False))


def read_lines(file: SpoolFile, offset: int) -> tuple[Sequence[Line], int]:
    """Some whole records from `offset` on, and where the next ones begin; none at the end.

    A last line without its line feed was never acknowledged and is left out. Blocks.
    Raises TelerelayError(STORE) for a line that is no record.
    """
    with file.path.open("rb") as opened:
        opened.seek(offset)
        block = opened.read(min(_BLOCK, file.size - offset))
    whole = block[: block.rfind(b"\n") + 1]
    return [parse(encoded, str(file.path)) for encoded in whole.split(b"\n")[:-1]], offset + len(whole)


def read_left(file: SpoolFile, end: int | None) -> Iterator[Sequence[Line]]:
    """All whole records of a left file, without those that the next file holds again (a failed write's)."""
    offset = 0
    while True:
        lines, offset = read_lines(file, offset)
        if not lines:
            return
        yield [line for line in lines if end is None or line.seq < end]


def remove(file: SpoolFile) -> None:
    """Remove a file whose records are all in SQL. Blocks. Raises OSError."""
    file.path.unlink()


def parse(encoded: bytes, where: str) -> Line:
    """A record's bytes. Raises TelerelayError(STORE) that names `where` it stands when it is none."""
    try:
        line = Line(encoded, foreign_json.read(encoded))
        texts = ("kind", "node", "time", "prev")
        if type(line.fields["seq"]) is not int or any(type(line.fields[name]) is not str for name in texts):
            raise TypeError("no record")
        if len(line.prev) != LINK_SIZE:
            raise ValueError("no link")
    except (ValueError, KeyError, TypeError) as error:
        # Skipping it would be deleting audit records; whoever looks after the machine has to decide.
        raise TelerelayError("STORE", f"{where} is damaged: {encoded[:80]!r} is no record") from error
    return line
