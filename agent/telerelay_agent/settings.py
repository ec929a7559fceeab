"""The agent's settings."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from telerelay_endpoint import places
from telerelay_endpoint.errors import Language
from telerelay_endpoint.log_lines import Level
from telerelay_endpoint.settings import PathSetting, Program

_PROGRAM: Final = "agent"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set for an agent. Field names are the names in the file."""

    data: Annotated[Path, Meta(description="Folder of the agent's key, certificate and documents.")] = (
        msgspec.field(default_factory=lambda: places.data_folder(_PROGRAM))
    )
    desktop: Annotated[
        str,
        Meta(
            description="This machine's VNC desktop: a loopback address, or unix:/path. "
            "Nothing else is served."
        ),
    ] = "127.0.0.1:5900"
    desktop_password_file: Annotated[
        Path | None,
        Meta(
            description="File (mode 0600) with the password that the desktop asks for, if it does (VncAuth)."
        ),
    ] = None
    desktop_lock_command: Annotated[
        list[str],
        Meta(
            description="Command that locks the desktop, word by word, such as loginctl and lock-session; "
            "else one that is known and installed. It succeeds on a locked desktop too, or stays."
        ),
    ] = []
    path: PathSetting = "auto"
    log_level: Annotated[Level, Meta(description="Least level that is logged.")] = "info"
    lang: Annotated[Language | None, Meta(description="Language of messages; default from the locale.")] = (
        None
    )


PROGRAM: Final = Program(_PROGRAM, Settings)
