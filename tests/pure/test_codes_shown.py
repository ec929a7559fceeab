"""Each code of errors.toml is produced by a test that compares it with what something real said.

Tests of `pure` make their errors themselves, so they do not count. What nodes and endpoints of the core say
to each other, the Rust tests of relay_core/net assert too. A code that nothing can produce yet says in
`awaits` what it waits for.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
REAL: Final = ("node", "desktop", "faults")
_SHOWN: Final = re.compile(r"^[A-Z][A-Z_]+$|(?<=error\[)[A-Z_]+(?=\])")
_RUST_ASSERTION: Final = re.compile(r"\bassert(?:_eq)?!\((.*?)\);", re.DOTALL)
_RUST_CODE: Final = re.compile(r"\bCode::(\w+)")
# What a Rust test of cases compares each of its rows with stands in the row.
_RUST_ROW: Final = re.compile(r"^\s*(?:\(.*, )?Code::(\w+)\)?,$", re.MULTILINE)


def catalogue() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "relay_core" / "spec" / "errors.toml").read_text(encoding="utf-8"))


def of_python() -> Iterator[str]:
    """Codes in assertions, in cases, and in what a test hands to its own functions that assert."""
    for folder in REAL:
        for path in (ROOT / "tests" / folder).glob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Assert) and not is_denial(node.test):
                    yield from shown(node.test)
                elif isinstance(node, ast.Call) and not is_raise(node):
                    yield from shown(node)


def is_denial(test: ast.expr) -> bool:
    denials = (ast.NotEq, ast.NotIn, ast.IsNot)
    return isinstance(test, ast.Compare) and any(isinstance(operation, denials) for operation in test.ops)


def is_raise(call: ast.Call) -> bool:
    """Whether the test makes the error itself."""
    return isinstance(call.func, ast.Name) and call.func.id.endswith("Error")


def shown(expression: ast.expr) -> Iterator[str]:
    for node in ast.walk(expression):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _SHOWN.findall(node.value)


def of_rust() -> Iterator[str]:
    for path in (ROOT / "relay_core" / "net").glob("*/tests/**/*.rs"):
        text = path.read_text(encoding="utf-8")
        asserted = [name for body in _RUST_ASSERTION.findall(text) for name in _RUST_CODE.findall(body)]
        yield from (snake(name) for name in [*asserted, *_RUST_ROW.findall(text)])


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def test_each_code_is_produced_by_a_test() -> None:
    wanted = {code for code, entry in catalogue().items() if "awaits" not in entry}
    assert wanted - {*of_python(), *of_rust()} == set()


def test_what_waits_is_not_produced_yet() -> None:
    """Whoever builds it takes the mark away."""
    waiting = {code for code, entry in catalogue().items() if "awaits" in entry}
    camel = {code: "".join(word.capitalize() for word in code.split("_")) for code in waiting}
    for folder in (
        "relay_core/net",
        "relay_core/py/src",
        "relay_core/proto/outer/src",
        "relay_core/proto/session/src",
    ):
        for path in (ROOT / folder).rglob("*.rs"):
            if "tests" not in path.parts:
                text = path.read_text(encoding="utf-8")
                assert not [code for code, name in camel.items() if f"Code::{name}" in text], path
    for folder in ("python/telerelay", "agent", "client", "relay_core/py/python"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not [code for code in waiting if f'"{code}"' in text], path
