"""Reads a TOML file of settings so that it is known where each key and each value stands."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tomlkit.exceptions import ParseError, TOMLKitError, UnexpectedEofError
from tomlkit.items import AoT, InlineTable, Item, Key, Table
from tomlkit.parser import Parser
from typing_extensions import override

KeyPath: TypeAlias = tuple[str, ...]
"""The names of tables, then of a key."""


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


class Places:
    """Where each key of a file stands."""

    def __init__(self, file: Path, text: str, begins: Mapping[KeyPath, tuple[int, int]]) -> None:
        """`begins`: the offsets of each key and of its value in `text`."""
        self._file = file
        self._begins = begins
        self._lines = [0, *(index + 1 for index, character in enumerate(text) if character == "\n")]

    def of(self, *path: str) -> Place:
        """The place of a key; of what stands inside a value, the place of that value's key."""
        while path[:-1] and path not in self._begins:
            path = path[:-1]
        key, value = self._begins[path]
        line = bisect_right(self._lines, key)
        start = self._lines[line - 1]
        return Place(self._file, line, key - start + 1, value - start + 1)


def read_toml(file: Path, *, must_exist: bool) -> dict[str, tuple[Any, Place]]:
    """Every key at the top of the file with its value and its place. Raises TomlRefusedError."""
    values, places = read_tables(file, must_exist=must_exist)
    return {name: (value, places.of(name)) for name, value in values.items()}


def read_tables(file: Path, *, must_exist: bool) -> tuple[dict[str, Any], Places]:
    """The whole file with its tables, and where everything in it stands. Raises TomlRefusedError."""
    try:
        # Not universal newlines: every character counts.
        text = file.read_bytes().decode()
    except FileNotFoundError:
        if must_exist:
            raise TomlRefusedError(str(file), "does not exist") from None
        return {}, Places(file, "", {})
    except (OSError, UnicodeDecodeError) as error:
        raise TomlRefusedError(str(file), f"cannot be read: {error}") from error
    parser = _PlacingParser(text)
    try:
        values = parser.parse().unwrap()
    except ParseError as error:
        what = str(error).partition(" at line ")[0]
        # At the end of the file the column that tomlkit tells is that of the line's start.
        column = len(text.rpartition("\n")[2]) if isinstance(error, UnexpectedEofError) else error.col
        raise TomlRefusedError(f"{file}:{error.line}:{column + 1}", what) from error
    except TOMLKitError as error:
        # A name that stands twice: it was read before it was refused.
        newest = Places(file, text, {(): (parser.newest, parser.newest)}).of()
        raise TomlRefusedError(newest.of_key(), str(error)) from error
    return values, Places(file, text, parser.begins)


class _PlacingParser(Parser):
    """tomlkit's parser, which notes on its way where each key begins: what it makes does not say."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.begins: dict[KeyPath, tuple[int, int]] = {}
        self.newest = 0
        self._within: KeyPath = ()
        self._is_inline = False

    @override
    def _parse_table(
        self, parent_name: Key | None = None, parent: Table | None = None
    ) -> tuple[Key, Table | AoT]:
        begin = self._idx
        _, name = self._peek_table()
        self._within = _path(name)
        self._note(self._within, begin, begin)
        return super()._parse_table(parent_name, parent)

    @override
    def _parse_key_value(self, parse_comment: bool = False) -> tuple[Key, Item]:
        begin = self._idx
        key, value = super()._parse_key_value(parse_comment)
        if not self._is_inline:
            key_begins = begin + len(value.trivia.indent)
            value_begins = key_begins + len(key.as_string() + key.sep)
            self._note(self._within + _path(key), key_begins, value_begins)
        return key, value

    @override
    def _parse_inline_table(self) -> InlineTable:
        was_inline, self._is_inline = self._is_inline, True
        table = super()._parse_inline_table()
        self._is_inline = was_inline
        return table

    def _note(self, path: KeyPath, key: int, value: int) -> None:
        self.newest = key
        # Whatever a name with dots makes on its way begins where it does.
        for depth in range(1, len(path) + 1):
            self.begins.setdefault(path[:depth], (key, value))


def _path(key: Key) -> KeyPath:
    return tuple(part.key for part in key)
