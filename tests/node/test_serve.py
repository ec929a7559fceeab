"""`telerelay serve` as a process: its first start, its end, its neighbours, and what a crash leaves."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telerelay_core import SessionOpened
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.tenant import Tenant


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    made = NodeProcess(tmp_path)
    yield made
    made.stop()


def _admitted(node: NodeProcess) -> Tenant:
    tenant = Tenant(now=int(time.time()))
    node.admit(tenant)
    node.publish(tenant)
    return tenant


# ---------------------------------------------------------------- starting


def test_the_first_start_makes_a_cluster_and_the_second_keeps_it(node: NodeProcess) -> None:
    first = node.start()
    assert (first["schema"], first["event"], first["name"]) == ("telerelay.serve/1", "ready", "relay-1")
    assert first["advertised"] == first["listeners"] == [node.address]
    assert first["data"] == str(node.data)
    assert len(set(first["pins"])) == 2
    made = {path.name: path.read_bytes() for path in (node.data / "cluster").iterdir()}
    assert set(made) == {"ca.key", "ca.pem", "node.key", "node.pem", "successor.key", "successor.pub"}
    assert "successor.key off this machine" in node.log.read_text()
    assert node.stop() == 0
    # Its successor's key is moved away, as it should be.
    (node.data / "cluster" / "successor.key").unlink()
    node.log.unlink()
    assert node.start() == first
    assert {path.name: path.read_bytes() for path in (node.data / "cluster").iterdir()} == {
        name: content for name, content in made.items() if name != "successor.key"
    }
    assert "successor.key" not in node.log.read_text()


def test_another_name_gets_another_certificate_under_the_same_ca(node: NodeProcess, tmp_path: Path) -> None:
    first = node.start()
    node.stop()
    renamed = NodeProcess(tmp_path, environment={"TELERELAY_NODE_NAME": "relay-2"})
    with renamed:
        tenant = _admitted(renamed)  # the dial insists on the name in the certificate
        assert renamed.line(tenant).nodes[0].name == "relay-2"
        assert [pin.hex() for pin in renamed.line(tenant).pins] == first["pins"]


def _serve(*arguments: str) -> tuple[int, str]:
    ended = subprocess.run(
        [TELERELAY, "serve", "--lang", "en", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stderr.splitlines()[-1]


def test_a_second_node_on_the_same_folder_does_not_start(node: NodeProcess) -> None:
    node.start()
    code, line = _serve("--data", str(node.data), "--listen", "127.0.0.1:0")
    assert code == 6
    assert line.startswith("error[ADDRESS_IN_USE]")
    assert str(node.data) in line


def test_a_taken_port_is_named(node: NodeProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, line = _serve("--data", str(node.data), "--listen", address)
    assert code == 6
    assert line.startswith("error[ADDRESS_IN_USE]")
    assert address in line


def test_a_corrupt_store_is_named_and_left_alone(node: NodeProcess) -> None:
    node.data.mkdir(mode=0o700)
    (node.data / "store.db").write_bytes(b"x" * 4096)
    code, line = _serve("--data", str(node.data), "--listen", "127.0.0.1:0")
    assert code == 6
    assert line.startswith("error[STORE]")
    assert (node.data / "store.db").read_bytes() == b"x" * 4096


def test_a_folder_that_is_open_to_others_is_refused(node: NodeProcess) -> None:
    node.data.mkdir()
    node.data.chmod(0o755)
    code, line = _serve("--data", str(node.data), "--listen", "127.0.0.1:0")
    assert (code, line.startswith("error[MACHINE]")) == (6, True)


def test_a_mistyped_setting_is_named(tmp_path: Path) -> None:
    code, line = _serve("--data", str(tmp_path / "n"), "--listen", "localhost:8443")
    assert code == 2
    assert line.startswith("error[USAGE]")
    assert "--listen: listen: " in line


# ---------------------------------------------------------------- ending


async def test_sigterm_ends_sessions_with_their_records(node: NodeProcess) -> None:
    node.start()
    tenant = _admitted(node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        opened = await client.wait(SessionOpened)
        began = time.monotonic()
        assert await asyncio.to_thread(node.stop) == 0
        assert time.monotonic() - began < 12
    (start, end) = [record for record in node.records() if record.get("attempt") == opened.attempt]
    assert (start["kind"], end["kind"], end["code"]) == ("START", "END", "DRAINED")
    # Everything is in SQL when it ends in order, and no spool file stays behind for long.
    node.start()
    assert [record["kind"] for record in node.records()].count("END") == 1


# ---------------------------------------------------------------- crash


async def test_a_killed_node_closes_its_sessions_when_it_comes_back(node: NodeProcess) -> None:
    node.start()
    tenant = _admitted(node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        opened = await client.wait(SessionOpened)
        node.kill()
    mine = [record for record in node.records() if record.get("attempt") == opened.attempt]
    assert [record["kind"] for record in mine] == ["START"]
    node.start()
    mine = [record for record in node.records() if record.get("attempt") == opened.attempt]
    assert [(record["kind"], record.get("code")) for record in mine] == [
        ("START", None),
        ("END", "NODE_LOST"),
    ]
    assert mine[1]["path"] == mine[0]["path"]
    assert mine[1]["duration_ms"] is None
    node.stop()
    # Once, however often it starts.
    node.start()
    assert [record["kind"] for record in node.records()].count("END") == 1


async def test_a_restarted_node_serves_as_before(node: NodeProcess) -> None:
    node.start()
    tenant = _admitted(node)
    node.kill()
    node.start()
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        await client.wait(SessionOpened)
