"""An organisation that is admitted for a test: marked while it lasts, suspended at its end."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from telerelay_core import SessionEnded, SessionOpened
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from tests.kit.beside import beside, newcomer
from tests.kit.condition import eventually
from tests.kit.hostile.endpoints import end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.tenant import Tenant

HOUR = 3_600


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("node")) as made:
        yield made


def _admit(node: NodeProcess, root: Path, until: str) -> "subprocess.CompletedProcess[str]":
    command = ("node", "admit", str(root), "--until", until, "--lang", "en", "--data", str(node.data))
    return subprocess.run([TELERELAY, *command], capture_output=True, text=True, timeout=30, check=False)


async def test_what_a_test_does_is_counted_apart(node: NodeProcess) -> None:
    before = await asyncio.to_thread(node.statistics)
    test = await asyncio.to_thread(newcomer, node, int(time.time()) + HOUR)
    async with beside(node), agent_of(node, test), client_of(node, test) as client:
        await client.wait(SessionOpened)
        reader, writer = await client.viewer()
        await reader.readexactly(12)

        def apart() -> bool:
            now = node.statistics()
            live = {purpose: now[f"live_paths.direct.{purpose}"] for purpose in ("staff", "test")}
            return live == {"staff": 1, "test": 1}

        await eventually(apart)
        writer.write(b"key")
        await reader.readexactly(3)
        async with client_of(node, test.colleague()) as refused:
            assert (await end_of(refused)).code == "DENIED"
        writer.close()
    with node.control() as control:
        counted = control.snapshot()
    rose = {name: count - before[name] for name, count in counted.numbers.items() if count != before[name]}
    assert rose["set_ups.PAIRED.staff"] == rose["set_ups.PAIRED.test"] == 1
    assert rose["set_ups.DENIED.test"] == 1
    assert "set_ups.DENIED.staff" not in rose
    assert rose["organisations.test"] == rose["organisations.staff"] == 1
    for name in ("set_up", "message_wait"):
        assert sum(counted.distributions[f"{name}.test"].counts) > 0, name


async def test_a_test_ends_at_its_time(node: NodeProcess) -> None:
    until = int(time.time()) + 4
    test = await asyncio.to_thread(newcomer, node, until)
    async with beside(node), agent_of(node, test), client_of(node, test) as client:
        await client.wait(SessionOpened)
        late = until + LIMITS["lapse_look_s"] + 5 - time.time()
        ended = await asyncio.wait_for(client.wait(SessionEnded), late)
        assert ended.code == "SUSPENDED"
        assert time.time() >= until
    record = await asyncio.to_thread(
        node.record, kind="ADMIT", organisation=test.id.hex(), action="suspended"
    )
    assert record["reason"] == "its admission for a test has ended"
    pem = test.root.public_bytes(Encoding.PEM)
    with node.control() as control:
        (listed,) = [row for row in control.organisations() if row.organisation == test.id]
        assert listed.until == until
        assert listed.suspended is not None
        with pytest.raises(TelerelayError, match="say until when") as refused:
            control.admit(pem)
        assert refused.value.code == "REQUEST"
        control.admit(pem, until=int(time.time()) + HOUR)
        (listed,) = [row for row in control.organisations() if row.organisation == test.id]
    assert listed.suspended is None


async def test_a_test_that_ended_while_the_node_was_down_is_not_let_in(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        until = int(time.time()) + 2
        test = newcomer(node, until)
        node.stop()
        await eventually(lambda: time.time() >= until)
        node.start()
        assert node.statistics()["organisations.test"] == 0
        assert node.record(kind="ADMIT", organisation=test.id.hex(), action="suspended")


def test_the_operator_says_until_when(node: NodeProcess, tmp_path: Path) -> None:
    tenant = Tenant(now=int(time.time()))
    root = tmp_path / "root.pem"
    root.write_bytes(tenant.root.public_bytes(Encoding.PEM))
    tomorrow = (datetime.now().astimezone() + timedelta(days=1)).replace(second=0, microsecond=0)
    said = _admit(node, root, f"{tomorrow:%Y-%m-%dT%H:%M}")
    assert said.returncode == 0, said.stderr
    admitted = node.record(kind="ADMIT", organisation=tenant.id.hex())
    assert datetime.fromisoformat(admitted["until"]) == tomorrow
    listed = subprocess.run(
        [TELERELAY, "node", "list", "--lang", "en", "--data", str(node.data)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert f"admitted for a test until {tomorrow:%Y-%m-%d %H:%M}" in listed.stdout


def test_a_time_that_has_passed_and_an_organisation_of_people_are_refused(
    node: NodeProcess, tmp_path: Path
) -> None:
    ours = newcomer(node)
    root = tmp_path / "root.pem"
    root.write_bytes(ours.root.public_bytes(Encoding.PEM))
    passed = _admit(node, root, "2026-01-01")
    assert passed.returncode == 2
    assert "has passed" in passed.stderr
    people = _admit(node, root, "2099-01-01T08:30")
    assert people.returncode == 2
    assert "no test's" in people.stderr
    with node.control() as control:
        (listed,) = [row for row in control.organisations() if row.organisation == ours.id]
    assert (listed.until, listed.suspended) == (None, None)
