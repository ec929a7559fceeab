"""The Rust core of telerelay: sockets, TLS, framing, pairing. Everything public is named here."""

from typing import TypeAlias

from telerelay_core._core import (
    ERRORS_TOML,
    LIMITS_TOML,
    Agent,
    AgentGone,
    AgentOffline,
    AgentOnline,
    AgentReady,
    ApiConnection,
    Asked,
    AskedAgain,
    AttemptEnded,
    Client,
    CoreError,
    Decision,
    Dial,
    Distribution,
    DoorOpen,
    DoorRefused,
    Finished,
    Flagged,
    Identity,
    Incoming,
    News,
    Node,
    NoticeAsked,
    RouteAsked,
    SessionEnded,
    SessionOpened,
    SessionRules,
    StageReached,
    Stopped,
    __version__,
    format_attempt_id,
    format_computer_id,
    log_to_stderr,
    parse_attempt_id,
    parse_computer_id,
)

AgentEvent: TypeAlias = AgentOnline | AgentOffline | Incoming | News | SessionOpened | SessionEnded | Stopped
"""What `Agent.events` gives."""

ClientEvent: TypeAlias = (
    StageReached
    | AskedAgain
    | NoticeAsked
    | SessionOpened
    | SessionEnded
    | DoorOpen
    | DoorRefused
    | Finished
    | Stopped
)
"""What `Client.events` gives."""

NodeEvent: TypeAlias = AgentReady | AgentGone | RouteAsked | AttemptEnded | ApiConnection | Flagged | Stopped
"""What `Node.events` gives."""

__all__ = [
    "ERRORS_TOML",
    "LIMITS_TOML",
    "Agent",
    "AgentEvent",
    "AgentGone",
    "AgentOffline",
    "AgentOnline",
    "AgentReady",
    "ApiConnection",
    "Asked",
    "AskedAgain",
    "AttemptEnded",
    "Client",
    "ClientEvent",
    "CoreError",
    "Decision",
    "Dial",
    "Distribution",
    "DoorOpen",
    "DoorRefused",
    "Finished",
    "Flagged",
    "Identity",
    "Incoming",
    "News",
    "Node",
    "NodeEvent",
    "NoticeAsked",
    "RouteAsked",
    "SessionEnded",
    "SessionOpened",
    "SessionRules",
    "StageReached",
    "Stopped",
    "__version__",
    "format_attempt_id",
    "format_computer_id",
    "log_to_stderr",
    "parse_attempt_id",
    "parse_computer_id",
]
