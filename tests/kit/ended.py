"""Our programs run to their end, and what they said."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telerelay.demo.programs import Commands


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int | None
    out: str
    errors: str

    @property
    def record(self) -> Any:
        """What it told with --json."""
        return json.loads(self.out)

    @property
    def outcomes(self) -> Mapping[str, str]:
        """By try, where it was `telerelay prove --json`."""
        return {one["id"]: one["outcome"] for one in self.record["tries"]}


async def run_to_end(commands: Commands, name: str, *words: str) -> Ended:
    """Run it without input, whatever it ends with."""
    process = await asyncio.create_subprocess_exec(
        str(commands.folder / name),
        *words,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=dict(commands.environment),
    )
    out, errors = await process.communicate()
    return Ended(process.returncode, out.decode(), errors.decode())
