"""Approving waiting machines: the rules of PROTOCOL.md §10.3 step 3, the same for the keeper and by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from telerelay.authority.devices import DeviceIssuer, EnrolmentRequest, check_request, issue
from telerelay.org.api import OrganisationApi
from telerelay.org.folder import KeeperFolder
from telerelay.org.journal import Entry
from telerelay_endpoint.certificates import encode_certificate
from telerelay_endpoint.errors import TelerelayError


@dataclass(frozen=True)
class Issue:
    """Make a certificate; the entry goes into the journal before the chain goes out."""

    entry: Entry


@dataclass(frozen=True)
class Repeat:
    """The chain exists: it was sent into a connection that broke, or the node asks again."""

    entry: Entry


@dataclass(frozen=True)
class Refuse:
    """Sign nothing. `reason` is for the organisation's own log."""

    code: str
    reason: str


Decision: TypeAlias = Issue | Repeat | Refuse


@dataclass(frozen=True)
class ApprovingKeys:
    """What approving takes: the invite master (32 bytes) and the issuer."""

    master: bytes
    issuer: DeviceIssuer


def decide(request: EnrolmentRequest, used: Mapping[bytes, Entry], keys: ApprovingKeys, now: int) -> Decision:
    """What to do with one request; `used` is the journal, `now` Unix seconds. Nothing is written or sent."""
    try:
        device = check_request(request, keys.master, keys.issuer.root, now)
    except TelerelayError as error:
        return Refuse(error.code, error.detail)
    earlier = used.get(request.terms.id)
    if earlier is not None:
        if earlier.device == device:
            return Repeat(earlier)
        return Refuse("INVITE", "the invite was used by another key already")
    chain = issue(request, keys.issuer, now)
    terms = request.terms
    encoded = tuple(encode_certificate(certificate) for certificate in chain)
    return Issue(Entry(terms.id, device, terms.kind, terms.label, terms.computer, now, encoded))


def answer(
    request: EnrolmentRequest, folder: KeeperFolder, keys: ApprovingKeys, api: OrganisationApi, now: int
) -> Decision:
    """Decide, make it durable, tell the node. Raises TelerelayError when the node cannot be told."""
    with folder.journal.opened() as journal:
        decision = decide(request, journal.entries, keys, now)
        if isinstance(decision, Issue):
            journal.append(decision.entry)
    if isinstance(decision, Issue | Repeat):
        try:
            api.post_chain(request.terms.id, decision.entry.chain)
        except TelerelayError as error:
            if error.code != "ID_TAKEN":
                raise
            # The machine would wait until its invite expires for a chain that this node never releases.
            decision = Refuse(error.code, error.detail)
    if isinstance(decision, Refuse):
        api.refuse(request.terms.id, decision.code)
    return decision
