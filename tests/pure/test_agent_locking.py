"""Which program locks an office PC's desktop, and what its word is worth."""

import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger

from telerelay_agent import locking, run
from telerelay_agent.desktop import Desktop
from telerelay_agent.doctor import _check_lock
from telerelay_agent.documents import OwnDocuments
from telerelay_agent.locking import KNOWN, Locker, find_command
from telerelay_agent.service import Service
from telerelay_agent.state import STATE_FILE, State, StateFile, only_one, was_left
from telerelay_endpoint.credentials import Credentials
from telerelay_endpoint.documents import Clock, Kind
from telerelay_endpoint.errors import TelerelayError
from tests.kit.condition import eventually
from tests.kit.fake_agent import EnrolledAgent, FakeAgentHandle
from tests.kit.tenant import NOW, RULES

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
        self.failed = 0
        said = CapturingLogger()
        log = structlog.wrap_logger(said, processors=[_as_is], wrapper_class=structlog.BoundLogger)
        self.locker = Locker(command, log, self._fail)
        self._said = said

    async def lock(self) -> None:
        self.locker.lock()
        await self.locker.finish()

    def events(self) -> list[str]:
        return [call.args[0]["event"] for call in self._said.calls]

    def reason(self) -> str:
        """Why it could not be locked the last time."""
        said: str = self._said.calls[-1].args[0]["reason"]
        return said

    def _fail(self) -> None:
        self.failed += 1


def _as_is(_logger: Any, _method: str, event: Any) -> tuple[tuple[Any], dict[str, Any]]:
    return (dict(event),), {}


async def test_a_program_that_ends_well_has_locked(tmp_path: Path) -> None:
    desk = Desk("touch", str(tmp_path / "locked"))
    await desk.lock()
    await desk.lock()
    assert (tmp_path / "locked").exists()
    assert (desk.locker.works, desk.events()) == (True, ["desktop_locked", "desktop_locked"])


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("false",), "false ended with status 1"),
        (("/nonexistent/locker",), "[Errno 2] No such file or directory: '/nonexistent/locker'"),
        ((), "no program is known that does it"),
    ],
)
async def test_one_that_fails_is_not_promised(command: tuple[str, ...], reason: str) -> None:
    desk = Desk(*command)
    assert desk.locker.works == bool(command)
    await desk.lock()
    assert (desk.locker.works, desk.failed, desk.events()) == (False, 1, ["desktop_not_locked"])
    assert desk.reason() == reason


async def test_one_that_failed_is_not_promised_again_when_it_works_once(tmp_path: Path) -> None:
    desk = Desk("test", "-e", str(tmp_path / "there"))
    await desk.lock()
    (tmp_path / "there").touch()
    await desk.lock()
    assert (desk.locker.works, desk.events()) == (False, ["desktop_not_locked", "desktop_locked"])


@pytest.mark.parametrize("name", ["xscreensaver-command", "loginctl"])
async def test_one_that_only_asks_and_hangs_has_locked_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(locking, "_ANSWER_S", 0.2)
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec sleep 10\n")
    program.chmod(0o755)
    desk = Desk(str(program), "-lock")
    await desk.lock()
    await desk.lock()
    assert (desk.locker.works, desk.events()) == (False, ["desktop_not_locked"] * 2)
    assert desk.reason() == f"{program} gave no answer within 0.2 s"
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


class FakeAgent(FakeAgentHandle):
    """A core that runs in name only."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@pytest.mark.parametrize(("program", "told"), [("touch", "touch"), ("/nonexistent/locker", "")])
async def test_an_agent_that_fails_in_a_session_locks_before_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, told: str
) -> None:
    enrolled = EnrolledAgent(tmp_path)
    own = OwnDocuments(enrolled.credentials, Clock(lambda: NOW))
    own.take(Kind.COMPUTER, enrolled.tenant.document(rules=replace(RULES, lock_on_disconnect=True)))

    def opens_and_fails(service: Service, _event: Any, _answers: Any) -> None:
        service.opened("7KQ2-M9XB", "direct")
        raise OSError("no space")

    async def one_event(_agent: Any) -> AsyncIterator[str]:
        yield "opened"

    monkeypatch.setattr(Credentials, "dial", lambda *_: None)
    monkeypatch.setattr("telerelay_core.Agent", lambda **_: FakeAgent())
    monkeypatch.setattr(run, "told", one_event)
    monkeypatch.setattr(run, "_tell", opens_and_fails)
    desktop = Desktop("127.0.0.1:5900", lock=(program, str(tmp_path / "locked")))
    with pytest.raises(OSError, match="no space"):
        await run._serve(
            enrolled.credentials, own, Clock(lambda: NOW), desktop, "auto", structlog.get_logger()
        )
    assert (tmp_path / "locked").exists() == bool(told)
    # What `doctor` is told; and the next agent is told that this one did not see its session end.
    assert json.loads((tmp_path / STATE_FILE).read_text())["lock"] == told
    assert was_left(tmp_path)


def test_doctor_says_what_the_running_agent_can_do(tmp_path: Path) -> None:
    there = ["sh"]
    assert [found.says["en"] for found in _check_lock(tmp_path, there)] == ["sh locks the desktop"]
    with only_one(tmp_path):
        # A unit that came up before there was a screen, where this terminal has one.
        file = StateFile(tmp_path, State(pid=4711, desktop="127.0.0.1:5900", started=1_800_000_000))
        (found,) = _check_lock(tmp_path, there)
        assert (found.level, "running agent cannot" in found.says["en"]) == ("fail", True)
        file.update(lock="i3lock")
        (found,) = _check_lock(tmp_path, [])
        assert found.says["en"] == "i3lock locks the desktop"


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
