"""The service `org keep`: approves invited machines and keeps stamps young, whatever the nodes do."""

import signal
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from types import FrameType
from typing import Final

import structlog
import tenacity

from telerelay.authority.devices import EnrolmentRequest
from telerelay.org.api import OrganisationApi
from telerelay.org.approval import ApprovingKeys, Issue, Refuse, answer
from telerelay.org.folder import KeeperFolder
from telerelay.org.stamping import RENEW_S, Freshness, newest_revocations, stamp_computer
from telerelay_endpoint.documents import Clock
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

_PAUSE_S: Final = LIMITS["keeper_pause_s"]
_REPEAT_PAUSE_S: Final = LIMITS["keeper_repeat_s"]


_OF_ONE_ITEM = frozenset({"DOCUMENT", "ID_TAKEN", "INVITE", "POLICY_STALE", "REQUEST"})
"""What is wrong with one request or computer; the others go on."""


class Keeper:
    """Two loops, each with its own connection; a failure that no waiting cures ends both."""

    def __init__(
        self, folder: KeeperFolder, open_api: Callable[[], OrganisationApi], clock: Clock | None = None
    ) -> None:
        self._folder = folder
        self._open_api = open_api
        self._clock = clock or Clock()
        self._keys = ApprovingKeys(folder.master(), folder.issuer())
        self._freshness = Freshness(folder.root, folder.freshness(), folder.held)
        self._stop = threading.Event()
        self._apis: list[OrganisationApi] = []
        self._since = 0
        self._known: set[bytes] = set()
        self._log = structlog.get_logger("keeper")

    def run(self) -> None:
        """Work until SIGTERM or Ctrl-C. Raises TelerelayError: INTERRUPTED, or what waiting cannot cure."""
        received: list[int] = []

        def stop_for(number: int, _frame: FrameType | None) -> None:
            received.append(number)
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop_for)
        self.work()
        if signal.SIGINT in received:
            raise TelerelayError("INTERRUPTED")

    def work(self) -> None:
        """Work until `stop`. Raises TelerelayError for what cannot be cured by waiting."""
        for computer in self._folder.held.computers():
            if (document := self._folder.held.computer(computer)) is not None:
                self._clock.saw(document.document.issued)
        self._log.info("keeping", organisation=self._folder.credentials(self._clock.now()).organisation.hex())
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="keep") as pool:
            loops = [pool.submit(self._loop, turn) for turn in (self._approve, self._stamp)]
            wait(loops, return_when=FIRST_COMPLETED)
            self.stop()
        for loop in loops:
            loop.result()
        self._log.info("stopped")

    def stop(self) -> None:
        """End both loops, whatever they wait for. Safe in a signal handler and from any thread."""
        self._stop.set()
        for api in list(self._apis):
            api.abandon()

    def _loop(self, turn: Callable[[OrganisationApi], None]) -> None:
        patient = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_random_exponential(max=_PAUSE_S),
            stop=tenacity.stop_when_event_set(self._stop),
            sleep=tenacity.sleep_using_event(self._stop),
            before_sleep=self._tell_failure,
            reraise=True,
        )
        with self._open_api() as api:
            self._apis.append(api)
            try:
                while not self._stop.is_set():
                    patient(turn, api)
            except TelerelayError:
                if not self._stop.is_set():
                    raise

    def _approve(self, api: OrganisationApi) -> None:
        news = [self._answer(request, api) for request in api.enrolments(wait=True)]
        if news and not any(news):
            self._stop.wait(_REPEAT_PAUSE_S)

    def _answer(self, request: EnrolmentRequest, api: OrganisationApi) -> bool:
        """Answer one request; whether that was new."""
        invite = request.terms.id.hex()
        try:
            decision = answer(request, self._folder, self._keys, api, self._clock.now())
        except TelerelayError as error:
            if error.code not in _OF_ONE_ITEM:
                raise
            self._log.error("not answered", invite=invite, code=error.code, reason=error.detail)
            return False
        if isinstance(decision, Refuse):
            self._log.warning("refused", invite=invite, reason=decision.reason)
            return False
        entry = decision.entry
        self._log.info("approved", invite=invite, kind=entry.kind)
        self._log.debug("approved", invite=invite, device=entry.device.hex())
        return isinstance(decision, Issue)

    def _stamp(self, api: OrganisationApi) -> None:
        if not self._known:
            self._known.update(api.computers(), self._folder.held.computers())
        changes = api.changes(self._since)
        self._known.update(changes.computers)
        wanted = set(changes.computers) | {computer for computer in self._known if self._is_old(computer)}
        if wanted:
            revocations = newest_revocations(self._freshness, api, self._clock)
            for computer in sorted(wanted):
                try:
                    stamp = stamp_computer(computer, revocations, self._freshness, api, self._clock).document
                except TelerelayError as error:
                    if error.code not in _OF_ONE_ITEM:
                        raise
                    self._log.error("not stamped", code=error.code, reason=error.detail)
                else:
                    self._log.info("stamped", document=stamp.document_version, epoch=stamp.epoch)
        self._since = changes.next

    def _is_old(self, computer: bytes) -> bool:
        stamp = self._folder.held.stamp(computer)
        return stamp is None or self._clock.now() - stamp.document.issued >= RENEW_S

    def _tell_failure(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        code = error.code if isinstance(error, TelerelayError) else "INTERNAL"
        self._log.warning("no node", code=code, again_in_s=round(state.upcoming_sleep, 1))
        # The detail names addresses.
        self._log.debug("no node", reason=str(error))


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TelerelayError) and error.retry != "never"
