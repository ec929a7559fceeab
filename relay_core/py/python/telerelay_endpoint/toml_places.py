"""Reads a TOML file of settings so that it is known where each key and each value stands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError, UnexpectedEofError
from tomlkit.items import AoT, Key, Table


class TomlRefusedError(Exception):
    """The file cannot be read as TOML. `source`: `file` or `file:line:column`."""

    def __init__(self, source: str, what: str) -> None:
        super().__init__(f"{source}: {what}")
        self.source = source
        self.what = what


@dataclass(frozen=True)
class Place:
    """Where a setting stands in a file. Lines and columns count from 1, columns in characters."""

    file: Path
    line: int
    key_column: int
    value_column: int

    def of_line(self) -> str:
        """Its line."""
        return f"{self.file}:{self.line}"

    def of_key(self) -> str:
        """The first character of its key."""
        return f"{self.file}:{self.line}:{self.key_column}"

    def of_value(self) -> str:
        """The first character of its value."""
        return f"{self.file}:{self.line}:{self.value_column}"


def read_toml(file: Path, *, must_exist: bool) -> dict[str, tuple[Any, Place]]:
    """Every key at the top of the file with its value and its place. Raises TomlRefusedError."""
    try:
        # Not universal newlines: every character counts.
        text = file.read_bytes().decode()
    except FileNotFoundError:
        if must_exist:
            raise TomlRefusedError(str(file), "does not exist") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise TomlRefusedError(str(file), f"cannot be read: {error}") from error
    try:
        document = tomlkit.parse(text)
    except ParseError as error:
        what = str(error).partition(" at line ")[0]
        # At the end of the file the column that tomlkit tells is that of the line's start.
        column = len(text.rpartition("\n")[2]) if isinstance(error, UnexpectedEofError) else error.col
        raise TomlRefusedError(f"{file}:{error.line}:{column + 1}", what) from error
    except TOMLKitError as error:
        raise TomlRefusedError(str(file), str(error)) from error
    values = document.unwrap()
    return {
        key.key: (values[key.key], _place(file, document, index, key))
        for index, (key, _item) in enumerate(document.body)
        if key is not None
    }


def _place(file: Path, document: tomlkit.TOMLDocument, index: int, key: Key) -> Place:
    """The document writes itself exactly as it was read, so what precedes an entry says where it stands."""
    before = tomlkit.document()
    before.body.extend(document.body[:index])
    preceding = before.as_string()
    item = document.body[index][1]
    line_start = preceding.rfind("\n") + 1
    key_column = len(preceding) - line_start + len(item.trivia.indent) + 1
    in_table = isinstance(item, Table | AoT)
    value_column = key_column if in_table else key_column + len(key.as_string() + key.sep)
    return Place(file, preceding.count("\n") + 1, key_column, value_column)
