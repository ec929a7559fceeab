"""May this client open this computer now? A pure answer by the documents that are held (PROTOCOL.md §9).

Fail closed: whatever is missing, expired or not known to be the newest refuses everybody.
"""

from dataclasses import dataclass

from telerelay_endpoint.admission import Allow, Refuse, Request, judge
from telerelay_endpoint.documents import Signed, require_current
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.payloads import ComputerDocument, RevocationList, Stamp


@dataclass(frozen=True)
class Documents:
    """The newest verified documents; None where there is none yet."""

    computer: Signed[ComputerDocument] | None = None
    stamp: Signed[Stamp] | None = None
    revocations: Signed[RevocationList] | None = None


def verdict(request: Request, documents: Documents, now: int, *, can_lock: bool) -> Allow | Refuse:
    """Judge `request`. `now`: Unix seconds, never earlier than the newest signed time that was seen (§9).

    `can_lock`: whether this agent can lock its desktop.
    """
    stale = why_stale(documents, now)
    if stale is not None or documents.computer is None or documents.revocations is None:
        return Refuse("POLICY_STALE", stale or "a document is missing")
    revoked = documents.revocations.document.devices
    return judge(request, documents.computer.document, revoked, now, can_lock=can_lock)


def why_stale(documents: Documents, now: int) -> str | None:
    """Why nobody is served at `now` (Unix seconds); None when the documents stand."""
    try:
        require_current(documents.computer, documents.stamp, documents.revocations, now)
    except TelerelayError as error:
        return error.detail
    return None
