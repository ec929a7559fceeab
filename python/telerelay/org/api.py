"""The node's API for administrators and keepers, as values (PROTOCOL.md §11)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from cryptography import x509

from telerelay.authority.devices import EnrolmentRequest
from telerelay_core import format_computer_id
from telerelay_endpoint.api import LONG_POLL_S, NodeApi, Opener, read_json
from telerelay_endpoint.certificates import encode_certificate
from telerelay_endpoint.documents import Kind
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import INVITE_ID_SIZE, InviteKind, InviteTerms
from telerelay_endpoint.json_fields import Fields, each
from telerelay_endpoint.lines import to_base64url

_ID_SIZE = 32
_MAC_SIZE = 32


@dataclass(frozen=True)
class Overview:
    """What the node says about the organisation. `revocations`: newest version, 0 for none.

    `until`: when its admission for a test ends (Unix seconds); None: it is no test's.
    """

    organisation: bytes
    agents: int
    clients: int
    revocations: int
    until: int | None


@dataclass(frozen=True)
class Device:
    """An enrolled device as the node lists it: `device` is 32 bytes, times are Unix seconds."""

    device: bytes
    kind: InviteKind
    label: str
    computer: bytes | None
    enrolled: int
    last_seen: int | None
    revoked: bool
    flagged: str | None = None
    flagged_at: int | None = None


@dataclass(frozen=True)
class Changes:
    """Computers whose newest stamp is behind, and the number to ask with next time."""

    next: int
    computers: tuple[bytes, ...]


class OrganisationApi:
    """What an administrator's or keeper's certificate opens. Every method raises TelerelayError."""

    def __init__(self, opener: Opener) -> None:
        self._api = NodeApi(opener)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.__exit__(kind, error, trace)

    def abandon(self) -> None:
        """End the request that another thread waits for; it raises there."""
        self._api.abandon()

    def overview(self) -> Overview:
        """GET /v1/org."""
        body = Fields(read_json(self._api.get("/v1/org")))
        counts, versions = body.fields("counts"), body.fields("versions")
        return Overview(
            body.binary("organisation", _ID_SIZE),
            counts.number("agents"),
            counts.number("clients"),
            versions.number("revocations"),
            body.optional("until", body.number),
        )

    def post_invite(self, terms: InviteTerms, admit: bytes) -> None:
        """Let the node admit a request of this invite; `admit`: SHA-256(k1), 32 bytes."""
        body = {
            "id": to_base64url(terms.id),
            "kind": terms.kind,
            "label": terms.label,
            "expiry": terms.expiry,
            "admit": to_base64url(admit),
        }
        if terms.computer is not None:
            body["computer"] = format_computer_id(terms.computer)
        self._api.post("/v1/org/invites", body)

    def enrolments(self, *, wait: bool) -> list[EnrolmentRequest]:
        """Waiting requests as the node shows them, nothing of them believed."""
        query = {"wait": LONG_POLL_S} if wait else {}
        response = self._api.get("/v1/org/enrolments", query=query, long=wait)
        return [_enrolment(item) for item in each(read_json(response))]

    def post_chain(self, invite: bytes, chain: Sequence[bytes | x509.Certificate]) -> None:
        """Answer a waiting request (id of 16 bytes) with its chain: leaf, issuer, root."""
        encoded = [der if isinstance(der, bytes) else encode_certificate(der) for der in chain]
        self._answer(invite, {"chain": [to_base64url(der) for der in encoded]})

    def refuse(self, invite: bytes, code: str) -> None:
        """Answer a waiting request (id of 16 bytes) with a code."""
        self._answer(invite, {"refuse": code})

    def devices(self) -> list[Device]:
        """Every device that the node knows of this organisation."""
        return [_device(item) for item in each(read_json(self._api.get("/v1/org/devices")))]

    def post_document(self, encoded: bytes) -> None:
        """Publish a signed document; its typ says what it is."""
        self._api.post_document("/v1/org/documents", encoded)

    def computer_document(self, computer: bytes) -> bytes | None:
        """The stored document of a computer (ID of 10 bytes), unverified."""
        return self._api.document(f"/v1/org/documents/{Kind.COMPUTER}/{format_computer_id(computer)}")

    def stamp(self, computer: bytes) -> bytes | None:
        """The stored stamp of a computer (ID of 10 bytes), unverified."""
        return self._api.document(f"/v1/org/documents/{Kind.STAMP}/{format_computer_id(computer)}")

    def revocations(self) -> bytes | None:
        """The stored revocation list, unverified."""
        return self._api.document(f"/v1/org/documents/{Kind.REVOCATIONS}")

    def computers(self) -> list[bytes]:
        """The IDs of all computers that have a document."""
        response = self._api.get(f"/v1/org/documents/{Kind.COMPUTER}")
        return [item.computer("computer") for item in each(read_json(response))]

    def attempt(self, attempt: str) -> list[Mapping[str, Any]]:
        """The records of an attempt (as it is shown), oldest first."""
        found = read_json(self._api.get(f"/v1/org/attempts/{attempt}"))
        return [item.all() for item in each(found)]

    def changes(self, since: int) -> Changes:
        """Wait until something is behind that was not at `since`, or for 25 s."""
        query = {"since": since, "wait": LONG_POLL_S}
        body = Fields(read_json(self._api.get("/v1/org/changes", query=query, long=True)))
        return Changes(body.number("next"), tuple(body.computers("computers")))

    def _answer(self, invite: bytes, body: dict[str, Any]) -> None:
        self._api.post(f"/v1/org/enrolments/{to_base64url(invite)}", body)


def _enrolment(item: Fields) -> EnrolmentRequest:
    terms = InviteTerms(
        id=item.binary("id", INVITE_ID_SIZE),
        kind=_kind(item),
        computer=item.optional("computer", item.computer),
        label=item.text("label"),
        expiry=item.number("expiry"),
    )
    return EnrolmentRequest(terms, item.binary("csr"), item.binary("mac", _MAC_SIZE))


def _device(item: Fields) -> Device:
    return Device(
        device=item.binary("device", _ID_SIZE),
        kind=_kind(item),
        label=item.text("label"),
        computer=item.optional("computer", item.computer),
        enrolled=item.number("enrolled"),
        last_seen=item.optional("last_seen", item.number),
        revoked=item.boolean("revoked"),
        flagged=item.optional("flagged", item.text),
        flagged_at=item.optional("flagged_at", item.number),
    )


def _kind(item: Fields) -> InviteKind:
    try:
        return InviteKind(item.text("kind"))
    except ValueError as error:
        raise TelerelayError("UNREACHABLE", "the node's answer does not fit: kind") from error
