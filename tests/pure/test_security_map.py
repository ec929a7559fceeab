"""Every test that SECURITY.md names is there, under that name and with that number."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
ROW: Final = re.compile(r"^\| (\d+) \|(?:[^|]+\|){2} (.+) \|$", re.MULTILINE)
NAMED: Final = re.compile(r"`([^`]+)::([^`]+)`")
TABLE: Final = ROW.findall((ROOT / "SECURITY.md").read_text())


def _tests(file: Path) -> set[str]:
    """The names of the tests in a file, as pytest or cargo finds them."""
    source = file.read_text()
    if file.suffix == ".rs":
        return set(re.findall(r"#\[(?:tokio::)?test(?:\(.*\))?\]\s+(?:async )?fn (\w+)", source))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(source).body if isinstance(node, functions)}


def test_the_numbers_rise() -> None:
    numbers = [int(number) for number, _ in TABLE]
    assert numbers
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(("number", "shown_by"), TABLE)
def test_each_test_of_the_table_is_there(number: str, shown_by: str) -> None:
    named = NAMED.findall(shown_by)
    assert named, f"nothing shows {number}"
    for file, name in named:
        assert name.startswith("test_") or file.endswith(".rs")
        assert name in _tests(ROOT / file), f"{number}: {file} has no {name}"
