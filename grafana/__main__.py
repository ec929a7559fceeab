"""Writes what Grafana and Prometheus read: `python -m grafana`, `python -m grafana --check`."""

import argparse
import sys
from pathlib import Path
from typing import Final

from grafana.dashboards.built import dashboard_files
from grafana.rules.built import rule_files
from grafana.rules.rule import RUNBOOKS

FOLDER: Final = Path(__file__).parent


def built(runbooks: str = RUNBOOKS) -> dict[Path, str]:
    """Every file that is written, and what stands in it."""
    rules = {FOLDER / "prometheus" / name: text for name, text in rule_files(runbooks=runbooks).items()}
    boards = {FOLDER / "built" / name: text for name, text in dashboard_files(runbooks).items()}
    return {**rules, **boards}


def stale() -> list[Path]:
    """The files that are not as they would be written now."""
    return [path for path, text in built().items() if not path.exists() or path.read_text() != text]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m grafana", description="Write dashboards and rules.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a file is not as built"
    )
    parser.add_argument(
        "--runbooks", default=RUNBOOKS, metavar="URL", help="where this site serves RUNBOOKS.md"
    )
    asked = parser.parse_args()
    if asked.check:
        if old := stale():
            sys.exit(f"not as built, run python -m grafana: {', '.join(map(str, old))}")
        return
    for path, text in built(asked.runbooks).items():
        path.write_text(text)


if __name__ == "__main__":
    main()
