"""How every command speaks: data on standard output, all else on standard error, an error in one line.

A command takes `JsonOption` and `LangOption` and makes a `Console`; a program's entry point calls `run`.
"""

import getpass
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import rich.console
import typer
from rich.cells import cell_len
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from telerelay_core import CoreError
from telerelay_endpoint import files
from telerelay_endpoint.errors import Language, TelerelayError

_INTERRUPTED = 130
_GAP = "  "


def _language_of_locale() -> Language:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "ja" if value.startswith("ja") else "en"
    return "en"


_language: ContextVar[Language | None] = ContextVar("language", default=None)


def language() -> Language:
    """What the person reads: `--lang`, else the locale."""
    return _language.get() or _language_of_locale()


def choose_language(chosen: Language | None) -> None:
    """From here on speak `chosen`; None changes nothing."""
    if chosen is not None:
        _language.set(chosen)


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
LangOption = Annotated[
    Language | None,
    typer.Option("--lang", help="Language of messages; default from the locale."),
]


class Console:
    """The two output streams of one command."""

    def __init__(self, *, json: bool = False, lang: Language | None = None) -> None:
        choose_language(lang)
        self.json = json
        self._errors = rich.console.Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

    def data(self, name: str, record: Mapping[str, Any], text: str) -> None:
        """The command's result: an object of schema `telerelay.NAME/1`, or `text`."""
        if self.json:
            text = json.dumps({"schema": f"telerelay.{name}/1", **record}, ensure_ascii=False)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    @property
    def language(self) -> Language:
        """What the person reads."""
        return language()

    def text(self, en: str, ja: str) -> str:
        """The one that the person reads."""
        return ja if self.language == "ja" else en

    def progress(self, en: str, ja: str) -> None:
        """What is going on, for somebody who watches."""
        if self._errors.is_terminal:
            self._errors.print(self.text(en, ja), style="dim")

    def note(self, en: str, ja: str) -> None:
        """Something that a person must read, watching or not."""
        self._errors.print(self.text(en, ja))

    def warn(self, en: str, ja: str) -> None:
        """Something that a person must act on, though the command goes on."""
        self._errors.print(self.text(f"warning: {en}", f"警告: {ja}"), style="yellow")

    def fail(self, error: TelerelayError) -> None:
        """The error's one line."""
        self._errors.print(error.line(self.language), style="red")


def run(program: TyperGroup | TyperCommand) -> NoReturn:
    """Run a program (`typer.main.get_command(app)`) and exit as §13 says, whatever happens."""
    sys.exit(_exit_code(program))


def _exit_code(program: TyperGroup | TyperCommand) -> int:
    console = Console()
    try:
        result = program.main(standalone_mode=False)
    except TelerelayError as error:
        console.fail(error)
        return error.exit_code
    except CoreError as error:
        failure = TelerelayError.from_core(error)
    except TyperException as error:
        if not error.format_message():
            return 2  # the help was printed instead
        failure = TelerelayError("USAGE", error.format_message())
    except typer.Abort:
        failure = TelerelayError("INTERRUPTED")
    except OSError as error:
        failure = TelerelayError("MACHINE", f"{error.filename or 'a system call'}: {error.strerror or error}")
    except Exception as error:  # noqa: BLE001 — whatever it is, it is a bug of ours and must be shown as one
        traceback.print_exc()
        failure = TelerelayError("INTERNAL", f"{type(error).__name__}: {error}")
    else:
        # typer returns what Exit carried, and 130 for Ctrl-C.
        if result != _INTERRUPTED:
            return result if isinstance(result, int) else 0
        failure = TelerelayError("INTERRUPTED")
    console.fail(failure)
    return failure.exit_code


# ---------------------------------------------------------------- secrets


def read_secret(prompt: str, file: Path | None = None) -> str:
    """A secret from `file` (mode 0600), a hidden prompt, or one line of standard input.

    Raises TelerelayError(KEY_FILE) for a file that others may read, USAGE when there is nothing.
    """
    secret = _read_secret_file(file) if file else _read_secret_line(prompt)
    if not secret:
        raise TelerelayError("USAGE", f"nothing was given for: {prompt}")
    return secret


def read_new_secret(prompt: str, again: str, file: Path | None = None) -> str:
    """As `read_secret`; a terminal is asked twice. Raises TelerelayError(USAGE) when the two differ."""
    secret = read_secret(prompt, file)
    if file is None and sys.stdin.isatty() and getpass.getpass(f"{again}: ") != secret:
        raise TelerelayError("USAGE", "the two differ")
    return secret


def _read_secret_line(prompt: str) -> str:
    return getpass.getpass(f"{prompt}: ").strip() if sys.stdin.isatty() else sys.stdin.readline().strip()


def _read_secret_file(file: Path) -> str:
    try:
        return files.read_private(file).decode().strip()
    except files.ReadableByOthersError as error:
        raise TelerelayError("KEY_FILE", str(error)) from None
    except UnicodeDecodeError:
        raise TelerelayError("USAGE", f"{file} is no text") from None


# ---------------------------------------------------------------- text


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header, each column as wide as its widest cell; Japanese counts double."""
    widths = [max(cell_len(row[index]) for row in [header, *rows]) for index in range(len(header))]
    return "\n".join(
        _GAP.join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in [header, *rows]
    )


def local_time(seconds: int) -> str:
    """Unix seconds as a person of this machine reads them."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def rfc3339(seconds: int) -> str:
    """Unix seconds as RFC 3339 in UTC, for JSON."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
