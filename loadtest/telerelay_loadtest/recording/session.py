"""One session recorded: from the tap to the files, with what a person is told meanwhile."""

import asyncio
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Final

from telerelay_endpoint import files
from telerelay_endpoint.console import Console, columns
from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.models.form import NAME, Model, write_model
from telerelay_loadtest.recording.fitting import fit, spells_of
from telerelay_loadtest.recording.readings import Reading, write_readings
from telerelay_loadtest.recording.tap import Tap, read_address

_TELLS_S: Final = 5.0


def record(to: Console, desktop: str, door: Path, model: Path, readings: Path | None) -> None:
    """Record one session, until it ends or Ctrl-C, and write what was asked for.

    Raises TelerelayError(USAGE) for a session that is too short, a name or an address that is none; OSError.
    """
    if re.match(NAME, model.stem) is None:
        raise TelerelayError("USAGE", f"{model.stem}: a model is named in lower case, digits and hyphens")
    noted: list[Reading] = []
    address = read_address(desktop)
    # The door is told whole: TigerVNC takes what has no slash for a host.
    asyncio.run(_record(to, Tap(door, address, noted.append), door.absolute(), noted))
    if readings is not None:
        # Private: when keys were pressed can tell something of what was typed.
        files.replace(readings, write_readings(noted).encode())
    source = f"recorded: {_seconds(noted):.0f} s of a viewer in front of a desktop."
    try:
        fitted = fit(model.stem, source, noted)
    except ValueError as error:
        raise TelerelayError("USAGE", str(error)) from None
    model.write_bytes(write_model(fitted))
    _tell(to, model, fitted, noted)


async def _record(to: Console, tap: Tap, door: Path, noted: list[Reading]) -> None:
    loop, session = asyncio.get_running_loop(), asyncio.create_task(tap.run())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, session.cancel)
    to.note(
        f"open the viewer on {door}; Ctrl-C ends it",
        f"ビューアーで {door} を開いてください。Ctrl-C で終了します",
    )
    while not (await asyncio.wait([session], timeout=_TELLS_S))[0]:
        counted = f"{_seconds(noted):.0f} s, {len(noted)}"
        to.progress(f"{counted} reads", f"{counted} 回の読み取り")
    if not session.cancelled():
        session.result()


def _tell(to: Console, file: Path, fitted: Model, noted: list[Reading]) -> None:
    spells = spells_of(noted)
    seconds: Counter[str] = Counter()
    for spell in spells:
        seconds[spell.state] += (spell.end_us - spell.begin_us) // 1_000_000
    said: Counter[tuple[str, str]] = Counter()
    for spell in spells:
        said[spell.state, "up"] += len(spell.up)
        said[spell.state, "down"] += len(spell.down)
    states = [
        {"state": state.name, "seconds": seconds[state.name]}
        | {side: said[state.name, side] for side in ("up", "down")}
        for state in fitted.states
    ]
    header = (
        to.text("state", "状態"),
        to.text("seconds", "秒"),
        to.text("messages up", "上り"),
        to.text("messages down", "下り"),
    )
    rows = [[str(value) for value in told.values()] for told in states]
    to.data("model-recorded", {"file": str(file), "states": states}, columns(header, rows))


def _seconds(noted: list[Reading]) -> float:
    return noted[-1].at_us / 1e6 if noted else 0.0
