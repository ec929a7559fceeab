"""What a real node says to monitoring: everything from the first scrape, exactly, and nothing of anybody."""

import asyncio
import base64
import json
import os
import pty
import signal
import subprocess
import time
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typing_extensions import override

from telerelay.metrics.families import FAMILIES, PREFIX
from telerelay.node.api.serving import METRICS_CONNECTIONS
from telerelay_core import ERRORS_TOML, SessionOpened, format_computer_id
from tests.kit.condition import eventually
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.tenant import Tenant

# What is never zero in a process that lives.
ALIVE: Final = {
    "descriptors",
    "descriptors_limit",
    "memory_bytes",
    "memory_watched_bytes",
    "memory_budget_bytes",
    "cpu_seconds_total",
    "python_blocks",
    "python_collections_total",
    "start_timestamp_seconds",
    "event_loop_lag_seconds",
    "event_loop_lag_longest_seconds",
    "event_loop_cpu_seconds_total",
    "store_transactions_total",
    "audit_sync_seconds",
    "audit_group_records",
    "audit_backlog_bytes",
    "audit_backlog_limit_bytes",
    "admission_timestamp_seconds",
    "build_info",
    "engine_pipes_limit",
    "certificate_expires_timestamp_seconds",
}
STEPS: Final = ("hello", "connect", "route", "claim", "accept", "recorded", "paired")
LIVE: Final = "sessions{path_kind=direct,traffic=staff}"
PAIRED: Final = "set_ups_total{outcome=PAIRED,traffic=staff}"
WAITED: Final = "message_wait_seconds_count{traffic=staff}"
HOSTILE: Final = 'telerelay-client/1 "},x="canary-7f31\\'


class Scrape(dict[str, float]):
    """Values of one scrape by series, such as `sessions{path_kind=direct}`, without the common prefix."""

    def __init__(self, text: str) -> None:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
                name = sample.name.removeprefix(PREFIX)
                self[f"{name}{{{labels}}}" if labels else name] = sample.value

    def __sub__(self, before: "Scrape") -> dict[str, float]:
        """What is another number than before."""
        return {name: self[name] - before[name] for name in self if self[name] != before[name]}


class Monitored(NodeProcess):
    """A node and its monitoring."""

    @override
    def __enter__(self) -> Self:
        self.start()
        return self

    def scrape(self) -> Scrape:
        return Scrape(self.ask("/metrics").raise_for_status().text)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with Monitored(tmp_path_factory.mktemp("n")) as running:
        yield running


def _admitted(node: NodeProcess) -> Tenant:
    tenant = Tenant(now=int(time.time()))
    node.admit(tenant)
    node.publish(tenant)
    return tenant


@asynccontextmanager
async def _session(node: NodeProcess, tenant: Tenant) -> AsyncIterator[str]:
    """A session that runs; its attempt."""
    async with client_of(node, tenant, program=HOSTILE) as client:
        opened = await client.wait(SessionOpened)
        reader, writer = await client.viewer()
        assert await reader.readexactly(12) == b"RFB 003.008\n"
        yield opened.attempt
        writer.close()
        await writer.wait_closed()


# ---------------------------------------------------------------- the first scrape


# Before the others: the node must be new.
def test_every_series_stands_at_zero_from_the_first_scrape(node: Monitored) -> None:
    text = node.ask("/metrics").text
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")] == [
        PREFIX + family.name for family in FAMILIES
    ]
    first = Scrape(text)
    not_zero = {name.partition("{")[0].removesuffix("_bucket") for name, value in first.items() if value}
    assert {name.removesuffix("_count").removesuffix("_sum") for name in not_zero} <= ALIVE
    codes = tomllib.loads(ERRORS_TOML)
    for family in ("refusals_total", "attempts_ended_total", "api_refusals_total"):
        assert {f"{family}{{code={code}}}" for code in codes} <= set(first), "every code has its series"
    for step in STEPS:
        assert first[f"set_up_step_seconds_count{{step={step}}}"] == 0
    for traffic in ("staff", "test"):
        for outcome in ("PAIRED", *codes):
            assert first[f"set_ups_total{{outcome={outcome},traffic={traffic}}}"] == 0
        for kind in ("wrapped", "mixed", "direct"):
            assert first[f"sessions{{path_kind={kind},traffic={traffic}}}"] == 0
        assert first[f"set_up_seconds_count{{traffic={traffic}}}"] == 0
        assert first[f"message_wait_seconds_count{{traffic={traffic}}}"] == 0
        assert first[f"message_wait_seconds_bucket{{le=0.005,traffic={traffic}}}"] == 0, "the objective"
        assert first[f"set_up_seconds_bucket{{le=1.0,traffic={traffic}}}"] == 0, "the objective"
    # A second one has the very same series.
    assert set(node.scrape()) == set(first)


def test_what_expires_is_told_without_whose_it_is(node: Monitored) -> None:
    scrape = node.scrape()
    now, day = time.time(), 86_400
    assert scrape["certificate_expires_timestamp_seconds{certificate=node}"] > now + 90 * day
    assert scrape["certificate_expires_timestamp_seconds{certificate=ca}"] > now + 90 * day


# ---------------------------------------------------------------- counts


async def test_after_sessions_the_counts_are_exact(node: Monitored) -> None:
    tenant = _admitted(node)
    async with agent_of(node, tenant) as agent:
        before = await asyncio.to_thread(node.scrape)
        for number in range(3):
            async with _session(node, tenant):
                await eventually(lambda: node.scrape()[LIVE] == 1)
                during = await asyncio.to_thread(node.scrape)
                assert during[PAIRED] - before[PAIRED] == number + 1
            ended = before["session_seconds_count{path_kind=direct}"] + number + 1
            await eventually(lambda: node.scrape()["session_seconds_count{path_kind=direct}"] == ended)  # noqa: B023
        await eventually(lambda: node.scrape()["ready_agents"] == 1)
        # The clone rule and the like: somebody who is not granted is refused, with his code.
        stranger = tenant.colleague()
        async with client_of(node, stranger) as refused:
            assert await refused.code() == "DENIED"
        await eventually(lambda: node.scrape()["attempts"] == 0)
        rose = await asyncio.to_thread(node.scrape) - before
        assert agent.events
    assert rose["handshakes_total"] == 3 + 3 + 1, "three sessions of both sides, and one who is not granted"
    assert rose[PAIRED] == rose["set_up_seconds_count{traffic=staff}"] == 3
    assert {step: rose[f"set_up_step_seconds_count{{step={step}}}"] for step in STEPS} == dict.fromkeys(
        STEPS, 3
    )
    assert rose["session_seconds_count{path_kind=direct}"] == 3
    assert rose["decision_seconds_count"] == rose["decisions_total"] == 4
    assert rose["refusals_total{code=DENIED}"] == rose["attempts_ended_total{code=DENIED}"] == 1
    ends = {name: count for name, count in rose.items() if name.startswith("attempts_ended_total")}
    assert sum(ends.values()) == 4
    assert rose["set_ups_total{outcome=DENIED,traffic=staff}"] == 1
    assert sum(count for name, count in rose.items() if name.startswith("set_ups_total")) == 4
    assert sum(count for name, count in rose.items() if name.startswith("paths_ended_total")) == 3
    assert not any("traffic=test" in name for name in rose)
    assert LIVE not in rose
    # START and END of three, END of the one who was refused.
    assert rose["audit_records_total"] == 7
    # The whole is the sum of its steps.
    steps = sum(rose[f"set_up_step_seconds_sum{{step={step}}}"] for step in STEPS if _sum(step) in rose)
    assert rose["set_up_seconds_sum{traffic=staff}"] == pytest.approx(steps, abs=1e-5)


async def test_what_is_carried_is_counted_by_its_way_and_each_message_by_its_wait(node: Monitored) -> None:
    typed, much = 50, 8 << 20
    tenant = _admitted(node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        reader, writer = await client.viewer()
        await reader.readexactly(12)
        await eventually(lambda: node.scrape()[LIVE] == 1)
        before = await asyncio.to_thread(node.scrape)
        for _ in range(typed):
            writer.write(b"key")
            assert await reader.readexactly(3) == b"key"
        keys = await asyncio.to_thread(node.scrape)
        rose = keys - before
        # To the desktop and back, each in a message of its own.
        assert rose[WAITED] == rose["moves_total{by=copied}"] >= 2 * typed
        assert rose["message_wait_seconds_sum{traffic=staff}"] > 0
        assert "moves_total{by=spliced}" not in rose
        sending = asyncio.create_task(_send(writer, much))
        assert len(await reader.readexactly(much)) == much
        await sending
        rose = await asyncio.to_thread(node.scrape) - keys
        writer.close()
        await writer.wait_closed()
    assert rose["moves_total{by=spliced}"] > 0
    assert rose["moved_bytes_total{by=spliced}"] > much / 2
    by_way = sum(count for name, count in rose.items() if name.startswith("moved_bytes_total"))
    there, back = rose["carried_bytes_total{to=agent}"], rose["carried_bytes_total{to=client}"]
    assert by_way == there + back
    assert min(there, back) > much, "inner TLS adds to it"
    await eventually(lambda: not node.scrape()[LIVE])


async def _send(writer: asyncio.StreamWriter, length: int) -> None:
    writer.write(bytes(length))
    await writer.drain()


def _sum(step: str) -> str:
    return f"set_up_step_seconds_sum{{step={step}}}"


# ---------------------------------------------------------------- privacy


async def test_nobody_can_be_told_from_what_monitoring_hears(node: Monitored) -> None:
    tenant = _admitted(node)
    async with agent_of(node, tenant), _session(node, tenant) as attempt:
        answers = [
            await asyncio.to_thread(node.ask, path)
            for path in ("/metrics", "/healthz", "/readyz", "/elsewhere")
        ]
    async with client_of(node, tenant.colleague(), program=HOSTILE) as refused:
        await refused.code()
    answers.append(await asyncio.to_thread(node.ask, "/metrics"))
    said = "".join(f"{answer.headers}{answer.text}" for answer in answers).lower()
    computer = format_computer_id(tenant.computer)
    for what in (tenant.id, tenant.agent, tenant.client, tenant.computer):
        # Any part of it that would still name somebody.
        assert what.hex()[:8] not in said
        assert base64.urlsafe_b64encode(what).decode()[:8].lower() not in said
    for word in (
        computer,
        computer.replace("-", ""),
        attempt,
        attempt.replace("-", ""),
        tenant.name,
        "canary",
    ):
        assert word.lower() not in said
    assert "127.0.0.1" not in said
    assert "desk 4" not in said


# ---------------------------------------------------------------- health


def test_a_node_that_listens_is_healthy_and_ready(node: Monitored) -> None:
    assert node.ask("/healthz").json() == {"healthy": True}
    ready = node.ask("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})
    assert node.ask("/v1/node").status_code == 404


async def test_a_node_under_load_answers(node: Monitored) -> None:
    tenant = _admitted(node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        reader, writer = await client.viewer()

        async def pump() -> None:
            while True:
                writer.write(bytes(65_536))
                await writer.drain()
                await reader.read(65_536)

        pumping = asyncio.create_task(pump())
        before = await asyncio.to_thread(node.scrape)
        for _ in range(20):
            assert (await asyncio.to_thread(node.ask, "/healthz")).status_code == 200
            assert (await asyncio.to_thread(node.ask, "/readyz")).status_code == 200
        rose = await asyncio.to_thread(node.scrape) - before
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
    assert rose["carried_bytes_total{to=client}"] > 65_536


async def test_a_node_that_drains_says_so_until_it_exits(tmp_path: Path) -> None:
    with Monitored(tmp_path, environment={"TELERELAY_NODE_STOP_GRACE_S": "30"}) as node:
        tenant = _admitted(node)
        async with agent_of(node, tenant), _session(node, tenant):
            node.process.send_signal(signal.SIGTERM)
            await eventually(lambda: node.ask("/readyz").status_code == 503)
            assert node.ask("/readyz").json() == {"ready": False, "reasons": ["draining"]}
            assert node.ask("/healthz").status_code == 200
            await eventually(lambda: node.scrape()[LIVE] == 1)
            assert node.scrape()["draining"] == 1
        # The last session has ended, so it does not wait for the rest of the grace.
        assert await asyncio.to_thread(node.process.wait, 20) == 0


def test_a_node_that_is_drained_and_taken_back_is_ready_again(node: Monitored) -> None:
    with node.control() as control:
        control.drain()
        assert node.ask("/readyz").json() == {"ready": False, "reasons": ["draining"]}
        assert node.scrape()["draining"] == 1
        control.cancel_drain()
    assert node.ask("/readyz").status_code == 200
    assert node.scrape()["draining"] == 0


async def test_idle_connections_do_not_keep_monitoring_out(node: Monitored) -> None:
    address = urlsplit(node.metrics_url)
    async with AsyncExitStack() as stack:
        idle = []
        for _ in range(METRICS_CONNECTIONS):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            stack.callback(writer.close)
            idle.append(reader)
        assert (await asyncio.to_thread(node.ask, "/healthz")).status_code == 200
        # Who was there first had to go; the others are where they were.
        assert await asyncio.wait_for(idle[0].read(), 10) == b""
        assert not any(reader.at_eof() for reader in idle[1:])
        evicted = "limits_hit_total{limit=metrics_connections}"
        # This scrape is one more.
        assert (await asyncio.to_thread(node.scrape))[evicted] == 2


def test_a_taken_address_is_named(node: Monitored, tmp_path: Path) -> None:
    taken = urlsplit(node.metrics_url).netloc
    ended = subprocess.run(
        [
            *(TELERELAY, "serve", "--lang", "en", "--data", str(tmp_path / "n")),
            *("--listen", "127.0.0.1:0", "--metrics-listen", taken),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 6
    line = ended.stderr.splitlines()[-1]
    assert line.startswith("error[ADDRESS_IN_USE]")
    assert taken in line
    assert "metrics_listen" in line


# ---------------------------------------------------------------- telerelay top


def _top(node: NodeProcess, *options: str) -> list[str]:
    return [TELERELAY, "top", "--lang", "en", "--data", str(node.data), *options]


async def test_top_looks_once(node: Monitored) -> None:
    tenant = _admitted(node)
    async with agent_of(node, tenant), _session(node, tenant):
        await eventually(lambda: node.scrape()[LIVE] == 1)
        command = _top(node, "--once", "--json")
        looked = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=30, check=True)
        text = await asyncio.to_thread(
            subprocess.run, _top(node, "--once"), capture_output=True, text=True, timeout=30, check=True
        )
    record = json.loads(looked.stdout)
    assert record["schema"] == "telerelay.top/1"
    assert record["sessions"] == {"wrapped": 0, "mixed": 0, "direct": 1}
    assert record["set_up"]["p50"] <= record["set_up"]["p99"]
    assert set(record["steps"]) == set(STEPS)
    assert 0 < record["descriptors"] < record["descriptors_limit"]
    assert "sessions" in text.stdout
    assert "1 (1 direct)" in text.stdout


def test_top_leaves_the_terminal_as_it_found_it(node: Monitored) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(_top(node), stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    try:
        while b"event loop" not in seen:
            seen += os.read(ours, 65_536)
        assert b"\x1b[?1049h" in seen, "the terminal's other screen"
        process.send_signal(signal.SIGINT)
        try:
            while block := os.read(ours, 65_536):
                seen += block
        except OSError:
            pass  # the terminal has nobody on its other side any more
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    end = seen.rindex(b"\x1b[?1049l")
    assert b"\x1b[?25h" in seen[seen.rindex(b"\x1b[?25l") :], "the cursor is shown again"
    assert b"error[INTERRUPTED]" in seen[end:]
