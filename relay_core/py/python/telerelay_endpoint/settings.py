"""A program's settings: what can be set, what is in force, and where each value comes from.

A program declares them as a `msgspec.Struct` whose field names are the names in the file. A value comes from
the command's arguments, else from the environment (TELERELAY_PROGRAM_NAME), else from the file, else it is
the default.
"""

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from telerelay_endpoint import places
from telerelay_endpoint.errors import LocalError
from telerelay_endpoint.toml_places import Place, TomlRefusedError, read_toml

PathChoice: TypeAlias = Literal["auto", "wrapped"]
PathSetting: TypeAlias = Annotated[
    PathChoice,
    msgspec.Meta(
        description="auto: the TLS to the relay is put down once the end-to-end encryption stands, "
        "wherever that works; wrapped: never."
    ),
]
"""Whether an endpoint puts its outer TLS down (PROTOCOL.md §6)."""

DEFAULT = "default"
"""The source of a value that nobody set."""

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True)
class Problem:
    """What is wrong with one setting. `nearest`: the setting that was probably meant."""

    source: str
    """`file:line:column`, the variable, or the option."""
    setting: str | None
    """None where it is the file that cannot be read."""
    what: str
    nearest: str | None = None

    def line(self) -> str:
        """The problem in one line, in English."""
        meant = f"; nearest: {self.nearest}" if self.nearest else ""
        return f"{self.source}: {self.what}{meant}"

    def record(self) -> dict[str, str | None]:
        """The same for a machine."""
        return {
            "source": self.source,
            "setting": self.setting,
            "problem": self.what,
            "nearest": self.nearest,
        }


class SettingsError(LocalError):
    """Some settings do not fit (code USAGE); the line names the first, `see` is a command for the rest."""

    def __init__(self, problems: Collection[Problem], see: str = "config check") -> None:
        self.problems = tuple(problems)
        first, *rest = (problem.line() for problem in self.problems)
        super().__init__("USAGE", f"{first} (and {len(rest)} more, see {see})" if rest else first)


@dataclass(frozen=True)
class Loaded(Generic[S]):
    """Settings in force, and for each name in words where its value comes from."""

    settings: S
    sources: Mapping[str, str]

    def given(self) -> dict[str, Any]:
        """The settings that somebody set."""
        return {
            name: getattr(self.settings, name) for name, source in self.sources.items() if source != DEFAULT
        }


@dataclass(frozen=True)
class Program(Generic[S]):
    """A program ("node", "agent", "client") and what can be set for it."""

    name: str
    settings: type[S]

    @property
    def prefix(self) -> str:
        """How the names of its environment variables begin."""
        return f"TELERELAY_{self.name.upper()}_"

    @property
    def config_variable(self) -> str:
        """The variable that names the file."""
        return f"{self.prefix}CONFIG"

    def variable(self, setting: str) -> str:
        """The environment variable of a setting."""
        return self.prefix + setting.upper()

    def file(self, config: Path | None) -> Path:
        """The file that is read; it need not exist unless it was named (`config`)."""
        return config or places.settings_file(self.name)

    def descriptions(self) -> dict[str, str]:
        """What each setting is for."""
        hints = get_type_hints(self.settings, include_extras=True)
        return {name: _description(hints[name]) for name in self.settings.__struct_fields__}

    def load(
        self,
        config: Path | None = None,
        arguments: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> Loaded[S]:
        """The settings in force. `arguments`: those that were given; None values are not.

        Raises SettingsError that holds every problem there is.
        """
        reading = Reading(self.settings)
        try:
            in_file = read_toml(self.file(config), must_exist=config is not None)
        except TomlRefusedError as error:
            raise SettingsError([Problem(error.source, None, error.what)]) from error
        for name, (value, place) in in_file.items():
            reading.take_from_file(name, value, place)
        for name, text, variable in self._set_in(environment):
            reading.take_text(name, text, variable)
        for name, value in (arguments or {}).items():
            if value is not None:
                reading.take(name, value, f"--{name.replace('_', '-')}")
        return reading.result()

    def _set_in(self, environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
        for variable, text in environment.items():
            if variable.startswith(self.prefix) and variable != self.config_variable and text:
                yield variable.removeprefix(self.prefix).lower(), text, variable


class Reading(Generic[S]):
    """Takes values, the weaker source first, and collects what is wrong with them."""

    def __init__(self, settings: type[S]) -> None:
        self._settings = settings
        self._types = get_type_hints(settings, include_extras=True)
        self._values: dict[str, Any] = {}
        self._sources = dict.fromkeys(settings.__struct_fields__, DEFAULT)
        self.problems: list[Problem] = []

    def take_from_file(self, name: str, value: Any, place: Place) -> None:
        """A value of the file, which must be of the very type: 4 is no text, "4" no number."""
        if self._knows(name, name, place.of_key()):
            self._convert(name, value, place.of_value(), place.of_line(), strict=True)

    def take_text(self, name: str, text: str, variable: str) -> None:
        """A value of the environment, where everything is text and a list is written with commas."""
        if self._knows(name, variable, "environment"):
            value = _split(text) if _is_list(self._types[name]) else text
            self._convert(name, value, variable, variable, strict=False)

    def take(self, name: str, value: Any, option: str) -> None:
        """A value of the arguments, which the command line has read already."""
        self._convert(name, value, option, option, strict=False)

    def result(self) -> Loaded[S]:
        """The settings. Raises SettingsError that holds every problem there is."""
        if self.problems:
            raise SettingsError(self.problems)
        return Loaded(self._settings(**self._values), self._sources)

    def _knows(self, name: str, written: str, where: str) -> bool:
        if name in self._types:
            return True
        near = difflib.get_close_matches(name, self._types, n=1)
        known = "" if near else f"; there are {', '.join(self._types)}"
        self.problems.append(Problem(where, name, f"{written} is no setting{known}", *near))
        return False

    def _convert(self, name: str, value: Any, where: str, source: str, *, strict: bool) -> None:
        try:
            self._values[name] = msgspec.convert(value, self._types[name], strict=strict, dec_hook=_construct)
        except msgspec.ValidationError as error:
            # Where in a list it stands is msgspec's "$[...]"; the value is named by its own check.
            what = str(error).partition(" - at `")[0]
            self.problems.append(Problem(where, name, f"{name}: {what}"))
            return
        self._sources[name] = source


def _construct(kind: type[Any], value: Any) -> Any:
    """A type that msgspec does not know checks what it is made of, and raises ValueError or TypeError."""
    if issubclass(kind, str) and not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return value if isinstance(value, kind) else kind(value)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_list(annotated: Any) -> bool:
    kind = get_args(annotated)[0] if get_origin(annotated) is Annotated else annotated
    return get_origin(kind) is list


def _description(annotated: Any) -> str:
    return next(
        meta.description
        for meta in annotated.__metadata__
        if isinstance(meta, msgspec.Meta) and meta.description
    )
