"""A connection whose other end vanished without a word is found behind two keepalives (PROTOCOL.md §5.2)."""

import time
from pathlib import Path
from typing import Final

import pytest

from telerelay_endpoint.certificates import Role
from telerelay_endpoint.limits import LIMITS
from tests.kit.beside import beside, counting, newcomer
from tests.kit.condition import eventually
from tests.kit.node import NodeProcess
from tests.kit.outer_leg import OuterLeg

SILENCE_S: Final = LIMITS["ready_silence_s"]
KEEPALIVE_S: Final = LIMITS["keepalive_s"]
MARGIN_S: Final = 5
HELD: Final = ("connections", "legs", "ready_agents")

pytestmark = pytest.mark.timeout(2 * SILENCE_S)


async def test_a_vanished_agent_is_found_and_its_place_is_free(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        files = newcomer(node).files(node.folder, Role.AGENT)

        def held() -> dict[str, int]:
            counts = node.statistics()
            return {name: counts[name] for name in HELD}

        async with beside(node) as session, counting(node, {}):
            await eventually(lambda: held()["ready_agents"] == 1)
            before = held()
            leg = await OuterLeg.dial(node.address, files)
            assert (await leg.hello("agent")).name == "WELCOME"
            assert held()["ready_agents"] == 2
            leg.go_deaf()
            began = time.monotonic()
            await eventually(lambda: held()["ready_agents"] == 1, SILENCE_S + MARGIN_S)
            # Not for anything that it had done.
            assert time.monotonic() - began > KEEPALIVE_S
            await eventually(lambda: held() == before)
            again = await OuterLeg.dial(node.address, files)
            assert (await again.hello("agent")).name == "WELCOME"
            await session.runs()
            for end in (leg, again):
                end.close()
