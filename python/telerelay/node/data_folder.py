"""The node's data folder: what lies where in it, made once, held by one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import Final

from telerelay_endpoint import files
from telerelay_endpoint.errors import TelerelayError

_SOCKET_PATH_MAXIMUM: Final = 107
"""Bytes of a Unix socket's path on Linux (unix(7)), without the closing zero."""


class DataFolder:
    """Paths below DATA. Everything in it is for its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def store(self) -> Path:
        """The database."""
        return self.path / "store.db"

    @property
    def audit(self) -> Path:
        """Folder of the audit spool."""
        return self.path / "audit"

    def checkpoint(self, node: str) -> Path:
        """The newest checkpoint of the node of this name; not beside the records that it speaks of."""
        return self.path / f"{node}.checkpoint"

    @property
    def cluster(self) -> Path:
        """Folder of the cluster's keys and of the node's own certificate."""
        return self.path / "cluster"

    @property
    def ca(self) -> Path:
        """The cluster CA's certificate: what an auditor checks checkpoints with."""
        return self.cluster / "ca.pem"

    @property
    def control(self) -> Path:
        """The operator's socket."""
        return self.path / "control.sock"

    def prepare(self) -> None:
        """Make what is missing. Raises TelerelayError(MACHINE, USAGE)."""
        if len(os.fsencode(self.control)) > _SOCKET_PATH_MAXIMUM:
            raise TelerelayError(
                "USAGE", f"{self.path} is too long for a folder with a socket: at most 94 bytes"
            )
        try:
            for folder in (self.path, self.audit):
                files.make_private_folder(folder)
        except OSError as error:
            raise TelerelayError("MACHINE", f"{error.filename}: {error.strerror}") from error
        if self.path.stat().st_mode & 0o077:
            raise TelerelayError("MACHINE", f"{self.path} is open to others; chmod 700 {self.path}")

    def lock(self) -> int:
        """Hold the folder until the returned descriptor is closed. Raises TelerelayError(ADDRESS_IN_USE)."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise TelerelayError("ADDRESS_IN_USE", f"another node runs on {self.path}") from None
        return descriptor
