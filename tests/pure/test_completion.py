"""A shell completes the commands: a real bash with the script that the command prints for it."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.kit.node import TELERELAY

_PROGRAMS: Final = Path(TELERELAY).parent
# What readline does when Tab is pressed behind the words.
_TAB: Final = """
eval "$(_{variable}_COMPLETE=source_bash {program})"
set -- $(complete -p {program})
while [ "$1" != -F ]; do shift; done
COMP_WORDS=({words} '{begun}')
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
"$2" {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def _complete(program: str, *words: str, begun: str) -> list[str]:
    variable = program.upper().replace("-", "_")
    script = _TAB.format(variable=variable, program=program, words=" ".join([program, *words]), begun=begun)
    return _run("bash", "--norc", "-c", script).split()


def _run(*command: str, **environment: str) -> str:
    path = f"{_PROGRAMS}:{os.environ['PATH']}"
    ended = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=50, env={"PATH": path, **environment}
    )
    assert not ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    ("program", "words", "begun", "completed"),
    [
        ("telerelay", [], "conf", ["config"]),
        ("telerelay", ["org"], "in", ["init", "invite"]),
        # A command whose module is imported only now.
        ("telerelay", ["org", "invite"], "--la", ["--label", "--lang"]),
        ("telerelay", ["org", "invite"], "a", ["agent"]),
        ("telerelay-agent", [], "r", ["run"]),
        ("telerelay-agent", ["config"], "", ["show", "check"]),
        ("telerelay-client", ["connect"], "--no", ["--no-viewer"]),
        ("telerelay-loadtest", ["run"], "--ta", ["--target"]),
    ],
)
def test_bash_completes(program: str, words: list[str], begun: str, completed: list[str]) -> None:
    assert _complete(program, *words, begun=begun) == completed


@pytest.mark.parametrize("program", ["telerelay", "telerelay-agent", "telerelay-client"])
@pytest.mark.parametrize(("shell", "registers"), [("zsh", "#compdef {}"), ("fish", "complete --command {} ")])
def test_zsh_and_fish_have_a_script_of_their_own(program: str, shell: str, registers: str) -> None:
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    assert registers.format(program) in _run(program, **{variable: f"source_{shell}"})
    asked = {variable: f"complete_{shell}", "_TYPER_COMPLETE_ARGS": f"{program} conf"}
    assert "config" in _run(program, _TYPER_COMPLETE_FISH_ACTION="get-args", **asked)
