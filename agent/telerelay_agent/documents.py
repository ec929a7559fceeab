"""The agent's own documents: verified, kept across restarts, never taken back (PROTOCOL.md §9)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import tenacity

from telerelay_agent.verdict import Documents
from telerelay_core import format_computer_id
from telerelay_endpoint.credentials import Credentials
from telerelay_endpoint.documents import (
    Clock,
    Kind,
    Signed,
    verify_computer_document,
    verify_nodes,
    verify_revocations,
    verify_stamp,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.held_documents import HeldDocuments
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import ComputerDocument, NodeAddress, NodeList, RevocationList, Stamp

FOLDER = "documents"
_PAUSE_S: Final = LIMITS["documents_pause_s"]


class OwnDocuments:
    """What this agent's verdict stands on. Files are read once, at the start."""

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        """Raises TelerelayError(DOCUMENT) for a damaged file, OSError when the folder cannot be used."""
        if credentials.relay.computer is None:
            raise TelerelayError("CERTIFICATE", "these are not an agent's credentials: they name no computer")
        self._computer = credentials.relay.computer
        self._credentials = credentials
        self._clock = clock
        self._files = HeldDocuments(credentials.folder / FOLDER)
        self.computer = self._files.computer(self._computer)
        self.stamp = self._files.stamp(self._computer)
        self.revocations = self._files.revocations()
        self.nodes = self._files.nodes()
        for signed in (self.computer, self.stamp, self.revocations):
            if signed is not None:
                clock.saw(signed.document.issued)

    @property
    def computer_name(self) -> str:
        """The computer ID as it is shown."""
        return format_computer_id(self._computer)

    def for_verdict(self) -> Documents:
        """The three that decide who comes in."""
        return Documents(self.computer, self.stamp, self.revocations)

    def revoked(self) -> list[bytes]:
        """The devices that the revocation list takes away."""
        return [] if self.revocations is None else sorted(self.revocations.document.devices)

    def node_addresses(self) -> tuple[NodeAddress, ...]:
        """The nodes to dial: the list's, or those that the invite named."""
        if self.nodes is None:
            return self._credentials.relay.cluster.nodes
        return tuple(listed.node for listed in self.nodes.document.nodes)

    def version(self, kind: Kind) -> int:
        """What is held of a kind; 0: nothing."""
        held = {
            Kind.COMPUTER: self.computer,
            Kind.STAMP: self.stamp,
            Kind.REVOCATIONS: self.revocations,
            Kind.NODES: self.nodes,
        }[kind]
        return 0 if held is None else held.document.version

    def take(self, kind: Kind, encoded: bytes) -> bool:
        """Verify a document and put it in force; False when it is held already.

        Raises TelerelayError(DOCUMENT, POLICY_STALE); what was in force then stays.
        """
        before = self.version(kind)
        match kind:
            case Kind.COMPUTER:
                self.computer = self._take_computer(encoded)
            case Kind.STAMP:
                self.stamp = self._take_stamp(encoded)
            case Kind.REVOCATIONS:
                self.revocations = self._take_revocations(encoded)
            case Kind.NODES:
                self.nodes = self._take_nodes(encoded)
        return self.version(kind) != before

    def _take_computer(self, encoded: bytes) -> Signed[ComputerDocument]:
        root = self._credentials.root
        signed = verify_computer_document(encoded, root, self._clock.now(), self.computer)
        if signed.document.computer != self._computer:
            raise TelerelayError("DOCUMENT", "computer document: it is for another computer")
        if signed.document.agent != self._credentials.device:
            raise TelerelayError("DOCUMENT", "computer document: it is for another agent's key")
        self._clock.saw(signed.document.issued)
        self._files.keep(signed)
        return signed

    def _take_stamp(self, encoded: bytes) -> Signed[Stamp]:
        signed = verify_stamp(encoded, self._credentials.root, self._clock.now(), self.stamp)
        if signed.document.computer != self._computer:
            raise TelerelayError("DOCUMENT", "freshness stamp: it is for another computer")
        self._clock.saw(signed.document.issued)
        self._files.keep(signed)
        return signed

    def _take_revocations(self, encoded: bytes) -> Signed[RevocationList]:
        signed = verify_revocations(encoded, self._credentials.root, self._clock.now(), self.revocations)
        self._clock.saw(signed.document.issued)
        self._files.keep(signed)
        return signed

    def _take_nodes(self, encoded: bytes) -> Signed[NodeList]:
        signed = verify_nodes(encoded, self._credentials.relay.cluster.pins, self._clock.now(), self.nodes)
        # An operator's word: it does not move the clock by which the organisation's documents expire.
        self._files.keep(signed)
        return signed


class Fetching:
    """Fetches what NEWS names, one document at a time, until it is there or refused."""

    def __init__(self, fetch: Callable[[Kind], Awaitable[bytes | None]]) -> None:
        """`fetch` asks the node; None: there is none. It raises TelerelayError."""
        self._fetch = fetch
        self._wanted: asyncio.Queue[Kind] = asyncio.Queue()
        self._waiting: set[Kind] = set()

    def want(self, kind: Kind) -> None:
        """Fetch a kind, after those that are wanted already."""
        if kind not in self._waiting:
            self._waiting.add(kind)
            self._wanted.put_nowait(kind)

    async def run(
        self, fetched: Callable[[Kind, bytes], None], failed: Callable[[Kind, TelerelayError], None]
    ) -> None:
        """Go on until cancelled. `failed` is told of each try that came to nothing."""

        def tell(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, TelerelayError):
                failed(kind, error)

        patient = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_random_exponential(max=_PAUSE_S),
            before_sleep=tell,
            reraise=True,
        )
        while True:
            kind = await self._wanted.get()
            self._waiting.discard(kind)
            try:
                encoded: bytes | None = await patient(self._fetch, kind)
            except TelerelayError as error:
                failed(kind, error)
                continue
            if encoded is not None:
                fetched(kind, encoded)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TelerelayError) and error.retry != "never"
