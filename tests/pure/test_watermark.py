"""The mark that the agent renders: what it says, readable on white and on black (docs/GUARD.md §13)."""

import os
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from telerelay_agent.watermark import WEIGHT, Pattern, _face, mark_text, render
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
        ("{label}{label}-{time}{time}{label}", f"田中-{SHOWN} c0ffee12"),
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


@pytest.mark.parametrize("letter", ["@", "W", "漢"])
@pytest.mark.parametrize("rule", ["{label} ", "{label}", "{label}{device}{time}", "@", "漢"])
def test_no_rule_and_no_label_make_more_than_the_guard_takes(rule: str, letter: str) -> None:
    label = letter * (LIMITS["label_bytes"] // len(letter.encode()))
    text = mark_text(rule * (LIMITS["label_bytes"] // len(rule.encode())), label, DEVICE, NOW)
    assert len(text.encode()) <= 2 * LIMITS["label_bytes"] + len(f" c0ffee12 {SHOWN} ")
    # What limits.toml says of it, with half as much again for a font of wider letters.
    assert len(render(text).weights) * 3 // 2 <= 1_280 * 720 <= LIMITS["guard_mark"]


def test_the_font_of_a_label_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _face.cache_clear()
    render(mark_text("閲覧", "田中", DEVICE, NOW))
    monkeypatch.setenv("PATH", "")
    render(mark_text("閲覧", "田中", bytes.fromhex("0123456789abcdef"), NOW + 86_400 * 31))


def fontconfig(folder: Path, said: bytes) -> None:
    """Programs of fontconfig's names that say `said`."""
    (folder / "said").write_bytes(said)
    for name in ("fc-list", "fc-match"):
        (folder / name).write_text(f"#!/bin/sh\nexec /bin/cat {folder}/said\n")
        (folder / name).chmod(0o755)


def test_a_fonts_file_may_have_any_name_and_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = _face(frozenset("a"))
    named = tmp_path / os.fsdecode(b"caf\xe9.ttf")
    named.write_bytes(Path(file).read_bytes())
    fontconfig(tmp_path, b"no face\n" + os.fsencode(named) + b"\t0\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    _face.cache_clear()
    render("a")
    named.unlink()
    with pytest.raises(TelerelayError, match="cannot be used") as raised:
        render("a")
    assert raised.value.code == "UNSUPPORTED"
    # It is asked anew, not remembered.
    fontconfig(tmp_path, os.fsencode(file) + b"\t0\n")
    render("a")
    _face.cache_clear()


def test_a_text_that_no_font_can_write_is_no_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    _face.cache_clear()
    with pytest.raises(TelerelayError, match="no font on this machine") as raised:
        render(f"北町役場 {UNWRITTEN}")
    assert raised.value.code == "UNSUPPORTED"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TelerelayError, match="fonts cannot be looked for"):
        render("北町役場")
