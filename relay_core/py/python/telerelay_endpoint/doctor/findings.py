"""What a check finds: fit, doubtful or unfit, in one sentence, with what mends it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import typer

from telerelay_endpoint.console import Console
from telerelay_endpoint.errors import Language, TelerelayError

NOT_MET = 9
"""Exit code: it was checked and is not met."""


Mend: TypeAlias = str | tuple[str, str]
"""A command, or a sentence in English and Japanese where no command does it."""


class Level(StrEnum):
    """How bad it is. Only `fail` decides the exit code."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One check's result. `mend`: the command, or what to do where no command does it."""

    check: str
    level: Level
    says: Mapping[Language, str]
    mend: Mapping[Language, str] | None = None


@dataclass(frozen=True)
class Check:
    """Makes the findings of one check, by its stable name."""

    name: str

    def ok(self, en: str, ja: str) -> Finding:
        """Fit."""
        return Finding(self.name, Level.OK, {"en": en, "ja": ja})

    def warn(self, en: str, ja: str, mend: Mend) -> Finding:
        """It works, and something should be done."""
        return Finding(self.name, Level.WARN, {"en": en, "ja": ja}, _both(mend))

    def fail(self, en: str, ja: str, mend: Mend) -> Finding:
        """It does not work."""
        return Finding(self.name, Level.FAIL, {"en": en, "ja": ja}, _both(mend))

    def failed(self, error: TelerelayError, mend: Mend | None = None) -> Finding:
        """It ended with this error, which has its own sentence and remedy unless `mend` says more."""
        where = f": {error.detail}" if error.detail else ""
        says = {
            language: sentence.rstrip(".。") + where for language, sentence in error.entry.sentence.items()
        }
        return Finding(self.name, Level.FAIL, says, _both(mend) if mend else error.entry.remedy)


def examine(console: Console, findings: Iterable[Finding], *, name: str) -> None:
    """Print the findings, in text one by one as they come; exit NOT_MET when one of them is `fail`."""
    seen = list(findings) if console.json else list(_told(console, findings))
    met = all(finding.level is not Level.FAIL for finding in seen)
    if console.json:
        console.data(name, {"met": met, "checks": [_record(finding) for finding in seen]}, "")
    if not met:
        raise typer.Exit(NOT_MET)


def _told(console: Console, findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        line = f"{finding.level:<5}{finding.check:<13}{finding.says[console.language]}"
        if finding.mend is not None:
            line += f"\n{'':<18}{console.text('do', '対処')}: {finding.mend[console.language]}"
        console.data("", {}, line)
        yield finding


def _record(finding: Finding) -> dict[str, object]:
    return {
        "check": finding.check,
        "result": finding.level,
        "sentence": dict(finding.says),
        "do": None if finding.mend is None else dict(finding.mend),
    }


def _both(mend: Mend) -> Mapping[Language, str]:
    en, ja = (mend, mend) if isinstance(mend, str) else mend
    return {"en": en, "ja": ja}
