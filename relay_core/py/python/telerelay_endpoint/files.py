"""Files that nobody else reads and that a crash leaves either old or new, never half."""

import os
import stat
import tempfile
from pathlib import Path

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700
_OF_OTHERS = 0o077


class ReadableByOthersError(Exception):
    """A private file has rights for group or others; `mode` says which."""

    def __init__(self, path: Path, mode: int) -> None:
        super().__init__(f"{path} has mode {mode:04o}, others may read it; chmod 600 {path}")
        self.path = path
        self.mode = mode


def create_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that must not exist yet. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        # Before the first byte: the umask may have taken rights away, never added any.
        os.fchmod(file.fileno(), PRIVATE)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def replace(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Put `content` into `path`, whole or not at all. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """The content of a file that only its owner may read. Raises ReadableByOthersError, OSError."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & _OF_OTHERS:
            raise ReadableByOthersError(path, mode)
        return file.read()


def make_private_folder(path: Path) -> None:
    """A folder of mode 0700, with its parents. An existing one is left as it is. Raises OSError."""
    if not path.is_dir():
        path.mkdir(mode=PRIVATE_FOLDER, parents=True)
        path.chmod(PRIVATE_FOLDER)


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder has. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
