"""What a play needs of the generator (`telerelay_generator`, in Rust), and how one is opened.

The form stands here so that tests play the same plan against a generator of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import telerelay_generator as rust
from telerelay_endpoint.errors import TelerelayError

STAGES: Final = ("dial", "hello", "accept", "inner", "auth", "open", "first_byte")
"""Of a set-up, in their order; each begins where the one before it ended."""
SESSION: Final = "session"
"""The stage behind them: from the desktop's first byte to the end."""
_AGENTS, _CLIENTS = "127.6.0.0/16", "127.7.0.0/16"


def usual_threads(processors: int) -> int:
    """A generator's where nobody asks for another number: nodes may want the other half."""
    return max(1, processors // 2)


class Event(Protocol):
    """A stage of a visit is over. Moments are nanoseconds of `time.monotonic_ns()`."""

    @property
    def visit(self) -> int: ...
    @property
    def stage(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def intended_ns(self) -> int: ...
    @property
    def began_ns(self) -> int: ...
    @property
    def ended_ns(self) -> int: ...


class Counts(Protocol):
    """What happened so far."""

    @property
    def agents(self) -> int: ...
    @property
    def online(self) -> int: ...
    @property
    def begun(self) -> int: ...
    @property
    def live(self) -> int: ...
    @property
    def ended(self) -> Mapping[str, int]: ...
    @property
    def failed(self) -> Mapping[tuple[str, str], int]: ...
    @property
    def asked(self) -> int: ...
    @property
    def answered(self) -> int: ...
    @property
    def sent_bytes(self) -> int: ...
    @property
    def received_bytes(self) -> int: ...
    @property
    def lost_events(self) -> int: ...


class Generator(Protocol):
    """Agents, clients and desktops of one organisation. What each does stands in `telerelay_generator`."""

    @property
    def fd(self) -> int: ...
    def start_agents(self, *, first: int, count: int, spread_ms: int = 0) -> None: ...
    def begin(self, visits: Sequence[rust.Visit]) -> int: ...
    def events(self) -> Sequence[Event]: ...
    def histograms(self) -> Mapping[str, Sequence[tuple[int, int]]]: ...
    def counts(self) -> Counts: ...
    def stop(self) -> int: ...


class Opener(Protocol):
    """Opens the generator of an organisation's folder. Raises TelerelayError(USAGE, KEY_FILE, MACHINE)."""

    def __call__(self, tenant: Path, *, models: Mapping[str, str], seed: int) -> Generator: ...


@dataclass(frozen=True)
class RustGenerators:
    """Opens the real ones. `threads`: of each; `local`: whether the nodes are on this machine.

    To nodes of this machine every device dials from an address of its own, as from homes of their own.
    """

    threads: int
    local: bool

    def __call__(self, tenant: Path, *, models: Mapping[str, str], seed: int) -> rust.Generator:
        """As `Opener` says."""
        with failing():
            return rust.Generator(
                tenant,
                models=models,
                threads=self.threads,
                agents_from=_AGENTS if self.local else None,
                clients_from=_CLIENTS if self.local else None,
                seed=seed,
            )


def require_descriptors(agents: int, sessions: int) -> None:
    """Raises TelerelayError(MACHINE) that names the limit, where it is too low for so many."""
    with failing():
        rust.require_descriptors(agents=agents, sessions=sessions)


@contextmanager
def failing() -> Iterator[None]:
    """What the generator refuses is told as every error is: raises TelerelayError for its GeneratorError."""
    try:
        yield
    except rust.GeneratorError as error:
        raise TelerelayError(error.code, error.detail) from error
