"""Publishing what an administrator signs, and seeing whether the keeper's stamp came after it."""

from collections.abc import Callable, Iterable
from typing import Final

import tenacity
from cryptography import x509

from telerelay.authority.signing import Signer, sign_computer_document, sign_revocations
from telerelay.org.api import Device, OrganisationApi
from telerelay.org.policy.file import Policy
from telerelay.org.policy.resolving import apply
from telerelay_core import format_computer_id
from telerelay_endpoint.documents import (
    COMPUTER_LIFE_S,
    Clock,
    Signed,
    verify_computer_document,
    verify_revocations,
    verify_stamp,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.held_documents import HeldDocuments
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import ComputerDocument, Grant, RevocationList, Rules, Stamp

STAMP_WAIT_S: Final = LIMITS["stamp_wait_s"]
_LOOK_S: Final = LIMITS["stamp_look_s"]
FIRST_RULES = Rules(
    services=("rfb",), sessions=LIMITS["sessions_default"], resume_limit=0, idle_timeout=0, view_only=False
)
"""Of a computer's first document. No resume, since endpoints cannot resume yet; no limit when idle."""


class Publisher:
    """Makes the next version of a document from the newest that this administrator or the node has."""

    def __init__(
        self, root: x509.Certificate, held: HeldDocuments, api: OrganisationApi, clock: Clock
    ) -> None:
        self._root = root
        self._held = held
        self._api = api
        self._clock = clock

    def grant(
        self, agent: Device, grant: Grant, signer: Signer, policy: Policy | None = None
    ) -> ComputerDocument:
        """Let one more client reach the agent's computer; a client that may already gets the new grant.

        What `policy` says is applied to the new document. Raises TelerelayError: POLICY_STALE when the node
        shows an older one than was published, USAGE.
        """
        if agent.computer is None:
            raise TelerelayError("USAGE", f"{agent.label} has no computer")
        before = self.computer_document(agent.computer)
        document = with_grant(before, agent, grant, self._clock.now())
        if policy is not None:
            document = apply(policy, document)
        self.publish(document, signer)
        return document

    def publish(self, document: ComputerDocument, signer: Signer) -> None:
        """Sign a computer's next document and give it to the node. Raises TelerelayError."""
        signed = sign_computer_document(document, signer)
        self._api.post_document(signed.encoded)
        self._held.keep(signed)

    def revoke(self, device: bytes, revoker: Signer) -> RevocationList:
        """Take a device (ID of 32 bytes) away. A device that is on the list already changes nothing.

        Raises TelerelayError: POLICY_STALE when the node shows an older list than was published, its own.
        """
        before = self.revocations()
        devices = before.devices if before else frozenset()
        if before is not None and device in devices:
            return before
        version = before.version + 1 if before else 1
        revocations = RevocationList(version, self._clock.now(), devices | {device})
        signed = sign_revocations(revocations, revoker)
        self._api.post_document(signed.encoded)
        self._held.keep(signed)
        return revocations

    def publish_held_revocations(self) -> None:
        """Give the node the list that this administrator has, if it has none. Raises TelerelayError."""
        held = self._held.revocations()
        if held is not None and self._api.revocations() is None:
            self._api.post_document(held.encoded)

    def computer_document(self, computer: bytes) -> ComputerDocument | None:
        """The newest document of a computer (ID of 10 bytes), verified. Raises as `grant`."""
        held = self._held.computer(computer)
        encoded = self._api.computer_document(computer)
        if encoded is None:
            _require_nothing_held(held, "computer document")
            return None
        newest = verify_computer_document(encoded, self._root, self._clock.now(), held)
        if newest.document.computer != computer:
            raise TelerelayError("DOCUMENT", "the node shows another computer's document")
        if newest != held:
            self._held.keep(newest)
        return newest.document

    def revocations(self) -> RevocationList | None:
        """The newest revocation list, verified. Raises as `revoke`."""
        held = self._held.revocations()
        encoded = self._api.revocations()
        if encoded is None:
            _require_nothing_held(held, "revocation list")
            return None
        newest = verify_revocations(encoded, self._root, self._clock.now(), held)
        if newest != held:
            self._held.keep(newest)
        return newest.document

    def stamp(self, computer: bytes) -> Stamp | None:
        """The newest stamp of a computer (ID of 10 bytes), verified. Raises TelerelayError."""
        encoded = self._api.stamp(computer)
        if encoded is None:
            return None
        stamp = verify_stamp(encoded, self._root, self._clock.now()).document
        if stamp.computer != computer:
            raise TelerelayError("DOCUMENT", "the node shows another computer's stamp")
        return stamp

    def wait_for_stamps(
        self,
        computers: Iterable[bytes],
        satisfied: Callable[[Stamp], bool],
        limit_s: float,
        waiting: Callable[[list[str]], None],
    ) -> list[str]:
        """Wait until each computer has a stamp that satisfies; the IDs of those that had none in time.

        Each stamp is verified here: a node cannot pretend that the keeper knows. Raises TelerelayError.
        """
        missing = set(computers)

        def look() -> list[str]:
            for computer in sorted(missing):
                stamp = self.stamp(computer)
                if stamp is not None and satisfied(stamp):
                    missing.discard(computer)
            return [format_computer_id(computer) for computer in sorted(missing)]

        patient = tenacity.Retrying(
            retry=tenacity.retry_if_result(bool),
            wait=tenacity.wait_fixed(_LOOK_S),
            stop=tenacity.stop_before_delay(limit_s),
            before_sleep=lambda state: waiting(state.outcome.result() if state.outcome else []),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else [],
        )
        return patient(look)


def with_grant(before: ComputerDocument | None, agent: Device, grant: Grant, now: int) -> ComputerDocument:
    """The next version of an agent's document, `grant` in the place of what its client had.

    `now`: Unix seconds. Raises TelerelayError(USAGE) when the computer's document is for another device.
    """
    if agent.computer is None:
        raise TelerelayError("USAGE", f"{agent.label} has no computer")
    if before is not None and before.agent != agent.device:
        raise TelerelayError(
            "USAGE", f"the document of this computer is for device {before.agent.hex()[:12]}"
        )
    kept = [other for other in before.grants if other.client != grant.client] if before else []
    return ComputerDocument(
        computer=agent.computer,
        agent=agent.device,
        version=before.version + 1 if before else 1,
        issued=now,
        expires=now + COMPUTER_LIFE_S,
        grants=(*kept, grant),
        rules=before.rules if before else FIRST_RULES,
        label=agent.label,
    )


def _require_nothing_held(held: Signed[ComputerDocument] | Signed[RevocationList] | None, what: str) -> None:
    if held is not None:
        raise TelerelayError(
            "POLICY_STALE", f"the node shows no {what}, version {held.document.version} was published"
        )
