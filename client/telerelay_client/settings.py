"""The client's settings."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from telerelay_endpoint import places
from telerelay_endpoint.errors import Language
from telerelay_endpoint.log_lines import Level
from telerelay_endpoint.settings import PathSetting, Program

_PROGRAM: Final = "client"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set for a client. Field names are the names in the file."""

    data: Annotated[Path, Meta(description="Folder of the client's key and certificate.")] = msgspec.field(
        default_factory=lambda: places.data_folder(_PROGRAM)
    )
    listen: Annotated[
        str | None,
        Meta(description="A loopback port for viewers that cannot open a Unix socket; port 0: any."),
    ] = None
    socket: Annotated[Path | None, Meta(description="Where the Unix socket for the viewer is.")] = None
    no_viewer: Annotated[bool, Meta(description="Start no viewer.")] = False
    path: PathSetting = "auto"
    log_level: Annotated[Level, Meta(description="Least level that is logged.")] = "error"
    lang: Annotated[Language | None, Meta(description="Language of messages; default from the locale.")] = (
        None
    )


PROGRAM: Final = Program(_PROGRAM, Settings)
