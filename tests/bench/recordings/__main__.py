"""Makes recordings and models anew: `python -m tests.bench.recordings [NAME…]`, `--fit` models alone.

A real xtigervncviewer in a home desktop looks at a real Xvnc through the tap of `telerelay-loadtest record`.
It asks for ZRLE, since that is what the guard lets pass.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from telerelay.demo.desktop import open_desktop
from telerelay_loadtest import models
from telerelay_loadtest.models.form import write_model
from telerelay_loadtest.recording.fitting import fit
from telerelay_loadtest.recording.readings import Reading, read_readings, write_readings
from telerelay_loadtest.recording.tap import Tap
from tests.bench.recordings.people import Person, furnish
from tests.kit.condition import eventually
from tests.kit.desktop import THE_VIEWER, face_viewer

HERE: Final = Path(__file__).parent
_MODELS: Final = Path(models.__file__).parent
_SCREEN: Final = (1280, 800)
_HOME: Final = (1400, 1000)
"""With room for the viewer's window."""
_SEED: Final = 20_261_128
SECONDS: Final[Mapping[str, int]] = {"idle": 90, "typing": 90, "scrolling": 60, "video": 30, "office": 300}
"""How long each is recorded."""


async def record(name: str) -> list[Reading]:
    """The readings of one session in which a person does that."""
    readings: list[Reading] = []
    with tempfile.TemporaryDirectory(prefix="telerelay-recording-") as folder:
        door = Path(folder) / "door"
        async with open_desktop(size=_SCREEN) as office, open_desktop(size=_HOME) as home:
            await furnish(office)
            recorded = asyncio.create_task(Tap(door, (office.host, office.port), readings.append).run())
            await eventually(door.exists)
            switches = ("-SecurityTypes=None", "-RemoteResize=0", "-AutoSelect=0", "-PreferredEncoding=ZRLE")
            await home.start("xtigervncviewer", *switches, str(door))
            await face_viewer(home)
            await Person(home, office, _SEED).deeds[name](SECONDS[name])
            await home.run("xdotool", *THE_VIEWER, "windowclose")
            await recorded
    return readings


def fitted(name: str) -> bytes:
    """The model's file, from the recording that is kept."""
    source = (
        f"tests/bench/recordings/{name}.csv: {SECONDS[name]} s of a TigerVNC viewer (ZRLE) in front of Xvnc, "
        f"{_SCREEN[0]} x {_SCREEN[1]}; the person is a program."
    )
    return write_model(fit(name, source, read_readings((HERE / f"{name}.csv").read_text())))


def main() -> None:
    """Record and fit what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SECONDS))
    parser.add_argument("--fit", action="store_true", help="keep the recordings")
    arguments = parser.parse_args()
    for name in arguments.names or SECONDS:
        if not arguments.fit:
            (HERE / f"{name}.csv").write_text(write_readings(asyncio.run(record(name))))
        (_MODELS / f"{name}.json").write_bytes(fitted(name))


if __name__ == "__main__":
    main()
