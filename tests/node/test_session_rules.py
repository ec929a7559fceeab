"""Rules that hold for a session as it opens, runs and ends: signed, kept by the agent, told and recorded."""

import asyncio
import os
import pty
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from telerelay_endpoint.certificates import Role
from tests.kit.condition import eventually
from tests.kit.hostile.desktop import open_desktop
from tests.kit.machines import Machines
from tests.kit.node import NodeProcess
from tests.kit.rfb import look, open_viewer, ring, ring_once
from tests.kit.tenant import RULES, Tenant

NOTICES: Final = ("のぞき見に　注意してください。", "Leave no window open.\nNor \x1b[2J a door.")
NUMBERS: Final = [sha256(text.encode()).hexdigest() for text in NOTICES]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


def machines_under(node: NodeProcess, home: Path, **rules: Any) -> Machines:
    """An office PC whose document has these rules, and a home PC."""
    tenant = Tenant(now=int(time.time()), rules=replace(RULES, **rules))
    node.admit(tenant)
    node.publish(tenant)
    return Machines(node, tenant, home)


def end_of(node: NodeProcess, tenant: Tenant) -> dict[str, Any]:
    """The terminal record of the tenant's only attempt."""
    start = node.record(kind="START", organisation=tenant.id.hex())
    return node.record(kind="END", attempt=start["attempt"])


# ---------------------------------------------------------------- how long it lasts


@pytest.mark.parametrize(
    ("rules", "code"),
    [({"session_limit": 2}, "POLICY_DURATION"), ({"idle_timeout": 2}, "POLICY_IDLE")],
)
async def test_a_session_lasts_as_long_as_its_rules_allow(
    node: NodeProcess, tmp_path: Path, rules: dict[str, int], code: str
) -> None:
    machines = machines_under(node, tmp_path, **rules)
    async with open_desktop(ring) as desktop, machines.agent(desktop.address), machines.client() as client:
        async with open_viewer(client.host, client.port) as viewer:
            viewer.ask()
            assert await client.program.end() == "ended with status 3"
            await viewer.is_put_out()
        said = client.program.log.read_text()
        assert f"error[{code}]" in said
    end = end_of(node, machines.tenant)
    assert (end["code"], end["stage"]) == (code, "session")


async def test_whoever_types_is_not_idle(node: NodeProcess, tmp_path: Path) -> None:
    machines = machines_under(node, tmp_path, idle_timeout=2)
    async with open_desktop(ring) as desktop, machines.agent(desktop.address), machines.client() as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        await look(reader, writer)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            await ring_once(reader, writer)
        writer.close()
        assert await client.program.end() == "ended with status 0"


# ---------------------------------------------------------------- what is confirmed before


class Person:
    """Somebody at a terminal in front of `telerelay-client connect`."""

    def __init__(self, process: asyncio.subprocess.Process, terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self._read = b""
        asyncio.get_running_loop().add_reader(terminal, self._look)

    @property
    def sees(self) -> str:
        return self._read.decode().replace("\r\n", "\n")

    async def answers(self, question: int, word: str) -> None:
        """Type `word` behind the question of this number, counted from 1, when it was asked."""
        await eventually(lambda: self.sees.count("[y/N] ") >= question)
        os.write(self._terminal, word.encode())

    async def interrupts(self) -> None:
        """Ctrl-C at the first question."""
        await eventually(lambda: "[y/N] " in self.sees)
        self._process.send_signal(signal.SIGINT)

    async def ends_with(self) -> int:
        return await self._process.wait()

    def _look(self) -> None:
        try:
            self._read += os.read(self._terminal, 4096)
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self._terminal)


@asynccontextmanager
async def person(machines: Machines) -> AsyncIterator[Person]:
    """A person who has typed something before anything was asked."""
    ours, theirs = pty.openpty()
    os.write(ours, b"y\ny\ny\n")
    commands = machines.commands
    process = await asyncio.create_subprocess_exec(
        str(commands.folder / "telerelay-client"),
        *("connect", machines.computer, "--no-viewer", "--data", str(machines.folder(Role.CLIENT))),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**commands.environment, "TERM": "dumb", "COLUMNS": "500"},
    )
    os.close(theirs)
    sitting = Person(process, ours)
    try:
        yield sitting
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)


async def test_a_person_reads_and_confirms_each_notice_and_it_is_recorded(
    node: NodeProcess, tmp_path: Path
) -> None:
    machines = machines_under(node, tmp_path, notices=NOTICES)
    async with open_desktop(ring) as desktop, machines.agent(desktop.address), person(machines) as sitting:
        await sitting.answers(1, "y\n")
        await sitting.answers(2, "yes\n")
        await eventually(lambda: "door " in sitting.sees)
        assert NOTICES[0] in sitting.sees
        assert "Leave no window open.\nNor \\u001b[2J a door." in sitting.sees
        assert sitting.sees.count("[y/N] ") == 2
        # Another session of the same run: what was confirmed was confirmed.
        door = sitting.sees.split("door ")[1].split()[0]
        viewers = [await asyncio.open_unix_connection(door) for _ in range(2)]
        for reader, writer in viewers:
            await look(reader, writer)
            await ring_once(reader, writer)
        for _, writer in viewers:
            writer.close()
            await writer.wait_closed()
        assert await sitting.ends_with() == 0
    records = [record for record in await asyncio.to_thread(node.records) if record["kind"] == "END"]
    assert [record["notices"] for record in records[-2:]] == [NUMBERS, NUMBERS]
    assert sitting.sees.count("[y/N] ") == 2


@pytest.mark.parametrize(("word", "confirmed"), [("n\n", 0), ("\n", 0), ("y\n", 1)])
async def test_whoever_does_not_confirm_opens_nothing(
    node: NodeProcess, tmp_path: Path, word: str, confirmed: int
) -> None:
    machines = machines_under(node, tmp_path, notices=NOTICES)
    async with open_desktop(ring) as desktop, machines.agent(desktop.address), person(machines) as sitting:
        await sitting.answers(1, word)
        if confirmed:
            await sitting.answers(2, "no\n")
        assert await sitting.ends_with() == 3
        await eventually(lambda: "error[NOTICES]" in sitting.sees)
        assert "door " not in sitting.sees
        assert not desktop.connections
    end = end_of(node, machines.tenant)
    assert (end["code"], end["stage"], end["notices"]) == ("NOTICES", "open", NUMBERS[:confirmed])


async def test_ctrl_c_confirms_nothing(node: NodeProcess, tmp_path: Path) -> None:
    machines = machines_under(node, tmp_path, notices=NOTICES)
    async with open_desktop(ring) as desktop, machines.agent(desktop.address), person(machines) as sitting:
        await sitting.interrupts()
        assert await sitting.ends_with() == 130
    end = end_of(node, machines.tenant)
    assert (end["code"], end["stage"], end["notices"]) == ("NOTICES", "open", [])


async def test_a_script_confirms_what_it_names_and_nothing_else(node: NodeProcess, tmp_path: Path) -> None:
    machines = machines_under(node, tmp_path, notices=NOTICES)

    @asynccontextmanager
    async def connecting(*options: str) -> AsyncIterator[Any]:
        command = (
            *("telerelay-client", "connect", machines.computer, "--listen", "127.0.0.1:0", "--no-viewer"),
            *("--data", str(machines.folder(Role.CLIENT)), "--json", *options),
        )
        async with machines.commands.running("client", *command) as program:
            yield program

    first, second = (number[:16] for number in NUMBERS)
    async with open_desktop(ring) as desktop, machines.agent(desktop.address):
        async with connecting("--confirm-notice", first) as program:
            assert await program.end() == "ended with status 3"
        told = [event for event in program.told() if event["event"].startswith("notice")]
        assert [(event["hash"], event.get("text"), event.get("confirmed")) for event in told] == [
            (NUMBERS[0], NOTICES[0], None),
            (NUMBERS[0], None, True),
            (NUMBERS[1], NOTICES[1], None),
            (NUMBERS[1], None, False),
        ]
        said = program.log.read_text()
        assert "error[NOTICES] A notice of your organisation was not confirmed" in said
        assert f"nobody to ask; --confirm-notice {second} confirms it" in said
        async with connecting("--confirm-notice", first, "--confirm-notice", NUMBERS[1]) as program:
            door = await program.event(lambda event: event["event"] == "door", 20)
            async with open_viewer(door["host"], door["port"]):
                pass
            assert await program.end() == "ended with status 0"
        async with connecting("--confirm-notice", first[:8]) as program:
            assert await program.end() == "ended with status 2"
    records = [record for record in await asyncio.to_thread(node.records) if record["kind"] == "END"]
    assert [(record["code"], record["notices"]) for record in records[-2:]] == [
        ("NOTICES", NUMBERS[:1]),
        ("DONE", NUMBERS),
    ]


# ---------------------------------------------------------------- what cannot be kept


async def test_a_desktop_that_cannot_be_locked_is_not_opened_where_it_must_be(
    node: NodeProcess, tmp_path: Path
) -> None:
    machines = machines_under(node, tmp_path, lock_on_disconnect=True)
    async with open_desktop(ring) as desktop, machines.agent(desktop.address), person(machines) as sitting:
        assert await sitting.ends_with() == 2
        await eventually(lambda: "error[UNSUPPORTED]" in sitting.sees)
        assert not desktop.connections
