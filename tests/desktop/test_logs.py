"""The logs of node, agent and client about one session: its attempt in each, nobody's identity in any."""

import json
from dataclasses import replace

import pytest

from telerelay.demo.desktop import Desktop
from tests.kit.condition import eventually
from tests.kit.world import World

# Where this is the first test in front of a desktop, everybody enrols in its time.
pytestmark = pytest.mark.timeout(180)

LEVELS = {f"TELERELAY_{program}_LOG_LEVEL": "info" for program in ("NODE", "AGENT", "CLIENT")}


def _logged(world: World, program: str) -> list[dict[str, object]]:
    """Its log lines; what it says for other programs to read has a schema and no level."""
    lines = (world.logs / f"{program}.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in events if "level" in event]


async def test_one_attempt_stands_in_three_logs_and_no_log_tells_of_whom(
    world: World, desktop: Desktop
) -> None:
    commands = replace(world.commands, environment={**world.commands.environment, **LEVELS})
    world = replace(world, commands=commands)
    async with world.open(desktop) as (_, _, client):
        opened = client.program.told()
        (attempt,) = {event["attempt"] for event in opened if event.get("event") == "opened"}
    await eventually(lambda: any(line["event"] == "stopped" for line in _logged(world, "node")))
    for program in ("node", "agent", "client"):
        logged = _logged(world, program)
        about = [line for line in logged if line.get("attempt") == attempt]
        assert {"ts", "level", "event", "attempt", "code"} <= set(about[-1]), program
        for line in logged:
            said = json.dumps(line)
            assert world.computer not in said, program
            assert "127.0.0.1" not in said, program
            assert list(line)[:3] == ["ts", "level", "event"], program
