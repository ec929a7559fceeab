"""The Rust core of telerelay: sockets, TLS, framing, pairing. Everything public is named here."""

from telerelay_core._core import (
    ERRORS_TOML,
    CoreError,
    __version__,
    format_attempt_id,
    format_computer_id,
    log_to_stderr,
    parse_attempt_id,
    parse_computer_id,
)

__all__ = [
    "ERRORS_TOML",
    "CoreError",
    "__version__",
    "format_attempt_id",
    "format_computer_id",
    "log_to_stderr",
    "parse_attempt_id",
    "parse_computer_id",
]
