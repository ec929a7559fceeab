"""Which program locks an office PC's desktop, and what its word is worth."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger

from telerelay_agent import locking
from telerelay_agent.locking import KNOWN, Locker, find_command
from telerelay_agent.state import State, StateFile, was_left
from telerelay_endpoint.errors import TelerelayError
from tests.kit.condition import eventually

SCREEN = {"DISPLAY": ":1"}


def installed(*programs: str) -> Any:
    return lambda program: f"/usr/bin/{program}" if program in programs else None


def test_what_was_chosen_is_taken_where_it_is_installed() -> None:
    assert find_command(["xlock", "-mode", "blank"], {}, installed("xlock")) == ("xlock", "-mode", "blank")
    with pytest.raises(TelerelayError, match="xlok is not installed") as refused:
        find_command(["xlok"], SCREEN, installed("xlock"))
    assert refused.value.code == "USAGE"


def test_a_known_program_is_found_where_there_is_a_screen() -> None:
    programs = [command[0] for command in KNOWN]
    assert find_command([], SCREEN, installed(*programs)) == KNOWN[0]
    assert find_command([], SCREEN, installed(programs[-1])) == KNOWN[-1]
    assert find_command([], {}, installed(*programs)) == ()
    assert find_command([], SCREEN, installed("loginctl")) == ()


class Desk:
    """A locker and what it said."""

    def __init__(self, *command: str) -> None:
        said = CapturingLogger()
        log = structlog.wrap_logger(said, processors=[_as_is], wrapper_class=structlog.BoundLogger)
        self.locker = Locker(command, log)
        self._said = said

    async def lock(self) -> None:
        self.locker.lock()
        await self.locker.finish()

    def events(self) -> list[str]:
        return [call.args[0]["event"] for call in self._said.calls]


def _as_is(_logger: Any, _method: str, event: Any) -> tuple[tuple[Any], dict[str, Any]]:
    return (dict(event),), {}


async def test_a_program_that_ends_well_has_locked(tmp_path: Path) -> None:
    desk = Desk("touch", str(tmp_path / "locked"))
    await desk.lock()
    await desk.lock()
    assert (tmp_path / "locked").exists()
    assert (desk.locker.works, desk.events()) == (True, ["desktop_locked", "desktop_locked"])


@pytest.mark.parametrize("command", [("false",), ("/nonexistent/locker",)])
async def test_one_that_fails_is_not_promised_again(command: tuple[str, ...]) -> None:
    desk = Desk(*command)
    assert desk.locker.works
    await desk.lock()
    assert (desk.locker.works, desk.events()) == (False, ["desktop_not_locked"])


async def test_one_that_stays_is_the_lock_and_is_started_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_ANSWER_S", 0.1)
    pids = tmp_path / "pids"
    desk = Desk("sh", "-c", f"echo $$ >> {pids}; exec sleep 1000")
    await desk.lock()
    await eventually(pids.exists)
    await desk.lock()
    assert (desk.locker.works, desk.events()) == (True, ["desktop_locked", "desktop_locked"])
    (pid,) = pids.read_text().split()
    # In a session of its own: Ctrl-C at the agent's terminal is not for it.
    assert os.getsid(int(pid)) == int(pid)
    os.kill(int(pid), signal.SIGTERM)
    # Somebody unlocked the desktop; the next time it is locked anew.
    await eventually(lambda: desk.locker._running is not None and desk.locker._running.poll() is not None)
    await desk.lock()
    await eventually(lambda: len(pids.read_text().split()) == 2)
    os.kill(int(pids.read_text().split()[1]), signal.SIGTERM)
    await eventually(lambda: desk.locker._running is not None and desk.locker._running.poll() is not None)


def test_an_agent_that_died_in_a_session_has_left_its_desktop_open(tmp_path: Path) -> None:
    assert not was_left(tmp_path)
    file = StateFile(tmp_path, State(pid=4711, desktop="127.0.0.1:5900", started=1_800_000_000))
    assert not was_left(tmp_path)
    file.update(sessions={"7KQ2-M9XB": "direct"})
    assert was_left(tmp_path)
    file.update(sessions={})
    assert not was_left(tmp_path)
