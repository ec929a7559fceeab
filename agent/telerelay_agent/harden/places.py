"""Where settings of this machine stand: something that can be read, and put back byte for byte."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Protocol

from telerelay_agent.harden.editors import ByHandError
from telerelay_endpoint import files

_READABLE: Final = 0o644
"""Of a new file, as it would be made by hand: no setting is a secret, and its program may run as another."""
_ROOT: Final = 0


class Place(Protocol):
    """Holds settings. `kind` and `address` name it in the journal and to a person."""

    @property
    def kind(self) -> str:
        """Which class of place it is."""

    @property
    def address(self) -> str:
        """Where it is."""

    def read(self) -> bytes | None:
        """What stands there; None where nothing does. Raises PermissionError, OSError, ByHandError."""

    def write(self, content: bytes | None) -> None:
        """Put `content` there, whole or not at all, and durably; None removes it. Raises OSError."""

    def tidy(self) -> None:
        """Remove what a `write` that was killed left behind."""

    def is_writable(self) -> bool:
        """Whether whoever runs this may write there. Raises ByHandError where nobody can, OSError."""


@dataclass(frozen=True)
class FilePlace:
    """A file. Its rights, owner and extended attributes stay with it; a symbolic link stays one."""

    path: Path
    """Resolved: no symbolic link in it."""
    is_of_agent: bool = field(default=False, compare=False)
    """In the agent's folder, which the journal makes."""
    kind: ClassVar[str] = "file"

    @property
    def address(self) -> str:
        return str(self.path)

    @property
    def _new(self) -> Path:
        # A name that is known beforehand, so that a later run finds what a killed one left.
        return self.path.with_name(f".{self.path.name}.telerelay")

    def read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, content: bytes | None) -> None:
        if content is None:
            self.path.unlink(missing_ok=True)
        else:
            try:
                self._write_new(content)
                self._new.replace(self.path)
            except BaseException:
                self.tidy()
                raise
        files.sync_folder(self.path.parent)

    def tidy(self) -> None:
        self._new.unlink(missing_ok=True)

    def is_writable(self) -> bool:
        user = os.geteuid()
        folder = next(folder for folder in self.path.parents if folder.exists())
        if folder != self.path.parent and not self.is_of_agent:
            raise ByHandError(f"the folder {self.path.parent} is missing")
        # Replacing another's file in a folder of ours would make it ours.
        is_ours = user == _ROOT or not self.path.exists() or self.path.stat().st_uid == user
        return is_ours and os.access(folder, os.W_OK, effective_ids=True)

    def _write_new(self, content: bytes) -> None:
        self.tidy()
        descriptor = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, files.PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if self.path.exists():
                old = self.path.stat()
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
                shutil.copystat(self.path, self._new)
                os.utime(file.fileno())
            else:
                os.fchmod(file.fileno(), _READABLE)
            os.fsync(file.fileno())


def file_place(path: Path, *, is_of_agent: bool = False) -> FilePlace:
    """The file that `path` leads to, through symbolic links; it need not exist."""
    return FilePlace(path.resolve(), is_of_agent)
