"""The agent keeps the office PC awake where that was agreed to, and only while it is needed."""

import shutil
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from telerelay.demo.desktop import Desktop
from telerelay.demo.programs import Commands
from telerelay_agent.harden.settings import KEEP_AWAKE_FILE
from tests.kit.condition import eventually
from tests.kit.world import World

pytestmark = pytest.mark.timeout(180)

# Stands in for systemd-inhibit and its lock, which is held while what it runs runs.
INHIBIT: Final = """\
#!/bin/sh
echo "$@" > {held}
cp {held} {held}.ever
while [ "$1" != cat ]; do shift; done
"$@"
rm {held}
"""


@pytest.fixture
def held(tmp_path: Path) -> Path:
    return tmp_path / "held"


@pytest.fixture
def commands(world: World, tmp_path: Path, held: Path) -> Commands:
    """Commands that find our systemd-inhibit first."""
    program = tmp_path / "bin" / "systemd-inhibit"
    program.parent.mkdir()
    program.write_text(INHIBIT.format(held=held))
    program.chmod(0o755)
    environment = world.commands.environment
    return replace(
        world.commands, environment={**environment, "PATH": f"{program.parent}:{environment['PATH']}"}
    )


def agree(world: World) -> None:
    (world.agent_data / KEEP_AWAKE_FILE).write_text("on")


async def test_without_consent_the_pc_may_sleep(
    world: World, desktop: Desktop, commands: Commands, held: Path
) -> None:
    async with world.node(), world.agent(desktop, commands):
        pass
    assert not held.with_name("held.ever").exists()


async def test_it_is_kept_awake_while_the_agent_waits_and_not_while_it_is_offline(
    world: World, desktop: Desktop, commands: Commands, held: Path
) -> None:
    agree(world)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(AsyncExitStack())
        await node.enter_async_context(world.node())
        await stack.enter_async_context(world.agent(desktop, commands))
        await eventually(lambda: held.exists() and "--what=sleep:idle" in held.read_text())
        await node.aclose()
        await eventually(lambda: not held.exists())


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_however_the_agent_ends_the_pc_may_sleep(
    world: World, desktop: Desktop, commands: Commands, held: Path, end: signal.Signals
) -> None:
    agree(world)
    async with world.node(), world.agent(desktop, commands) as agent:
        await eventually(held.exists)
        agent.program.process.send_signal(end)
        await agent.program.end()
        await eventually(lambda: not held.exists())
        assert "not_kept_awake" not in agent.program.log.read_text()


async def test_where_logind_refuses_the_agent_says_so_and_goes_on(world: World, desktop: Desktop) -> None:
    assert shutil.which("systemd-inhibit")
    agree(world)
    environment = {**world.commands.environment, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
    async with (
        world.node(),
        world.agent(desktop, replace(world.commands, environment=environment)) as agent,
        world.client(),
    ):
        refused = await agent.program.event(lambda event: event.get("event") == "not_kept_awake", 10)
        assert "No such file or directory" in refused["reason"]
