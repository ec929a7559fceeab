"""The programs of the demo when they fail: what is told of them, and that none outlives it."""

import asyncio
import os
from pathlib import Path

import pytest

from telerelay.demo import programs
from telerelay.demo.programs import Commands, ProgramError
from tests.kit.condition import eventually


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    """Commands whose folder holds what a test puts there."""
    (tmp_path / "bin").mkdir()
    made = Commands.under(tmp_path)
    return Commands(made.logs, made.environment, tmp_path / "bin")


def install(commands: Commands, name: str, script: str) -> None:
    file = commands.folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_secret_goes_in_by_standard_input_and_the_answer_comes_back(commands: Commands) -> None:
    install(commands, "ask", 'read line; echo "$1 $line"')
    assert await commands.run("ask", "said", said="secret\n") == "said secret\n"


async def test_a_failing_command_is_told_with_its_last_lines(commands: Commands) -> None:
    install(commands, "fail", "for i in $(seq 100); do echo line $i >&2; done; exit 3")
    with pytest.raises(ProgramError, match="fail now ended with status 3") as failed:
        await commands.run("fail", "now")
    assert failed.value.said.splitlines()[-1] == "line 100"
    assert len(failed.value.said.splitlines()) < 20


async def test_a_command_that_hangs_is_ended(commands: Commands, tmp_path: Path) -> None:
    install(commands, "hang", f"echo $$ > {tmp_path}/pid; exec sleep 100")
    with pytest.raises(ProgramError, match="did not end within"):
        await commands.run("hang", timeout=0.5)
    assert not is_there(int((tmp_path / "pid").read_text()))


async def test_a_command_that_is_missing_is_named(commands: Commands) -> None:
    with pytest.raises(ProgramError, match="not installed"):
        await commands.run("missing")


async def test_events_past_and_to_come_are_found_and_all_goes_to_the_log(commands: Commands) -> None:
    said = """echo 'no json' >&2; echo '{"event": 1}'; echo '{"event": 2}' >&2"""
    install(commands, "serve", f"{said}; exec sleep 100")
    async with commands.running("service", "serve") as program:
        assert await program.event(lambda event: event["event"] == 2, 10) == {"event": 2}
        assert await program.event(lambda event: event["event"] == 1, 10) == {"event": 1}
        assert is_there(program.pid)
    assert not is_there(program.pid)
    assert (commands.logs / "service.log").read_text() == 'no json\n{"event": 1}\n{"event": 2}\n'


async def test_a_program_that_ends_before_it_is_ready_fails_with_its_last_lines(commands: Commands) -> None:
    install(commands, "serve", "echo 'error[ADDRESS_IN_USE] taken' >&2; exit 6")
    async with commands.running("service", "serve") as program:
        with pytest.raises(ProgramError, match="service ended with status 6") as failed:
            await program.event(lambda _: True, 10)
    assert failed.value.said == "error[ADDRESS_IN_USE] taken"


async def test_a_program_that_never_gets_ready_fails(commands: Commands) -> None:
    install(commands, "serve", "echo starting; exec sleep 100")
    async with commands.running("service", "serve") as program:
        with pytest.raises(ProgramError, match="was not ready within") as failed:
            await program.event(lambda _: True, 0.5)
    assert failed.value.said == "starting"


async def test_one_that_does_not_go_is_killed_with_what_it_started(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "STOP_TIMEOUT", 0.3)
    install(
        commands, "stay", f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/child; echo '{{}}'; wait; wait"
    )
    async with commands.running("service", "stay") as program:
        await program.event(lambda _: True, 10)
    child = int((tmp_path / "child").read_text())
    assert not is_there(program.pid)
    await eventually(lambda: not is_there(child))


async def test_an_end_by_itself_is_told(commands: Commands) -> None:
    install(commands, "serve", "echo '{}'; exit 4")
    async with commands.running("service", "serve") as program:
        assert await asyncio.wait_for(program.end(), 10) == "ended with status 4"
