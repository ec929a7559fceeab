"""The load driver against a real node: what it says of its agents and sessions is what the node says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.bench.driver import Driver
from tests.bench.tenant import prepare
from tests.kit.node import NodeProcess

AGENTS: Final = 300
CLIENTS: Final = 20
TIMEOUT_S: Final = 60


@contextmanager
def fleet(folder: Path) -> Iterator[tuple[NodeProcess, Path, Driver]]:
    """A node with all agents ready, the tenant's folder, and the driver that holds them."""
    with NodeProcess(folder) as node:
        tenant = folder / "tenant"
        prepare(node.data / "control.sock", tenant, agents=AGENTS, clients=CLIENTS)
        with Driver("agents", tenant, "--count", str(AGENTS), "--from", "127.6.0.0/16") as agents:
            ready = agents.wait("ready", TIMEOUT_S, lambda line: line["percent"] == 100)
            assert ready["online"] == AGENTS
            assert node.statistics()["ready_agents"] == AGENTS
            yield node, tenant, agents


@pytest.mark.timeout(120)
def test_set_ups_and_sessions_are_those_that_the_node_sees(tmp_path: Path) -> None:
    with fleet(tmp_path) as (node, tenant, agents):
        clients = ("--from", "127.7.0.0/16", "--clients", str(CLIENTS))
        with Driver("connect", tenant, *clients, "--count", "40", "--rate", "40") as driver:
            connected = driver.summary(TIMEOUT_S)
        assert (connected["done"], connected["failed"], connected["unmade"]) == (40, {}, 0)
        assert connected["total"]["count"] == connected["stages"]["first_byte"]["count"] == 40
        assert connected["late"]["count"] == 40

        held = ("--sessions", str(CLIENTS), "--rate", "100", "--every", "100")
        with Driver("hold", tenant, *held) as driver:
            assert driver.wait("ready", TIMEOUT_S)["sessions"] == CLIENTS
            assert node.statistics()["live_paths"] == CLIENTS
            driver.wait("second", TIMEOUT_S, lambda line: line["delay"]["count"] > CLIENTS)
            told = driver.stop()
        assert told is not None
        assert (told["sessions"], told["ended"]) == (CLIENTS, {})
        everything = agents.stop()
        assert everything is not None
        assert everything["left_behind"] == 0
        assert everything["ended"]["DONE"] == 40 + CLIENTS


@pytest.mark.timeout(120)
def test_agents_come_back_to_a_node_that_was_killed(tmp_path: Path) -> None:
    with fleet(tmp_path) as (node, _, agents):
        node.kill()
        lost = agents.wait("lost", TIMEOUT_S)
        assert lost["code"] == "UNREACHABLE"
        node.start()
        back = agents.wait(
            "ready", TIMEOUT_S, lambda line: line["percent"] == 100 and line["at"] > lost["at"]
        )
        assert back["online"] == AGENTS
        assert node.statistics()["ready_agents"] == AGENTS
