"""The errors that people see: errors.toml as exceptions that say who broke it (PROTOCOL.md §13)."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, TypeAlias

from typing_extensions import override

from telerelay_core import ERRORS_TOML, CoreError
from telerelay_endpoint.escaping import escape

Language: TypeAlias = Literal["en", "ja"]
Who: TypeAlias = Literal["none", "local", "remote", "infrastructure"]
Retry: TypeAlias = Literal["never", "now", "after"]


@dataclass(frozen=True)
class Entry:
    """One code of the catalogue, in both languages."""

    code: str
    who: Who
    retry: Retry
    exit_code: int
    sentence: Mapping[Language, str]
    remedy: Mapping[Language, str]


class TelerelayError(Exception):
    """Something failed in a way that the catalogue names. Its class says who broke it.

    `detail` says where, in English, and never holds a secret. `attempt` is shown text (`7KQ2-M9XB`).
    """

    code: str
    detail: str
    attempt: str | None
    retry_after_s: int | None

    def __new__(cls, code: str, *_rest: object, **_named: object) -> Self:
        """The exception of the code's own class, so that `except RemoteError` finds it."""
        kind: type[Any] = _CLASSES.get(entry(code).who, cls) if cls is TelerelayError else cls
        made: Self = super().__new__(kind)
        return made

    def __init__(
        self, code: str, detail: str = "", *, attempt: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.attempt = attempt
        self.retry_after_s = retry_after_s

    @override
    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code

    @classmethod
    def from_core(cls, error: CoreError) -> "TelerelayError":
        """What the Rust core raised, as the same code here."""
        return TelerelayError(error.code, error.detail, retry_after_s=error.retry_after_s)

    @property
    def entry(self) -> Entry:
        """The code's entry; of a code that this version does not know, what can be said about it."""
        return entry(self.code)

    @property
    def who(self) -> Who:
        """Who broke it."""
        return self.entry.who

    @property
    def retry(self) -> Retry:
        """Whether to try again."""
        return self.entry.retry

    @property
    def exit_code(self) -> int:
        """What a command exits with."""
        return self.entry.exit_code

    def sentence(self, language: Language) -> str:
        """What happened."""
        return self.entry.sentence[language]

    def remedy(self, language: Language) -> str:
        """What to do next."""
        return self.entry.remedy[language]

    def line(self, language: Language) -> str:
        """The one line that a command prints. Control characters are escaped: a peer may have sent them."""
        where = f": {_without_stop(self.detail)}" if self.detail else ""
        attempt = f"  attempt {self.attempt}" if self.attempt else ""
        happened = _without_stop(self.sentence(language))
        return escape(
            f"error[{self.code}] {happened}{where}.  do: {_without_stop(self.remedy(language))}.{attempt}"
        )


class LocalError(TelerelayError):
    """This machine, its configuration or its user."""


class RemoteError(TelerelayError):
    """The other end, or the organisation, refused."""


class InfrastructureError(TelerelayError):
    """A node, or the network on the way to it."""


_CLASSES: Final[Mapping[Who, type[TelerelayError]]] = {
    "local": LocalError,
    "remote": RemoteError,
    "infrastructure": InfrastructureError,
}


@functools.cache
def catalogue() -> Mapping[str, Entry]:
    """Every code that this version knows, from relay_core/spec/errors.toml, which the core carries."""
    return {
        code: Entry(
            code, fields["who"], fields["retry"], fields["exit"], fields["sentence"], fields["remedy"]
        )
        for code, fields in tomllib.loads(ERRORS_TOML).items()
    }


def entry(code: str) -> Entry:
    """The entry of `code`. A receiver keeps and shows a code that it does not know (§4)."""
    known = catalogue().get(code)
    if known is not None:
        return known
    return Entry(
        code=code,
        who="remote",
        retry="never",
        exit_code=1,
        sentence={
            "en": "The other side gave a reason that this version does not know",
            "ja": "相手側が、この版では分からない理由を返しました",
        },
        remedy={"en": "update this program", "ja": "このプログラムを更新してください"},
    )


def _without_stop(sentence: str) -> str:
    return sentence.rstrip(".。")
