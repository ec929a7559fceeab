"""The command `run`: the folder's credentials and documents, the core's agent, a loop until told to stop."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import telerelay_core as core
from telerelay_agent import __version__
from telerelay_agent.awake import Awake
from telerelay_agent.desktop import Desktop
from telerelay_agent.documents import Fetching, OwnDocuments
from telerelay_agent.harden.settings import KEEP_AWAKE_FILE
from telerelay_agent.heap import keep_freed_memory
from telerelay_agent.locking import Locker
from telerelay_agent.service import Log, Service
from telerelay_agent.state import State, StateFile, only_one, was_left
from telerelay_endpoint.admission import Request
from telerelay_endpoint.api import NodeApi
from telerelay_endpoint.certificates import encode_certificate
from telerelay_endpoint.credentials import Credentials, load_credentials
from telerelay_endpoint.documents import Clock, Kind
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.handle import told
from telerelay_endpoint.settings import PathChoice

PROGRAM = f"telerelay-agent/{__version__}"


def run_agent(folder: Path, desktop: Desktop, path: PathChoice, log: Log) -> None:
    """Serve `desktop` with the credentials of `folder` until SIGTERM or Ctrl-C.

    Raises TelerelayError: CERTIFICATE, KEY_FILE, DOCUMENT, ADDRESS_IN_USE, INTERRUPTED, or the code with
    which a node turned this agent away for good.
    """
    credentials = load_credentials(folder, int(time.time()))
    with only_one(folder):
        keep_freed_memory()
        clock = Clock()
        own = OwnDocuments(credentials, clock)
        asyncio.run(_serve(credentials, own, clock, desktop, path, log))


async def _serve(
    credentials: Credentials, own: OwnDocuments, clock: Clock, desktop: Desktop, path: PathChoice, log: Log
) -> None:
    agent = core.Agent(
        dial=credentials.dial(own.node_addresses()),
        root=encode_certificate(credentials.root),
        computer=own.computer_name,
        desktop=desktop.address,
        password=desktop.password,
        service="rfb",
        program=PROGRAM,
        path=path,
    )
    left = was_left(credentials.folder)
    began = State(os.getpid(), desktop.address, int(time.time()), lock=next(iter(desktop.lock), ""))
    state = StateFile(credentials.folder, began)
    log.info("started", version=__version__)
    log.debug("started", desktop=desktop.address)
    source = _Source(credentials, own)
    fetching = Fetching(source.fetch)
    awake = Awake(credentials.folder / KEEP_AWAKE_FILE, log)
    locker = Locker(desktop.lock, log, lambda: state.update(lock=""))
    service = Service(agent, own, clock, state, log, fetching.want, locker)
    if left:
        service.left()

    interrupted = _stop_on_signal(agent)
    turned_away: TelerelayError | None = None
    agent.start()
    fetching_task = asyncio.create_task(fetching.run(service.fetched, service.fetch_failed))
    try:
        async with _answering() as answers, aclosing(told(agent)) as events:
            async for event in events:
                if isinstance(event, core.Stopped):
                    break
                _tell(service, event, answers)
                awake.update(needed=state.state.node is not None or bool(state.state.sessions))
                if isinstance(event, core.AgentOffline) and event.retry_ms is None:
                    turned_away = TelerelayError(event.code, "the node does not want this agent back")
                    agent.stop()
    finally:
        if state.state.sessions:
            # It is the agent that fails, and takes them along.
            service.left()
        fetching_task.cancel()
        with suppress(asyncio.CancelledError):
            await fetching_task
        await awake.close()
        await locker.finish()
    log.info("stopped")
    if turned_away is not None:
        raise turned_away
    if interrupted.is_set():
        raise TelerelayError("INTERRUPTED")


def _stop_on_signal(agent: core.Agent) -> asyncio.Event:
    """SIGTERM and Ctrl-C end the sessions in order; the event is set when it was Ctrl-C."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        interrupted.set()
        agent.stop()

    loop.add_signal_handler(signal.SIGTERM, agent.stop)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    return interrupted


@asynccontextmanager
async def _answering() -> AsyncIterator[asyncio.TaskGroup]:
    """Where clients are answered that wait for their mark. What fails there, or in the block, ends both."""
    try:
        async with asyncio.TaskGroup() as answers:
            yield answers
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _tell(service: Service, event: core.AgentEvent, answers: asyncio.TaskGroup) -> None:
    match event:
        case core.AgentOnline():
            service.online(event.node, event.nodes_version, event.banner)
        case core.AgentOffline():
            service.offline(event.code, event.retry_ms)
        case core.Incoming():
            request = Request(event.client, event.service, event.address, event.program)
            answers.create_task(service.asked(event.path, event.attempt, request))
        case core.News():
            service.news(Kind(event.kind), event.version, event.document)
        case core.SessionOpened():
            service.opened(event.attempt, event.path_kind)
        case core.SessionEnded():
            service.ended(
                event.attempt,
                event.path_kind,
                event.code,
                event.stage,
                event.duration_ms,
                event.bytes_sent,
                event.bytes_received,
            )
        case core.Stopped():
            raise AssertionError("the loop ends with it")


class _Source:
    """Asks the node for this agent's documents, in a thread because httpx waits for the network there."""

    def __init__(self, credentials: Credentials, own: OwnDocuments) -> None:
        self._credentials = credentials
        self._own = own

    async def fetch(self, kind: Kind) -> bytes | None:
        """The document, unverified; None when there is none. Raises TelerelayError."""
        # A connection for each: between two documents lie days, and a node closes one that is idle.
        with NodeApi(self._credentials.dial(self._own.node_addresses())) as api:
            try:
                return await asyncio.to_thread(api.own_document, kind)
            finally:
                # After a cancellation the thread would otherwise wait on, and we for it.
                api.abandon()
