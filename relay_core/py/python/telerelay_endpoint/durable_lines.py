"""A file of lines that one at a time works with: each line is durable before whatever it tells of is done."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from telerelay_endpoint import files


class DurableLines:
    """The file under its lock. `lines`: what stood there when it was opened."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        content = file.read()
        whole = whole_lines(content)
        if whole != content:
            # A crash cut the last line: it was never durable, so nothing was done for it.
            file.truncate(len(whole))
        self.lines: Sequence[bytes] = whole.splitlines()

    def append(self, line: bytes) -> None:
        """Make a line durable; it has no line end of its own. Raises OSError."""
        self._file.write(line + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def clear(self) -> None:
        """Drop every line. Raises OSError."""
        self._file.truncate(0)
        os.fsync(self._file.fileno())


def whole_lines(content: bytes) -> bytes:
    """What of a file is sure: all up to its last line end."""
    return content[: content.rfind(b"\n") + 1]


@contextmanager
def open_lines(path: Path, *, wait: bool) -> Iterator[DurableLines]:
    """The file, made if need be with mode 0600, until the context ends.

    Who comes second waits, or else has a BlockingIOError. Raises OSError.
    """
    files.make_private_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, files.PRIVATE)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever made it may have been killed before its name was on the disk.
        files.sync_folder(path.parent)
        yield DurableLines(file)
