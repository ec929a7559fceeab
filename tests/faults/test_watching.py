"""What dashboards and alerts say of real nodes, asked by a real Prometheus whose minutes last a second.

Every query finds something; killing a node, filling an audit spool, a certificate that expires and a flood of
handshakes fire one alert each, a drain none.
"""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from grafana.rules.pace import Pace
from telerelay_core import SessionOpened
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from tests.bench.driver import Driver
from tests.bench.tenant import prepare
from tests.kit.beside import newcomer
from tests.kit.hostile.endpoints import end_of
from tests.kit.meeting import agent_of, client_of
from tests.kit.node import NodeProcess
from tests.kit.prometheus import Prometheus, PrometheusError, PrometheusServer, as_asked, panels, until
from tests.kit.tenant import Tenant
from tests.kit.wall_clock import WallClock

PACE: Final = Pace(speed=60)
WINDOW: Final = PACE.of(300)
DAY_S: Final = 86_400
WAIT_S: Final = 60
AGENTS: Final = 12
FIRING: Final = 'ALERTS{alertstate="firing"}'
# Longer than any alert but StampsStale waits before it fires.
SETTLE_S: Final = 15
# A Prometheus that is a minute old has neither.
NOTHING_YET: Final = (" offset 1d", " offset 1w")


@dataclass(frozen=True)
class Cluster:
    """Nodes that are watched together, each for what is done to it."""

    busy: NodeProcess
    full: NodeProcess
    old: NodeProcess
    drained: NodeProcess

    def nodes(self) -> list[NodeProcess]:
        return [self.busy, self.full, self.old, self.drained]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """All of them run. The audit of one is on a disk of its own; one believes that it is two years ago."""
    clock = WallClock(tmp_path)
    clock.set_off(-(LIMITS["leaf_d"] - 30) * DAY_S)
    folders = {name: tmp_path / name for name in ("busy", "full", "old", "drained")}
    for folder in folders.values():
        folder.mkdir()
    environments = {"old": clock.environment}
    made = Cluster(
        **{name: NodeProcess(folder, environment=environments.get(name)) for name, folder in folders.items()}
    )
    with ExitStack() as ends:
        ends.enter_context(_disk(made.full.data / "audit"))
        for node in made.nodes():
            ends.callback(node.stop)
        with ThreadPoolExecutor() as starters:
            list(starters.map(NodeProcess.start, made.nodes()))
        yield made


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Four megabytes, in the data folder of a node."""
    folder.parent.mkdir(mode=0o700)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.timeout(240)
async def test_every_query_finds_something_and_each_fault_fires_its_alert_and_no_other(
    cluster: Cluster, tmp_path: Path
) -> None:
    began = time.time()
    targets = [_name(node) for node in cluster.nodes()]
    with ExitStack() as ends:
        prometheus = await asyncio.to_thread(
            ends.enter_context, PrometheusServer(tmp_path / "prometheus", targets, pace=PACE)
        )
        await asyncio.to_thread(_load, cluster.busy, ends)
        expires = {("CertificateExpires", _name(cluster.old))}
        async with _session(cluster.drained):
            async with _refused(cluster.busy):
                await asyncio.to_thread(
                    until, lambda: prometheus.alerts() or None, WAIT_S, "the first alert fires"
                )
                assert prometheus.alerts() == expires
                # The other faults come while queries are asked: what they fire is looked at in the end.
                ends.enter_context(_flood(cluster.old))
                await _fill(cluster.full)
                await asyncio.to_thread(_every_query_finds_something, prometheus)
            with cluster.drained.control() as control:
                control.drain()
        cluster.busy.kill()
        await asyncio.to_thread(_stop_as_planned, cluster.drained, prometheus)

        expected = expires | {
            ("HandshakeFlood", _name(cluster.old)),
            ("AuditFailing", _name(cluster.full)),
            ("NodeDown", _name(cluster.busy)),
        }
        await asyncio.to_thread(
            until, lambda: expected <= prometheus.alerts() or None, WAIT_S, f"{expected} fire"
        )
        await asyncio.to_thread(
            until, lambda: prometheus.find(_settled(len(expected))) or None, WAIT_S, "they go on firing"
        )
        fired = prometheus.course(FIRING, began, time.time(), 1)
    assert {(found.labels["alertname"], found.labels.get("instance", "")) for found in fired} == expected


def _name(node: NodeProcess) -> str:
    """What monitoring calls it."""
    return urlsplit(node.metrics_url).netloc


def _settled(count: int) -> str:
    """So many alerts have fired at nearly every look for longer than any other one needs to."""
    return f"count(count_over_time({FIRING}[{SETTLE_S}s]) >= {SETTLE_S - 3}) >= {count}"


# ---------------------------------------------------------------- what a morning brings


def _load(node: NodeProcess, ends: ExitStack) -> None:
    """Staff and a load test: sessions that are typed in, and set-ups, for as long as the node lives."""
    for name, end in (("staff", None), ("test", int(time.time()) + DAY_S)):
        tenant = node.folder / name
        prepare(node.data / "control.sock", tenant, agents=AGENTS, clients=AGENTS, until=end)
        agents = ends.enter_context(Driver("agents", tenant, "--count", str(AGENTS)))
        agents.wait("ready", WAIT_S, lambda line: line["percent"] == 100)
        held = ("--sessions", str(AGENTS // 2), "--rate", "20", "--every", "100")
        ends.enter_context(Driver("hold", tenant, *held)).wait("ready", WAIT_S)
        come = ("--first", str(AGENTS // 2), "--clients", str(AGENTS // 2), "--rate", "2")
        ends.enter_context(Driver("connect", tenant, *come, "--count", "1000"))


@asynccontextmanager
async def _refused(node: NodeProcess) -> AsyncIterator[None]:
    """Again and again somebody who is not granted, a document that nobody signed, and what is no TLS."""
    tenant = await asyncio.to_thread(newcomer, node)

    async def come() -> None:
        while True:
            async with client_of(node, tenant.colleague()) as client:
                assert await client.code() == "DENIED"
            await asyncio.to_thread(_post_nonsense, node, tenant)
            reader, writer = await asyncio.open_connection(*node.address.rsplit(":", 1))
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            await reader.read()
            writer.close()

    async with agent_of(node, tenant):
        coming = asyncio.create_task(come())
        yield
        assert not coming.done()
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


def _post_nonsense(node: NodeProcess, tenant: Tenant) -> None:
    with node.organisation(tenant, Role.ADMIN) as admin, pytest.raises(TelerelayError):
        admin.post_document(b"nonsense")


@asynccontextmanager
async def _session(node: NodeProcess) -> AsyncIterator[None]:
    """A session that its person ends."""
    tenant = await asyncio.to_thread(newcomer, node)
    async with agent_of(node, tenant), client_of(node, tenant) as client:
        await client.wait(SessionOpened)
        yield
        client.handle.stop()
        assert (await end_of(client)).code == "DONE"


def _every_query_finds_something(prometheus: Prometheus) -> None:
    asked = {
        f"{panel.dashboard}: {panel.title}: {query.expression}": as_asked(query.expression, WINDOW)
        for panel in panels()
        for query in panel.queries
        if not any(ago in query.expression for ago in NOTHING_YET)
    }
    recorded = {rule["name"]: rule["name"] for rule in prometheus.rules() if rule["type"] == "recording"}
    left = asked | recorded

    def none_is_left() -> bool | None:
        nonlocal left
        left = {name: expression for name, expression in left.items() if not prometheus.find(expression)}
        return not left or None

    try:
        until(none_is_left, WAIT_S, "every query finds something")
    except PrometheusError:
        pytest.fail("nothing is found by\n" + "\n".join(left))
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}


# ---------------------------------------------------------------- what is done to nodes


def _stop_as_planned(node: NodeProcess, prometheus: Prometheus) -> None:
    """As an operator does: when nobody is left, and monitoring has heard of the drain."""
    with node.control() as control:
        until(lambda: control.state().sessions == 0 or None, WAIT_S, "the last session has ended")
    drained = f'telerelay_draining{{instance="{_name(node)}"}} == 1'
    until(lambda: prometheus.find(drained) or None, WAIT_S, "monitoring hears of the drain")
    assert node.stop() == 0


async def _fill(node: NodeProcess) -> None:
    """Leave no byte for audit records, and have somebody ask for what must be recorded."""
    tenant = await asyncio.to_thread(newcomer, node)
    with (node.data / "audit" / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    # The page of the spool that was begun still takes some records.
    while not node.statistics()["audit_failing"]:
        async with client_of(node, tenant) as client:
            await client.code()


@contextmanager
def _flood(node: NodeProcess) -> Iterator[None]:
    """Strangers who speak no TLS, far more of them than a scanner sends."""
    come = ("--manner", "garbage", "--count", "50", "--rate", "100", "--for", "300")
    with Driver("strangers", "--to", node.address, *come):
        yield
