"""Where rows go: the terminal, build/bench.json, and the table in docs/BENCHMARKS.md."""

import re
from collections.abc import Iterable, Sequence
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
_HEADINGS: Final = ("ID", "What", "Unit", "Ours", "Range", "Peer", "Ratio", "≤ 95 %", "Goal", "Met")


class Sheet(msgspec.Struct, frozen=True):
    """Figures that are no rows: of everybody who was measured, side by side."""

    title: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found. `measured`: when it began, Unix seconds."""

    schema: Literal["telerelay.bench/1"] = SCHEMA
    measured: int
    machine: Machine
    rows: Sequence[Row]
    sheets: Sequence[Sheet] = ()

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
        for sheet in self.sheets:
            table = Table(*sheet.headings, title=sheet.title, title_justify="left", box=None, pad_edge=False)
            for line in sheet.lines:
                table.add_row(*line)
            console.print(table)

    def write_into(self, page: Path, begin: str = BEGIN) -> None:
        """Replace what is between a marker of the page and the next END. ValueError where there is none."""
        text, place = page.read_text(), re.compile(re.escape(begin) + ".*?" + re.escape(END), re.DOTALL)
        if not place.search(text):
            raise ValueError(f"{page} has no markers")
        page.write_text(place.sub(lambda _: f"{begin}\n{self._markdown()}\n{END}", text))

    def _markdown(self) -> str:
        facts = [
            f"{name.replace('_', ' ')}: {value}" for name, value in msgspec.to_builtins(self.machine).items()
        ]
        lines = ["; ".join(facts) + "."]
        if self.rows:
            lines += ["", *_table(_HEADINGS, map(_cells, self.rows)), ""]
            lines += [f"- {row.id}: {note}" for row in self.rows for note in _notes(row)]
        for sheet in self.sheets:
            lines += ["", f"{sheet.title}:", "", *_table(sheet.headings, sheet.lines)]
        return "\n".join(lines).rstrip()


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    written = ["| " + " | ".join(line) + " |" for line in (headings, *lines)]
    return [written[0], "|" + "---|" * len(headings), *written[1:]]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.id,
        row.title,
        row.unit,
        number(row.ours) if row.is_measured else "not measured",
        f"{number(row.low)}–{number(row.high)} ({row.rounds})" if row.rounds > 1 else "",
        number(row.peer),
        number(row.ratio),
        number(row.ratio_bound),
        row.goal or "",
        {True: "yes", False: "NO", None: ""}[row.met],
    )


def _notes(row: Row) -> list[str]:
    parts = ", ".join(f"{name} {number(part)}" for name, part in row.parts.items())
    return [note for note in (parts, row.note) if note]


def number(value: float | None) -> str:
    """Three digits, without an exponent."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
