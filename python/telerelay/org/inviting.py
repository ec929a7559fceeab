"""Inviting a machine: what goes to the node, what goes to the machine, and going on after an interruption."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telerelay.org.api import OrganisationApi
from telerelay_core import CoreError, format_computer_id, parse_computer_id
from telerelay_endpoint import files
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import (
    INVITE_ID_SIZE,
    InviteKind,
    InviteTerms,
    admission_hash,
    invite_secret,
)
from telerelay_endpoint.lines import ClusterLine, Invite, from_base64url, to_base64url
from telerelay_endpoint.payloads import COMPUTER_SIZE, LABEL_MAXIMUM


@dataclass(frozen=True)
class Inviting:
    """What invites are made with: organisation ID and invite master (32 bytes each), the cluster to dial."""

    organisation: bytes
    master: bytes
    cluster: ClusterLine


class BegunInvites:
    """Invites that were begun: enough to print the same one again after an interruption, no secret."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def terms_for(self, kind: InviteKind, label: str, expiry: int, now: int) -> InviteTerms:
        """The terms of an invite of this kind and label that was not handed over, else new ones, remembered.

        Raises TelerelayError: USAGE for a label that does not fit, MACHINE when the file is damaged.
        """
        _check_label(label)
        for terms, handed_over in self._read().values():
            if not handed_over and (terms.kind, terms.label) == (kind, label) and terms.expiry > now:
                return terms
        computer = secrets.token_bytes(COMPUTER_SIZE) if kind is InviteKind.AGENT else None
        terms = InviteTerms(secrets.token_bytes(INVITE_ID_SIZE), kind, computer, label, expiry)
        self._append(terms, handed_over=False)
        return terms

    def hand_over(self, terms: InviteTerms) -> None:
        """The person has the invite: the next one of the same label is another."""
        self._append(terms, handed_over=True)

    def _read(self) -> Mapping[bytes, tuple[InviteTerms, bool]]:
        if not self._path.exists():
            return {}
        found: dict[bytes, tuple[InviteTerms, bool]] = {}
        try:
            for line in self._path.read_bytes().splitlines():
                record = json.loads(line)
                computer = record["computer"]
                terms = InviteTerms(
                    from_base64url(record["id"]),
                    InviteKind(record["kind"]),
                    None if computer is None else parse_computer_id(computer),
                    record["label"],
                    record["expiry"],
                )
                found[terms.id] = (terms, record["handed_over"])
        except (ValueError, KeyError, TypeError, CoreError) as error:
            raise TelerelayError("MACHINE", f"{self._path} is damaged") from error
        return found

    def _append(self, terms: InviteTerms, *, handed_over: bool) -> None:
        record: dict[str, Any] = {
            "id": to_base64url(terms.id),
            "kind": terms.kind,
            "computer": None if terms.computer is None else format_computer_id(terms.computer),
            "label": terms.label,
            "expiry": terms.expiry,
            "handed_over": handed_over,
        }
        before = self._path.read_bytes() if self._path.exists() else b""
        files.replace(self._path, before + json.dumps(record, ensure_ascii=False).encode() + b"\n")


def invite(terms: InviteTerms, inviting: Inviting, api: OrganisationApi) -> Invite:
    """Let the node admit the machine, and make the line to carry there. Raises TelerelayError."""
    secret = invite_secret(inviting.master, inviting.organisation, terms)
    api.post_invite(terms, admission_hash(secret))
    return Invite(inviting.organisation, inviting.cluster, terms, secret)


def _check_label(label: str) -> None:
    if not label or len(label.encode()) > LABEL_MAXIMUM:
        raise TelerelayError("USAGE", f"a label has 1 to {LABEL_MAXIMUM} bytes")
    if not label.isprintable():
        raise TelerelayError("USAGE", "a label has only characters that can be seen")
