"""Reads a TOML file table by table into structs, and collects everything that is wrong with all of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from telerelay_endpoint.settings import Loaded, Problem, Reading, S, SettingsError
from telerelay_endpoint.toml_places import TomlRefusedError, read_tables


class SectionReader:
    """One file. `values`: what stands in it; `places`: where; `problems`: what was found wrong by now."""

    def __init__(self, file: Path, check: str) -> None:
        """`check`: the command that tells every problem. Raises SettingsError where it is no TOML."""
        try:
            self.values, self.places = read_tables(file, must_exist=True)
        except TomlRefusedError as error:
            raise SettingsError([Problem(error.source, None, error.what)], check) from error
        self.problems: list[Problem] = []
        self._file = file
        self._check = check

    def load(self, kind: type[S], table: Mapping[str, Any], *path: str) -> Loaded[S] | None:
        """The table that is called `path`, without one the top of the file; None where something is wrong."""
        reading = Reading(kind)
        for name, value in table.items():
            reading.take_from_file(name, value, self.places.of(*path, name))
        missing = [
            Problem(self._begin(path), field.name, f"{title(path)} lacks {field.name}")
            for field in msgspec.structs.fields(kind)
            if field.required and field.name not in table
        ]
        wrong = [*missing, *reading.problems]
        self.problems += wrong
        return None if wrong else reading.result()

    def _begin(self, path: tuple[str, ...]) -> str:
        return self.places.of(*path).of_key() if path else str(self._file)

    def require_well(self) -> None:
        """Raises SettingsError that holds every problem there is."""
        if self.problems:
            raise SettingsError(self.problems, self._check)


def title(path: tuple[str, ...]) -> str:
    """A table as its header stands in the file."""
    if not path:
        return "the file"
    name, *rest = path
    return f"[{name}]" if not rest else f'[{name}."{rest[0]}"]'
