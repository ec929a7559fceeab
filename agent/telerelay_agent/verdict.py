"""May this client open this computer now? A pure answer by the documents that are held (PROTOCOL.md §9).

Fail closed: whatever is missing, expired or not known to be the newest refuses everybody.
"""

from dataclasses import dataclass
from typing import Literal

from telerelay_endpoint.documents import Signed, require_current
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.payloads import ComputerDocument, RevocationList, Rules, Stamp

Code = Literal["POLICY_STALE", "REVOKED", "DENIED", "UNSUPPORTED"]


@dataclass(frozen=True)
class Request:
    """What INCOMING tells. `client`: device ID, 32 bytes, which the inner handshake has to prove (§7)."""

    client: bytes
    service: str


@dataclass(frozen=True)
class Documents:
    """The newest verified documents; None where there is none yet."""

    computer: Signed[ComputerDocument] | None = None
    stamp: Signed[Stamp] | None = None
    revocations: Signed[RevocationList] | None = None


@dataclass(frozen=True)
class Allow:
    """The session may open under these rules."""

    rules: Rules


@dataclass(frozen=True)
class Refuse:
    """It may not. `reason` is for the agent's own log: the client gets the code alone."""

    code: Code
    reason: str


def verdict(request: Request, documents: Documents, now: int) -> Allow | Refuse:
    """Judge `request`. `now`: Unix seconds, never earlier than the newest signed time that was seen (§9)."""
    stale = why_stale(documents, now)
    if stale is not None or documents.computer is None or documents.revocations is None:
        return Refuse("POLICY_STALE", stale or "a document is missing")
    computer, revocations = documents.computer.document, documents.revocations.document
    if request.client in revocations.devices:
        return Refuse("REVOKED", f"revocation list {revocations.version} names this device")
    if not any(grant.client == request.client and grant.holds(now) for grant in computer.grants):
        return Refuse("DENIED", f"computer document {computer.version} does not admit this device now")
    if request.service not in computer.rules.services:
        return Refuse("DENIED", f"computer document {computer.version} does not admit {request.service}")
    if computer.rules.view_only:
        # Without a guard nothing here could keep a client from typing, so the rule is kept by refusing.
        return Refuse("UNSUPPORTED", "the rules say view-only, which needs a guard")
    return Allow(computer.rules)


def why_stale(documents: Documents, now: int) -> str | None:
    """Why nobody is served at `now` (Unix seconds); None when the documents stand."""
    try:
        require_current(documents.computer, documents.stamp, documents.revocations, now)
    except TelerelayError as error:
        return error.detail
    return None
