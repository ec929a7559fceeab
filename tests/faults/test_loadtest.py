"""The load kit against a real node: a small morning that goes well, and what is never taken for one."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import NodeAddress
from tests.kit.condition import eventually
from tests.kit.loadtest import LOADTEST, MORNING, PEOPLE, TIMEOUT_S, LoadTest, demo_file
from tests.kit.node import NodeProcess
from tests.kit.tenant import Tenant

# Others start and end while it lasts.
LONG_S: Final = 60
STOPPED_S: Final = 2.0
FAULTS: Final = """
[fault.maintenance]
at = "08:30:01"
does = "drain"
lasts = "1s"

[fault.blow]
at = "08:30:04"
does = "kill"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path_factory.mktemp("node")) as process:
        yield process


@pytest.fixture(scope="module")
def line(node: NodeProcess) -> str:
    """The line that leads to the node, as somebody else was given it."""
    tenant = Tenant()
    node.admit(tenant)
    return node.line(tenant).format()


@pytest.fixture
def demo(node: NodeProcess, line: str, tmp_path: Path) -> Path:
    return demo_file(node, line, tmp_path / "demo.json")


def findings(result: dict[str, Any]) -> dict[str, bool]:
    return {finding["name"]: finding["met"] for finding in (*result["goals"], *result["proof"])}


async def test_a_morning_that_goes_well_meets_its_goals(
    node: NodeProcess, demo: Path, tmp_path: Path
) -> None:
    with LoadTest(tmp_path / "run", MORNING, demo) as run:
        await run.admit()
        assert await run.end() == 0, run.said
        assert "relay-1 at 127.0.0.1" in run.said
        assert "0 sessions of staff are live there" in run.said
        told, result = run.told(), run.result
    assert told["verdict"] == result["verdict"] == "MET"
    assert (result["planned"], result["begun"], result["sessions_opened"]) == (PEOPLE, PEOPLE, PEOPLE)
    assert (result["errors"], result["ended"], result["lost_events"]) == ({}, {"DONE": PEOPLE}, 0)
    assert {stage["count"] for stage in result["stages"].values()} == {PEOPLE}
    assert result["delay"]["count"] > 0
    assert sum(window["set_ups"] for window in result["windows"]) == PEOPLE
    # What the node says of itself: processor time and memory each second, a table of how many are needed.
    assert all(second["node_rss_bytes"] > 0 for second in result["seconds"])
    assert sum(second["node_cpu_s"] for second in result["seconds"]) > 0
    assert result["capacity"]["needed"][0]["nodes"] >= 2
    assert Path(told["page"]).read_text().count("<svg") == 8
    # And counts apart from staff's.
    metrics = node.ask("/metrics").text
    assert f'telerelay_set_ups_total{{outcome="PAIRED",traffic="test"}} {PEOPLE}.0' in metrics
    assert 'telerelay_set_ups_total{outcome="PAIRED",traffic="staff"} 0.0' in metrics


async def test_a_generator_that_stood_still_proves_nothing(
    node: NodeProcess, demo: Path, tmp_path: Path
) -> None:
    scenario = MORNING.replace('\nlate_p99 = "2s"', '\nlate_p99 = "500ms"')
    with LoadTest(tmp_path / "run", scenario, demo) as run:
        await run.admit()
        await eventually(lambda: live(node) > 0, TIMEOUT_S)
        run.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        await eventually(lambda: time.monotonic() - stopped > STOPPED_S, TIMEOUT_S)
        run.signal(signal.SIGCONT)
        assert await run.end() == 9, run.said
        assert run.told()["verdict"] == "INVALID"
        assert not findings(run.result)["late_p99"]


async def test_a_run_that_is_interrupted_reports_what_was_played_and_no_second_one_begins(
    node: NodeProcess, demo: Path, tmp_path: Path
) -> None:
    scenario = MORNING.replace('lasts = "6s"', f'lasts = "{LONG_S}s"').replace('"1s", "3s"', f'"{LONG_S}s"')
    with LoadTest(tmp_path / "run", scenario, demo) as run:
        await run.admit()
        await eventually(lambda: live(node) > 0, TIMEOUT_S)
        with LoadTest(tmp_path / "run", scenario, demo) as here:
            assert await here.end() == 2
            assert "another load test runs on this machine" in here.said
        with LoadTest(tmp_path / "elsewhere", scenario, demo) as elsewhere:
            assert await elsewhere.end() == 2
            assert "another load test runs against this target" in elsewhere.said
        run.signal(signal.SIGINT)
        assert await run.end() == 130, run.said
        assert "error[INTERRUPTED]" in run.said
        result = run.result
    assert (result["verdict"], result["stopped"]) == ("PARTIAL", "SIGINT")
    assert len(result["seconds"]) < LONG_S
    assert "PARTIAL" in (tmp_path / "run" / "out" / "report.html").read_text()
    await eventually(lambda: live(node) == 0, TIMEOUT_S)


async def test_a_run_that_was_killed_leaves_a_result_that_says_so(demo: Path, tmp_path: Path) -> None:
    with LoadTest(tmp_path / "run", MORNING, demo) as run:
        await run.admit()
        await eventually((run.out / "result.json").exists, TIMEOUT_S)
        run.signal(signal.SIGKILL)
        await run.end()
        assert run.result["verdict"] == "PARTIAL"
    command = [LOADTEST, "report", str(run.out), "--json"]
    reported = await asyncio.to_thread(
        subprocess.run, command, check=True, capture_output=True, timeout=TIMEOUT_S
    )
    told = json.loads(reported.stdout)
    assert (told["verdict"], told["stopped"].partition(":")[0]) == ("PARTIAL", "killed")
    assert "<svg" in Path(told["page"]).read_text()


@pytest.mark.parametrize(
    ("left_out", "wait", "code", "exit_code"),
    [("--until", "30s", "USAGE", 2), (None, "1s", "CERTIFICATE", 5)],
    ids=["as staff", "not at all"],
)
async def test_nothing_is_loaded_that_was_not_admitted_as_a_test(
    node: NodeProcess, demo: Path, tmp_path: Path, left_out: str | None, wait: str, code: str, exit_code: int
) -> None:
    left = tmp_path / "run" / "out" / "result.json"
    left.parent.mkdir(parents=True)
    left.write_text("an earlier run's")
    with LoadTest(tmp_path / "run", MORNING, demo, "--admit-wait", wait) as run:
        if left_out is not None:
            await run.admit(left_out)
        assert await run.end() == exit_code
        assert f"error[{code}]" in run.said
        assert ("without --until" in run.said) == (left_out is not None)
    assert node.statistics()["ready_agents"] == 0
    assert not left.exists()


async def test_a_target_that_is_no_relay_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        server.listen()
        line = ClusterLine((bytes(32), bytes(32)), (NodeAddress("n1", (address,)),))
        # What closes each connection at once answers no TLS.
        closing = threading.Thread(target=_close_all, args=(server,), daemon=True)
        closing.start()
        with LoadTest(tmp_path / "run", MORNING, line.format()) as run:
            assert await run.end() == 4
            assert "error[UNREACHABLE]" in run.said
        server.shutdown(socket.SHUT_RDWR)
        closing.join()


async def test_metrics_that_do_not_answer_are_told_before_anything_is_loaded(
    line: str, tmp_path: Path
) -> None:
    with LoadTest(tmp_path / "run", MORNING, line, "--metrics", "http://127.0.0.1:1/metrics") as run:
        assert await run.end() == 4
        assert "--metrics http://127.0.0.1:1/metrics" in run.said
        assert "node admit" not in run.said


async def test_more_sessions_than_descriptors_are_refused_with_the_limit_to_raise(
    demo: Path, tmp_path: Path
) -> None:
    few = ("prlimit", "--nofile=100:100")
    with LoadTest(tmp_path / "run", MORNING.replace("staff = 10", "staff = 1000"), demo, before=few) as run:
        assert await run.end() == 6
        assert "error[MACHINE]" in run.said
        assert "100" in run.said
        assert "node admit" not in run.said


@pytest.mark.timeout(90)
async def test_a_node_that_is_drained_and_then_killed_is_seen_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    with NodeProcess(tmp_path / "broken") as broken:
        tenant = Tenant()
        broken.admit(tenant)
        file = demo_file(broken, broken.line(tenant).format(), tmp_path / "demo.json")
        with LoadTest(tmp_path / "run", MORNING + FAULTS, file) as run:
            await run.admit()
            assert await run.end() == 9, run.said
            result = run.result
    assert result["verdict"] == "UNMET"
    assert [fault["name"] for fault in result["faults"]] == ["maintenance", "blow"]
    assert result["errors"]["TRY_LATER"] > 0
    assert sum(result["ended"].values()) > result["ended"].get("DONE", 0)
    assert result["unread"][0]["missed"] > 0


def live(node: NodeProcess) -> int:
    """Sessions at the node."""
    return sum(count for name, count in node.statistics().items() if name.startswith("live_paths."))


def _close_all(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()
