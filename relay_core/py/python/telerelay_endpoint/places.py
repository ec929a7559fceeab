"""Where agent and client keep files and find settings: the machine's places, or a person's own (XDG)."""

import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from telerelay_endpoint.errors import TelerelayError

_ROOT = 0


def data_folder(program: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of `program` ("agent", "client") when nobody says otherwise."""
    if os.geteuid() == _ROOT:
        return Path("/var/lib/telerelay", program)
    return _own("XDG_DATA_HOME", ".local/share", environment) / "telerelay" / program


def runtime_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The person's folder for sockets, which ends with their log-in (mode 0700); None where there is none."""
    folder = environment.get("XDG_RUNTIME_DIR")
    return Path(folder) if folder and os.access(folder, os.W_OK) else None


def settings_file(program: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The settings of `program` when nobody says otherwise; the person's own win over the machine's."""
    own = _own("XDG_CONFIG_HOME", ".config", environment) / "telerelay" / f"{program}.toml"
    return own if own.is_file() else Path("/etc/telerelay", f"{program}.toml")


def read_settings(program: str, file: Path | None, known: Collection[str]) -> dict[str, Any]:
    """The settings of `file`, or of the usual file if there is one. Raises TelerelayError(USAGE).

    `known`: the names that mean something; another one is refused, since a mistyped setting would not hold.
    """
    path = file or settings_file(program)
    try:
        settings = tomllib.loads(path.read_text())
    except FileNotFoundError:
        if file is None:
            return {}
        raise TelerelayError("USAGE", f"{path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TelerelayError("USAGE", f"{path}: {error}") from error
    for name in settings:
        if name not in known:
            raise TelerelayError(
                "USAGE", f"{path}: {name} is no setting; there are {', '.join(sorted(known))}"
            )
    return settings


def _own(variable: str, usual: str, environment: Mapping[str, str]) -> Path:
    value = environment.get(variable)
    return Path(value) if value else Path.home() / usual
