"""The mark that the agent renders: what it says, readable on white and on black (docs/GUARD.md §13)."""

import struct
from datetime import UTC, datetime

import pytest

from telerelay_agent.watermark import WEIGHT, Pattern, mark_text, render
from telerelay_core import SessionRules
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from tests.kit.organisations import NOW

DEVICE = bytes.fromhex("c0ffee12") + bytes(28)
SHOWN = f"{datetime.fromtimestamp(NOW, UTC).astimezone():%Y-%m-%d %H:%M}"
UNWRITTEN = "\U0010fffd"
"""Of those for private use, the last: in no font."""


def weights_of(pattern: Pattern) -> tuple[int, ...]:
    return struct.unpack(f"{len(pattern.weights)}b", pattern.weights)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("北町役場", f"北町役場 田中 c0ffee12 {SHOWN}"),
        ("{label} {device} {time}", f"田中 c0ffee12 {SHOWN}"),
        ("{time} 閲覧のみ", f"{SHOWN} 閲覧のみ 田中 c0ffee12"),
        ("a\tb\x1b", f"a b  田中 c0ffee12 {SHOWN}"),
        ("{other}", f"{{other}} 田中 c0ffee12 {SHOWN}"),
    ],
)
def test_the_text_names_person_device_and_time_each_once(rule: str, text: str) -> None:
    assert mark_text(rule, "田中", DEVICE, NOW) == text


def test_a_label_is_no_rule() -> None:
    assert mark_text("x", "{device}", DEVICE, NOW) == f"x {{device}} c0ffee12 {SHOWN}"


def test_it_can_be_read_on_white_and_on_black_and_hides_nothing() -> None:
    weights = weights_of(render("北町役場 田中"))
    assert (min(weights), max(weights)) == (-WEIGHT, WEIGHT)
    marked = sum(weight != 0 for weight in weights) / len(weights)
    assert 0.02 < marked < 0.25


def test_another_text_is_another_pattern() -> None:
    assert render("北町役場 田中") != render("北町役場 田仲")


@pytest.mark.parametrize("text", ["a", "北", "町" * 300, "W" * 300])
def test_a_text_of_any_length_is_a_pattern_that_the_guard_takes(text: str) -> None:
    pattern = render(text)
    assert len(pattern.weights) % pattern.width == 0
    assert len(pattern.weights) <= LIMITS["guard_mark"]
    SessionRules(
        sessions=1,
        resume_limit_s=0,
        idle_timeout_s=0,
        watermark=(pattern.width, pattern.weights),
        shown=[],
    )


def test_a_text_that_no_font_can_write_is_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TelerelayError, match="no font on this machine") as raised:
        render(f"北町役場 {UNWRITTEN}")
    assert raised.value.code == "UNSUPPORTED"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TelerelayError, match="fonts cannot be looked for"):
        render("北町役場")
