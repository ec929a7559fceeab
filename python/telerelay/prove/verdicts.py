"""What comes of a try: an outcome with its reason, in both languages of the report."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Said(NamedTuple):
    """One sentence in English and in Japanese."""

    en: str
    ja: str


class Outcome(StrEnum):
    """What a try showed."""

    PASS = "pass"  # noqa: S105 — a word
    FAIL = "fail"
    NOT_TESTED = "not tested here"


@dataclass(frozen=True)
class Verdict:
    """`why`: what was seen. `attempts`: the attempt IDs under which the audit has it."""

    outcome: Outcome
    why: Said
    attempts: tuple[str, ...] = ()


class NotTestedError(Exception):
    """A try could not be made here, or what shows that it was made is missing: never a pass."""

    def __init__(self, en: str, ja: str) -> None:
        super().__init__(en)
        self.why = Said(en, ja)


def not_tested(en: str, ja: str) -> Verdict:
    """Nothing can be said."""
    return Verdict(Outcome.NOT_TESTED, Said(en, ja))


def passed(en: str, ja: str, *attempts: str) -> Verdict:
    """Nothing got through."""
    return Verdict(Outcome.PASS, Said(en, ja), attempts)


def failed(en: str, ja: str, *attempts: str) -> Verdict:
    """Something got through."""
    return Verdict(Outcome.FAIL, Said(en, ja), attempts)
