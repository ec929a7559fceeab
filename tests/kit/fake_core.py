"""Stands where the Rust core stands: events that a test makes, and whatever the node's Python answered."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from telerelay.node.core import EventKind, NewsName
from telerelay_core import format_computer_id
from tests.kit.tenant import Tenant

_TICKETS = count(1)
ATTEMPT: Final = "7KQ2-M9XB"


@dataclass(frozen=True)
class AgentReady:
    organisation: bytes
    device: bytes
    computer: str


@dataclass(frozen=True)
class AgentGone:
    organisation: bytes
    device: bytes


@dataclass(frozen=True)
class Flagged:
    organisation: bytes
    device: bytes
    code: str


@dataclass(frozen=True)
class RouteAsked:
    organisation: bytes
    client: bytes
    computer: str
    service: str = "rfb"
    ticket: int = field(default_factory=lambda: next(_TICKETS))
    path: bytes = field(default_factory=lambda: os.urandom(16))
    attempt: str = ATTEMPT
    address: str = "192.0.2.1:40000"
    program: str = "telerelay-client/0.1.0"


@dataclass(frozen=True)
class AttemptEnded:
    of: RouteAsked
    code: str = "DONE"
    routed: bool = True
    stage: str = "session"
    path_kind: str = "wrapped"
    duration_ms: int = 5
    bytes_to_client: int = 6
    bytes_to_agent: int = 7
    session: bytes | None = None
    notices: Sequence[bytes] = ()

    @property
    def ticket(self) -> int:
        return self.of.ticket

    @property
    def attempt(self) -> str:
        return self.of.attempt

    @property
    def path(self) -> bytes:
        return self.of.path

    @property
    def organisation(self) -> bytes:
        return self.of.organisation

    @property
    def client(self) -> bytes:
        return self.of.client

    @property
    def asked(self) -> RouteAsked | None:
        return None if self.routed else self.of


@dataclass(frozen=True)
class Stopped:
    pass


KINDS: Final[Mapping[type, EventKind]] = {
    AgentReady: EventKind.AGENT_READY,
    AgentGone: EventKind.AGENT_GONE,
    Flagged: EventKind.FLAGGED,
    RouteAsked: EventKind.ROUTE_ASKED,
    AttemptEnded: EventKind.ATTEMPT_ENDED,
    Stopped: EventKind.STOPPED,
}


@dataclass
class FakeCore:
    """Keeps what it was told, in order: `Answers` and `DataPlane` in one."""

    answers: list[tuple[str, int, object]] = field(default_factory=list)
    records: list[tuple[list[int], str | None]] = field(default_factory=list)
    told: list[tuple[bytes, bytes, NewsName, int, bytes | None]] = field(default_factory=list)

    def deny(self, ticket: int, code: str) -> None:
        self.answers.append(("deny", ticket, code))

    def here(self, ticket: int, agent: bytes) -> None:
        self.answers.append(("here", ticket, agent))

    def later(self, ticket: int, seconds: int) -> None:
        self.answers.append(("later", ticket, seconds))

    def recorded(self, tickets: Sequence[int], code: str | None) -> None:
        self.records.append((list(tickets), code))

    def set_snapshot(
        self,
        *,
        organisations: Sequence[tuple[bytes, bool]],
        revoked: Sequence[tuple[bytes, Sequence[bytes]]],
        nodes_version: int,
        sessions: Sequence[tuple[bytes, int]],
        tests: Sequence[bytes],
    ) -> None:
        pass

    def news(
        self, organisation: bytes, device: bytes, kind: NewsName, version: int, document: bytes | None = None
    ) -> None:
        self.told.append((organisation, device, kind, version, document))


def asks(tenant: Tenant, client: bytes | None = None) -> RouteAsked:
    """The tenant's client, or another, asks for the tenant's computer."""
    return RouteAsked(tenant.id, client or tenant.client, format_computer_id(tenant.computer))
