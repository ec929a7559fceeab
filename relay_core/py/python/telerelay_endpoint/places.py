"""Where agent and client keep files and find settings: the machine's places, or a person's own (XDG)."""

import os
from collections.abc import Mapping
from pathlib import Path

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


def _own(variable: str, usual: str, environment: Mapping[str, str]) -> Path:
    value = environment.get(variable)
    return Path(value) if value else Path.home() / usual
