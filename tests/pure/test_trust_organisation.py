"""The administrator's side: what `init` leaves on disk, whom a label means, what is published and noticed."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from telerelay.authority.signing import sign_computer_document, sign_stamp
from telerelay.org.api import Device, OrganisationApi
from telerelay.org.folder import OrganisationFolder
from telerelay.org.founding import found
from telerelay.org.inviting import BegunInvites, Inviting, invite
from telerelay.org.joining import join
from telerelay.org.journal import Entry
from telerelay.org.publishing import FIRST_RULES, Publisher, with_grant
from telerelay.org.registry import Registry
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import RoleKey, organisation_id
from telerelay_endpoint.documents import Clock, Kind
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind, admission_hash, invite_secret
from telerelay_endpoint.keys import load_key_file
from telerelay_endpoint.lines import ClusterLine, from_base64url, parse_invite, to_base64url
from telerelay_endpoint.payloads import Grant, NodeAddress
from tests.kit.fake_node import FakeNode
from tests.kit.organisations import AGENT, CLIENT, COMPUTER, COMPUTER_DOCUMENT, NOW, STAMP

CLUSTER = ClusterLine((bytes(32), bytes(32)), (NodeAddress("a", ("192.0.2.1:8443",)),))


def refused(act: Callable[[], object], code: str, sentence: str) -> None:
    with pytest.raises(TelerelayError, match=sentence) as caught:
        act()
    assert caught.value.code == code


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


# ---------------------------------------------------------------- init


def test_init_leaves_private_keys_private(tmp_path: Path) -> None:
    found(tmp_path / "org", "City", b"correct horse", NOW)
    found_modes = modes(tmp_path / "org")
    folders = {"admin", "keep", "documents"}
    readable = {name for name in found_modes if name.endswith(".pem")}
    assert {name for name, mode in found_modes.items() if mode == 0o700} == folders
    assert {name for name, mode in found_modes.items() if mode == 0o644} == readable
    assert {name for name, mode in found_modes.items() if mode == 0o600} == set(
        found_modes
    ) - folders - readable
    assert stat.S_IMODE((tmp_path / "org").stat().st_mode) == 0o700
    assert {name for name in found_modes if name.endswith(".key")} == {
        "root.key",
        "policy.key",
        "revoker.key",
        "admin/device.key",
        "keep/device.key",
        "keep/issuer.key",
        "keep/freshness.key",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["org"]


def test_init_encrypts_what_is_used_by_hand(tmp_path: Path) -> None:
    found(tmp_path / "org", "City", b"correct horse", NOW)
    for name in ("root", "policy", "revoker"):
        path = tmp_path / "org" / f"{name}.key"
        assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
        load_pem_private_key(path.read_bytes(), b"correct horse")
        refused(lambda path=path: load_key_file(path), "KEY_FILE", "needs its passphrase")  # type: ignore[misc]
        refused(lambda path=path: load_key_file(path, b"wrong"), "KEY_FILE", "does not open")  # type: ignore[misc]
    for name in ("admin/device", "keep/device", "keep/issuer", "keep/freshness"):
        load_key_file(tmp_path / "org" / f"{name}.key")


def test_init_without_a_passphrase(tmp_path: Path) -> None:
    found(tmp_path / "org", "City", None, NOW)
    folder = OrganisationFolder(tmp_path / "org")

    def ask() -> str:
        raise AssertionError("nothing to ask for")

    assert folder.signer(RoleKey.POLICY, ask).organisation == folder.organisation


def test_init_is_done_once(tmp_path: Path) -> None:
    found(tmp_path / "org", "City", None, NOW)
    before = modes(tmp_path / "org")
    refused(lambda: found(tmp_path / "org", "City", None, NOW), "USAGE", "made once")
    assert modes(tmp_path / "org") == before


def test_init_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("telerelay_endpoint.files.create_private", no_space)
    with pytest.raises(TelerelayError, match="No space left"):
        found(tmp_path / "org", "City", None, NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    found(tmp_path / "org", "City", None, NOW)
    folder = OrganisationFolder(tmp_path / "org")
    for path in (
        tmp_path / "org/policy.key",
        tmp_path / "org/keep/issuer.key",
        tmp_path / "org/keep/invite.master",
    ):
        path.chmod(0o640)
    refused(lambda: folder.signer(RoleKey.POLICY, str), "KEY_FILE", "others may read it")
    refused(folder.keeper().issuer, "KEY_FILE", "others may read it")
    refused(folder.keeper().master, "KEY_FILE", "others may read it")


# ---------------------------------------------------------------- invites


def test_the_invite_can_be_recomputed_from_what_the_node_shows(tmp_path: Path) -> None:
    organisation = found(tmp_path / "org", "City", None, NOW)
    master = OrganisationFolder(tmp_path / "org").keeper().master()
    node = FakeNode(organisation.organisation)
    begun = BegunInvites(tmp_path / "org" / "invites.jsonl")
    terms = begun.terms_for(InviteKind.AGENT, "総務課 田中", NOW + 60, NOW)
    with OrganisationApi(node.opener()) as api:
        made = invite(terms, Inviting(organisation.organisation, master, CLUSTER), api)
    assert parse_invite(made.format()) == made
    (shown,) = node.invites.values()
    assert set(shown) == {"id", "kind", "computer", "label", "expiry", "admit"}
    assert shown["computer"] == format_computer_id(terms.computer or b"")
    assert from_base64url(shown["admit"]) == admission_hash(made.secret)
    # The keeper knows nothing but its master and what the node shows.
    again = replace(terms, id=from_base64url(shown["id"]), label=shown["label"], expiry=shown["expiry"])
    assert invite_secret(master, organisation.organisation, again) == made.secret
    assert to_base64url(made.secret) not in str(node)


def test_an_interrupted_invite_is_the_same_again(tmp_path: Path) -> None:
    begun = BegunInvites(tmp_path / "invites.jsonl")
    first = begun.terms_for(InviteKind.CLIENT, "Tanaka", NOW + 60, NOW)
    assert first.computer is None
    assert begun.terms_for(InviteKind.CLIENT, "Tanaka", NOW + 99, NOW) == first
    assert begun.terms_for(InviteKind.CLIENT, "Suzuki", NOW + 60, NOW) != first
    assert begun.terms_for(InviteKind.AGENT, "Tanaka", NOW + 60, NOW).kind is InviteKind.AGENT
    # Expired, or handed over: the next one is another.
    assert begun.terms_for(InviteKind.CLIENT, "Tanaka", NOW + 99, NOW + 60) != first
    begun.hand_over(first)
    assert begun.terms_for(InviteKind.CLIENT, "Suzuki", NOW + 60, NOW).label == "Suzuki"
    assert stat.S_IMODE((tmp_path / "invites.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("label", ["", "a" * 129, "田" * 43, "two\nlines", "\x1b[31mred"])
def test_a_label_that_does_not_fit(tmp_path: Path, label: str) -> None:
    begun = BegunInvites(tmp_path / "invites.jsonl")
    refused(lambda: begun.terms_for(InviteKind.CLIENT, label, NOW + 60, NOW), "USAGE", "a label has")


# ---------------------------------------------------------------- who is who

TANAKA = Device(CLIENT, InviteKind.CLIENT, "Tanaka", None, NOW, None, revoked=False)
OFFICE_PC = Device(AGENT, InviteKind.AGENT, "Room 204", COMPUTER, NOW, NOW, revoked=False)


def approved(device: Device, number: int = 1) -> dict[bytes, Entry]:
    entry = Entry(bytes([number]) * 16, device.device, device.kind, device.label, device.computer, NOW, ())
    return {entry.invite: entry}


def test_a_device_is_found_by_what_people_type() -> None:
    registry = Registry((TANAKA, OFFICE_PC), {**approved(TANAKA, 1), **approved(OFFICE_PC, 2)})
    assert registry.find("Tanaka", InviteKind.CLIENT) == TANAKA
    assert registry.find("C0C0C0", InviteKind.CLIENT) == TANAKA
    assert registry.find("Room 204") == OFFICE_PC
    assert registry.find_computer("Room 204") == OFFICE_PC
    assert registry.find_computer(format_computer_id(COMPUTER).lower()) == OFFICE_PC
    assert registry.is_approved(TANAKA)
    refused(lambda: registry.find("c0c0c"), "USAGE", "no device is called")
    refused(lambda: registry.find("Room 204", InviteKind.CLIENT), "USAGE", "no client is called")
    refused(lambda: registry.find_computer("Nobody"), "USAGE", "no computer's label")
    refused(lambda: registry.find_computer(format_computer_id(bytes(10))), "USAGE", "no agent is called")


def test_two_of_one_name_are_told_apart() -> None:
    other = replace(TANAKA, device=bytes(32))
    registry = Registry((TANAKA, other), {})
    refused(lambda: registry.find("Tanaka"), "USAGE", "fits several: c0c0c0c0c0c0 .Tanaka., 000000000000")
    assert registry.find("000000") == other
    assert not registry.is_approved(other)


def test_a_computer_installed_anew_is_told_from_what_it_was() -> None:
    """Both have its label until the first is revoked; each has an ID of its own."""
    again = replace(OFFICE_PC, device=bytes(32), computer=bytes(10))
    registry = Registry((OFFICE_PC, again), {})
    first, second = format_computer_id(COMPUTER), format_computer_id(bytes(10))
    refused(lambda: registry.find_computer("Room 204"), "USAGE", f"{first} .Room 204., {second} .Room 204.")
    assert registry.find_computer(second) == again
    registry = Registry((replace(OFFICE_PC, revoked=True), again), {})
    assert registry.find_computer("Room 204") == again


def test_a_node_that_renames_a_device_is_caught() -> None:
    registry = Registry((replace(TANAKA, label="Mayor"),), approved(TANAKA))
    refused(lambda: registry.find("Mayor"), "IDENTITY", "renamed")


def test_a_node_that_puts_its_own_device_under_a_known_name_is_caught() -> None:
    registry = Registry((replace(TANAKA, device=bytes(32)),), approved(TANAKA))
    refused(lambda: registry.find("Tanaka"), "IDENTITY", "shows 000000000000 where c0c0c0c0c0c0 was approved")
    computers = Registry((replace(OFFICE_PC, device=bytes(32), label="Room 9"),), approved(OFFICE_PC))
    refused(lambda: computers.find_computer("Room 9"), "IDENTITY", "where a0a0a0a0a0a0 was approved")


# ---------------------------------------------------------------- publishing


class Publishing:
    """An administrator, a node, and a keeper that stamps when a test says so."""

    def __init__(self, path: Path) -> None:
        self.organisation = found(path / "org", "City", None, NOW)
        self.folder = OrganisationFolder(path / "org")
        self.node = FakeNode(self.organisation.organisation)
        self.api = OrganisationApi(self.node.opener())
        self.publisher = Publisher(self.folder.root, self.folder.held, self.api, Clock(lambda: NOW))
        self.policy = self.folder.signer(RoleKey.POLICY, str)
        self.revoker = self.folder.signer(RoleKey.REVOKER, str)

    def grant(self, client: bytes = CLIENT, label: str = "Tanaka") -> int:
        return self.publisher.grant(OFFICE_PC, Grant(client, label), self.policy).version

    def stamp(self, document: int, revocations: int = 1) -> None:
        stamp = replace(
            STAMP, document_version=document, revocations_version=revocations, epoch=NOW + document
        )
        self.node.put(sign_stamp(stamp, self.organisation.signer(RoleKey.FRESHNESS)).encoded)

    def missing(self, version: int) -> list[str]:
        return self.publisher.wait_for_stamps(
            [COMPUTER], lambda stamp: stamp.document_version >= version, 0.01, lambda _missing: None
        )


@pytest.fixture
def publishing(tmp_path: Path) -> Iterator[Publishing]:
    made = Publishing(tmp_path)
    with made.api:
        yield made


def test_the_first_document_of_a_computer() -> None:
    document = with_grant(None, OFFICE_PC, Grant(CLIENT, "Tanaka"), NOW)
    assert (document.version, document.computer, document.agent) == (1, COMPUTER, AGENT)
    assert (document.expires - document.issued, document.rules) == (180 * 86_400, FIRST_RULES)
    assert FIRST_RULES.resume_limit == 0
    assert document.label == "Room 204"


def test_the_next_document_keeps_what_was_granted() -> None:
    before = with_grant(None, OFFICE_PC, Grant(CLIENT, "Tanaka"), NOW)
    both = with_grant(before, OFFICE_PC, Grant(bytes(32), "Suzuki"), NOW + 1)
    assert both.grants == (Grant(CLIENT, "Tanaka"), Grant(bytes(32), "Suzuki"))
    limited = with_grant(both, OFFICE_PC, Grant(CLIENT, "Tanaka", not_after=NOW + 9), NOW + 2)
    assert limited.grants == (Grant(bytes(32), "Suzuki"), Grant(CLIENT, "Tanaka", not_after=NOW + 9))
    assert (limited.version, limited.issued) == (3, NOW + 2)
    other = replace(OFFICE_PC, device=bytes(32))
    refused(lambda: with_grant(before, other, Grant(CLIENT, "Tanaka"), NOW), "USAGE", "is for device a0a0a0")


def test_grants_are_published_one_version_after_the_other(publishing: Publishing) -> None:
    assert [publishing.grant(), publishing.grant(bytes(32), "Suzuki")] == [1, 2]
    document = publishing.publisher.computer_document(COMPUTER)
    assert document is not None
    assert [grant.label for grant in document.grants] == ["Tanaka", "Suzuki"]


def test_a_node_that_takes_a_document_back_is_caught(publishing: Publishing) -> None:
    publishing.grant()
    old = dict(publishing.node.documents)
    publishing.grant(bytes(32), "Suzuki")
    publishing.node.documents = old
    refused(publishing.grant, "POLICY_STALE", "version 1 is older than 2")
    publishing.node.documents = {}
    refused(publishing.grant, "POLICY_STALE", "shows no computer document, version 2 was published")


def test_a_node_that_shows_a_forged_document_is_caught(publishing: Publishing, tmp_path: Path) -> None:
    other = found(tmp_path / "other", "City", None, NOW)
    publishing.node.put(sign_computer_document(COMPUTER_DOCUMENT, other.signer(RoleKey.POLICY)).encoded)
    refused(publishing.grant, "DOCUMENT", "another organisation's")


def test_revoking(publishing: Publishing) -> None:
    publishing.publisher.publish_held_revocations()
    first = publishing.publisher.revoke(CLIENT, publishing.revoker)
    assert (first.version, set(first.devices)) == (2, {CLIENT})
    assert publishing.publisher.revoke(CLIENT, publishing.revoker) == first
    assert publishing.publisher.revoke(AGENT, publishing.revoker).devices == frozenset({CLIENT, AGENT})
    publishing.node.documents = {}
    refused(
        lambda: publishing.publisher.revoke(CLIENT, publishing.revoker),
        "POLICY_STALE",
        "shows no revocation list",
    )


def test_the_stamp_that_names_the_new_version_is_waited_for(publishing: Publishing) -> None:
    version = publishing.grant()
    shown = format_computer_id(COMPUTER)
    assert publishing.missing(version) == [shown]
    publishing.stamp(version - 1)
    assert publishing.missing(version) == [shown]
    publishing.stamp(version)
    assert publishing.missing(version) == []
    # Withheld by the node: exactly what the waiting is there to find.
    publishing.node.withheld.add((Kind.STAMP, shown))
    assert publishing.missing(version) == [shown]


def test_a_stamp_that_the_node_made_itself_does_not_count(publishing: Publishing, tmp_path: Path) -> None:
    version = publishing.grant()
    other = found(tmp_path / "other", "City", None, NOW)
    forged = sign_stamp(replace(STAMP, document_version=version), other.signer(RoleKey.FRESHNESS))
    publishing.node.put(forged.encoded)
    refused(lambda: publishing.missing(version), "DOCUMENT", "another organisation's")


# ---------------------------------------------------------------- join


def test_join_tells_administrator_and_keeper(publishing: Publishing) -> None:
    folder = publishing.folder
    overview = join(folder, CLUSTER, lambda _credentials: OrganisationApi(publishing.node.opener()), NOW)
    assert overview.organisation == organisation_id(folder.root)
    assert folder.admin(NOW).relay.cluster == CLUSTER
    assert folder.keeper().credentials(NOW).relay.role == "keeper"
    # Stamps need a revocation list from the first day.
    assert (Kind.REVOCATIONS, None) in publishing.node.documents


def test_join_of_a_node_that_takes_us_for_others(publishing: Publishing) -> None:
    publishing.node.organisation = bytes(32)
    open_api = lambda _credentials: OrganisationApi(publishing.node.opener())  # noqa: E731
    refused(lambda: join(publishing.folder, CLUSTER, open_api, NOW), "IDENTITY", "another organisation's")
    refused(lambda: publishing.folder.admin(NOW), "CERTIFICATE", "is not enrolled")
