"""What the client shows and starts: the growing line, JSON objects, viewers, doors."""

import io
import json
import re
from pathlib import Path
from typing import Final

import pytest
from typing_extensions import override

from telerelay_client.door import choose_door
from telerelay_client.stages import ORDER, STEPS, Progress
from telerelay_client.telling import Telling
from telerelay_client.viewer import KNOWN, Viewer, find_viewer
from telerelay_endpoint.console import Console
from telerelay_endpoint.errors import TelerelayError

ATTEMPT: Final = "7KQ2-M9XB"
LINE: Final = (
    "✓ relay 18 ms  ✓ this device  ✓ PC found  ✓ end-to-end secured  "
    "✓ screen open 0.31 s · direct · attempt 7KQ2-M9XB\n"
)
BY_UNIX: Final = KNOWN[0]
BY_TCP: Final = KNOWN[1]


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


# ---------------------------------------------------------------- the line


def test_the_line_grows_step_by_step_and_ends_with_the_attempt() -> None:
    progress = Progress("en")
    shown = [progress.reached("dial", 18)]
    assert shown == ["✓ relay 18 ms"]
    shown += [progress.reached(stage, 300) for stage in ("hello", "accept", "inner", "auth", "open")]
    assert shown[-2:] == ["", ""]
    assert not progress.is_complete
    shown += [progress.reached("session", 314), progress.opened(ATTEMPT, "direct")]
    assert "".join(shown) == LINE


def test_a_stage_that_was_not_told_is_shown_with_the_next() -> None:
    progress = Progress("en")
    assert progress.reached("accept", 40) == "✓ relay 40 ms  ✓ this device  ✓ PC found"
    assert progress.reached("hello", 50) == ""


@pytest.mark.parametrize(
    ("reached", "expected"),
    [
        ([], "✗ relay\n"),
        (["dial"], "✓ relay 5 ms  ✗ this device\n"),
        (["dial", "hello"], "✓ relay 5 ms  ✓ this device  ✗ PC found\n"),
        (["dial", "inner"], "✓ relay 5 ms  ✓ this device  ✓ PC found  ✓ end-to-end secured  ✗ screen open\n"),
    ],
)
def test_a_failure_names_the_step_that_was_not_reached(reached: list[str], expected: str) -> None:
    progress = Progress("en")
    assert "".join(progress.reached(stage, 5) for stage in reached) + progress.failed() == expected


def test_the_line_goes_on_below_what_interrupted_it() -> None:
    progress = Progress("en")
    shown = progress.reached("hello", 5) + progress.interrupted()
    assert shown + progress.reached("session", 1500) == (
        "✓ relay 5 ms  ✓ this device\n✓ PC found  ✓ end-to-end secured  ✓ screen open 1.50 s"
    )


def test_every_step_has_its_words_in_both_languages_and_stands_in_order() -> None:
    for step in STEPS:
        assert step.en != step.ja
        assert re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", step.ja)
    positions = [ORDER.index(step.stage) for step in STEPS]
    assert positions == sorted(positions)


# ---------------------------------------------------------------- a person


def attempt_opens(telling: Telling) -> None:
    for stage, elapsed in {"dial": 18, "hello": 20, "accept": 40, "inner": 60}.items():
        telling.reached(ATTEMPT, stage, elapsed, "")
    telling.opened(ATTEMPT, b"\x01" * 16, ["sessions=8"], "direct")
    telling.reached(ATTEMPT, "session", 314, "")


def test_somebody_who_watches_sees_each_step_when_it_is_reached() -> None:
    terminal = Terminal()
    telling = Telling(Console(lang="en"), terminal)
    telling.reached(ATTEMPT, "dial", 18, "")
    assert terminal.getvalue() == "✓ relay 18 ms"


def test_a_file_gets_the_whole_line_once() -> None:
    file = io.StringIO()
    telling = Telling(Console(lang="en"), file)
    telling.reached(ATTEMPT, "dial", 18, "")
    assert file.getvalue() == ""
    attempt_opens(telling)
    assert file.getvalue() == LINE


def test_later_attempts_leave_the_line_alone() -> None:
    terminal = Terminal()
    telling = Telling(Console(lang="en"), terminal)
    attempt_opens(telling)
    telling.reached("AAAA-AAAA", "dial", 3, "")
    telling.ended("AAAA-AAAA", "SESSIONS", "open")
    telling.ended(ATTEMPT, "VIEWER_GONE", "session")
    assert terminal.getvalue() == LINE


def test_the_line_goes_on_with_the_attempt_that_is_made_instead() -> None:
    terminal = Terminal()
    telling = Telling(Console(lang="en"), terminal)
    for stage in ("dial", "hello", "accept", "inner"):
        telling.reached("AAAA-AAAA", stage, 18, "")
    telling.asked_again(ATTEMPT)
    for stage in ("dial", "hello", "accept", "inner"):
        telling.reached(ATTEMPT, stage, 40, "")
    telling.opened(ATTEMPT, b"\x01" * 16, [], "wrapped")
    telling.reached(ATTEMPT, "session", 314, "")
    assert terminal.getvalue() == LINE.replace("direct", "wrapped")


def test_how_a_leg_travels_has_a_word_in_both_languages() -> None:
    for kind in ("direct", "wrapped"):
        words = [Progress(language).opened(ATTEMPT, kind) for language in ("en", "ja")]
        assert kind in words[0]
        assert kind not in words[1]


def test_where_it_broke_is_said_in_the_persons_language() -> None:
    assert Telling(Console(lang="en")).where("accept", "node-1") == "at the office PC, node-1"
    assert Telling(Console(lang="ja")).where("accept", "") == "職場 PC での確認中"
    waits = Telling(Console(lang="en")).where("route", "node-1", 241, 7)
    assert waits.endswith("node-1, place 241 in line, your turn in 7 s")


# ---------------------------------------------------------------- a machine


def test_json_is_one_object_a_line_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    telling = Telling(Console(json=True, lang="en"), terminal)
    attempt_opens(telling)
    telling.door("127.0.0.1:40123")
    telling.door("/run/user/1000/telerelay-x/desktop")
    telling.ended(ATTEMPT, "PATH_LOST", "session", duration_ms=5, retry_after_s=None)
    telling.finished("PATH_LOST", 4)
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert terminal.getvalue() == ""
    assert {item["schema"] for item in objects} == {"telerelay.connect/1"}
    events = [item["event"] for item in objects]
    assert events == ["stage"] * 4 + ["opened", "stage", "door", "door", "ended", "finished"]
    assert objects[4]["path_kind"] == "direct"
    assert objects[0]["stage"] == "dial"
    assert objects[0]["elapsed_ms"] == 18
    assert objects[6]["host"] == "127.0.0.1"
    assert objects[6]["port"] == 40123
    assert objects[7]["path"] == "/run/user/1000/telerelay-x/desktop"
    assert objects[9] == objects[9] | {"code": "PATH_LOST", "exit": 4}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["time"]) for item in objects)


# ---------------------------------------------------------------- viewers and doors


def test_each_viewer_is_called_with_the_door_in_its_own_form() -> None:
    commands = {viewer.program: viewer.command("127.0.0.1:40123") for viewer in KNOWN}
    assert commands["vncviewer"] == ["vncviewer", "127.0.0.1::40123"]
    assert commands["remmina"] == ["remmina", "-c", "vnc://127.0.0.1:40123"]
    assert BY_UNIX.command("/run/x/desktop")[-1] == "/run/x/desktop"
    assert "-SendClipboard=0" in BY_UNIX.command("/run/x/desktop")


def test_the_first_known_viewer_is_taken_where_there_is_a_display() -> None:
    display = {"DISPLAY": ":0"}
    assert find_viewer(display, installed=lambda program: program) is BY_UNIX
    assert find_viewer(display, installed={"remmina": "/usr/bin/remmina"}.get) == KNOWN[3]
    assert find_viewer(display, installed=lambda _: None) is None
    assert find_viewer({}, installed=lambda program: program) is None
    assert find_viewer({}, installed=lambda program: program, platform="darwin") is BY_UNIX


def test_for_a_unix_socket_only_a_viewer_that_opens_one_is_taken() -> None:
    without_first = {viewer.program: f"/usr/bin/{viewer.program}" for viewer in KNOWN[1:]}
    assert find_viewer({"DISPLAY": ":0"}, over_unix=True, installed=without_first.get) is None


@pytest.mark.parametrize(
    ("listen", "socket", "viewer", "door"),
    [
        ("127.0.0.1:5901", None, None, "tcp:127.0.0.1:5901"),
        ("127.0.0.1:0", None, BY_UNIX, "tcp:127.0.0.1:0"),
        ("[::1]:5901", None, None, "tcp:[::1]:5901"),
        (None, Path("/run/x/desktop"), None, "unix:/run/x/desktop"),
        (None, None, BY_TCP, "tcp:127.0.0.1:0"),
    ],
)
def test_the_door_is_where_it_was_asked_for(
    listen: str | None, socket: Path | None, viewer: Viewer | None, door: str
) -> None:
    with choose_door(listen, socket, viewer) as chosen:
        assert chosen == door


@pytest.mark.parametrize("viewer", [None, BY_UNIX])
def test_otherwise_it_is_a_socket_in_a_folder_of_its_own(viewer: Viewer | None) -> None:
    with choose_door(None, None, viewer) as door:
        folder = Path(door.removeprefix("unix:")).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(door) < 107
    assert not folder.exists()


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:5901", "192.0.2.1:1", "localhost:5901", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"],
)
def test_a_door_for_others_is_refused(listen: str) -> None:
    with pytest.raises(TelerelayError, match="loopback") as refused, choose_door(listen, None, None):
        pass
    assert refused.value.code == "USAGE"


def test_two_doors_are_refused() -> None:
    with pytest.raises(TelerelayError, match="exclude"), choose_door("127.0.0.1:0", Path("/x"), None):
        pass
