"""Our programs run to their end, and what they said."""

import json
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


async def run_to_end(commands: Commands, *command: str) -> Ended:
    """Run it without input, whatever it ends with. Raises ProgramError where it does not end."""
    status, out, errors = await commands.complete(*command)
    return Ended(status, out.decode(), errors.decode())
