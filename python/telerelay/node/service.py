"""The node's life: opened in order, served until told to stop, closed in the reverse order."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
import uvloop

import telerelay_core as core
from telerelay.audit.auditing import Auditor
from telerelay.audit.checkpoints import Notary
from telerelay.audit.moving import Mover
from telerelay.audit.spool import Spool
from telerelay.documents.ageing import Ageing
from telerelay.metrics import process
from telerelay.metrics.app import create_app as create_monitoring_app
from telerelay.metrics.collector import NodeCollector
from telerelay.metrics.lag import LoopLag
from telerelay.node import monitoring
from telerelay.node.administration import Administration
from telerelay.node.admitting import Admitting
from telerelay.node.api.app import create_app
from telerelay.node.api.failures import Refusals
from telerelay.node.api.serving import Connections
from telerelay.node.bridge import BATCH, Bridge
from telerelay.node.cluster import PROGRAM, Cluster, node_address, open_cluster, publish_node_list
from telerelay.node.core import ApiConnection, EventKind
from telerelay.node.cutting import Cutting
from telerelay.node.data_folder import DataFolder
from telerelay.node.draining import Draining
from telerelay.node.registry import Registry
from telerelay.node.renewing import Renewing
from telerelay.node.settings import Settings
from telerelay.node.standing import Standing
from telerelay.presence.memory import PresenceInMemory
from telerelay.store.engine import Store
from telerelay.store.snapshot import Snapshots
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

CLOSE_S: Final = LIMITS["close_s"]

KINDS: Final[Mapping[type, EventKind]] = {
    core.AgentReady: EventKind.AGENT_READY,
    core.AgentGone: EventKind.AGENT_GONE,
    core.RouteAsked: EventKind.ROUTE_ASKED,
    core.AttemptEnded: EventKind.ATTEMPT_ENDED,
    core.ApiConnection: EventKind.API_CONNECTION,
    core.Flagged: EventKind.FLAGGED,
    core.Stopped: EventKind.STOPPED,
}

Started = Callable[[Standing, Cluster], None]


def serve(settings: Settings, started: Started) -> None:
    """Run a node until SIGTERM or SIGINT; `started` is called once it listens.

    Raises TelerelayError: ADDRESS_IN_USE, MACHINE, STORE, KEY_FILE, CERTIFICATE, INTERRUPTED.
    """
    # Whatever the process writes is for its owner only, the database's own files too.
    os.umask(0o077)
    data = DataFolder(settings.data)
    data.prepare()
    lock = data.lock()
    try:
        interrupted = uvloop.run(_serve(settings, data, started))
    except core.CoreError as error:
        raise TelerelayError.from_core(error) from error
    finally:
        os.close(lock)
    if interrupted:
        raise TelerelayError("INTERRUPTED")


async def _serve(settings: Settings, data: DataFolder, started: Started) -> bool:
    """Whether it was SIGINT that ended it."""
    log = structlog.get_logger("node")
    told: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _settle, told, number)
    async with _open(settings, data) as node:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, node.renewing.ask)
        # What stands now stands until the end; to look through it for garbage each time would hold the loop.
        gc.collect()
        gc.freeze()
        started(node.standing, node.cluster)
        log.info("listening", node=node.standing.name)
        log.debug("listening", addresses=list(node.standing.listening))
        either: list[asyncio.Future[Any]] = [told, node.tasks.failed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", grace_s=settings.stop_grace_s)
        await node.stop(settings.stop_grace_s)
        if node.tasks.failed.done():
            node.tasks.failed.result()
    log.info("stopped")
    return told.done() and told.result() is signal.SIGINT


def _settle(future: "asyncio.Future[signal.Signals]", number: signal.Signals) -> None:
    if not future.done():
        future.set_result(number)


# ---------------------------------------------------------------- a running node


@dataclass(frozen=True)
class _Running:
    core: core.Node
    bridge: Bridge
    standing: Standing
    cluster: Cluster
    administration: Administration
    renewing: Renewing
    tasks: "_Tasks"

    async def stop(self, grace_s: float) -> None:
        """Take nothing new, let sessions go on for `grace_s`, then end them."""
        self.administration.draining.stopping()
        self.administration.waiting.stop()
        self.core.stop(grace_s)
        try:
            async with asyncio.timeout(grace_s + CLOSE_S):
                await self.bridge.stopped.wait()
        except TimeoutError:
            structlog.get_logger("node").error("the data plane did not end in time")


@asynccontextmanager
async def _open(settings: Settings, data: DataFolder) -> AsyncIterator[_Running]:
    now = int(time.time())
    cluster = open_cluster(data.cluster, now)
    cluster.certify(settings.name, now)
    async with AsyncExitStack() as stack:
        store = await Store.open(data.store)
        stack.push_async_callback(store.close)
        tasks = _Tasks()
        notary = Notary(cluster.node_signer(), data.checkpoint(settings.name))
        audit = await _open_audit(stack, tasks, settings, data, store, cluster, notary)
        spool = audit.spool
        # Pushed behind the audit, so that it is through before: no task outlives what it works on.
        stack.push_async_callback(tasks.end)

        node = core.Node(
            name=settings.name,
            listeners=settings.listeners(),
            chain=cluster.chain_file,
            key=cluster.key_file,
            workers=settings.workers,
            return_window_s=settings.return_window_s,
            banner=settings.banner,
            trusted_networks=settings.trusted_networks,
            handshakes_per_s=settings.handshakes_per_s,
            arrivals_per_s=settings.arrivals_per_s,
            memory_budget=settings.memory_budget,
        )
        registry = Registry(store, node)
        stack.push_async_callback(registry.flush)
        snapshots, presence = Snapshots(store), PresenceInMemory()
        admitting = Admitting(store, spool, snapshots, node)
        draining = Draining(node)
        cutting = Cutting(store, spool, node, draining)
        administration = Administration(store, spool, snapshots, presence, node, admitting, draining, cutting)
        await admitting.suspend_lapsed()
        # The door opens with everybody's names on the list.
        await admitting.apply()
        listening = node.start()
        address = node_address(settings.name, settings.advertise, listening)
        async with store.writing() as session:
            await publish_node_list(session, cluster, address, now)
        await admitting.apply()

        def accept(connection: ApiConnection) -> None:
            endpoints.accept(connection.fd, connection.identity, connection.address)

        bridge = Bridge(KINDS, _CoreAnswers(node), snapshots, spool, presence, registry, accept)
        stack.push_async_callback(bridge.close)
        renewing = Renewing(cluster, settings.name, node, notary)
        lag, ageing, refusals = LoopLag(), Ageing(store), Refusals()
        counting = (
            *(node, bridge, registry, spool, store, ageing, lag, process),
            *(renewing, admitting, draining, refusals, administration.waiting),
        )
        monitored = stack.enter_context(monitoring.bind(settings.metrics_listen))
        standing = Standing(
            address,
            PROGRAM,
            listening,
            cluster.line(address).format(),
            monitoring.url(monitored),
            [
                *(part.statistics for part in counting),
                lambda: {"monitors_evicted": monitors.evicted},
            ],
            [part.distributions for part in (node, bridge, spool, lag)],
        )
        endpoints, operators = (
            Connections(
                create_app(administration, standing, refusals, audit, is_operators=is_operators),
                administration.waiting.hurry,
            )
            for is_operators in (False, True)
        )
        stack.push_async_callback(endpoints.close, CLOSE_S)
        stack.push_async_callback(operators.close, CLOSE_S)
        stack.callback((await operators.listen(data.control)).close)

        asyncio.get_running_loop().add_reader(node.event_fd(), lambda: bridge.take(node.events(BATCH)))
        stack.callback(asyncio.get_running_loop().remove_reader, node.event_fd())
        for work in (
            *(registry.tell_newcomers(), registry.write_sightings()),
            *(lag.watch(), ageing.watch(), admitting.watch()),
        ):
            tasks.start(work)
        readiness = monitoring.readiness(node, draining, bridge, store, spool)
        monitors = Connections(create_monitoring_app(NodeCollector(standing.snapshot), readiness))
        stack.push_async_callback(monitors.close, CLOSE_S)
        stack.callback((await monitors.serve(monitored)).close)
        tasks.start(renewing.watch())
        yield _Running(node, bridge, standing, cluster, administration, renewing, tasks)


async def _open_audit(
    stack: AsyncExitStack,
    tasks: "_Tasks",
    settings: Settings,
    data: DataFolder,
    store: Store,
    cluster: Cluster,
    notary: Notary,
) -> Auditor:
    """The audit: what the last process left is in SQL, what it left open is closed, all of it is signed."""
    log = structlog.get_logger("node")
    mover = Mover(store, settings.name)
    found = await mover.take_over(data.audit)
    head = notary.resume(found, cluster.authority.certificate)
    if head != found:
        log.error("audit records are missing", first=found.seq + 1, last=head.seq)
        mover.skip_to(head)
    spool = Spool(data.audit, head, notary, progressed=mover.progressed)

    async def finish() -> None:
        await spool.stop()
        await mover.catch_up(spool)

    stack.push_async_callback(finish)
    if lost := await mover.close_lost(spool):
        log.warning("sessions were open when the node died", attempts=lost)
    await spool.seal()
    tasks.start(mover.follow(spool))
    return Auditor(store, spool, mover)


@dataclass(frozen=True)
class _CoreAnswers:
    """`Answers` of the running core."""

    node: core.Node

    def deny(self, ticket: int, code: str) -> None:
        self.node.decide(ticket, core.Decision.deny(code))

    def here(self, ticket: int, agent: bytes) -> None:
        self.node.decide(ticket, core.Decision.here(agent))

    def later(self, ticket: int, seconds: int) -> None:
        self.node.decide(ticket, core.Decision.later(seconds))

    def recorded(self, tickets: Sequence[int], code: str | None) -> None:
        self.node.recorded(tickets, code)


class _Tasks:
    """Tasks that work as long as the node does. One that fails ends the node."""

    def __init__(self) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._running.append(task)

    async def end(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.failed.done():
            self.failed.set_exception(error)
