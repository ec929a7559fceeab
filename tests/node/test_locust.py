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
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from telerelay_loadtest.play.generating import SESSION, STAGES
from tests.kit.condition import eventually
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

SET_UP: Final = "set_up"
REQUEST: Final = "telerelay"
BIN: Final = Path(sys.executable).parent
STAFF: Final = 6
TIMEOUT_S: Final = 60
SCENARIO: Final = f"""
title = "Six people within three seconds"
begins = "08:30"
lasts = "6s"
agents_over = "100ms"

[organisation.town]
staff = {STAFF}

[wave.morning]
at = "08:30:02"
spread = "3s"
shape = "even"

[session]
length = ["1s", "2s"]

[screen.typing]
"""
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
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def prepare(node: NodeProcess, folder: Path) -> Sequence[str]:
    """What `telerelay-loadtest prepare` leaves, the operator having admitted; locust's options for it."""
    scenario, prepared = folder / "town.toml", folder / "prepared"
    scenario.write_text(SCENARIO)
    other = Tenant(now=int(time.time()))
    node.admit(other)
    command = [
        str(BIN / "telerelay-loadtest"),
        "prepare",
        str(scenario),
        str(prepared),
        "--target",
        node.line(other).format(),
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    root = prepared / "town-root.pem"
    await eventually(lambda: root.exists() or process.returncode is not None, TIMEOUT_S)
    with node.control() as operator:
        operator.admit(root.read_bytes(), STAFF)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors
    return ["--scenario", str(scenario), "--prepared", str(prepared)]


def conduct(folder: Path, options: Sequence[str]) -> None:
    """Run locust to its end; `out_stats.csv` and `turns` are what it leaves."""
    file = folder / "locustfile.py"
    file.write_text(LOCUSTFILE)
    command = [str(BIN / "locust"), "-f", str(file), "--headless", *options, "--csv", str(folder / "out")]
    environment = {**os.environ, "TURNS": str(folder / "turns")}
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            _, errors = process.communicate(timeout=TIMEOUT_S)
        finally:
            # Whatever is left of its workers.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [None, 2])
async def test_locust_is_told_every_stage_and_waits_without_standing_still(
    tmp_path: Path, workers: int | None
) -> None:
    with NodeProcess(tmp_path) as node:
        options = await prepare(node, tmp_path)
        if workers is not None:
            port, host = str(free_port()), "127.0.0.1"
            options = [*options, "--processes", str(workers), "--master-host", host, "--master-port", port]
            options += ["--master-bind-host", host, "--master-bind-port", port]
        turns = tmp_path / "turns"
        await asyncio.to_thread(conduct, tmp_path, options)
        await eventually(lambda: node.statistics()["legs"] == 0)
    with (tmp_path / "out_stats.csv").open() as table:
        rows = {row["Name"]: row for row in csv.DictReader(table) if row["Type"] == REQUEST}
    counts = {name: (int(row["Request Count"]), int(row["Failure Count"])) for name, row in rows.items()}
    assert counts == dict.fromkeys([*STAGES, SET_UP, SESSION], (STAFF, 0))
    # Of every session: at least a second.
    assert float(rows[SESSION]["Min Response Time"]) >= 1_000
    assert float(rows[SET_UP]["Min Response Time"]) >= float(rows[STAGES[-1]]["Min Response Time"])
    told = [json.loads(line) for line in turns.read_text().splitlines()]
    processes = {process for process, _, _ in told}
    assert len(processes) == (workers or 1)
    for process in processes:
        own = [(name, turn) for other, name, turn in told if other == process]
        began = next(turn for name, turn in own if name == STAGES[-1])
        ended = next(turn for name, turn in own if name == SESSION)
        assert ended - began >= 10, "other greenlets ran while a user waited"
