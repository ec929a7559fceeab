"""What `telerelay-agent doctor` says in front of a real desktop, and of what only looks like one."""

from pathlib import Path

import pytest

from telerelay.demo.desktop import Desktop
from tests.kit.doctor import answering, examine_agent, examine_client
from tests.kit.world import World

pytestmark = pytest.mark.timeout(180)


async def test_an_office_pc_that_serves_is_fit(world: World, desktop: Desktop) -> None:
    served = f"{desktop.host}:{desktop.port}"
    async with world.open(desktop):
        found = examine_agent(world.agent_data, served)
        assert found.exit_code == 0
        assert f"{served} answers RFB 003.008" in found.sentence("desktop", "ok")
        assert "granted clients are let in" in found.sentence("documents", "ok")
        assert "the node knows this device" in found.sentence("device", "ok")
        assert examine_client(world.client_data).exit_code == 0


async def test_a_clock_behind_the_newest_document_is_named(world: World, desktop: Desktop) -> None:
    async with world.open(desktop):
        pass
    found = examine_agent(world.agent_data, "127.0.0.1:1", before=("faketime", "-f", "-30m"))
    assert "yet something was signed at" in "".join(found.sentences("clock", "fail"))


def test_what_answers_without_being_a_desktop_is_named(tmp_path: Path) -> None:
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as address:
        found = examine_agent(tmp_path, address)
    assert f"what answers at {address} is no VNC server" in found.sentence("desktop", "fail")
