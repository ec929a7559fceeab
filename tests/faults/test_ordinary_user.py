"""Agent and client need no more than an ordinary user has; each lets in its own user and nobody else."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from telerelay.demo.capture import capture_desktop
from telerelay.demo.desktop import open_desktop
from tests.kit.desktop import paint, random_picture
from tests.kit.namespace import nft, private_network
from tests.kit.ordinary import NOBODY, Installed, as_nobody
from tests.kit.world import World

SIZE = (320, 240)
# Building and installing the wheels is part of whichever test comes first.
pytestmark = pytest.mark.timeout(300)

# What somebody at a port is shown: the first bytes of a desktop, or an end.
LOOK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as port:
        print(port.recv(11).decode() or "closed")
except ConnectionError:
    print("closed")
"""
# The same for a whole picture, with the wheels' own capture.
CAPTURE = """
import asyncio, sys
from pathlib import Path
from telerelay.demo.capture import capture_desktop, save_png

async def look():
    async with capture_desktop(sys.argv[1], int(sys.argv[2])) as capture:
        save_png(await capture.picture(), Path(sys.argv[3]))

asyncio.run(look())
"""


async def test_only_the_agents_user_reaches_the_desktop_and_the_picture_arrives(
    installed: Installed, world: World
) -> None:
    picture = random_picture(SIZE, seed=41)
    lent = installed.lend(world, "agent-of-nobody")
    with private_network():
        async with open_desktop(size=SIZE) as desktop, world.node(), lent.agent(desktop) as agent:
            assert users_of(agent.program.pid) == {NOBODY}
            assert await look(desktop.host, desktop.port) == "RFB 003.008"
            nft(f"""
                table ip desktop {{
                    chain output {{
                        type filter hook output priority 0;
                        tcp dport {desktop.port} meta skuid != {NOBODY} reject with tcp reset
                    }}
                }}
            """)
            assert await look(desktop.host, desktop.port) == "closed"
            await paint(desktop, picture)
            async with world.client() as client, capture_desktop(client.host, client.port) as capture:
                seen = await capture.picture()
    assert seen.tobytes() == picture.tobytes()


async def test_the_door_of_an_ordinary_user_is_closed_to_root(installed: Installed, world: World) -> None:
    picture = random_picture(SIZE, seed=42)
    lent = installed.lend(world, "client-of-nobody")
    async with open_desktop(size=SIZE) as desktop, world.node(), world.agent(desktop):
        await paint(desktop, picture)
        async with lent.client() as client:
            assert users_of(client.program.pid) == {NOBODY}
            assert await look(client.host, client.port) == "closed"
            await client.program.event(lambda event: event.get("event") == "door_refused", 5)
            file = lent.home / "seen.png"
            python = str(installed.programs / "python")
            captured = await asyncio.to_thread(
                as_nobody, python, "-c", CAPTURE, client.host, str(client.port), str(file)
            )
            assert captured.returncode == 0, captured.stderr
            assert await client.program.end() == "ended with status 0"
    with Image.open(file) as image:
        assert image.tobytes() == picture.tobytes()


async def test_the_door_of_root_is_closed_to_an_ordinary_user(world: World) -> None:
    picture = random_picture(SIZE, seed=43)
    async with (
        open_desktop(size=SIZE) as desktop,
        world.open(desktop) as (_, _, client),
        capture_desktop(client.host, client.port) as capture,
    ):
        await capture.picture()
        looked = await asyncio.to_thread(
            as_nobody, "/usr/bin/python3", "-c", LOOK, client.host, str(client.port)
        )
        assert looked.stdout.strip() == "closed", looked.stderr
        await client.program.event(lambda event: event.get("event") == "door_refused", 5)
        await paint(desktop, picture)
        await capture.picture_when(lambda image: image.tobytes() == picture.tobytes())


async def look(host: str, port: int) -> str:
    """The first bytes at a port, or that it is closed to us."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            return (await asyncio.wait_for(reader.read(11), 10)).decode() or "closed"
        finally:
            writer.close()
    except ConnectionError:
        return "closed"


def users_of(pid: int) -> set[int]:
    """Real, effective, saved and file-system uid of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(uid) for line in lines if line.startswith("Uid:") for uid in line.split()[1:]}
