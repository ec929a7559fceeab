"""A wall clock that jumps under a program while its monotonic clock runs on."""

import struct
import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_suffix(".c")
_OFFSET: Final = struct.Struct("=q")


class WallClock:
    """What a program that is started with `environment` takes for the time. Its files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "wall_clock.offset"
        self._offset.write_bytes(_OFFSET.pack(0))
        library = folder / "wall_clock.so"
        command = ("gcc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, SOURCE)
        subprocess.run(command, check=True)
        self.environment = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(self._offset)}

    def set_off(self, seconds: int) -> None:
        """It is this much ahead from now on; negative: behind."""
        with self._offset.open("r+b") as file:
            file.write(_OFFSET.pack(seconds))
