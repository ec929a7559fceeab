"""Writes LIMITS.md and the table of PROTOCOL.md §12 from limits.toml; --check only compares."""  # noqa: INP001

import sys
import tomllib
from pathlib import Path
from typing import Any, Final

SPEC: Final = Path(__file__).resolve().parent
DOCS: Final = SPEC.parents[1] / "docs"
PARTS: Final = {
    "door": "At a node's door",
    "pairing": "From CONNECT to PAIRED",
    "leg": "Legs",
    "session": "Sessions",
    "api": "The API, at its door",
    "node": "A node's queues, buffers and pauses",
    "engine": "The engine of direct paths",
    "endpoint": "Agent and client",
    "guard": "The guard",
    "serving": "The API, behind its door",
    "audit": "Audit",
    "documents": "Documents, certificates and lines",
    "organisation": "Commands of an organisation",
    "prove": "The hostile client of `telerelay prove`",
    "log": "Logs",
}
"""Every `part` of limits.toml and its heading, in the order of LIMITS.md."""
OF_THE_WIRE: Final = ("door", "pairing", "leg", "session", "api")
"""The parts that PROTOCOL.md §12 has: what an implementation needs to be understood by another."""
HEAD: Final = """\
# Limits
Every queue, buffer, wait and count of the code has a bound, and every bound stands here with its reason.
Made from [`limits.toml`](../relay_core/spec/limits.toml) by `make limits`; a test fails where code, file and
this page differ. The end of a name says its unit: `_s` seconds, `_ms` milliseconds, `_d` days; otherwise the
reason names what is counted. The largest body of each frame stands in [PROTOCOL.md](PROTOCOL.md) §4 and §8.

*Counter* is the statistic of a node (`GET /v1/node`) that rises when the bound is hit, where a node meets it.
"""


def main() -> None:
    """Compare or write both pages."""
    limits = tomllib.loads((SPEC / "limits.toml").read_text(encoding="utf-8"))
    pages = {DOCS / "LIMITS.md": page(limits), DOCS / "PROTOCOL.md": protocol(limits)}
    stale = [
        path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv[1:]:
        sys.exit("\n".join(f"{path.name} is not what limits.toml says: make limits" for path in stale) or 0)
    for path in stale:
        path.write_text(pages[path], encoding="utf-8")


def page(limits: dict[str, Any]) -> str:
    """The whole of LIMITS.md. Raises KeyError for a part without a heading."""
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for name, limit in limits.items():
        parts[limit["part"]][name] = limit
    return HEAD + "".join(f"\n## {PARTS[part]}\n{_counted(held)}" for part, held in parts.items())


def _counted(limits: dict[str, Any]) -> str:
    rows = [f"{_row(name, limit)} {_counter(limit)} |\n" for name, limit in limits.items()]
    return "| name | value | reason | counter |\n|---|---|---|---|\n" + "".join(rows)


def _row(name: str, limit: dict[str, Any]) -> str:
    return f"| `{name}` | {limit['value']:,} | {limit['reason']} |"


def _counter(limit: dict[str, Any]) -> str:
    return f"`{limit['counter']}`" if "counter" in limit else ""


def protocol(limits: dict[str, Any]) -> str:
    """PROTOCOL.md as it is, with the table of §12 made anew."""
    head = "| name | value | reason |\n|---|---|---|\n"
    before, rest = (DOCS / "PROTOCOL.md").read_text(encoding="utf-8").split(head)
    after = rest[rest.index("\n\n") + 1 :]
    rows = [f"{_row(name, limit)}\n" for name, limit in limits.items() if limit["part"] in OF_THE_WIRE]
    return before + head + "".join(rows) + after


if __name__ == "__main__":
    main()
