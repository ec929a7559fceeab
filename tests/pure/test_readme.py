"""README.ja.md says what README.md says: the same parts in the same order, the same commands."""

import re
from pathlib import Path
from typing import Final

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from telerelay.cli.main import program
from telerelay_agent.main import app as agent
from telerelay_client.main import app as client
from telerelay_loadtest.main import app as loadtest

_ROOT: Final = Path(__file__).parents[2]
_ENGLISH: Final = (_ROOT / "README.md").read_text()
_JAPANESE: Final = (_ROOT / "README.ja.md").read_text()


def _commands(text: str) -> list[str]:
    """What stands in the blocks without a language, without the remarks behind it."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    return [line.partition("  #")[0].rstrip() for line in lines]


def _mentioned(text: str) -> set[str]:
    """What stands between backquotes in the text: commands, files, variables."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`]+)`", prose))


def _structure(text: str) -> list[str]:
    """Headings, bullets, tables and drawings, in their order."""
    return re.findall(r"^(#+|- \*\*|\||```\w*)", text, re.MULTILINE)


def _targets(text: str) -> list[str]:
    return [target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("README")]


def test_both_have_the_same_commands() -> None:
    assert _commands(_ENGLISH) == _commands(_JAPANESE)
    assert len(_commands(_ENGLISH)) > 20


def test_both_have_the_same_parts_links_and_names() -> None:
    assert _structure(_ENGLISH) == _structure(_JAPANESE)
    assert _targets(_ENGLISH) == _targets(_JAPANESE)
    assert _mentioned(_ENGLISH) == _mentioned(_JAPANESE)


def test_both_link_to_what_is_there() -> None:
    for target in [*_targets(_ENGLISH), "README.md", "README.ja.md"]:
        assert (_ROOT / target).exists(), target


@pytest.mark.parametrize("line", [line for line in _commands(_ENGLISH) if line.startswith("telerelay")])
def test_every_command_in_them_exists(line: str) -> None:
    known = {
        "telerelay": program(),
        "telerelay-agent": get_command(agent),
        "telerelay-client": get_command(client),
        "telerelay-loadtest": get_command(loadtest),
    }
    for command in line.split(" && "):
        name, *words = command.split()
        found = known[name]
        while isinstance(found, TyperGroup) and not words[0].startswith("--"):
            found = found.commands[words.pop(0)]
