"""What the node's Python needs of the Rust core, as types that a test can stand in for (`telerelay_core`)."""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

from telerelay_endpoint.documents import Kind

NewsName: TypeAlias = Literal["computer", "stamp", "revocations", "nodes"]
NEWS_NAMES: Final[Mapping[Kind, NewsName]] = {
    Kind.COMPUTER: "computer",
    Kind.STAMP: "stamp",
    Kind.REVOCATIONS: "revocations",
    Kind.NODES: "nodes",
}


class EventKind(Enum):
    """What the core tells (`telerelay_core.Node.events`)."""

    AGENT_READY = auto()
    AGENT_GONE = auto()
    ROUTE_ASKED = auto()
    ATTEMPT_ENDED = auto()
    API_CONNECTION = auto()
    FLAGGED = auto()
    STOPPED = auto()


class DataPlane(Protocol):
    """The methods of `telerelay_core.Node` that change what it does."""

    def set_snapshot(
        self,
        *,
        organisations: Sequence[tuple[bytes, bool]],
        revoked: Sequence[tuple[bytes, Sequence[bytes]]],
        nodes_version: int,
        sessions: Sequence[tuple[bytes, int]],
        tests: Sequence[bytes],
    ) -> None: ...

    def news(
        self, organisation: bytes, device: bytes, kind: NewsName, version: int, document: bytes | None = None
    ) -> None: ...


class Shown(Protocol):
    """The certificate of `telerelay_core.Node` in handshakes."""

    def show(self, chain: Path, key: Path) -> None: ...


class Answers(Protocol):
    """How the core is answered (PROTOCOL.md §5.3). A ticket that is gone is ignored."""

    def deny(self, ticket: int, code: str) -> None: ...
    def here(self, ticket: int, agent: bytes) -> None: ...
    def later(self, ticket: int, seconds: int) -> None: ...
    def recorded(self, tickets: Sequence[int], code: str | None) -> None: ...


# ---------------------------------------------------------------- events


class Device(Protocol):
    """`AgentGone`, and the beginning of others."""

    @property
    def organisation(self) -> bytes: ...
    @property
    def device(self) -> bytes: ...


class AgentReady(Device, Protocol):
    """A device's ready connection stands."""

    @property
    def computer(self) -> str: ...


class Flagged(Device, Protocol):
    """Something that an administrator should look at."""

    @property
    def code(self) -> str: ...


class Asked(Protocol):
    """What a client asked for."""

    @property
    def address(self) -> str: ...
    @property
    def computer(self) -> str: ...
    @property
    def service(self) -> str: ...


class Attempt(Protocol):
    """What a question and its end have in common."""

    @property
    def ticket(self) -> int: ...
    @property
    def attempt(self) -> str: ...
    @property
    def path(self) -> bytes: ...
    @property
    def organisation(self) -> bytes: ...
    @property
    def client(self) -> bytes: ...


class RouteAsked(Attempt, Asked, Protocol):
    """One CONNECT waits for an answer."""

    @property
    def program(self) -> str: ...


class AttemptEnded(Attempt, Protocol):
    """The one terminal event of an attempt."""

    @property
    def asked(self) -> Asked | None:
        """Where no START record says it."""

    @property
    def path_kind(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def duration_ms(self) -> int: ...
    @property
    def bytes_to_client(self) -> int: ...
    @property
    def bytes_to_agent(self) -> int: ...
    @property
    def session(self) -> bytes | None: ...
    @property
    def notices(self) -> Sequence[bytes]: ...


class Identity(Device, Protocol):
    """Who is at the other end of an API connection, as its certificate says (PROTOCOL.md §3.1)."""

    @property
    def role(self) -> str: ...
    @property
    def computer(self) -> str | None: ...


class ApiConnection(Protocol):
    """A connection of the API; the descriptor is the receiver's."""

    @property
    def fd(self) -> int: ...
    @property
    def identity(self) -> Identity | None: ...
    @property
    def address(self) -> str: ...
