"""Organisations, clusters and documents for tests, made by the real authority."""

from dataclasses import replace

from telerelay.authority.devices import DeviceIssuer
from telerelay.authority.organisation import NewOrganisation
from telerelay_endpoint.certificates import RoleKey
from telerelay_endpoint.documents import COMPUTER_LIFE_S, STAMP_LIFE_S
from telerelay_endpoint.payloads import ComputerDocument, Grant, Own, RevocationList, Rules, Stamp
from telerelay_endpoint.timetable import Span, Timetable

NOW = 1_790_000_000
"""The time at which these tests take place, Unix seconds."""
COMPUTER = bytes.fromhex("00112233445566778899")
AGENT = bytes([0xA0]) * 32
CLIENT = bytes([0xC0]) * 32
RULES = Rules(services=("rfb",), sessions=8, resume_limit=0, idle_timeout=0, view_only=False)

COMPUTER_DOCUMENT = ComputerDocument(
    computer=COMPUTER,
    agent=AGENT,
    version=7,
    issued=NOW,
    expires=NOW + COMPUTER_LIFE_S,
    grants=(Grant(CLIENT, "田中"), Grant(bytes([0xC1]) * 32, "Suzuki", NOW - 60, NOW + 3600)),
    rules=RULES,
    label="Room 204",
)
STRICT_RULES = Rules(
    services=("rfb", "rdp"),
    sessions=1,
    resume_limit=600,
    idle_timeout=900,
    view_only=True,
    hours=Timetable(
        offset=540,
        spans=(Span(0, 510, 1035), Span(4, 1320, 1800), Span(7, 0, 1440)),
        holidays=(20_815, 20_819),
    ),
    allowed_networks=("192.0.2.0/24", "2001:db8::/32"),
    denied_networks=("192.0.2.7/32",),
    minimum_version=(1, 4, 0),
    notices=("のぞき見に注意してください。", "Leave no window open."),
    watermark="{label} {device} {time}",
    session_limit=36_000,
    lock_on_disconnect=True,
    own_devices=True,
)
"""Every rule there is."""
OWN_GRANT = Grant(CLIENT, "田中", None, NOW + 3600, Own("情報課長", "貸与端末の修理中"))
STAMP = Stamp(
    computer=COMPUTER,
    document_version=7,
    revocations_version=3,
    epoch=NOW,
    issued=NOW,
    expires=NOW + STAMP_LIFE_S,
)
REVOCATIONS = RevocationList(
    version=3, issued=NOW, devices=frozenset({bytes([0xD0]) * 32, bytes([0xD1]) * 32})
)


def issuer_of(organisation: NewOrganisation) -> DeviceIssuer:
    """What the organisation makes device certificates with."""
    issuer = organisation.roles[RoleKey.ISSUER]
    return DeviceIssuer(organisation.root.certificate, issuer.certificate, issuer.key)


def with_version(document: ComputerDocument, version: int) -> ComputerDocument:
    """The same document under another version."""
    return replace(document, version=version)
