"""The Rust core of telerelay: sockets, TLS, framing, pairing. Everything public is named here."""

from typing import TypeAlias

from telerelay_core._core import (
    ERRORS_TOML,
    Agent,
    AgentOffline,
    AgentOnline,
    Client,
    CoreError,
    Dial,
    DoorOpen,
    DoorRefused,
    Finished,
    Incoming,
    News,
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
    StageReached | SessionOpened | SessionEnded | DoorOpen | DoorRefused | Finished | Stopped
)
"""What `Client.events` gives."""

__all__ = [
    "ERRORS_TOML",
    "Agent",
    "AgentEvent",
    "AgentOffline",
    "AgentOnline",
    "Client",
    "ClientEvent",
    "CoreError",
    "Dial",
    "DoorOpen",
    "DoorRefused",
    "Finished",
    "Incoming",
    "News",
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
