"""What each rule of a document refuses, and that a rule that cannot be read or kept refuses."""

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telerelay_endpoint.admission import Allow, End, Refuse, Request, judge, version_of
from telerelay_endpoint.payloads import ComputerDocument, Grant, Own
from telerelay_endpoint.timetable import DAYS, Span, Timetable
from tests.kit.organisations import COMPUTER_DOCUMENT, NOW, RULES

CLIENT: Final = b"c" * 32
ISSUED: Final = Grant(CLIENT, "lent")
OWN: Final = Grant(CLIENT, "own", None, NOW + 3600, Own("head of IT", "the lent one is being repaired"))
ASKED: Final = Request(CLIENT, "rfb", "192.0.2.7", "telerelay-client/1.4.0")
OFFSET: Final = 540
MINUTE: Final = (NOW // 60 + OFFSET) % 1440


def document(grant: Grant = ISSUED, **rules: Any) -> ComputerDocument:
    return replace(COMPUTER_DOCUMENT, grants=(grant,), rules=replace(RULES, **rules))


def answer(judged: ComputerDocument, request: Request = ASKED, now: int = NOW) -> tuple[str, str | None]:
    found = judge(request, judged, (), now)
    return (found.code, found.rule) if isinstance(found, Refuse) else ("DONE", None)


def every_day(begin: int, length: int) -> Timetable:
    return Timetable(OFFSET, tuple(Span(day, begin, begin + length) for day in range(len(DAYS))))


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"hours": every_day(MINUTE, 1)}, "DONE"),
        ({"hours": every_day((MINUTE + 1) % 1440, 1)}, "POLICY_HOURS"),
        ({"hours": every_day((MINUTE - 1) % 1440, 1)}, "POLICY_HOURS"),
        ({"allowed_networks": ("192.0.2.0/24",)}, "DONE"),
        ({"allowed_networks": ("198.51.100.0/24", "2001:db8::/32")}, "POLICY_ADDRESS"),
        ({"denied_networks": ("192.0.2.7/32",)}, "POLICY_ADDRESS"),
        ({"denied_networks": ("192.0.2.6/32",)}, "DONE"),
        ({"allowed_networks": ("192.0.2.0/24",), "denied_networks": ("192.0.2.7/32",)}, "POLICY_ADDRESS"),
        ({"minimum_version": (1, 4, 0)}, "DONE"),
        ({"minimum_version": (1, 4, 1)}, "POLICY_VERSION"),
        ({"minimum_version": (1, 10, 0)}, "POLICY_VERSION"),
        ({"services": ("rdp",)}, "DENIED"),
        ({"view_only": True}, "DONE"),
        ({"watermark": "{label}"}, "DONE"),
        ({"lock_on_disconnect": True}, "DONE"),
        ({"notices": ("Leave no window open.",)}, "DONE"),
        ({"session_limit": 60, "idle_timeout": 300}, "DONE"),
    ],
)
def test_a_rule_refuses_with_its_code(rules: dict[str, Any], code: str) -> None:
    found, rule = answer(document(**rules))
    assert found == code
    assert rule is None if code == "DONE" else rule in rules


def test_nothing_but_the_rules_decides_about_a_granted_device() -> None:
    assert judge(ASKED, document(), (), NOW) == Allow(RULES, "lent")
    assert answer(document(), replace(ASKED, client=b"x" * 32)) == ("DENIED", None)
    refused = judge(ASKED, document(), {CLIENT}, NOW)
    assert isinstance(refused, Refuse)
    assert refused.code == "REVOKED"


@pytest.mark.parametrize(
    ("grant", "rules", "ends"),
    [
        (ISSUED, {}, None),
        (ISSUED, {"hours": every_day(MINUTE, 2)}, End(NOW - NOW % 60 + 120, "POLICY_HOURS")),
        (ISSUED, {"session_limit": 600}, End(NOW + 600, "POLICY_DURATION")),
        (ISSUED, {"session_limit": 60, "hours": every_day(MINUTE, 2)}, End(NOW + 60, "POLICY_DURATION")),
        (OWN, {"own_devices": True, "session_limit": 7200}, End(NOW + 3600, "DENIED")),
        (replace(ISSUED, not_after=NOW + 60), {"session_limit": 7200}, End(NOW + 60, "DENIED")),
    ],
)
def test_what_ends_first_ends_the_session(grant: Grant, rules: dict[str, Any], ends: End | None) -> None:
    judged = document(grant, **rules)
    assert judge(ASKED, judged, (), NOW) == Allow(judged.rules, grant.label, ends)


def test_a_grant_without_an_end_outlasts_one_that_lapses() -> None:
    both = replace(document(), grants=(replace(ISSUED, not_after=NOW + 60), ISSUED))
    assert judge(ASKED, both, (), NOW) == Allow(RULES, "lent")


def test_an_own_device_needs_the_rule_and_lapses_by_itself() -> None:
    assert answer(document(OWN)) == ("DENIED", "own_devices")
    allowed = document(OWN, own_devices=True)
    assert answer(allowed)[0] == "DONE"
    assert answer(allowed, now=NOW + 3600) == ("DENIED", None)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.200", True),
        ("192.0.2.200:52442", True),
        ("::ffff:192.0.2.200", True),
        ("[::ffff:192.0.2.200]:443", True),
        ("198.51.100.1:80", False),
        ("2001:db8::1", False),
        ("[2001:db8::1]:52442", False),
    ],
)
def test_an_address_is_one_in_whatever_form_it_comes(address: str, *, inside: bool) -> None:
    asked = replace(ASKED, address=address)
    assert answer(document(allowed_networks=("192.0.2.0/24",)), asked)[0] == (
        "DONE" if inside else "POLICY_ADDRESS"
    )
    assert answer(document(denied_networks=("192.0.2.0/24",)), asked)[0] == (
        "POLICY_ADDRESS" if inside else "DONE"
    )
    if "2001" in address:
        assert answer(document(allowed_networks=("2001:db8::/32",)), asked)[0] == "DONE"


@pytest.mark.parametrize("rule", ["allowed_networks", "denied_networks"])
@given(address=st.text(max_size=20))
def test_what_is_no_address_is_let_in_under_no_rule(rule: str, address: str) -> None:
    if not any(character.isdigit() or character == ":" for character in address):
        assert answer(document(ISSUED, **{rule: ("0.0.0.0/32",)}), replace(ASKED, address=address)) == (
            "POLICY_ADDRESS",
            rule,
        )


@given(st.tuples(*[st.integers(0, 65535)] * 3), st.tuples(*[st.integers(0, 65535)] * 3))
def test_versions_are_compared_as_numbers(told: tuple[int, int, int], wanted: tuple[int, int, int]) -> None:
    asked = replace(ASKED, program="telerelay-client/{}.{}.{}".format(*told))
    expected = "DONE" if told >= wanted else "POLICY_VERSION"
    assert answer(document(minimum_version=wanted), asked)[0] == expected


@pytest.mark.parametrize("program", ["", "telerelay-client", "x/1.4", "x/1.4.0.9", "1.4.0", "x/1.-4.0"])
def test_a_program_that_tells_no_version_is_older_than_any(program: str) -> None:
    assert version_of(program) == (0, 0, 0)
    asked = replace(ASKED, program=program)
    assert answer(document(minimum_version=(0, 0, 1)), asked) == ("POLICY_VERSION", "minimum_version")


def test_what_stands_behind_a_version_does_not_count() -> None:
    assert version_of("telerelay-client/1.4.0-rc.1") == (1, 4, 0)


_ANY: Final = st.booleans()


@given(
    hours=st.sampled_from([None, every_day(0, 1), every_day(MINUTE, 2)]),
    allowed=st.sampled_from([(), ("192.0.2.0/24",), ("198.51.100.0/24",)]),
    own=_ANY,
    accepted=_ANY,
)
def test_whoever_is_let_in_breaks_no_rule(
    hours: Timetable | None, allowed: tuple[str, ...], *, own: bool, accepted: bool
) -> None:
    grant = OWN if own else ISSUED
    found = judge(
        ASKED, document(grant, hours=hours, allowed_networks=allowed, own_devices=accepted), (), NOW
    )
    fits = (
        (hours is None or hours.closes(NOW) is not None)
        and allowed != ("198.51.100.0/24",)
        and (accepted or not own)
    )
    assert isinstance(found, Allow) == fits
