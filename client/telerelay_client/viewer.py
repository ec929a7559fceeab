"""Which installed VNC viewer is started on the local door, and how it is called."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

# A courtesy only, since whoever owns this machine can change it; what counts is the guard at the agent.
_TIGERVNC: Final = (
    "-Shared=1",
    "-AcceptClipboard=0",
    "-SendClipboard=0",
    # We say in one line what ended and why; a second window that asks to reconnect would contradict it.
    "-AlertOnFatalError=0",
    "-ReconnectOnError=0",
)


@dataclass(frozen=True)
class Viewer:
    """One viewer that we know how to start. `unix`: it reaches a door that is a Unix socket."""

    program: str
    unix: bool
    arguments: tuple[str, ...]

    def command(self, door: str) -> list[str]:
        """Its argument list for a door, "HOST:PORT" or the path of a socket (only where `unix`)."""
        host, _, port = door.rpartition(":")
        return [self.program, *(part.format(door=door, host=host, port=port) for part in self.arguments)]


# In order of preference. `vncviewer` stands for TigerVNC, TightVNC or RealVNC, so only what all three
# understand is passed to it.
KNOWN: Final = (
    Viewer("xtigervncviewer", unix=True, arguments=(*_TIGERVNC, "{door}")),
    Viewer("vncviewer", unix=False, arguments=("{host}::{port}",)),
    Viewer("xtightvncviewer", unix=False, arguments=("{host}::{port}",)),
    Viewer("remmina", unix=False, arguments=("-c", "vnc://{host}:{port}")),
    Viewer("krdc", unix=False, arguments=("vnc://{host}:{port}",)),
)


def find_viewer(
    environment: Mapping[str, str] = os.environ,
    *,
    over_unix: bool = False,
    installed: Callable[[str], str | None] = shutil.which,
    platform: str = sys.platform,
) -> Viewer | None:
    """The first known viewer that is installed, None where there is no display to open it on.

    `over_unix`: only one that reaches a door that is a Unix socket.
    """
    if platform == "linux" and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return None
    return next(
        (viewer for viewer in KNOWN if (viewer.unix or not over_unix) and installed(viewer.program)), None
    )
