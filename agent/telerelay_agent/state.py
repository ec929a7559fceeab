"""What a running agent tells `status`: one small file, and a lock that says whether it still runs."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import tenacity

from telerelay_endpoint import files
from telerelay_endpoint.errors import TelerelayError

LOCK_FILE = "run.lock"
STATE_FILE = "state.json"
_SCHEMA = "telerelay.agent-state/3"
_LOOK_S = 0.5


@dataclass(frozen=True)
class State:
    """A running agent. Times are Unix seconds; `node` is None while no ready connection stands."""

    pid: int
    desktop: str
    started: int
    node: str | None = None
    since: int | None = None
    last_code: str | None = None
    sessions: Mapping[str, str] = field(default_factory=dict)
    """The open sessions: how each travels ("wrapped", "direct"), by its attempt ID."""
    lock: str = ""
    """The program that locks the desktop; empty where none is known, or once it has failed."""


class StateFile:
    """Tells the newest state; the file holds a whole one at any time."""

    def __init__(self, folder: Path, state: State) -> None:
        self._path = folder / STATE_FILE
        self._state = state
        self._write()

    @property
    def state(self) -> State:
        return self._state

    def update(self, **changes: Any) -> None:
        """Replace fields of the state. Raises OSError."""
        self._state = replace(self._state, **changes)
        self._write()

    def _write(self) -> None:
        # Not synced: it tells of an agent that runs and, by `was_left`, of a desktop that was left open, and
        # neither outlives a crash of the machine.
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, files.PRIVATE)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"schema": _SCHEMA, **asdict(self._state)}, file)
        new.replace(self._path)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises TelerelayError(ADDRESS_IN_USE) when an agent runs from it already."""
    # `status` holds it for a moment while it looks.
    patient = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(BlockingIOError),
        stop=tenacity.stop_after_delay(_LOOK_S),
        wait=tenacity.wait_fixed(_LOOK_S / 10),
        reraise=True,
    )
    with (folder / LOCK_FILE).open("a") as file:
        try:
            patient(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TelerelayError("ADDRESS_IN_USE", f"an agent runs from {folder} already") from None
        yield


def was_left(folder: Path) -> bool:
    """Whether the last agent of this folder, which does not run any more, did not see its sessions end."""
    try:
        return bool(json.loads((folder / STATE_FILE).read_text()).get("sessions"))
    except (FileNotFoundError, ValueError):
        return False


def running(folder: Path) -> State | None:
    """The state of the agent that runs from `folder`; None when none does."""
    try:
        with (folder / LOCK_FILE).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(folder / STATE_FILE)
    except FileNotFoundError:
        return None
    return None


def _read(path: Path) -> State | None:
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        return None  # it holds the lock and is about to write
    if record.pop("schema") != _SCHEMA:
        raise TelerelayError("USAGE", f"{path} is of another version of the agent that runs")
    return State(**record)
