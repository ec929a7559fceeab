"""The command `doctor`: whether this home PC is fit to connect, and what mends it where it is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from telerelay_client.settings import PROGRAM, Settings
from telerelay_client.viewer import KNOWN, find_viewer
from telerelay_endpoint.api import NodeApi
from telerelay_endpoint.credentials import Credentials
from telerelay_endpoint.doctor.device import check_device
from telerelay_endpoint.doctor.findings import Check, Finding
from telerelay_endpoint.doctor.machine import check_clock_source, check_descriptors, check_disk
from telerelay_endpoint.errors import TelerelayError

FILES: Final = 256
"""Descriptors: the largest number of sessions, each with a leg and a viewer, and the rest."""


def check_client(config: Path | None) -> Iterator[Finding]:
    """Everything that a client needs, cheapest first."""
    try:
        settings = PROGRAM.load(config).settings
    except TelerelayError as error:
        yield Check("settings").failed(error, "telerelay-client config check")
        return
    yield Check("settings").ok("the settings fit", "設定に問題はありません")
    yield from check_descriptors(FILES)
    yield from check_disk(settings.data)
    yield from check_clock_source()
    yield _check_viewer(settings)
    yield from check_device(settings.data, "telerelay-client enrol", _ask)


def _check_viewer(settings: Settings) -> Finding:
    check = Check("viewer")
    if settings.no_viewer:
        return check.ok("no viewer is to be started", "ビューアーは起動しない設定です")
    viewer = find_viewer(over_unix=settings.socket is not None)
    if viewer is not None:
        return check.ok(f"{viewer.program} shows the screen", f"{viewer.program} で画面を表示します")
    known = ", ".join(viewer.program for viewer in KNOWN)
    return check.warn(
        f"there is no display, or none of these is installed: {known}",
        f"画面がないか、次のいずれも入っていません: {known}",
        "apt-get install tigervnc-viewer",
    )


def _ask(credentials: Credentials) -> None:
    with NodeApi(credentials.dial()) as api:
        api.computers()
