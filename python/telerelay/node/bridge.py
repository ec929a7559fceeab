"""Between the core and everything that decides, remembers and records: events in, answers out.

The core asks one question, where a CONNECT goes (PROTOCOL.md §5.3). All else it tells, and a slow answer here
delays new requests and nothing else. No object lives here for an idle connection or a session: a ticket is
forgotten some seconds after its answer.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, assert_never

import structlog

from telerelay.audit import records
from telerelay.audit.spool import Spool
from telerelay.metrics.distribution import Counted, Histogram
from telerelay.node.core import (
    AgentReady,
    Answers,
    ApiConnection,
    Asked,
    AttemptEnded,
    Device,
    EventKind,
    Flagged,
    RouteAsked,
)
from telerelay.node.registry import Registry
from telerelay.presence.contract import Presence
from telerelay.routing.decide import Deny, Here, Request, route
from telerelay.store.snapshot import Snapshot, Snapshots
from telerelay_core import parse_computer_id
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

BATCH: Final = LIMITS["event_batch"]
TICKET_MEMORY_S: Final = LIMITS["ticket_memory_s"]
"""How long a ticket that was answered *here* is remembered: `route_s` and `accept_s` with a margin.

Only in that time can its end, told before our answer arrived, say that it was never routed.
"""
RETRY_S: Final = LIMITS["event_retry_s"]


class Bridge:
    """Takes the core's events, in the event loop."""

    def __init__(
        self,
        kinds: Mapping[type, EventKind],
        answers: Answers,
        snapshots: Snapshots,
        spool: Spool,
        presence: Presence,
        registry: Registry,
        accept: Callable[[ApiConnection], None],
    ) -> None:
        self._kinds = kinds
        self._answers = answers
        self._snapshots = snapshots
        self._spool = spool
        self._presence = presence
        self._registry = registry
        self._accept = accept
        # Bound once: the proxy would bind anew for each line, three of which an attempt has.
        self._log = structlog.get_logger("bridge").bind()
        self._waiting: dict[bytes, list[tuple[RouteAsked, float]]] = {}
        self._unanswered: set[int] = set()
        self._started: dict[int, float] = {}
        self._recorded: dict[str | None, list[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._routed = 0
        self._decided_s = Histogram()
        self.stopped = asyncio.Event()

    def take(self, events: Sequence[Any]) -> None:
        """A batch, in its order. What breaks on one event stays with that event."""
        named = [(self._kinds[type(event)], event) for event in events]
        # A request whose end is in the same batch: its peer is gone, nothing is decided for it.
        ended = {event.ticket for kind, event in named if kind is EventKind.ATTEMPT_ENDED}
        for kind, event in named:
            if kind is EventKind.ROUTE_ASKED and event.ticket in ended:
                continue
            try:
                self._take(kind, event)
            except Exception:  # noqa: BLE001 — one session's fault must not become everybody's
                self._log.exception("an event was not taken", kind=kind.name)
        if len(events) < BATCH:
            self._forget_tickets()

    def statistics(self) -> dict[str, int]:
        """How often `route` was called, and what waits."""
        return {
            "routes_decided": self._routed,
            "routes_waiting": len(self._unanswered),
            "agents_present": len(self._presence),
        }

    def distributions(self) -> dict[str, Counted]:
        """Seconds from taking a request to its answer."""
        return {"decision": self._decided_s.read()}

    async def close(self) -> None:
        """End what runs for requests that came last."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, kind: EventKind, event: Any) -> None:
        match kind:
            case EventKind.ROUTE_ASKED:
                self._asked(event)
            case EventKind.ATTEMPT_ENDED:
                self._ended(event)
            case EventKind.AGENT_READY:
                self._ready(event)
            case EventKind.AGENT_GONE:
                self._gone(event)
            case EventKind.API_CONNECTION:
                self._accept(event)
            case EventKind.FLAGGED:
                self._flagged(event)
            case EventKind.STOPPED:
                self.stopped.set()
            case _:
                assert_never(kind)

    # ------------------------------------------------------------ one attempt

    def _asked(self, asked: RouteAsked) -> None:
        taken = time.monotonic()
        self._registry.seen(asked.organisation, asked.client)
        snapshot = self._snapshots.current(asked.organisation)
        if snapshot is not None:
            self._decide(asked, snapshot, taken)
            return
        self._unanswered.add(asked.ticket)
        waiting = self._waiting.setdefault(asked.organisation, [])
        waiting.append((asked, taken))
        if len(waiting) == 1:
            task = asyncio.create_task(self._load(asked.organisation))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _load(self, organisation: bytes) -> None:
        """Read the organisation's snapshot once for all that wait for it."""
        try:
            snapshot = await self._snapshots.load(organisation)
        except TelerelayError as error:
            self._log.error("a request cannot be decided", code=error.code, reason=error.detail)
            self._put_off(organisation)
        except Exception:  # noqa: BLE001 — what one organisation's rows break must not reach another's
            self._log.exception("a request cannot be decided", code="INTERNAL")
            self._put_off(organisation)
        else:
            for asked, taken in self._take_waiting(organisation):
                self._decide(asked, snapshot, taken)

    def _put_off(self, organisation: bytes) -> None:
        for asked, _taken in self._take_waiting(organisation):
            self._answers.later(asked.ticket, RETRY_S)

    def _take_waiting(self, organisation: bytes) -> list[tuple[RouteAsked, float]]:
        waiting = self._waiting.pop(organisation)
        still = [(asked, taken) for asked, taken in waiting if asked.ticket in self._unanswered]
        self._unanswered.difference_update(asked.ticket for asked, _taken in waiting)
        return still

    def _decide(self, asked: RouteAsked, snapshot: Snapshot | None, taken: float) -> None:
        """Answer. Where that breaks, nobody else's request breaks with it."""
        try:
            self._answer(asked, snapshot)
        except Exception:  # noqa: BLE001 — one session's fault must not become everybody's
            self._log.exception("a request cannot be decided", code="INTERNAL", attempt=asked.attempt)
            self._answers.later(asked.ticket, RETRY_S)
        self._decided_s.observe(time.monotonic() - taken)

    def _answer(self, asked: RouteAsked, snapshot: Snapshot | None) -> None:
        self._routed += 1
        self._log.debug(
            "attempt asked",
            attempt=asked.attempt,
            path=asked.path.hex(),
            client=asked.client.hex(),
            computer=asked.computer,
            address=asked.address,
            program=asked.program,
        )
        request = Request(asked.organisation, asked.client, parse_computer_id(asked.computer), asked.service)
        match route(request, snapshot, int(time.time())):
            case Deny(code):
                self._answers.deny(asked.ticket, code)
            case Here(agent):
                self._log.info("attempt routed", attempt=asked.attempt)
                self._started[asked.ticket] = time.monotonic()
                # The agent is asked while the disk writes: PAIRED waits for both.
                self._answers.here(asked.ticket, agent)
                self._spool.append(_start(asked, agent), partial(self._durable, asked.ticket))
            case decision:
                assert_never(decision)

    def _durable(self, ticket: int, code: str | None) -> None:
        if not self._recorded:
            # Behind the other records of the same group, so that they are one call.
            asyncio.get_running_loop().call_soon(self._tell_recorded)
        self._recorded.setdefault(code, []).append(ticket)

    def _tell_recorded(self) -> None:
        recorded, self._recorded = self._recorded, {}
        for code, tickets in recorded.items():
            self._answers.recorded(tickets, code)

    def _ended(self, ended: AttemptEnded) -> None:
        self._unanswered.discard(ended.ticket)
        # Where our *here* crossed the end on its way, there is a START, and this is its end.
        started = self._started.pop(ended.ticket, None) is not None
        asked = None if started else ended.asked
        self._log.info(
            "attempt ended",
            attempt=ended.attempt,
            code=ended.code,
            stage=ended.stage,
            duration_ms=ended.duration_ms,
        )
        self._spool.append(_end_of_path(ended) if asked is None else _end_of_refused(ended, asked))

    def _forget_tickets(self) -> None:
        """Drop tickets that can no longer be contradicted; oldest first, as a dict keeps them."""
        limit = time.monotonic() - TICKET_MEMORY_S
        for ticket, since in list(self._started.items()):
            if since > limit:
                return
            del self._started[ticket]

    # ------------------------------------------------------------ agents

    def _ready(self, ready: AgentReady) -> None:
        self._presence.ready(ready.device)
        self._registry.seen(ready.organisation, ready.device)
        self._registry.newcomer(ready.organisation, parse_computer_id(ready.computer), ready.device)

    def _gone(self, gone: Device) -> None:
        self._presence.gone(gone.device)
        self._registry.seen(gone.organisation, gone.device)

    def _flagged(self, flagged: Flagged) -> None:
        organisation = flagged.organisation.hex()
        self._log.warning(
            "a certificate is used by two machines", code=flagged.code, organisation=organisation
        )
        self._log.debug("whose certificate that is", organisation=organisation, device=flagged.device.hex())
        self._registry.flagged(flagged.organisation, flagged.device, flagged.code)


def _start(asked: RouteAsked, agent: bytes) -> records.Record:
    return records.start(
        attempt=asked.attempt,
        path=asked.path,
        organisation=asked.organisation,
        client=asked.client,
        agent=agent,
        computer=asked.computer,
        service=asked.service,
        address=asked.address,
        program=asked.program,
    )


def _end_of_path(ended: AttemptEnded) -> records.Record:
    return records.end_of_path(
        attempt=ended.attempt,
        path=ended.path,
        path_kind=ended.path_kind,
        code=ended.code,
        stage=ended.stage,
        duration_ms=ended.duration_ms,
        bytes_to_client=ended.bytes_to_client,
        bytes_to_agent=ended.bytes_to_agent,
        session=ended.session,
        notices=ended.notices,
    )


def _end_of_refused(ended: AttemptEnded, asked: Asked) -> records.Record:
    return records.end_of_refused(
        attempt=ended.attempt,
        organisation=ended.organisation,
        client=ended.client,
        computer=asked.computer,
        service=asked.service,
        address=asked.address,
        code=ended.code,
        stage=ended.stage,
    )
