"""How a command tells what a run came to: the verdict first, then the goals, then where the report lies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer

from telerelay_endpoint.console import Console, columns
from telerelay_loadtest.play.verdict import Word
from telerelay_loadtest.report.page import NAMES, SENTENCES, shown
from telerelay_loadtest.report.result import JSON_FILE, PAGE_FILE

NOT_MET: Final = 9
"""Exit code: checked, and not met."""


def conclude(console: Console, result: Mapping[str, Any], folder: Path) -> None:
    """Print it. Exits with 9 for a result that is unmet or invalid."""
    word = Word(result["verdict"])
    rows = [
        [
            "✓" if finding["met"] else "✗",
            console.text(*NAMES[finding["name"]]),
            shown(finding["measured"], finding["unit"]),
            shown(finding["goal"], finding["unit"]),
        ]
        for finding in (*result["goals"], *result["proof"])
    ]
    header = ["", "", console.text("measured", "実測"), console.text("goal", "目標")]
    text = "\n".join(
        [
            f"{word}: {console.text(*SENTENCES[word])}",
            "",
            columns(header, rows),
            "",
            str(folder / PAGE_FILE),
        ]
    )
    told = {name: result[name] for name in ("verdict", "goals", "proof", "stopped", "errors")}
    files = {"result": str(folder / JSON_FILE), "page": str(folder / PAGE_FILE)}
    console.data("loadtest-run", {**told, **files}, text)
    if word in (Word.UNMET, Word.INVALID):
        raise typer.Exit(NOT_MET)
