"""What a policy would change, told before it is signed, and whom it would lock out."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from telerelay.org.policy.changing import changes, locks_out
from telerelay.org.policy.file import read_policy
from telerelay_endpoint.documents import COMPUTER_LIFE_S
from telerelay_endpoint.payloads import ComputerDocument, Grant, Own
from telerelay_endpoint.timetable import DAYS, Span, Timetable
from tests.kit.organisations import COMPUTER_DOCUMENT, NOW, RULES

CLIENT: Final = b"c" * 32
DAY: Final = 86_400
HOLIDAYS_ONLY: Final = Timetable(540, (Span(DAYS.index("holiday"), 0, 1440),))
TOMORROW: Final = Timetable(540, tuple(Span(day, 0, 60) for day in range(7)))


def changed(tmp_path: Path, text: str, *documents: ComputerDocument) -> Any:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return changes(read_policy(path), documents, NOW)


def test_only_what_comes_out_otherwise_is_signed_anew(tmp_path: Path) -> None:
    other = replace(COMPUTER_DOCUMENT, computer=bytes(10), label="Room 205")
    text = '[computer."Room 205"]\nsessions = 2\nidle_timeout_min = 15\n'
    (change,) = changed(tmp_path, text, COMPUTER_DOCUMENT, other)
    assert change.before == other
    assert (change.after.version, change.after.issued, change.after.expires) == (
        other.version + 1,
        NOW,
        NOW + COMPUTER_LIFE_S,
    )
    assert [(one.name, one.before, one.after, one.source) for one in change.differences] == [
        ("idle_timeout_min", "0", "15", f"{tmp_path}/policy.toml:3:20"),
        ("sessions", "8", "2", f"{tmp_path}/policy.toml:2:12"),
    ]
    # What was published once changes nothing twice.
    assert not changed(tmp_path, text, COMPUTER_DOCUMENT, change.after)


def test_a_rule_that_was_taken_away_is_told_as_the_default(tmp_path: Path) -> None:
    strict = replace(COMPUTER_DOCUMENT, rules=replace(RULES, minimum_version=(1, 0, 0), hours=TOMORROW))
    (change,) = changed(tmp_path, "", strict)
    assert [(one.name, one.before, one.after, one.source) for one in change.differences] == [
        ("hours", "mon,tue,wed,thu,fri,sat,sun 00:00-01:00", "always", "default"),
        ("minimum_version", "1.0.0", "any", "default"),
    ]


def test_hours_are_told_as_they_are_written(tmp_path: Path) -> None:
    hours = '["fri 22:00-06:00", "sat-sun,holiday 00:00-24:00"]'
    text = f"holidays = [2027-01-01]\n[organisation]\nhours = {hours}\n"
    (change,) = changed(tmp_path, text, COMPUTER_DOCUMENT)
    (told,) = change.differences
    assert told.after == "sat,sun,holiday 00:00-24:00, fri 22:00-06:00, holidays 2027-01-01"


def test_an_exception_is_told_as_such(tmp_path: Path) -> None:
    text = '[own."Tanaka"]\napprover = "IT"\nreason = "repair"\nuntil = 2027-03-31\n'
    document = replace(COMPUTER_DOCUMENT, grants=(Grant(CLIENT, "Tanaka"),))
    (change,) = changed(tmp_path, text, document)
    (told,) = change.differences
    assert (told.name, told.before, told.after) == (
        "Tanaka",
        "issued",
        "own until 2027-03-31, approved by IT: repair",
    )


def document(grant: Grant, **rules: Any) -> ComputerDocument:
    return replace(COMPUTER_DOCUMENT, grants=(grant,), rules=replace(RULES, **rules))


ISSUED: Final = Grant(CLIENT, "lent")


@pytest.mark.parametrize(
    ("grant", "rules", "code"),
    [
        (ISSUED, {}, None),
        (ISSUED, {"hours": TOMORROW}, None),
        (ISSUED, {"hours": HOLIDAYS_ONLY}, "POLICY_HOURS"),
        (ISSUED, {"minimum_version": (99, 0, 0)}, "POLICY_VERSION"),
        (ISSUED, {"denied_networks": ("0.0.0.0/0",)}, None),
        (ISSUED, {"denied_networks": ("0.0.0.0/0", "::/0")}, "POLICY_ADDRESS"),
        (
            ISSUED,
            {"allowed_networks": ("192.0.2.0/24",), "denied_networks": ("192.0.0.0/16",)},
            "POLICY_ADDRESS",
        ),
        (
            ISSUED,
            {"allowed_networks": ("192.0.2.0/24",), "denied_networks": ("192.0.2.0/25", "192.0.2.255/32")},
            None,
        ),
        (ISSUED, {"services": ("rdp",)}, "DENIED"),
        (ISSUED, {"view_only": True}, None),
        (ISSUED, {"watermark": "{label}"}, None),
        (ISSUED, {"lock_on_disconnect": True}, None),
        (Grant(CLIENT, "own", None, NOW + DAY, Own("a", "b")), {}, "DENIED"),
        (Grant(CLIENT, "own", None, NOW + DAY, Own("a", "b")), {"own_devices": True}, None),
        (Grant(CLIENT, "later", NOW + 20 * DAY, None), {"hours": TOMORROW}, None),
        (Grant(CLIENT, "over", None, NOW), {}, "DENIED"),
    ],
)
def test_who_is_locked_out_is_known_before(grant: Grant, rules: dict[str, Any], code: str | None) -> None:
    refused = locks_out(document(grant, **rules), NOW)
    assert (refused and refused.code) == code


def test_one_that_comes_in_is_enough_and_nobody_is_locked_out_of_what_nobody_may_use() -> None:
    grants = (Grant(b"o" * 32, "over", None, NOW), ISSUED)
    assert locks_out(replace(document(ISSUED), grants=grants), NOW) is None
    assert locks_out(replace(document(ISSUED), grants=()), NOW) is None
