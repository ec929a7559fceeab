"""Thousands of agents and clients in one process, on the Rust endpoint. Moments are nanoseconds of `time.monotonic_ns()`, the same clock in Rust.

A screen model is JSON, `telerelay.model/1` (telerelay_loadtest.models.form; docs/LOADTEST.md, Screen models). On the wire a message is 8 B to 1 MiB; a
shorter one is filled up. At most once a second a message of the viewer asks for an answer, which the desktop gives at once: a picture whose size is drawn
from the state's `down`, in the place of its next one. From the moment at which that message was to be sent to its whole answer is the message delay.
A desktop that could not write in time draws once for all pictures that it missed, as desktops do.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, final

__all__ = [
    "Counts",
    "Event",
    "Generator",
    "GeneratorError",
    "Visit",
    "__version__",
    "draw_messages",
    "require_descriptors",
]

__version__: str

@final
class GeneratorError(Exception):
    """The one exception of the generator. `code` stands in errors.toml: USAGE for what is asked for, KEY_FILE for what a tenant's folder holds,
    MACHINE for what this machine refuses (descriptors, threads).
    """

    code: str
    detail: str

def draw_messages(model: str, *, seed: int, side: Literal["up", "down"], count: int) -> list[tuple[int, int]]:
    """The first messages of one end of a session with the model of this JSON text, fewer where that end never says anything: when, in microseconds since
    its screen began, and how many bytes. The same numbers as `telerelay_loadtest.models.sampling.messages`. Raises GeneratorError(USAGE).
    """

def require_descriptors(*, agents: int, sessions: int) -> None:
    """Raise the soft limit of descriptors to the hard one. Raises GeneratorError(MACHINE), which names both numbers, where this process may not have
    as many as so many agents, of which so many have a session, with their clients need.
    """

@final
class Visit:
    """One employee's session that is to be. `at_ns`: the moment at which it begins, whatever the others do; one that has passed is begun at once and
    counts from its moment. `client`: the number of the client in the tenant's folder, which is granted one computer. `hold_ms`: how long the session
    stays open behind the desktop's first byte. `model`: the name of a screen model.
    """

    def __new__(cls, *, at_ns: int, client: int, hold_ms: int, model: str) -> Visit: ...
    @property
    def at_ns(self) -> int: ...
    @property
    def client(self) -> int: ...
    @property
    def hold_ms(self) -> int: ...
    @property
    def model(self) -> str: ...

@final
class Event:
    """A stage of a visit is over. Stages in their order: `dial` (TCP, TLS and attestation of the node), `hello` (WELCOME), `accept` (route found,
    claimed, accepted by the agent: paired), `inner` (the inner handshake), `auth`, `open` (the session), `first_byte` (of the desktop); each begins
    where the one before it ended, the first with the client. Then `session`, from the desktop's first byte to the end.

    `code`: `""` where the stage was reached; else what the visit ended with there, and no event of the visit follows. A session's own end carries its
    code always: DONE where the hold time was over or somebody ended it.
    """

    @property
    def visit(self) -> int:
        """Its number, as `begin` gave it."""

    @property
    def stage(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def intended_ns(self) -> int:
        """The moment at which the visit was to begin."""

    @property
    def began_ns(self) -> int: ...
    @property
    def ended_ns(self) -> int: ...

@final
class Counts:
    """What happened so far."""

    @property
    def agents(self) -> int:
        """Agents that were started."""

    @property
    def online(self) -> int:
        """Of them, those that have their ready connection."""

    @property
    def begun(self) -> int:
        """Visits whose client has begun."""

    @property
    def live(self) -> int:
        """Sessions that are open."""

    @property
    def ended(self) -> dict[str, int]:
        """Sessions that were open and have ended, by code; DONE is the end that was meant."""

    @property
    def failed(self) -> dict[tuple[str, str], int]:
        """Visits that did not get to the desktop's first byte, by stage and code."""

    @property
    def asked(self) -> int:
        """Messages that viewers sent and desktops were to answer."""

    @property
    def answered(self) -> int:
        """Of them, those whose whole answer came. The difference waits, or went down with a session."""

    @property
    def messages(self) -> int:
        """Messages that viewers sent, and those that they have whole."""

    @property
    def sent_bytes(self) -> int:
        """What viewers sent."""

    @property
    def received_bytes(self) -> int:
        """What viewers were sent."""

    @property
    def lost_events(self) -> int:
        """Events that found no place since nobody took the others."""

@final
class Generator:
    """A runtime of so many threads with agents, clients and desktops of one throw-away organisation.

    `tenant`: its folder, as tests/bench/tenant.py prepares it: cluster.json, root.der, agents/ID.pem, clients/ID.pem. `models`:
    name to the JSON text of a screen model. `agents_from`, `clients_from`: networks of this machine that they dial from, an address each in turn, such as
    `127.7.0.0/16`; without one the kernel chooses. `seed`: two generators with the same one play the same screens. `events`: how many wait for
    somebody who takes them; others are counted as lost, and 65,536 are those of 8,000 visits. Agents are without a guard: what it
    costs is the office PC's, not the node's. Raises GeneratorError.
    """

    def __new__(
        cls,
        tenant: Path,
        *,
        models: Mapping[str, str],
        threads: int = 1,
        agents_from: str | None = None,
        clients_from: str | None = None,
        seed: int = 0,
        events: int = 65_536,
    ) -> Generator: ...
    @property
    def fd(self) -> int:
        """A descriptor (eventfd) that is readable while events wait; closed with the generator."""

    def start_agents(self, *, first: int, count: int, spread_ms: int = 0) -> None:
        """Bring up so many agents of the folder from this number on, evenly over the time. Raises GeneratorError."""

    def begin(self, visits: Sequence[Visit]) -> int:
        """Plan visits; the number of the first, the others follow in their order. Raises GeneratorError(USAGE), and plans none: an unknown model, a client
        that the folder does not have, a generator that was stopped.
        """

    def end(self, visit: int) -> None:
        """End one visit now, wherever it stands: its session with DONE. One whose moment has not come never begins, and no event tells of it; one that is
        over is left alone.
        """

    def events(self) -> list[Event]:
        """Take the events that wait, up to 4,096 of them."""

    def histograms(self) -> dict[str, list[tuple[int, int]]]:
        """All durations so far, as rows of HDR histograms: the largest value that counts as this one, in microseconds, and how many there were, in rising
        order; 3 digits are kept, 120 s is the longest. They merge by adding the counts.

        Names: the seven stages; `set_up`, from the intended moment to the desktop's first byte; `delay`, from the moment at which a message was to be sent
        to its whole answer, or to its session's end where none came; `late`, how long behind its intended moment a visit was begun; `message_late`, the same of messages that the viewer was free
        to send. Both late ones are the generator's own doing; its timers are a millisecond coarse.
        """

    def counts(self) -> Counts: ...
    def stop(self) -> int:
        """End all visits and agents in order; how many agents did not leave within 15 s. Events, counts and histograms are there still. Raises
        GeneratorError for what kept agents from coming up.
        """
