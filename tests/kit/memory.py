"""Looking for bytes where they must be and where they must not: a process's memory, a folder's files."""

import re
from pathlib import Path

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r(.)..")
# Read in pieces, so that a large mapping does not double the memory of the test.
_PIECE = 16 * 1024 * 1024


def is_in_memory(pid: int, wanted: bytes) -> bool:
    """Whether the bytes stand anywhere in what the process can read. Needs root."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end in _mappings(pid):
            overlap = b""
            for position in range(start, end, _PIECE):
                try:
                    memory.seek(position)
                    piece = memory.read(min(_PIECE, end - position))
                except OSError:
                    break  # the kernel's own pages, or memory that was given back meanwhile
                if wanted in overlap + piece:
                    return True
                overlap = piece[1 - len(wanted) :]
    return False


def files_with(folder: Path, wanted: bytes) -> list[Path]:
    """The files below `folder` that hold the bytes."""
    return [path for path in folder.rglob("*") if path.is_file() and wanted in path.read_bytes()]


def _mappings(pid: int) -> list[tuple[int, int]]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    found = (_MAPPING.match(line) for line in lines)
    return [(int(match[1], 16), int(match[2], 16)) for match in found if match]
