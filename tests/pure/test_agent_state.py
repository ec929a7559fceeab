"""The file and the lock by which `status` sees a running agent, and which desktop is served."""

from pathlib import Path
from typing import Final

import pytest

from telerelay_agent.desktop import parse_desktop
from telerelay_agent.state import STATE_FILE, State, StateFile, only_one, running
from telerelay_endpoint.errors import TelerelayError

STARTED: Final = State(pid=4711, desktop="127.0.0.1:5900", started=1_800_000_000)


def test_a_running_agent_is_seen_and_one_that_left_is_not(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    with only_one(tmp_path):
        assert running(tmp_path) is None
        file = StateFile(tmp_path, STARTED)
        assert running(tmp_path) == STARTED
        file.update(node="node-1", since=1_800_000_100, sessions={"7KQ2-M9XB": "direct"})
        assert running(tmp_path) == file.state
    # As after a crash: the file is still there.
    assert (tmp_path / STATE_FILE).exists()
    assert running(tmp_path) is None


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    StateFile(tmp_path, STARTED)
    assert (tmp_path / STATE_FILE).stat().st_mode & 0o777 == 0o600


def test_a_second_agent_of_the_same_folder_is_refused(tmp_path: Path) -> None:
    with only_one(tmp_path):
        with pytest.raises(TelerelayError, match="runs from") as refused, only_one(tmp_path):
            pass
        assert refused.value.code == "ADDRESS_IN_USE"
    with only_one(tmp_path):
        pass


@pytest.mark.parametrize(
    ("text", "served"),
    [
        ("127.0.0.1:5900", "127.0.0.1:5900"),
        ("127.1.2.3:05901", "127.1.2.3:5901"),
        ("[::1]:5900", "[::1]:5900"),
        ("::1:5900", "[::1]:5900"),
        ("unix:/run/vnc.sock", "unix:/run/vnc.sock"),
    ],
)
def test_this_machines_own_desktop_is_served(text: str, served: str) -> None:
    assert parse_desktop(text) == served


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.1:5900",
        "0.0.0.0:5900",
        "[::]:5900",
        "[2001:db8::1]:5900",
        "[::ffff:192.0.2.1]:5900",
        "office-pc:5900",
        "localhost:5900",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:٥٩٠٠",
        "unix:relative",
        "",
    ],
)
def test_nothing_else_is(text: str) -> None:
    with pytest.raises(TelerelayError) as refused:
        parse_desktop(text)
    assert refused.value.code == "USAGE"
