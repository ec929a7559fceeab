"""Killed at any step, `--apply` and `--undo` leave what `--undo` puts back to the last byte."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from telerelay_agent.harden.journal import JOURNAL_FILE
from tests.kit.harden import INI, applied, tree, undone

ROOT: Final = Path(__file__).parents[2]
# Every call by which such a run changes what a later one finds, or makes it durable.
CALLS: Final = "write,fsync,rename,unlink,ftruncate,mkdir"
CALL: Final = re.compile(r"^(\w+)\((.*)\)\s+= ")


def run(task: str, folder: Path, *strace: str) -> int:
    """One run of its own under strace; its return code, negative for a signal."""
    tracing = ("strace", "-qq", "-y", "-e", f"trace={CALLS},flock", *strace)
    return subprocess.run(
        [*tracing, sys.executable, "-m", "tests.kit.harden", task, folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    ).returncode


def steps(task: str, folder: Path) -> Sequence[tuple[str, int, str]]:
    """The changing calls of an undisturbed run behind the journal's lock: name, its number, arguments."""
    trace = folder / "trace"
    assert run(task, folder, "-o", str(trace)) == 0
    made: Counter[str] = Counter()
    found: list[tuple[str, int, str]] = []
    is_locked = False
    for line in trace.read_text().splitlines():
        if not (call := CALL.match(line)):
            continue
        made[call[1]] += 1
        is_locked |= call[1] == "flock"
        if is_locked and call[1] != "flock":
            found.append((call[1], made[call[1]], call[2]))
    return found


def unhardened(folder: Path) -> Path:
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "it.ini").write_bytes(INI)
    return folder


def hardened(folder: Path) -> Path:
    applied(unhardened(folder) / "etc", folder / "data")
    return folder


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("task", "begin"), [("apply", unhardened), ("undo", hardened)])
def test_killed_at_any_step_it_can_be_undone(
    tmp_path: Path, task: str, begin: Callable[[Path], Path]
) -> None:
    original = tree(unhardened(tmp_path / "original") / "etc")
    found = steps(task, begin(tmp_path / "whole"))
    assert len(found) >= 15
    for number, (call, nth, _) in enumerate(found):
        folder = begin(tmp_path / str(number))
        assert run(task, folder, "-o", "/dev/null", f"--inject={call}:signal=KILL:when={nth}") == -9
        assert undone(folder / "etc", folder / "data") == [], (call, nth)
        assert tree(folder / "etc") == original, (call, nth)
        assert (folder / "data" / JOURNAL_FILE).read_bytes() == b""


def test_the_journal_is_on_the_disk_before_a_file_changes(tmp_path: Path) -> None:
    names = []
    for call, _, arguments in steps("apply", unhardened(tmp_path)):
        if JOURNAL_FILE in arguments and call in ("write", "fsync"):
            names.append(f"{call} journal")
        elif call == "rename":
            names.append(call)
    assert names == ["write journal", "fsync journal", "rename"] * 3
