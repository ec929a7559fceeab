"""Times that somebody types: local ones, to the minute."""

from datetime import datetime
from typing import Any

import typer


def time_option(about: str) -> Any:
    """An option that takes a local time."""
    return typer.Option(metavar="TIME", formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d"], help=about)


def unix_seconds(local: datetime | None) -> int | None:
    """A local time that was typed."""
    return None if local is None else int(local.astimezone().timestamp())
