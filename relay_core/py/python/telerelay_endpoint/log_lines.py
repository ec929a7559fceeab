"""Log lines: one event, one line on standard error, with the keys that Rust and Python share."""

import logging
import sys
from typing import Literal

import structlog

import telerelay_core

Level = Literal["debug", "info", "warning", "error"]


def log_to_stderr(*, json: bool, level: Level = "info") -> None:
    """Send the log lines of this program, its core included, to standard error: text, or JSON objects."""
    renderer: structlog.typing.Processor
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    telerelay_core.log_to_stderr(level, json)
