"""The commands `config show` and `config check`, the same for every program."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from telerelay_endpoint.console import Console, columns
from telerelay_endpoint.settings import Loaded, Program, SettingsError


def show_settings(console: Console, program: Program[Any], loaded: Loaded[Any]) -> None:
    """Print every setting: its value, where it comes from, and what it is for."""
    record = settings_record(program, loaded)
    console.data("config-show", {"settings": record}, settings_table(console, record))


def settings_record(program: Program[Any], loaded: Loaded[Any]) -> dict[str, dict[str, Any]]:
    """What there is to know of each setting, by its name."""
    return {
        name: {
            "value": _plain(getattr(loaded.settings, name)),
            "source": loaded.sources[name],
            "environment": program.variable(name),
            "description": description,
        }
        for name, description in program.descriptions().items()
    }


def settings_table(console: Console, record: Mapping[str, Mapping[str, Any]]) -> str:
    """The same for a person."""
    header = console.text("setting value source description", "設定 値 由来 説明").split()
    rows = [
        [name, _shown(entry["value"]), str(entry["source"]), str(entry["description"])]
        for name, entry in record.items()
    ]
    return columns(header, rows)


def check_settings(
    console: Console, program: Program[Any], config: Path | None, load: Callable[[], Loaded[Any]]
) -> None:
    """Print everything that is wrong with the settings, or that nothing is. Raises SettingsError."""
    file = program.file(config)
    try:
        load()
    except SettingsError as error:
        record = {"file": str(file), "problems": [problem.record() for problem in error.problems]}
        console.data("config-check", record, "\n".join(problem.line() for problem in error.problems))
        raise
    read = str(file) if file.exists() else console.text(f"no file {file}", f"{file} はありません")
    console.data(
        "config-check",
        {"file": str(file), "problems": []},
        console.text(f"nothing is wrong ({read})", f"問題はありません ({read})"),
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return "-" if value is None else str(value)
