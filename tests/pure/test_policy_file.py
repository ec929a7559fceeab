"""The organisation's policy as a file: what is wrong with it and where, and which section decides what."""

import json
import re
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telerelay.org.api import Device
from telerelay.org.policy.file import read_policy
from telerelay.org.policy.resolving import FIELDS, apply, resolve, unknown_names
from telerelay.org.policy.words import Hours
from telerelay_core import format_computer_id
from telerelay_endpoint.invite_keys import InviteKind
from telerelay_endpoint.payloads import Grant, Own
from telerelay_endpoint.settings import SettingsError
from telerelay_endpoint.timetable import DAYS, Span
from tests.kit.node import TELERELAY
from tests.kit.organisations import COMPUTER, COMPUTER_DOCUMENT

SHOWN: Final = format_computer_id(COMPUTER)
WHOLE: Final = f"""\
utc_offset = "+09:00"
holidays = [2026-12-31, 2027-01-01]

[organisation]
watermark = "北町役場"
notices = ["のぞき見に注意してください。"]
idle_timeout_min = 15
hours = ["mon-fri 07:00-22:00"]
denied_networks = ["203.0.113.0/24"]
minimum_version = "0.1.0"

[group."税務課"]
computers = ["Room 204", "Room 205"]
hours = ["mon-fri 08:30-17:15", "sat,holiday 09:00-12:00"]
view_only = true

[group.it]
computers = ["{SHOWN.lower()}"]
devices = "own"
sessions = 2

[computer."Room 204"]
view_only = false
session_limit_min = 600
on_disconnect = "lock"

[own."Suzuki, tablet"]
approver = "情報課長 山田"
reason = "貸与端末の修理中"
until = 2027-03-31
"""


# What TOML can say.
TYPED: Final = (
    *("1", "-1", "1e400", "nan", f"{10**30}", "true", "07:32:00", "1979-05-27", "1979-05-27T07:32:00Z"),
    *('""', '"x"', "[]", "{}", '["x", 1]', "[[]]", "{a = 1}", '["mon 00:00-24:00"]', '["::/0"]'),
    *("[[group]]\n", "[own.a.b]\n", "a.b.c = 1\n", "organisation.sessions = 1\n", "\r", "["),
)


def policy(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_policy(policy(tmp_path, text))
    assert caught.value.code == "USAGE"
    return [problem.line().removeprefix(f"{tmp_path}/policy.toml:") for problem in caught.value.problems]


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[organisation]\nwatermrk = 'x'", "2:1: watermrk is no setting; nearest: watermark"),
        ("[organization]\nview_only = true", "1:1: organization is no setting; nearest: organisation"),
        ('[group.a]\ncomputrs = ["x"]', '1:1: [group."a"] lacks computers'),
        ("[computer.a]\n\n  view_only = 1", "3:15: view_only: Expected `bool`, got `int`"),
        ("[organisation]\nsessions = 0", "2:12: sessions: Expected `int` >= 1"),
        (
            '[organisation]\nhours = ["weekdays 08:00-17:00"]',
            "2:9: hours: 'weekdays' is no day: there are mon",
        ),
        ('[organisation]\nhours = ["mon-fri 8:00-17:00"]', "is not written as DAYS HH:MM-HH:MM"),
        ('[organisation]\nhours = ["mon-fri 08:60-17:00"]', "08:60 is no time of day"),
        ('[organisation]\nhours = ["mon 24:00-02:00"]', "a day begins at 00:00"),
        ('[organisation]\nallowed_networks = ["192.0.2.1/24"]', "2:20: allowed_networks: 192.0.2.1/24 has"),
        ('[organisation]\nminimum_version = "1.4"', "2:19: minimum_version: '1.4' is not written as"),
        ("[organisation]\nidle_timeout_min = 3", "2:20: idle_timeout_min: at least 5"),
        ('[organisation]\non_disconnect = "log off"', "2:17: on_disconnect: Invalid enum value 'log off'"),
        ('[organisation]\ndevices = "all"', "2:11: devices: Invalid enum value 'all'"),
        ('[organisation]\nservices = ["ssh"]', "2:12: services: Invalid enum value 'ssh'"),
        ('[organisation]\nnotices = [""]', "2:11: notices: 1 to 2000 bytes of UTF-8 fit, here are 0"),
        ('utc_offset = "JST"', "1:14: utc_offset: 'JST' is not written as +09:00"),
        ('utc_offset = "+14:30"', "1:14: utc_offset: '+14:30' is not written as"),
        ('holidays = ["new year"]', "1:12: holidays: Invalid RFC3339 encoded date"),
        ('[own."t"]\napprover = "a"\nuntil = 2027-03-31', '1:1: [own."t"] lacks reason'),
        ('[own."t"]\napprover = ""\nreason = "r"\nuntil = 2027-03-31', "2:12: approver: 1 to 128 bytes"),
        ("[organisation]\nview_only = true\nview_only = false", '3:1: Key "view_only" already exists'),
        ("[organisation]\n[group.a]\n [organisation]", '3:1: Key "organisation" already exists'),
        ("[organisation", "1:14: "),
        ("a.b = 1", "1:1: a is no setting"),
    ],
)
def test_a_typo_is_named_with_line_column_and_what_was_meant(tmp_path: Path, text: str, told: str) -> None:
    assert told in problems(tmp_path, text)[0]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    text = '[organisation]\nsessions = 0\nwatermrk = ""\n\n[group.a]\ncomputers = []\nhours = ["x"]\n'
    assert [told.partition(": ")[0] for told in problems(tmp_path, text)] == ["6:13", "7:9", "2:12", "3:1"]


def test_hours_have_a_bound(tmp_path: Path) -> None:
    text = f"[organisation]\nhours = {['mon-sun 00:00-00:01'] * 10}"
    assert "2:9: hours: at most 64 spans fit, each day counts; here are 70" in problems(tmp_path, text)[0]


def test_two_groups_may_not_contradict_each_other(tmp_path: Path) -> None:
    text = '[group.a]\ncomputers = ["x", "y"]\nsessions = 1\n[group.b]\ncomputers = ["y"]\nsessions = 2\n'
    (told,) = problems(tmp_path, text)
    assert told.startswith('6:12: sessions: [group."a"] sets it for y too (')
    assert 'say under [computer."y"] which holds' in told
    # Then nobody has to guess.
    read_policy(policy(tmp_path, text + "[computer.y]\nsessions = 1\n"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.data())
def test_whatever_is_typed_into_it_is_a_policy_or_a_mistake_with_its_place(
    tmp_path: Path, data: st.DataObject
) -> None:
    begin = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(begin, min(len(WHOLE), begin + 40)))
    typed = data.draw(st.text(max_size=12) | st.sampled_from(TYPED))
    path = policy(tmp_path, WHOLE[:begin] + typed + WHOLE[end:])
    try:
        read_policy(path)
    except SettingsError as error:
        assert all(problem.source.startswith(str(path)) for problem in error.problems)  # noqa: PT017


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    section=st.sampled_from(["organisation", "group.a", "computer.a"]),
    rule=st.sampled_from([*FIELDS, "computers"]),
    value=st.sampled_from(TYPED),
)
def test_any_value_of_a_rule_is_taken_or_told(tmp_path: Path, section: str, rule: str, value: str) -> None:
    path = policy(tmp_path, f"[{section}]\n{rule} = {value}\n")
    try:
        resolve(read_policy(path), COMPUTER, "a")
    except SettingsError as error:
        assert error.problems[0].source.startswith(f"{path}:")  # noqa: PT017


# ---------------------------------------------------------------- who decides


def test_the_most_specific_section_wins_rule_by_rule(tmp_path: Path) -> None:
    path = policy(tmp_path, WHOLE)
    decided = resolve(read_policy(path), COMPUTER, "Room 204").decided
    told = {name: (one.section, one.source.removeprefix(f"{path}:")) for name, one in decided.items()}
    assert told == {
        "services": ("", "default"),
        "view_only": ('[computer."Room 204"]', "23:13"),
        "watermark": ("[organisation]", "5:13"),
        "notices": ("[organisation]", "6:11"),
        "idle_timeout_min": ("[organisation]", "7:20"),
        "sessions": ('[group."it"]', "20:12"),
        "session_limit_min": ('[computer."Room 204"]', "24:21"),
        "on_disconnect": ('[computer."Room 204"]', "25:17"),
        "hours": ('[group."税務課"]', "14:9"),
        "allowed_networks": ("", "default"),
        "denied_networks": ("[organisation]", "9:19"),
        "minimum_version": ("[organisation]", "10:19"),
        "devices": ('[group."it"]', "19:11"),
    }


def test_the_rules_are_those_of_a_document(tmp_path: Path) -> None:
    rules = apply(read_policy(policy(tmp_path, WHOLE)), COMPUTER_DOCUMENT).rules
    assert (rules.view_only, rules.lock_on_disconnect, rules.own_devices) == (False, True, True)
    assert (rules.idle_timeout, rules.session_limit, rules.sessions) == (900, 36_000, 2)
    assert rules.hours is not None
    assert rules.hours.offset == 540
    assert Span(DAYS.index("holiday"), 540, 720) in rules.hours.spans
    assert rules.hours.holidays == tuple(
        (day - date(1970, 1, 1)).days for day in (date(2026, 12, 31), date(2027, 1, 1))
    )
    assert rules.minimum_version == (0, 1, 0)


def test_another_computer_has_other_rules(tmp_path: Path) -> None:
    whole = read_policy(policy(tmp_path, WHOLE))
    other = resolve(whole, bytes(10), "Room 205").rules
    assert (other.view_only, other.sessions, other.session_limit) == (True, 8, 0)
    nobodys = resolve(whole, bytes(10), "Room 300").rules
    assert (nobodys.view_only, nobodys.watermark) == (False, "北町役場")


def test_an_empty_policy_is_what_a_new_computer_has(tmp_path: Path) -> None:
    assert apply(read_policy(policy(tmp_path, "")), COMPUTER_DOCUMENT).rules == COMPUTER_DOCUMENT.rules


def test_a_specific_section_can_lift_a_rule(tmp_path: Path) -> None:
    text = '[organisation]\nhours = ["mon 08:00-09:00"]\n[computer."Room 204"]\nhours = []\n'
    assert resolve(read_policy(policy(tmp_path, text)), COMPUTER, "Room 204").rules.hours is None


def test_a_name_that_no_computer_has_is_known_with_its_place(tmp_path: Path) -> None:
    path = policy(tmp_path, WHOLE)
    office = Device(bytes(32), InviteKind.AGENT, "Room 204", COMPUTER, 0, None, revoked=False)
    home = Device(bytes(32), InviteKind.CLIENT, "Suzuki, tablets", None, 0, None, revoked=False)
    assert [problem.line() for problem in unknown_names(read_policy(path), [office, home])] == [
        f"{path}:13:13: no computer is called Room 205; nearest: Room 204",
        f"{path}:27:1: no client is called Suzuki, tablet; nearest: Suzuki, tablets",
    ]
    named = WHOLE.replace("Suzuki, tablet", "00000000")
    (only,) = unknown_names(read_policy(policy(tmp_path, named)), [office, home])
    assert only.setting == "Room 205"


def test_a_persons_own_device_has_an_end(tmp_path: Path) -> None:
    end = int(datetime(2027, 3, 31, 15, tzinfo=UTC).timestamp())  # midnight in Japan
    own = Own("情報課長 山田", "貸与端末の修理中")
    grants = (
        Grant(bytes(32), "Suzuki, tablet"),
        Grant(bytes(31) + b"\1", "Suzuki, tablet", None, end - 5),
        # What an exception gave, the exception extends.
        Grant(bytes(31) + b"\2", "Suzuki, tablet", None, end - 5, Own("a", "b")),
        Grant(bytes(31) + b"\3", "Tanaka, laptop"),
    )
    document = COMPUTER_DOCUMENT.__class__(**{**vars(COMPUTER_DOCUMENT), "grants": grants})
    applied = apply(read_policy(policy(tmp_path, WHOLE)), document).grants
    assert [(grant.not_after, grant.own) for grant in applied] == [
        (end, own),
        (end - 5, own),
        (end, own),
        (None, None),
    ]


def test_the_names_of_rules_are_those_of_documents(tmp_path: Path) -> None:
    decided = resolve(read_policy(policy(tmp_path, "")), COMPUTER, "").decided
    assert decided.keys() == FIELDS.keys()
    assert set(FIELDS.values()) == set(vars(COMPUTER_DOCUMENT.rules)) - {"resume_limit"}


# ---------------------------------------------------------------- hours


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("mon 08:30-17:15", {(0, 510, 1035)}),
        ("fri 22:00-06:00", {(4, 1320, 1800)}),
        ("sat-mon 00:00-24:00", {(5, 0, 1440), (6, 0, 1440), (0, 0, 1440)}),
        ("holiday,wed 09:00-09:00", {(7, 540, 1980), (2, 540, 1980)}),
    ],
)
def test_hours_are_read(text: str, spans: set[tuple[int, int, int]]) -> None:
    assert {(span.day, span.begin, span.end) for span in Hours(text).spans} == spans


@given(st.sampled_from(DAYS[:7]), st.integers(0, 1439), st.integers(1, 1440))
def test_hours_survive_their_form(day: str, begin: int, length: int) -> None:
    end = (begin + length) % 1440
    text = f"{day} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    assert Hours(text).spans == (Span(DAYS.index(day), begin, begin + length),)


@given(st.text(max_size=30))
def test_anything_else_is_refused_in_our_words(text: str) -> None:
    try:
        assert Hours(text).spans
    except ValueError as error:
        assert str(error)  # noqa: PT017 — whatever is refused is told


# ---------------------------------------------------------------- the command


def check(path: Path, *options: str, code: int) -> subprocess.CompletedProcess[str]:
    command = [TELERELAY, "org", "policy", "check", str(path), "--lang", "en", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert ended.returncode == code, ended.stderr
    return ended


def test_check_tells_that_nothing_is_wrong(tmp_path: Path) -> None:
    path = policy(tmp_path, WHOLE)
    assert check(path, code=0).stdout == f"nothing is wrong ({path}: groups 2, computers 1, own devices 1)\n"


def test_check_tells_each_problem_to_a_machine_too(tmp_path: Path) -> None:
    path = policy(tmp_path, "[organisation]\nwatermrk = ''\nsessions = 0\n")
    ended = check(path, "--json", code=2)
    said: dict[str, Any] = json.loads(ended.stdout)
    assert said["schema"] == "telerelay.org-policy-check/1"
    assert said["problems"][0] == {
        "source": f"{path}:2:1",
        "setting": "watermrk",
        "problem": "watermrk is no setting",
        "nearest": "watermark",
    }
    assert "and 1 more, see org policy check" in ended.stderr
    assert ended.stderr.startswith("error[USAGE] ")


# ---------------------------------------------------------------- the page


def test_the_page_names_every_rule_and_its_example_has_no_mistake(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "POLICY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(FIELDS)
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert resolve(read_policy(policy(tmp_path, example)), bytes(10), "Room 204").rules.own_devices
