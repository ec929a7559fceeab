"""Why somebody may connect or may not: the agent's own verdict, and the line of the policy behind it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from telerelay.org.policy.changing import shown, tries
from telerelay.org.policy.file import Policy
from telerelay.org.policy.resolving import FIELDS, Decided, resolve
from telerelay_endpoint.admission import Allow, Refuse, Request, judge
from telerelay_endpoint.documents import Signed, require_current
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.payloads import ComputerDocument, RevocationList, Stamp

_NAMES: Final = {field: name for name, field in FIELDS.items()}


@dataclass(frozen=True)
class Held:
    """What an agent would go by, all of it verified; None where there is none."""

    document: ComputerDocument | None
    stamp: Stamp | None
    revocations: RevocationList | None


@dataclass(frozen=True)
class Rule:
    """One rule in force: as a policy writes it, and which section and line say so.

    Without a section it is a default; without a source the published policy says otherwise than the document.
    """

    name: str
    value: str
    section: str
    source: str | None


@dataclass(frozen=True)
class Explanation:
    """The verdict at a time (Unix seconds), and every rule in force; `decided` is the one that refuses."""

    at: int
    answer: Allow | Refuse
    rules: tuple[Rule, ...]
    decided: Rule | None


@dataclass(frozen=True)
class Attempt:
    """What the records tell of one attempt. `ended`: None while it lasts; `stage` is §4's."""

    began: int
    client: bytes
    computer: str
    address: str
    program: str | None
    code: str | None
    stage: str | None


def explain(
    held: Held, request: Request | None, client: bytes, at: int, policy: Policy | None
) -> Explanation:
    """What the agent says to `client` (device ID, 32 bytes) at `at`.

    Without a `request` it asks as well as it can: from a network that is allowed, with the newest program.
    """
    if held.document is None:
        return Explanation(at, Refuse("DENIED", "nobody was ever granted this computer"), (), None)
    document = held.document
    rules = tuple(_rules(document, policy))
    answer = _verdict(held, document, request, client, at)
    named = _NAMES.get(answer.rule or "") if isinstance(answer, Refuse) else None
    return Explanation(at, answer, rules, next((rule for rule in rules if rule.name == named), None))


def read_attempt(records: Sequence[Mapping[str, Any]]) -> Attempt | None:
    """One attempt's records as one; None where there are none. Raises TelerelayError(UNREACHABLE)."""
    if not records:
        return None
    try:
        told = {name: value for record in records for name, value in record.items() if value is not None}
        is_over = any(record["kind"] == "END" for record in records)
        return Attempt(
            began=int(datetime.fromisoformat(str(records[0]["time"])).timestamp()),
            client=bytes.fromhex(told["client"]),
            computer=str(told["computer"]),
            address=str(told["address"]),
            program=told.get("program"),
            code=str(told["code"]) if is_over else None,
            stage=told.get("stage") if is_over else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TelerelayError("UNREACHABLE", f"the node's records do not fit: {error}") from error


def _verdict(
    held: Held, document: ComputerDocument, request: Request | None, client: bytes, at: int
) -> Allow | Refuse:
    try:
        stamp, revocations = _as_verified(held.stamp), _as_verified(held.revocations)
        require_current(_as_verified(document), stamp, revocations, at)
    except TelerelayError as error:
        return Refuse("POLICY_STALE", error.detail)
    revoked = held.revocations.devices if held.revocations else ()
    requests = [request] if request is not None else tries(document.rules, client)
    answers = [judge(one, document, revoked, at) for one in requests]
    return next((answer for answer in answers if isinstance(answer, Allow)), answers[-1])


def _as_verified(document: Any) -> Any:
    # The publisher has verified what it gives; the bytes do not matter any more.
    return None if document is None else Signed(document, b"")


def _rules(document: ComputerDocument, policy: Policy | None) -> Iterator[Rule]:
    decided: Mapping[str, Decided] = {}
    applied = document.rules
    if policy is not None:
        resolved = resolve(policy, document.computer, document.label)
        applied, decided = resolved.rules, resolved.decided
    for name, field in FIELDS.items():
        agrees = getattr(applied, field) == getattr(document.rules, field)
        said = decided.get(name) if agrees else None
        yield Rule(
            name, shown(document.rules, name), said.section if said else "", said.source if said else None
        )
