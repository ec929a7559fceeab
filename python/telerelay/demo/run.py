"""Runs the demo for a person at a terminal: steps while they happen, what to try next, and a clean end."""

import asyncio
import re
import signal
from pathlib import Path

from telerelay.demo.capture import CaptureError
from telerelay.demo.desktop import DesktopError
from telerelay.demo.programs import ProgramError
from telerelay.demo.show import Asked, Shown, show, write_file
from telerelay_endpoint.console import Console
from telerelay_endpoint.errors import TelerelayError

_CODE = re.compile(r"error\[([A-Z_]+)\]")


def run_demo(console: Console, asked: Asked, file: Path | None, *, keep: bool) -> None:
    """Show it; with `keep` until Ctrl-C.

    Raises TelerelayError: the code that a failing command gave, INTERRUPTED after Ctrl-C. All is down then.
    """
    try:
        asyncio.run(_run(console, asked, file, keep=keep))
    except ProgramError as error:
        if error.said:
            console.note(error.said, error.said)
        codes = _CODE.findall(error.said)
        raise TelerelayError(codes[-1] if codes else "INTERNAL", str(error)) from error
    except (DesktopError, CaptureError, TimeoutError) as error:
        raise TelerelayError("DESKTOP_ABSENT", str(error) or "no picture came in time") from error
    except asyncio.CancelledError:
        raise TelerelayError("INTERRUPTED") from None


async def _run(console: Console, asked: Asked, file: Path | None, *, keep: bool) -> None:
    me = asyncio.current_task()
    if me is None:
        raise AssertionError("this runs in a task")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, me.cancel)

    def tell(en: str, ja: str) -> None:
        console.note(f"✓ {en}", f"✓ {ja}")

    async with show(asked, tell) as shown:
        if file is not None:
            write_file(shown, file)
        _tell_next(console, shown, keep=keep)
        if keep:
            await _watch(console, shown)


def _tell_next(console: Console, shown: Shown, *, keep: bool) -> None:
    if not keep:
        console.note(
            "\nKEEP=1 make demo (telerelay demo --keep) leaves it running, to open it with a viewer.",
            "\nKEEP=1 make demo (telerelay demo --keep) とすると動かし続け、ビューアで開けます。",
        )
        return
    client, agent = shown.clients[0], shown.agents[0]
    console.note("\nIt runs until Ctrl-C. Try next:", "\nCtrl-C まで動き続けます。次に試すこと:")
    rows = [
        ("see the screen", "画面を見る", f"vncviewer {client.host}::{client.port}"),
        ("the agent", "エージェント", f"telerelay-agent status --data {agent.folder}"),
        ("the client", "クライアント", f"telerelay-client status --data {client.folder}"),
        ("who may connect", "接続の許可", f"telerelay org list --org {shown.organisation.folder}"),
        ("the node", "中継", f"telerelay node list --data {shown.node.data}"),
    ]
    for en, ja, command in rows:
        console.note(f"  {en + ':':<18}{command}", f"  {ja}: {command}")


async def _watch(console: Console, shown: Shown) -> None:
    """Stay until Ctrl-C; a program that ends by itself is told of, and the rest stays up."""
    programs = [shown.node.program]
    programs += [agent.program for agent in shown.agents]
    programs += [client.program for client in shown.clients]
    ends = {asyncio.create_task(program.end()): program for program in programs}
    try:
        while ends:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                name = ends.pop(task).name
                console.warn(f"{name} {task.result()}", f"{name}: {task.result()}")
    finally:
        for task in ends:
            task.cancel()
