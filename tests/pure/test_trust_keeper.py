"""The keeper: an invite serves one key, a stamp never names less than was seen, a stop is heard at once."""

import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from telerelay.authority.devices import EnrolmentRequest
from telerelay.authority.signing import sign_computer_document, sign_revocations, sign_stamp
from telerelay.org.api import OrganisationApi
from telerelay.org.approval import ApprovingKeys, Decision, Issue, Refuse, Repeat, answer, decide
from telerelay.org.folder import KEEP, KeeperFolder
from telerelay.org.founding import found
from telerelay.org.journal import Entry, Journal
from telerelay.org.keeper import Keeper
from telerelay.org.stamping import RENEW_S, Freshness, is_due, newest_revocations, next_stamp, stamp_computer
from telerelay_core import format_computer_id
from telerelay_endpoint.certificates import Role, RoleKey, encode_certificate
from telerelay_endpoint.credentials import Relay
from telerelay_endpoint.documents import Clock, Kind, Signed, verify_stamp
from telerelay_endpoint.enrolment import Pending, request_body
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.invite_keys import InviteKind, InviteTerms, invite_secret
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.lines import ClusterLine, Invite, from_base64url, to_base64url
from telerelay_endpoint.payloads import NodeAddress, RevocationList, Stamp
from telerelay_endpoint.terms import current_terms
from tests.kit.fake_node import FakeNode, Json
from tests.kit.organisations import COMPUTER, COMPUTER_DOCUMENT, NOW, REVOCATIONS, STAMP, with_version

CLUSTER = ClusterLine((bytes(32), bytes(32)), (NodeAddress("a", ("192.0.2.1:8443",)),))


class Office:
    """An organisation in a folder, its keeper, and the node between."""

    def __init__(self, path: Path, now: int = NOW) -> None:
        self.now = now
        self.organisation = found(path / "org", "City", None, now)
        self.folder = KeeperFolder(path / "org" / KEEP)
        self.keys = ApprovingKeys(self.folder.master(), self.folder.issuer())
        self.freshness = Freshness(self.folder.root, self.folder.freshness(), self.folder.held)
        self.node = FakeNode(self.organisation.organisation)
        self.clock = Clock(lambda: self.now)

    def api(self) -> OrganisationApi:
        return OrganisationApi(self.node.opener())

    def request(self, kind: InviteKind = InviteKind.CLIENT, label: str = "Tanaka") -> EnrolmentRequest:
        """A machine with an invite of this organisation asks the node."""
        computer = COMPUTER if kind is InviteKind.AGENT else None
        terms = InviteTerms(
            make_key().private_numbers().private_value.to_bytes(32, "big")[:16],
            kind,
            computer,
            label,
            self.now + 60,
        )
        return self.ask_with(terms)

    def ask_with(self, terms: InviteTerms) -> EnrolmentRequest:
        """Another machine asks with an invite of these terms."""
        organisation = self.organisation.organisation
        invite = Invite(organisation, CLUSTER, terms, invite_secret(self.keys.master, organisation, terms))
        body = request_body(Pending(invite, 1, current_terms().hash), make_key())
        shown: Json = {"id": body["id"], "kind": terms.kind, "label": terms.label, "expiry": terms.expiry}
        with self.node.changed:
            self.node.invites[body["id"]] = shown
            self.node.requests[body["id"]] = {**shown, **body}
            self.node.changed.notify_all()
        return EnrolmentRequest(terms, from_base64url(body["csr"]), from_base64url(body["mac"]))

    def publish(self, version: int = 7, revocations: int = 3) -> None:
        """The administrator publishes a document and a revocation list."""
        document = replace(
            with_version(COMPUTER_DOCUMENT, version), issued=self.now, expires=self.now + 999_999
        )
        self.node.put(sign_computer_document(document, self.organisation.signer(RoleKey.POLICY)).encoded)
        revoked = RevocationList(revocations, self.now, REVOCATIONS.devices)
        self.node.put(sign_revocations(revoked, self.organisation.signer(RoleKey.REVOKER)).encoded)

    def stamp(self) -> Stamp:
        """One look of the keeper at the one computer."""
        with self.api() as api:
            revocations = newest_revocations(self.freshness, api, self.clock)
            return stamp_computer(COMPUTER, revocations, self.freshness, api, self.clock).document

    def stored_stamp(self) -> Signed[Stamp] | None:
        """What the node has."""
        encoded = self.node.documents.get((Kind.STAMP, format_computer_id(COMPUTER)))
        return verify_stamp(encoded, self.folder.root, self.now) if encoded else None


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


# ---------------------------------------------------------------- approving


def approve(office: Office, request: EnrolmentRequest) -> Decision:
    with office.api() as api:
        return answer(request, office.folder, office.keys, api, office.now)


def test_an_invited_machine_is_approved_and_journalled(office: Office) -> None:
    request = office.request(InviteKind.AGENT, "総務課")
    decision = approve(office, request)
    assert isinstance(decision, Issue)
    (entry,) = office.folder.journal.entries().values()
    assert entry == decision.entry
    assert (entry.kind, entry.label, entry.computer) == (InviteKind.AGENT, "総務課", COMPUTER)
    sent = office.node.answers[to_base64url(request.terms.id)]["chain"]
    assert [from_base64url(der) for der in sent] == list(entry.chain)
    assert entry.chain[2] == encode_certificate(office.folder.root)


def test_an_invite_serves_one_key_for_ever(office: Office) -> None:
    request = office.request()
    first = approve(office, request)
    office.node.answers.clear()
    second = office.ask_with(request.terms)
    refused = approve(office, second)
    assert refused == Refuse("INVITE", "the invite was used by another key already")
    assert office.node.answers[to_base64url(request.terms.id)] == {"refuse": "INVITE"}
    # The first machine is given the very same chain again, whatever the node asks.
    office.node.answers.clear()
    assert isinstance(first, Issue)
    assert approve(office, request) == Repeat(first.entry)
    assert len(office.folder.journal.entries()) == 1


def test_a_restart_forgets_nothing(office: Office, tmp_path: Path) -> None:
    request = office.request()
    approve(office, request)
    again = KeeperFolder(tmp_path / "org" / KEEP)
    with again.journal.opened() as journal:
        decision = decide(office.ask_with(request.terms), journal.entries, office.keys, office.now)
    assert isinstance(decision, Refuse)


def test_signed_and_not_sent_is_sent_the_next_time(office: Office) -> None:
    request = office.request()
    office.node.failures = ["refuse"]
    with pytest.raises(TelerelayError, match="no node"):
        approve(office, request)
    assert isinstance(approve(office, request), Repeat)
    assert "chain" in office.node.answers[to_base64url(request.terms.id)]


def test_altered_by_the_node_is_refused_and_not_journalled(office: Office) -> None:
    request = office.request()
    altered = replace(request, terms=replace(request.terms, label="Mayor"))
    decision = approve(office, altered)
    assert isinstance(decision, Refuse)
    assert "was altered on its way" in decision.reason
    assert office.folder.journal.entries() == {}


def test_a_computer_that_belongs_to_another_key_is_refused(office: Office) -> None:
    office.node.taken = True
    request = office.request(InviteKind.AGENT, "Room 204")
    assert approve(office, request) == Refuse("ID_TAKEN", "the computer ID")
    assert office.node.answers[to_base64url(request.terms.id)] == {"refuse": "ID_TAKEN"}


# ---------------------------------------------------------------- the journal


def entry(number: int) -> Entry:
    return Entry(
        bytes([number]) * 16,
        bytes([number]) * 32,
        InviteKind.CLIENT,
        f"person {number}",
        None,
        NOW,
        (b"der",),
    )


def test_the_journal_is_private_and_comes_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    with journal.opened() as opened:
        opened.append(entry(1))
        opened.append(entry(2))
    assert list(journal.entries().values()) == [entry(1), entry(2)]
    assert stat.S_IMODE((tmp_path / "journal.jsonl").stat().st_mode) == 0o600


def test_a_line_that_a_crash_cut_is_as_if_it_never_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    with journal.opened() as opened:
        opened.append(entry(1))
    whole = (tmp_path / "journal.jsonl").read_bytes()
    (tmp_path / "journal.jsonl").write_bytes(whole + whole[: len(whole) // 2])
    assert list(journal.entries().values()) == [entry(1)]
    with journal.opened() as opened:
        assert list(opened.entries.values()) == [entry(1)]
        opened.append(entry(2))
    assert list(journal.entries().values()) == [entry(1), entry(2)]


def test_a_damaged_journal_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"invite": "AAAA"}\n')
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(TelerelayError, match="damaged in line 1") as caught, journal.opened():
        pass
    assert caught.value.code == "MACHINE"


def test_two_deciders_take_turns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with journal.opened() as opened:
            order.append(f"second sees {len(opened.entries)}")

    thread = threading.Thread(target=second)
    with journal.opened() as opened:
        thread.start()
        waiting.wait(10)
        opened.append(entry(1))
        order.append("first")
    thread.join(10)
    assert order == ["first", "second sees 1"]


# ---------------------------------------------------------------- stamping


def test_a_stamp_names_document_and_list(office: Office) -> None:
    office.publish(version=7, revocations=3)
    stamp = office.stamp()
    assert (stamp.document_version, stamp.revocations_version) == (7, 3)
    assert (stamp.epoch, stamp.issued, stamp.expires - stamp.issued) == (NOW, NOW, 14 * 86_400)
    stored = office.stored_stamp()
    assert stored is not None
    assert stored.document == stamp


def test_when_a_stamp_is_due() -> None:
    assert is_due(COMPUTER_DOCUMENT, REVOCATIONS, None, NOW)
    assert not is_due(COMPUTER_DOCUMENT, REVOCATIONS, STAMP, NOW + RENEW_S - 1)
    assert is_due(COMPUTER_DOCUMENT, REVOCATIONS, STAMP, NOW + RENEW_S)
    assert is_due(with_version(COMPUTER_DOCUMENT, 8), REVOCATIONS, STAMP, NOW)
    assert is_due(COMPUTER_DOCUMENT, replace(REVOCATIONS, version=4), STAMP, NOW)


def test_epochs_rise_even_when_the_clock_does_not() -> None:
    later = next_stamp(COMPUTER_DOCUMENT, REVOCATIONS, STAMP, NOW - 1000)
    assert later.epoch == STAMP.epoch + 1
    # A keeper that lost its files still makes stamps that win.
    assert next_stamp(COMPUTER_DOCUMENT, REVOCATIONS, None, NOW + 5).epoch > STAMP.epoch


def stale(act: Callable[[], object], sentence: str, code: str = "POLICY_STALE") -> None:
    with pytest.raises(TelerelayError, match=sentence) as caught:
        act()
    assert caught.value.code == code


def test_nothing_older_than_seen_is_ever_stamped(office: Office, tmp_path: Path) -> None:
    office.publish(version=7, revocations=3)
    old = dict(office.node.documents)
    office.publish(version=8, revocations=4)
    office.stamp()
    stamped = office.stored_stamp()
    office.node.documents = {key: value for key, value in old.items() if key[0] is Kind.COMPUTER} | {
        key: value for key, value in office.node.documents.items() if key[0] is not Kind.COMPUTER
    }
    stale(office.stamp, "version 7 is older than 8")
    office.node.documents = {**old, (Kind.STAMP, None): b""}
    stale(office.stamp, "version 3 is older than 4")
    # Nor by a keeper that was started anew.
    office.freshness = replace(office.freshness, held=KeeperFolder(tmp_path / "org" / KEEP).held)
    stale(office.stamp, "version 3 is older than 4")
    office.node.documents = {}
    stale(office.stamp, "shows no revocation list")
    assert stamped is not None
    assert stamped.document.document_version == 8


def test_a_document_that_is_not_ours_is_not_stamped(office: Office, tmp_path: Path) -> None:
    office.publish()
    other = found(tmp_path / "other", "City", None, NOW)
    office.node.put(sign_computer_document(COMPUTER_DOCUMENT, other.signer(RoleKey.POLICY)).encoded)
    stale(office.stamp, "another organisation's", "DOCUMENT")
    # Nor one that carries the name of another computer.
    moved = replace(COMPUTER_DOCUMENT, computer=bytes(10))
    encoded = sign_computer_document(moved, office.organisation.signer(RoleKey.POLICY)).encoded
    (key,) = [key for key in office.node.documents if key[0] is Kind.COMPUTER]
    office.node.documents[key] = encoded
    stale(office.stamp, "another computer's document", "DOCUMENT")
    assert office.stored_stamp() is None


def test_a_stamp_that_did_not_arrive_is_sent_again_unchanged(office: Office) -> None:
    office.publish()
    first = office.stamp()
    office.node.documents = {
        key: value for key, value in office.node.documents.items() if key[0] is not Kind.STAMP
    }
    office.now += 60
    assert office.stamp() == first


# ---------------------------------------------------------------- the service


@contextmanager
def keeping(office: Office) -> Iterator[Keeper]:
    """The keeper at work; on leaving it is told to stop and must."""
    Relay(Role.KEEPER, CLUSTER, "keeper").save(office.folder.path)
    keeper = Keeper(office.folder, office.api, office.clock)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            keeper.work()
        except BaseException as error:  # noqa: BLE001 — told to the test below
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield keeper
    finally:
        keeper.stop()
        thread.join(5)
        assert not thread.is_alive()
    assert failures == []


def becomes(office: Office, holds: Callable[[], bool]) -> None:
    with office.node.changed:
        assert office.node.changed.wait_for(holds, 10)


def test_the_service_approves_and_stamps(office: Office) -> None:
    with keeping(office):
        request = office.request()
        becomes(office, lambda: to_base64url(request.terms.id) in office.node.answers)
        office.publish()
        becomes(office, lambda: not office.node.behind())
        office.publish(version=8, revocations=4)
        becomes(office, lambda: not office.node.behind())
    stamp = office.stored_stamp()
    assert stamp is not None
    assert (stamp.document.document_version, stamp.document.revocations_version) == (8, 4)


def test_the_service_renews_every_day(office: Office) -> None:
    office.publish()
    with keeping(office):
        becomes(office, lambda: not office.node.behind())
        first = office.stored_stamp()
        office.now += RENEW_S
        assert first is not None
        becomes(office, lambda: (stamp := office.stored_stamp()) is not None and stamp != first)
    renewed = office.stored_stamp()
    assert renewed is not None
    assert renewed.document.epoch == first.document.epoch + RENEW_S


def test_the_service_outlives_a_node(office: Office) -> None:
    office.node.failures = ["refuse", "cut", "refuse", "cut"]
    office.publish()
    with keeping(office):
        becomes(office, lambda: not office.node.behind())


def test_one_bad_document_does_not_keep_others_waiting(office: Office, tmp_path: Path) -> None:
    office.publish()
    other = found(tmp_path / "other", "City", None, NOW)
    forged = replace(COMPUTER_DOCUMENT, computer=bytes(10))
    office.node.put(sign_computer_document(forged, other.signer(RoleKey.POLICY)).encoded)
    with keeping(office):
        becomes(office, lambda: office.stored_stamp() is not None)


def test_a_request_that_the_node_will_not_have_answered_stops_nothing(office: Office) -> None:
    cursed = office.request(label="cursed")
    invite = to_base64url(cursed.terms.id)
    with keeping(office):
        becomes(office, lambda: invite in office.node.answers)
        # The node asks again, and takes no second answer.
        office.node.answers[invite] = {"refuse": "INVITE"}
        office.node.asked_again.add(invite)
        other = office.request(label="other")
        becomes(office, lambda: to_base64url(other.terms.id) in office.node.answers)


def test_a_stop_is_heard_while_a_node_holds_the_request(office: Office) -> None:
    held, gate = threading.Event(), threading.Event()

    def hold(shown: Json) -> Json:
        held.set()
        gate.wait(10)
        return shown

    office.node.shown_request = hold
    with keeping(office):
        office.request()
        assert held.wait(10)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    gate.set()


def test_a_node_with_few_places_is_asked_again_when_it_said(office: Office) -> None:
    office.node.return_s = "1"
    with office.api() as api:
        api.enrolments(wait=True)
        begun = time.monotonic()
        # What does not wait holds no place.
        api.enrolments(wait=False)
        assert time.monotonic() - begun < 1
        api.enrolments(wait=True)
        assert time.monotonic() - begun >= 1


def test_a_stop_is_heard_while_a_node_is_left_in_peace(office: Office) -> None:
    # However long it wants that to be.
    office.node.return_s = "999999999"
    with keeping(office):
        becomes(office, lambda: "GET /v1/org/enrolments" in office.node.served)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5


def test_the_stamp_of_a_lost_folder_still_wins(office: Office) -> None:
    office.publish()
    before = office.stamp()
    lost = sign_stamp(
        next_stamp(COMPUTER_DOCUMENT, REVOCATIONS, None, office.now + 1), office.folder.freshness()
    )
    assert lost.document.epoch > before.epoch
