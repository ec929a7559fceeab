"""The kinds of audit records and their one line of JSON (PROTOCOL.md §14).

Identifiers stand as people see them elsewhere: attempt and computer ID as shown, all others and hashes in
hex. Every text is cut to what its field on the wire can hold, so that no record passes 4 KiB.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from telerelay.audit.chain import Head
from telerelay_endpoint.escaping import escape
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.lines import to_base64url

_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
"""`json.dumps` would make an encoder for each record."""
RECORD_MAXIMUM: Final = LIMITS["audit_record_bytes"]
_TEXT_MAXIMUM: Final = LIMITS["audit_text"]
REASON_MAXIMUM: Final = LIMITS["audit_reason"]

CHECKPOINT: Final = "CHECKPOINT"
"""The kind of a record that holds a signature over those before it."""
EXPORT: Final = "EXPORT"
"""The kind of a record that tells of an export."""
NODE_LOST: Final = "NODE_LOST"
"""How an attempt ended whose node died with it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, before the spool gives it time and number.

    `organisation` (32 bytes), `attempt` (shown text) and `path` (16 bytes) are what it can be found by.
    """

    kind: str
    fields: Mapping[str, Any]
    organisation: bytes | None = None
    attempt: str | None = None
    path: bytes | None = None

    def encode(self, head: Head, time_ms: int, salt: bytes) -> bytes:
        """The line behind `head`, with its line feed. `time_ms`: Unix milliseconds; `salt`: 16 random."""
        moment = datetime.fromtimestamp(time_ms // 1000, UTC)
        record = {
            **self.fields,
            "kind": self.kind,
            "node": head.node,
            "prev": head.link.hex(),
            "salt": salt.hex(),
            "seq": head.seq + 1,
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03}Z",
        }
        return escape(_AS_JSON(record)).encode() + b"\n"


def start(
    *,
    attempt: str,
    path: bytes,
    organisation: bytes,
    client: bytes,
    agent: bytes,
    computer: str,
    service: str,
    address: str,
    program: str,
) -> Record:
    """*here* was decided."""
    return Record(
        "START",
        {
            "attempt": attempt,
            "path": path.hex(),
            "organisation": organisation.hex(),
            "client": client.hex(),
            "agent": agent.hex(),
            "computer": computer,
            "service": service,
            "address": address[:_TEXT_MAXIMUM],
            "program": program[:_TEXT_MAXIMUM],
        },
        organisation,
        attempt,
        path,
    )


def end_of_path(
    *,
    attempt: str,
    path: bytes,
    path_kind: str,
    code: str,
    stage: str,
    duration_ms: int,
    bytes_to_client: int,
    bytes_to_agent: int,
    session: bytes | None,
    notices: Sequence[bytes],
) -> Record:
    """The terminal record of a routed attempt."""
    return Record(
        "END",
        {
            "attempt": attempt,
            "routed": True,
            "path": path.hex(),
            "path_kind": path_kind,
            "code": code,
            "stage": stage,
            "duration_ms": duration_ms,
            "bytes_to_client": bytes_to_client,
            "bytes_to_agent": bytes_to_agent,
            "session": None if session is None else session.hex(),
            "notices": [notice.hex() for notice in notices],
        },
        attempt=attempt,
        path=path,
    )


def end_by_crash(*, attempt: str, path: bytes) -> Record:
    """The terminal record of a routed attempt whose node died; null is what died with it."""
    unknown = ("path_kind", "stage", "duration_ms", "bytes_to_client", "bytes_to_agent", "session")
    return Record(
        "END",
        {
            "attempt": attempt,
            "routed": True,
            "path": path.hex(),
            "code": NODE_LOST,
            "notices": [],
            **dict.fromkeys(unknown),
        },
        attempt=attempt,
        path=path,
    )


def end_of_refused(
    *,
    attempt: str,
    organisation: bytes,
    client: bytes,
    computer: str,
    service: str,
    address: str,
    code: str,
    stage: str,
) -> Record:
    """The terminal record, and the only one, of an attempt that was not routed."""
    return Record(
        "END",
        {
            "attempt": attempt,
            "routed": False,
            "organisation": organisation.hex(),
            "client": client.hex(),
            "computer": computer,
            "service": service,
            "address": address[:_TEXT_MAXIMUM],
            "code": code,
            "stage": stage,
        },
        organisation,
        attempt,
    )


def enrol(
    *,
    organisation: bytes,
    device: bytes,
    role: str,
    computer: str | None,
    invite: bytes,
    terms_version: int,
    terms_hash: bytes,
    address: str,
) -> Record:
    """A chain was released to the device that asked for it."""
    return Record(
        "ENROL",
        {
            "organisation": organisation.hex(),
            "device": device.hex(),
            "role": role,
            "computer": computer,
            "invite": invite.hex(),
            "terms_version": terms_version,
            "terms_hash": terms_hash.hex(),
            "address": address[:_TEXT_MAXIMUM],
        },
        organisation,
    )


def document(
    *, organisation: bytes, document: str, computer: str | None, version: int, sha256: bytes, by: bytes
) -> Record:
    """A document was stored. `document`: its kind; `by`: the device that brought it."""
    return Record(
        "DOCUMENT",
        {
            "organisation": organisation.hex(),
            "document": document,
            "computer": computer,
            "version": version,
            "sha256": sha256.hex(),
            "by": by.hex(),
        },
        organisation,
    )


def revoke(*, organisation: bytes, device: bytes, version: int, by: bytes) -> Record:
    """A revocation list took a device away."""
    return Record(
        "REVOKE",
        {"organisation": organisation.hex(), "device": device.hex(), "version": version, "by": by.hex()},
        organisation,
    )


def admit(
    *, organisation: bytes, action: str, reason: str, sessions: int | None = None, until: int | None = None
) -> Record:
    """The operator admitted or suspended an organisation.

    `sessions`: how many at once, `until`: when a test ends (Unix seconds); each where it was said.
    """
    return Record(
        "ADMIT",
        {
            "organisation": organisation.hex(),
            "action": action,
            "reason": reason[:REASON_MAXIMUM],
            "sessions": sessions,
            "until": None if until is None else f"{datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}",
        },
        organisation,
    )


def cut(
    *, organisation: bytes | None, device: bytes | None, attempt: str | None, by: str, reason: str
) -> Record:
    """The operator is about to end sessions: an attempt's, a device's, an organisation's, or everybody's."""
    return Record(
        "CUT",
        {
            "organisation": None if organisation is None else organisation.hex(),
            "device": None if device is None else device.hex(),
            "attempt": attempt,
            "by": by[:REASON_MAXIMUM],
            "reason": reason[:REASON_MAXIMUM],
        },
        organisation,
        attempt,
    )


def checkpoint(signed: bytes) -> Record:
    """The node signed where its chain stood before this record."""
    return Record(CHECKPOINT, {"signed": to_base64url(signed)})


def export(
    *, organisation: bytes, begin: str, end: str, requested_by: str, ground: str, exported: int
) -> Record:
    """Records of an organisation were given out. `begin`, `end`: RFC 3339; `exported`: how many."""
    return Record(
        EXPORT,
        {
            "organisation": organisation.hex(),
            "from": begin,
            "to": end,
            "requested_by": requested_by[:REASON_MAXIMUM],
            "ground": ground[:REASON_MAXIMUM],
            "exported": exported,
        },
        organisation,
    )
