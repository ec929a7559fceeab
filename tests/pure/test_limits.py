"""One table of bounds: code, relay_core/spec/limits.toml and pages say the same (docs/LIMITS.md)."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from telerelay_core import LIMITS_TOML
from telerelay_endpoint.limits import LIMITS

ROOT: Final = Path(__file__).resolve().parents[2]
SPEC: Final = ROOT / "relay_core" / "spec"
PYTHON: Final = (
    ROOT / "python" / "telerelay",
    ROOT / "agent" / "telerelay_agent",
    ROOT / "client" / "telerelay_client",
    ROOT / "relay_core" / "py" / "python" / "telerelay_endpoint",
)
RUST: Final = tuple(ROOT / "relay_core" / folder for folder in ("proto", "net", "log", "py/src"))
TABLE: Final = ROOT / "relay_core" / "proto" / "wire" / "src" / "limits.rs"

# What is a number and no bound: sizes that a format has, names, and what is shown or advised.
OTHER_FOLDERS: Final = {
    "demo": "waits of a show on one machine",
    "doctor": "advice, weighed in the doctor's own words",
    "migrations": "a schema as it once was",
}
OTHER_PYTHON: Final = re.compile(
    r"_SIZE$|_LENGTH$|_BITS$|^_?NOT_MET$|^_?(PRIVATE|READABLE|OF_OTHERS)|_UMASK$|^U?INT\d+$|^_PORTS?$|_PORT$|^_?LOOK_S$|_DIGITS$"
)
OTHER_NAMES: Final = {
    "_DAY_S": "a day",
    "EPOCH": "the day from which days are counted",
    "_FIRST_RULES": "rules of a document",
    "_HOUR_MINUTES": "an hour",
    "_GROUPS": "steps of a distribution",
    "_INTERRUPTED": "exit code",
    "_LAST": "the largest number of a column",
    "_M_TRIM_THRESHOLD": "a setting of the C library",
    "_ROOT": "the user",
    "_SCALE": "pixels of a picture",
    "_SHORT": "digits of a table on the screen",
    "_SOCKET_PATH_MAXIMUM": "of the kernel (unix(7))",
    "_CODES": "rows of a view on the screen",
    "_ANGLE": "degrees of a watermark",
    "_EDGE": "pixels of a watermark",
    "_LEADING": "pixels of a watermark",
    "_LINE": "pixels of a watermark",
    "_WINDOW_S": "the time that a view on the screen tells of",
    "ALGORITHM": "RFC 9052",
    "APPLICATION_DATA": "RFC 8446",
    "CHAIN": "RFC 9360",
    "CURRENT": "the version of the terms",
    "DAY_MINUTES": "a day",
    "EASTERNMOST": "minutes that the clocks of the farthest place are ahead of UTC",
    "ES256": "RFC 9053",
    "MINUTE_S": "a minute",
    "ORGANISATION": "a header's number",
    "SIGN1_TAG": "RFC 9052",
    "TYPE": "RFC 9596",
    "WEIGHT": "how faint a watermark is",
}
UNREAD: Final = {"path_id_s": "an attempt's phases end before it"}
OTHER_RUST: Final = {
    "ACK_FRAME": "size of a frame",
    "ARRAY": "CBOR",
    "CRITICAL": "a flag",
    "DATA": "type of a frame",
    "DATA_MAXIMUM": "PROTOCOL.md §8",
    "HEADER": "size of a header",
    "HOUR": "a unit",
    "MAP": "CBOR",
    "MILLISECOND": "a unit",
    "MINUTE": "a unit",
    "MOST": "RFC 6143",
    "OFFSET": "size of a number",
    "PACKED": "RFC 6143",
    "PATH": "type of a frame",
    "PATH_MAXIMUM": "PROTOCOL.md §4",
    "PIXEL": "size of a pixel",
    "PLAIN_MAXIMUM": "RFC 8446",
    "PROTECTED_MAXIMUM": "RFC 8446",
    "RECORD": "a full record is one PATH frame",
    "RECORD_OVERHEAD": "RFC 8446",
    "RECORD_PLAINTEXT": "RFC 8446",
    "SECOND": "a unit",
    "TILE": "RFC 6143",
    "UNKNOWN_MAXIMUM": "PROTOCOL.md §4",
    "UNSIGNED": "CBOR",
    "VERSION": "of the protocol",
}


def limits() -> dict[str, dict[str, Any]]:
    return tomllib.loads((SPEC / "limits.toml").read_text(encoding="utf-8"))


def python_sources() -> Iterator[Path]:
    for folder in PYTHON:
        for path in folder.rglob("*.py"):
            if not OTHER_FOLDERS.keys() & set(path.relative_to(folder).with_suffix("").parts):
                yield path


def rust_sources() -> Iterator[Path]:
    for folder in RUST:
        for path in folder.rglob("*.rs"):
            if path != TABLE and not {"tests", "tests.rs", "benches", "fixture.rs"} & set(
                path.relative_to(folder).parts
            ):
                yield path


def numbers(path: Path) -> Iterator[str]:
    """Names of a module's constants that are a number written there."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            name, value = node.target.id, node.value
        else:
            continue
        if name.isupper() and is_number(value):
            yield name


def is_number(value: ast.expr) -> bool:
    """A number, arithmetic of numbers, or a call with nothing but numbers."""
    match value:
        case ast.Constant(value=int() | float()):
            return not isinstance(value.value, bool)
        case ast.BinOp(left=left, right=right):
            return is_number(left) and is_number(right)
        case ast.UnaryOp(operand=operand):
            return is_number(operand)
        case ast.Call(args=args, keywords=keywords):
            given = [*args, *(keyword.value for keyword in keywords)]
            return bool(given) and all(is_number(one) for one in given)
    return False


def test_the_pages_are_what_the_table_says() -> None:
    checked = subprocess.run(
        [sys.executable, SPEC / "tables.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_bound_has_a_number_and_a_reason() -> None:
    for name, limit in limits().items():
        assert limit.keys() - {"counter"} == {"part", "value", "reason"}, name
        assert type(limit["value"]) is int, name
        assert limit["value"] > 0, name
        assert len(limit["reason"]) > 5, name
        assert limit["reason"].strip(" .") == limit["reason"], name
        assert "|" not in limit["reason"], name


def test_the_core_carries_the_table() -> None:
    assert tomllib.loads(LIMITS_TOML) == limits()
    assert {name: limit["value"] for name, limit in limits().items()} == LIMITS


def test_every_number_of_the_table_is_read() -> None:
    rows = dict(re.findall(r'^    ([A-Z_0-9]+) "(\w+)" ', TABLE.read_text(encoding="utf-8"), re.MULTILINE))
    rust = "\n".join(path.read_text(encoding="utf-8") for path in rust_sources())
    of_rust = {name for constant, name in rows.items() if re.search(rf"\b{constant}\b", rust)}
    python = "\n".join(path.read_text(encoding="utf-8") for path in python_sources())
    doctor = (PYTHON[-1] / "doctor" / "relay.py").read_text(encoding="utf-8")
    of_python = set(re.findall(r'LIMITS\["(\w+)"\]', python + doctor))
    assert of_rust | of_python == limits().keys() - UNREAD.keys()


def test_an_attempt_ends_before_its_path_id() -> None:
    phases = ("route_s", "gap_wait_s", "accept_s", "recorded_s")
    assert sum(LIMITS[phase] for phase in phases) < LIMITS["path_id_s"]


def test_no_bound_of_python_stands_elsewhere() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_sources()
        for name in numbers(path)
        if not OTHER_PYTHON.search(name) and name not in OTHER_NAMES
    }
    assert not found, "a bound belongs into relay_core/spec/limits.toml, with its reason"


def test_no_bound_of_rust_stands_elsewhere() -> None:
    constant = re.compile(
        r"^(?:pub(?:\([a-z]+\))? )?const ([A-Z_0-9]+): (?:[ui]\d+|[ui]size|Duration) = ([^;]*\d[^;]*);",
        re.MULTILINE,
    )
    found = {
        f"{path.relative_to(ROOT)}: {name} = {value}"
        for path in rust_sources()
        for name, value in constant.findall(path.read_text(encoding="utf-8"))
        if name not in OTHER_RUST and "limits::" not in value and not re.search(r"[A-Z_]{4,}", value)
    }
    assert not found, "a bound belongs into relay_core/spec/limits.toml, with its reason"
