"""Log lines: one event, one line on standard error, in the form that the Rust core's have too.

`ts`, `level`, `event`, then the event's own keys; `attempt` and `code` wherever there are such. No person,
address, computer ID or device ID above DEBUG (docs/AUDIT.md §6). What a peer wrote is escaped and cut.
"""

import json as json_text
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal

import structlog

import telerelay_core
from telerelay_endpoint.escaping import escape
from telerelay_endpoint.limits import LIMITS

Level = Literal["debug", "info", "warning", "error"]

TEXT_MAXIMUM: Final = LIMITS["log_text"]
_WORD: Final = re.compile(r"[A-Za-z0-9._:/+-]+")
_SET_BY_US: Final = ("ts", "level", "event")
_AS_JSON: Final = json_text.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""`json.dumps` would make an encoder for each line."""


def log_to_stderr(*, json: bool | None = None, level: Level = "info") -> None:
    """Send the log lines of this program, its core included, to standard error: as JSON objects, or as text.

    None: text for a person at a terminal, JSON for everything else.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    render = _render_json if as_json else _render_text
    before: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*before, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Libraries warn through the standard logger.
    warnings = logging.StreamHandler()
    warnings.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(handlers=[warnings], level=logging.WARNING, force=True)
    telerelay_core.log_to_stderr(level, as_json)


def _render_json(_logger: Any, _method: str, event: Mapping[str, Any]) -> str:
    ordered = {name: event[name] for name in _SET_BY_US} | dict(event)
    shown = {name: value if name == "exception" else _shown(value) for name, value in ordered.items()}
    return escape(_AS_JSON(shown))


def _render_text(_logger: Any, _method: str, event: Mapping[str, Any]) -> str:
    own = {name: value for name, value in event.items() if name not in (*_SET_BY_US, "exception")}
    words = [event["ts"], event["level"], escape(_shown(event["event"]))]
    line = " ".join([*words, *(f"{name}={_word(_shown(value))}" for name, value in own.items())])
    # Set in, so that no text in it can pass for a line of its own.
    trace = event.get("exception", "").splitlines()
    return "\n".join([line, *(f"  {escape(part)}" for part in trace)])


def _shown(value: Any) -> Any:
    """As JSON can hold it; texts are cut, and whatever holds several values becomes one text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= TEXT_MAXIMUM else f"{text[:TEXT_MAXIMUM]}…"


def _word(value: Any) -> str:
    """Quoted only where it could be taken for more than one word."""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return escape(json_text.dumps(value, ensure_ascii=False))
