"""Where rows go: the terminal, build/bench.json, and the table in docs/BENCHMARKS.md."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench.machine import Machine
from tests.bench.rows import Row

SCHEMA: Final = "telerelay.bench/1"
BEGIN: Final = "<!-- measured: written by make bench -->"
END: Final = "<!-- end of measured -->"
_MEASURED: Final = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
_HEADINGS: Final = ("ID", "What", "Unit", "Ours", "Range", "Peer", "Ratio", "≤ 95 %", "Goal", "Met")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found. `measured`: when it began, Unix seconds."""

    schema: Literal["telerelay.bench/1"] = SCHEMA
    measured: int
    machine: Machine
    rows: Sequence[Row]

    def encode(self) -> bytes:
        """As JSON for people and programs."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def show(self, console: Console) -> None:
        """As a table on the terminal, with what the rows note below it."""
        table = Table(*_HEADINGS, box=None, pad_edge=False)
        for row in self.rows:
            table.add_row(*_cells(row))
        console.print(table)
        for row in self.rows:
            for note in _notes(row):
                console.print(f"{row.id}: {note}", highlight=False, soft_wrap=True)

    def write_into(self, page: Path) -> None:
        """Replace the table between the page's markers. Raises ValueError where it has none."""
        text = page.read_text()
        if not _MEASURED.search(text):
            raise ValueError(f"{page} has no markers")
        page.write_text(_MEASURED.sub(lambda _: f"{BEGIN}\n{self._markdown()}\n{END}", text))

    def _markdown(self) -> str:
        facts = [
            f"{name.replace('_', ' ')}: {value}" for name, value in msgspec.to_builtins(self.machine).items()
        ]
        lines = [
            "; ".join(facts) + ".",
            "",
            "| " + " | ".join(_HEADINGS) + " |",
            "|" + "---|" * len(_HEADINGS),
            *("| " + " | ".join(_cells(row)) + " |" for row in self.rows),
            "",
            *(f"- {row.id}: {note}" for row in self.rows for note in _notes(row)),
        ]
        return "\n".join(lines).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.id,
        row.title,
        row.unit,
        _number(row.ours) if row.is_measured else "not measured",
        f"{_number(row.low)}–{_number(row.high)} ({row.rounds})" if row.rounds > 1 else "",
        _number(row.peer),
        _number(row.ratio),
        _number(row.ratio_bound),
        row.goal or "",
        {True: "yes", False: "NO", None: ""}[row.met],
    )


def _notes(row: Row) -> list[str]:
    parts = ", ".join(f"{name} {_number(part)}" for name, part in row.parts.items())
    return [note for note in (parts, row.note) if note]


def _number(value: float | None) -> str:
    """Three digits, without an exponent."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
