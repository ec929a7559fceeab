"""Why somebody may connect or may not, from what is held; and what an attempt's records tell."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from telerelay.org.explaining import Attempt, Held, explain, read_attempt
from telerelay.org.policy.changing import asking
from telerelay.org.policy.file import Policy, read_policy
from telerelay.org.policy.resolving import FIELDS, apply
from telerelay_endpoint.admission import Refuse
from telerelay_endpoint.errors import TelerelayError
from tests.kit.organisations import CLIENT, COMPUTER_DOCUMENT, NOW, REVOCATIONS, RULES, STAMP

TEXT: Final = '[organisation]\nidle_timeout_min = 15\ndenied_networks = ["203.0.113.0/24"]\n'


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    path = tmp_path / "published.toml"
    path.write_text(TEXT)
    return read_policy(path)


def held(policy: Policy | None = None, **changes: Any) -> Held:
    document = COMPUTER_DOCUMENT if policy is None else apply(policy, COMPUTER_DOCUMENT)
    return replace(Held(document, STAMP, REVOCATIONS), **changes)


def code(found: Any) -> str | None:
    return found.answer.code if isinstance(found.answer, Refuse) else None


def test_the_line_that_refuses_is_named(policy: Policy) -> None:
    found = explain(held(policy), asking(CLIENT, "203.0.113.9"), CLIENT, NOW, policy)
    assert code(found) == "POLICY_ADDRESS"
    assert found.decided is not None
    assert (found.decided.name, found.decided.section) == ("denied_networks", "[organisation]")
    assert found.decided.source == f"{policy.file}:3:19"
    # From anywhere else it is let in, and every rule is told with its line.
    elsewhere = explain(held(policy), None, CLIENT, NOW, policy)
    assert (code(elsewhere), elsewhere.decided) == (None, None)
    told = {rule.name: (rule.value, rule.source) for rule in elsewhere.rules}
    assert told.keys() == FIELDS.keys()
    assert told["idle_timeout_min"] == ("15", f"{policy.file}:2:20")
    assert told["sessions"] == ("8", "default")


def test_a_document_that_no_published_policy_made_says_so(policy: Policy) -> None:
    strange = held(document=replace(COMPUTER_DOCUMENT, rules=replace(RULES, sessions=3)))
    told = {rule.name: rule.source for rule in explain(strange, None, CLIENT, NOW, policy).rules}
    assert (told["sessions"], told["idle_timeout_min"], told["services"]) == (None, None, "default")
    assert {rule.source for rule in explain(strange, None, CLIENT, NOW, None).rules} == {None}


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({"document": None}, "DENIED", "nobody was ever granted"),
        ({"stamp": None}, "POLICY_STALE", "no freshness stamp"),
        ({"stamp": replace(STAMP, document_version=6)}, "POLICY_STALE", "document version 6, held is 7"),
        ({"revocations": None}, "POLICY_STALE", "no revocation list"),
        ({"revocations": replace(REVOCATIONS, devices=frozenset({CLIENT}))}, "REVOKED", "names this device"),
    ],
)
def test_what_stands_before_any_rule(changes: dict[str, Any], expected: str, reason: str) -> None:
    found = explain(held(**changes), None, CLIENT, NOW, None)
    assert code(found) == expected
    assert isinstance(found.answer, Refuse)
    assert reason in found.answer.reason
    assert found.decided is None


START: Final = {
    "kind": "START",
    "time": "2026-09-21T14:13:20.125Z",
    "attempt": "7KQ2-M9XB",
    "client": CLIENT.hex(),
    "computer": "SHOWN",
    "address": "192.0.2.7:52442",
    "program": "telerelay-client/0.1.0",
}
END: Final = {"kind": "END", "time": "2026-09-21T14:13:21Z", "code": "DESKTOP_ABSENT", "stage": "open"}


def test_an_attempts_records_are_one_story() -> None:
    begun = Attempt(NOW, CLIENT, "SHOWN", "192.0.2.7:52442", "telerelay-client/0.1.0", None, None)
    assert NOW == 1_790_000_000
    assert read_attempt([START]) == begun
    assert read_attempt([START, END]) == replace(begun, code="DESKTOP_ABSENT", stage="open")
    refused = {**START, **END, "program": None, "code": "DENIED", "stage": "route"}
    assert read_attempt([refused]) == replace(
        begun, began=NOW + 1, program=None, code="DENIED", stage="route"
    )
    assert read_attempt([]) is None


@pytest.mark.parametrize(
    "broken", [{"time": "yesterday"}, {"client": "xyz"}, {"client": None}, {"address": None}]
)
def test_records_that_do_not_fit_are_a_nodes_fault(broken: dict[str, Any]) -> None:
    with pytest.raises(TelerelayError) as caught:
        read_attempt([{**START, **broken}])
    assert caught.value.code == "UNREACHABLE"
