"""The running agent: answers each request by the verdict, keeps its documents current, tells what happens."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import structlog

from telerelay_agent.documents import OwnDocuments
from telerelay_agent.state import StateFile
from telerelay_agent.verdict import verdict, why_stale
from telerelay_agent.watermark import Pattern, mark_text, render
from telerelay_core import CoreError, SessionRules
from telerelay_endpoint.admission import Allow, Refuse, Request
from telerelay_endpoint.documents import Clock, Kind
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.strict_cbor import UINT32

Log: TypeAlias = structlog.typing.FilteringBoundLogger


class AgentHandle(Protocol):
    """What the service tells the core."""

    def allow(self, path: bytes, rules: SessionRules) -> None:
        """Let the client of a path in."""

    def refuse(self, path: bytes, code: str) -> None:
        """Turn the client of a path away."""

    def set_revoked(self, devices: Sequence[bytes]) -> None:
        """Whom the inner handshake refuses and whose sessions end."""

    def set_nodes(self, nodes: Sequence[tuple[str, list[str]]]) -> None:
        """Where to dial next."""


class DesktopLock(Protocol):
    """What locks the desktop."""

    @property
    def works(self) -> bool:
        """Whether it can be promised."""

    def lock(self) -> None:
        """Lock it now, without waiting."""


class Service:
    """What happens to one agent, told by the core.

    Nothing here waits but `asked`, and it only for a mark: no event and no other client waits with it.
    """

    def __init__(
        self,
        agent: AgentHandle,
        own: OwnDocuments,
        clock: Clock,
        state: StateFile,
        log: Log,
        fetch: Callable[[Kind], None],
        desktop: DesktopLock,
    ) -> None:
        """`fetch` is asked for a document that the node says is newer than ours."""
        self._agent = agent
        self._own = own
        self._clock = clock
        self._state = state
        self._log = log
        self._fetch = fetch
        self._desktop = desktop
        self._stale: str | None = ""
        # One at a time: eight viewers that open together would ask fontconfig eight times.
        self._rendering = asyncio.Lock()
        agent.set_revoked(own.revoked())
        self._tell_standing()

    def online(self, node: str, nodes_version: int, banner: str | None) -> None:
        """The ready connection stands."""
        self._log.info("online", node=node, **({"banner": banner} if banner else {}))
        self._state.update(node=node, since=int(time.time()), last_code=None)
        if nodes_version > self._own.version(Kind.NODES):
            self._fetch(Kind.NODES)
        if why_stale(self._own.for_verdict(), self._clock.now()) is not None:
            # The node tells of what changes; what was missed it may have told somebody before us.
            for kind in (Kind.REVOCATIONS, Kind.COMPUTER, Kind.STAMP):
                self._fetch(kind)

    def offline(self, code: str, retry_ms: int | None) -> None:
        """There is no ready connection."""
        self._log.warning("offline", code=code, retry_ms=retry_ms)
        self._state.update(node=None, since=int(time.time()), last_code=code)

    async def asked(self, path: bytes, attempt: str, request: Request) -> None:
        """A client wants to come in."""
        try:
            rules = await self._rules_for(request)
        except TelerelayError as error:
            self._refuse(path, attempt, error.code, error.detail)
            return
        except CoreError as error:
            # A rule that the core does not take refuses this client; the others' sessions go on.
            self._refuse(path, attempt, "UNSUPPORTED", error.detail)
            return
        self._log.info("allowed", attempt=attempt)
        self._agent.allow(path, rules)

    def news(self, kind: Kind, version: int, encoded: bytes | None) -> None:
        """The node has a document of this version."""
        held = self._own.version(kind)
        if version < held:
            self._log.warning("older_document_offered", kind=kind, version=version, held=held)
        elif version > held:
            if encoded is None:
                self._fetch(kind)
            else:
                self.fetched(kind, encoded)

    def fetched(self, kind: Kind, encoded: bytes) -> None:
        """A document came, unverified."""
        try:
            new = self._own.take(kind, encoded)
        except TelerelayError as error:
            self.fetch_failed(kind, error)
            return
        if not new:
            return
        self._log.info("document", kind=kind, version=self._own.version(kind))
        if kind is Kind.REVOCATIONS:
            self._agent.set_revoked(self._own.revoked())
        if kind is Kind.NODES:
            self._agent.set_nodes([(node.name, list(node.addresses)) for node in self._own.node_addresses()])
        self._tell_standing()

    def fetch_failed(self, kind: Kind, error: TelerelayError) -> None:
        """A document could not be had, or was refused: what is held stays in force."""
        self._log.warning("document_refused", kind=kind, code=error.code, detail=error.detail)

    def opened(self, attempt: str, path_kind: str) -> None:
        """A session is open; `path_kind`: how this end's leg travels, "wrapped" or "direct"."""
        # Before anything else: an agent that is killed from here on locks the desktop when it is back.
        self._state.update(sessions={**self._state.state.sessions, attempt: path_kind})
        self._log.info("session_opened", attempt=attempt, path_kind=path_kind)

    def ended(
        self,
        attempt: str,
        path_kind: str,
        code: str,
        stage: str,
        duration_ms: int,
        sent: int,
        received: int,
    ) -> None:
        """A session, or an attempt that did not become one, has ended."""
        self._log.info(
            "session_ended",
            attempt=attempt,
            path_kind=path_kind,
            code=code,
            stage=stage,
            duration_ms=duration_ms,
            bytes_sent=sent,
            bytes_received=received,
        )
        were_open = self._state.state.sessions
        still_open = {one: kind for one, kind in were_open.items() if one != attempt}
        if were_open and not still_open:
            # Before anything that can fail.
            self.left()
        self._state.update(sessions=still_open)

    def left(self) -> None:
        """Nobody looks at the desktop any more: it is locked where the rules want it so."""
        computer = self._own.computer
        if computer is not None and computer.document.rules.lock_on_disconnect:
            self._desktop.lock()

    def _refuse(self, path: bytes, attempt: str, code: str, reason: str) -> None:
        self._log.info("refused", attempt=attempt, code=code, reason=reason)
        self._agent.refuse(path, code)

    async def _rules_for(self, request: Request) -> SessionRules:
        """What the core is told of the rules. Raises TelerelayError where they let nobody in, CoreError."""
        began = self._clock.now()
        said: str | None = None
        mark: Pattern | None = None
        while True:
            now = self._clock.now()
            # What holds when the mark is there decides, not what held when it was begun.
            answer = verdict(request, self._own.for_verdict(), now, can_lock=self._desktop.works)
            if isinstance(answer, Refuse):
                raise TelerelayError(answer.code, answer.reason)
            rule = answer.rules.watermark
            text = mark_text(rule, answer.label, request.client, began) if rule else None
            if text == said:
                return _session_rules(answer, mark, now)
            # Without its mark nobody is shown the screen.
            said, mark = text, None if text is None else await self._rendered(text)

    async def _rendered(self, text: str) -> Pattern:
        """Takes 10 ms, five times that for other characters than before; at worst fontconfig's time."""
        async with self._rendering:
            return await asyncio.to_thread(render, text)

    def _tell_standing(self) -> None:
        """Say once when the documents begin or cease to let anybody in."""
        stale = why_stale(self._own.for_verdict(), self._clock.now())
        if stale == self._stale:
            return
        self._stale = stale
        if stale is None:
            self._log.info("serving")
        else:
            self._log.warning("serving_nobody", code="POLICY_STALE", reason=stale)


def _session_rules(allowed: Allow, mark: Pattern | None, now: int) -> SessionRules:
    rules = allowed.rules
    return SessionRules(
        sessions=rules.sessions,
        resume_limit_s=rules.resume_limit,
        idle_timeout_s=rules.idle_timeout,
        view_only=rules.view_only,
        watermark=None if mark is None else (mark.width, mark.weights),
        shown=[f"sessions={rules.sessions}", *([] if mark is None else ["watermark"])],
        notices=rules.notices,
        ends=None if allowed.ends is None else (min(allowed.ends.at - now, UINT32), allowed.ends.code),
    )
