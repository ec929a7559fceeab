"""locust conducts a play against a real node: a request for each stage of each visit, and gevent runs on."""

import asyncio
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest

from telerelay_loadtest.play.generating import SESSION, STAGES
from tests.kit.condition import eventually
from tests.kit.loadtest import MORNING, PEOPLE
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

SET_UP: Final = "set_up"
REQUEST: Final = "telerelay"
HOST: Final = "127.0.0.1"
BIN: Final = Path(sys.executable).parent
TIMEOUT_S: Final = 60
LOCUSTFILE: Final = '''
"""The kit's users, and a greenlet beside them that counts its turns while a session is open."""
import json, os
from pathlib import Path

import gevent
from locust import events

from telerelay_loadtest.locusts import Employee, Morning

turns = 0

def tick():
    global turns
    while True:
        turns += 1
        gevent.sleep(0.01)

def tell(name, **_rest):
    with Path(os.environ["TURNS"]).open("a") as file:
        file.write(json.dumps([os.getpid(), name, turns]) + "\\n")

events.init.add_listener(lambda **_rest: gevent.spawn(tick))
events.request.add_listener(tell)
'''


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


async def prepare(node: NodeProcess, folder: Path) -> None:
    """`telerelay-loadtest prepare`, the operator admitting meanwhile."""
    (folder / "town.toml").write_text(MORNING)
    other = Tenant(now=int(time.time()))
    node.admit(other)
    process = await asyncio.create_subprocess_exec(
        str(BIN / "telerelay-loadtest"),
        *("prepare", str(folder / "town.toml"), str(folder / "prepared")),
        *("--target", node.line(other).format(), "--lang", "en"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    root = folder / "prepared" / "town-root.pem"
    await eventually(lambda: root.exists() or process.returncode is not None, TIMEOUT_S)
    with node.control() as operator:
        operator.admit(root.read_bytes(), PEOPLE, int(time.time()) + 3_600)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors


@contextmanager
def conducting(folder: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """locust over what was prepared. What it says is in `said`, how it ran on in `turns`."""
    file = folder / "locustfile.py"
    file.write_text(LOCUSTFILE)
    command = [str(BIN / "locust"), "-f", str(file), *options]
    played = ("--scenario", str(folder / "town.toml"), "--prepared", str(folder / "prepared"))
    environment = {**os.environ, "TURNS": str(folder / "turns")}
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(
            [*command, *played], env=environment, stderr=said, stdout=said, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            # Whatever is left of its workers.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


async def require_well(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    assert await asyncio.to_thread(process.wait, TIMEOUT_S) == 0, (folder / "said").read_text()


def require_all_told(table: str) -> None:
    """The CSV of locust's statistics has every stage of every visit, and none failed."""
    rows = {row["Name"]: row for row in csv.DictReader(table.splitlines()) if row["Type"] == REQUEST}
    counts = {name: (int(row["Request Count"]), int(row["Failure Count"])) for name, row in rows.items()}
    assert counts == dict.fromkeys([*STAGES, SET_UP, SESSION], (PEOPLE, 0))
    # Of every session: at least a second.
    assert float(rows[SESSION]["Min Response Time"]) >= 1_000
    assert float(rows[SET_UP]["Min Response Time"]) >= float(rows[STAGES[-1]]["Min Response Time"])


def require_turns(folder: Path, processes: int) -> None:
    """So many processes played, and in each other greenlets ran while a user waited."""
    told = [json.loads(line) for line in (folder / "turns").read_text().splitlines()]
    played = {process for process, _, _ in told}
    assert len(played) == processes
    for process in played:
        own = [(name, turn) for other, name, turn in told if other == process]
        began = next(turn for name, turn in own if name == STAGES[-1])
        ended = next(turn for name, turn in own if name == SESSION)
        assert ended - began >= 10


class Page:
    """locust's web page at a port."""

    def __init__(self, port: str) -> None:
        self._url = f"http://{HOST}:{port}"

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(self._url, trust_env=False).is_success
        return False

    def start(self) -> bool:
        """As its button does; how many users come is the play's."""
        answer = httpx.post(
            f"{self._url}/swarm", data={"user_count": "1", "spawn_rate": "1"}, trust_env=False
        )
        return bool(answer.json()["success"])

    def text(self, path: str) -> str:
        return httpx.get(self._url + path, trust_env=False).raise_for_status().text

    def sessions_over(self) -> int:
        stats = json.loads(self.text("/stats/requests"))["stats"]
        return sum(row["num_requests"] for row in stats if row["name"] == SESSION)


@pytest.mark.timeout(120)
async def test_two_workers_share_a_morning_and_leave_locusts_files(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        await prepare(node, tmp_path)
        port = str(free_port())
        workers = ("--processes", "2", "--master-host", HOST, "--master-port", port)
        master = ("--master-bind-host", HOST, "--master-bind-port", port)
        files = ("--csv", str(tmp_path / "out"), "--html", str(tmp_path / "out.html"))
        with conducting(tmp_path, "--headless", *workers, *master, *files) as process:
            await require_well(tmp_path, process)
        await eventually(lambda: node.statistics()["legs"] == 0)
    require_all_told((tmp_path / "out_stats.csv").read_text())
    assert SET_UP in (tmp_path / "out.html").read_text()
    require_turns(tmp_path, 2)


@pytest.mark.timeout(120)
async def test_a_morning_is_started_and_watched_on_locusts_page(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        await prepare(node, tmp_path)
        port = str(free_port())
        page = Page(port)
        with conducting(tmp_path, "--web-host", HOST, "--web-port", port) as process:
            await eventually(page.answers, TIMEOUT_S)
            assert page.start()
            await eventually(lambda: page.sessions_over() == PEOPLE, TIMEOUT_S)
            require_all_told(page.text("/stats/requests/csv"))
            assert SET_UP in page.text("/stats/report")
            process.send_signal(signal.SIGINT)
            await require_well(tmp_path, process)
        await eventually(lambda: node.statistics()["legs"] == 0)
    require_turns(tmp_path, 1)
