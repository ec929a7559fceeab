"""The agent's verdict: who is let in by which documents, and that whatever is missing refuses everybody."""

from dataclasses import replace
from typing import Final

import pytest

from telerelay_agent.verdict import Documents, verdict, why_stale
from telerelay_endpoint.admission import Allow, Refuse, Request
from telerelay_endpoint.documents import Clock, Signed
from telerelay_endpoint.payloads import ComputerDocument, Grant, RevocationList, Rules, Stamp

NOW: Final = 1_800_000_000
DAY: Final = 86_400
CLIENT: Final = b"c" * 32
OTHER: Final = b"o" * 32
RULES: Final = Rules(services=("rfb",), sessions=8, resume_limit=0, idle_timeout=900, view_only=False)
COMPUTER: Final = ComputerDocument(
    computer=b"computer-0",
    agent=b"a" * 32,
    version=7,
    issued=NOW - DAY,
    expires=NOW + 179 * DAY,
    grants=(Grant(client=CLIENT, label="home PC"),),
    rules=RULES,
    label="office PC",
)
STAMP: Final = Stamp(
    computer=b"computer-0",
    document_version=7,
    revocations_version=3,
    epoch=40,
    issued=NOW - 60,
    expires=NOW + 14 * DAY,
)
REVOCATIONS: Final = RevocationList(version=3, issued=NOW - DAY, devices=frozenset({OTHER}))


ASKED: Final = Request(CLIENT, "rfb", "192.0.2.7", "telerelay-client/0.1.0")


def held(
    computer: ComputerDocument | None = COMPUTER,
    stamp: Stamp | None = STAMP,
    revocations: RevocationList | None = REVOCATIONS,
) -> Documents:
    """Documents whose checks have passed; the verdict looks at what they say, not at their bytes."""
    return Documents(
        Signed(computer, b"") if computer else None,
        Signed(stamp, b"") if stamp else None,
        Signed(revocations, b"") if revocations else None,
    )


HELD: Final = held()


def code(documents: Documents, request: Request = ASKED, now: int = NOW) -> str | None:
    answer = verdict(request, documents, now, can_lock=True)
    return answer.code if isinstance(answer, Refuse) else None


def with_grant(grant: Grant) -> Documents:
    return held(computer=replace(COMPUTER, grants=(Grant(client=OTHER, label=""), grant)))


def test_a_granted_client_is_allowed_under_the_rules_of_the_document() -> None:
    assert verdict(ASKED, HELD, NOW, can_lock=False) == Allow(RULES, "home PC")


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        (Documents(), "no computer document"),
        (held(computer=None), "no computer document"),
        (held(stamp=None), "no freshness stamp"),
        (held(revocations=None), "no revocation list"),
        (held(computer=replace(COMPUTER, expires=NOW)), "computer document: it expired"),
        (held(stamp=replace(STAMP, expires=NOW)), "freshness stamp: it expired"),
        (held(stamp=replace(STAMP, document_version=8)), "document version 8, held is 7"),
        (held(stamp=replace(STAMP, document_version=6)), "document version 6, held is 7"),
        (held(stamp=replace(STAMP, revocations_version=4)), "revocation list 4, held is 3"),
    ],
)
def test_whatever_is_missing_old_or_expired_refuses_everybody(documents: Documents, reason: str) -> None:
    answer = verdict(ASKED, documents, NOW, can_lock=True)
    assert isinstance(answer, Refuse)
    assert answer.code == "POLICY_STALE"
    assert reason in answer.reason
    assert why_stale(documents, NOW) == answer.reason


def test_a_revocation_list_newer_than_the_stamp_names_is_welcome() -> None:
    assert code(held(revocations=replace(REVOCATIONS, version=9))) is None


def test_the_last_second_still_counts() -> None:
    assert code(held(stamp=replace(STAMP, expires=NOW + 1))) is None


def test_a_revoked_client_is_told_so_even_where_it_is_still_granted() -> None:
    revoked = replace(REVOCATIONS, devices=frozenset({CLIENT}))
    assert code(held(revocations=revoked)) == "REVOKED"


def test_a_client_without_a_grant_is_denied() -> None:
    assert code(HELD, replace(ASKED, client=b"x" * 32)) == "DENIED"
    assert code(held(computer=replace(COMPUTER, grants=()))) == "DENIED"


@pytest.mark.parametrize(
    ("not_before", "not_after", "expected"),
    [
        (NOW, None, None),
        (NOW + 1, None, "DENIED"),
        (None, NOW + 1, None),
        (None, NOW, "DENIED"),
        (NOW - 10, NOW + 10, None),
    ],
)
def test_a_grant_holds_in_its_time_only(
    not_before: int | None, not_after: int | None, expected: str | None
) -> None:
    assert code(with_grant(Grant(CLIENT, "", not_before, not_after))) == expected


def test_a_service_that_the_rules_do_not_name_is_denied() -> None:
    assert code(HELD, replace(ASKED, service="rdp")) == "DENIED"


def test_an_agent_that_cannot_lock_its_desktop_lets_nobody_in_who_would_leave_it_open() -> None:
    locked = held(computer=replace(COMPUTER, rules=replace(RULES, lock_on_disconnect=True)))
    assert isinstance(verdict(ASKED, locked, NOW, can_lock=True), Allow)
    refused = verdict(ASKED, locked, NOW, can_lock=False)
    assert isinstance(refused, Refuse)
    assert (refused.code, refused.rule) == ("UNSUPPORTED", "lock_on_disconnect")


def test_a_clock_set_back_does_not_revive_an_expired_stamp() -> None:
    documents = held(stamp=replace(STAMP, expires=NOW - 1), revocations=replace(REVOCATIONS, issued=NOW))
    clock = Clock(lambda: NOW - 30 * DAY)
    assert code(documents, now=clock.now()) is None
    clock.saw(NOW)
    assert code(documents, now=clock.now()) == "POLICY_STALE"
