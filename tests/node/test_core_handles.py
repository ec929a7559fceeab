"""What the core does with what Python forgets: descriptors, handles, forks."""

import asyncio
import gc
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from telerelay_core import ApiConnection, Client, Dial, Node, Stopped, format_computer_id
from tests.kit.condition import INTERVAL, eventually
from tests.kit.hostile.certified import Cluster, Office

SCRIPT = """
import os, sys
from telerelay_core import CoreError, Dial
dial = Dial(nodes=[], pins=[bytes(32), bytes(32)])
def code():
    try:
        dial.open_api()
    except CoreError as error:
        return error.code
assert code() == "UNREACHABLE"
child = os.fork()
if child == 0:
    os._exit(0 if code() == "USAGE" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_is_refused_and_does_not_hang() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], timeout=20, check=False)
    assert ended.returncode == 0


async def told(node: Node) -> ApiConnection:
    """The connection of the API that comes first."""
    async with asyncio.timeout(10):
        while not (events := node.events()):
            await asyncio.sleep(INTERVAL)
    [connection] = events
    assert isinstance(connection, ApiConnection)
    return connection


@pytest.mark.parametrize("taken", [True, False])
async def test_an_api_connection_belongs_to_whoever_reads_its_descriptor(
    tmp_path: Path, *, taken: bool
) -> None:
    cluster, office = Cluster(tmp_path), Office(tmp_path)
    own = cluster.node()
    node = Node(name="first", listeners=[("127.0.0.1:0", "both")], chain=own.chain, key=own.key)
    [address] = node.start()
    try:
        node.set_snapshot(organisations=[(office.root, False)], revoked=[], nodes_version=0)
        dial = Dial(nodes=[("first", [address])], pins=list(cluster.pins))
        mine = await asyncio.to_thread(dial.open_api)
        try:
            connection = await told(node)
            if taken:
                assert connection.fd == connection.fd
                theirs = connection.fd
                del connection
                gc.collect()
                os.write(theirs, b"answer")
                assert await asyncio.to_thread(os.read, mine, 6) == b"answer"
                os.close(theirs)
            else:
                del connection
                gc.collect()
            # Its end closes ours.
            readable, _, _ = await asyncio.to_thread(select.select, [mine], [], [], 20)
            assert readable
            assert os.read(mine, 1) == b""
        finally:
            os.close(mine)
    finally:
        node.stop(0)
        await eventually(lambda: any(isinstance(event, Stopped) for event in node.events()))


async def test_a_handle_that_is_forgotten_leaves_its_door(tmp_path: Path) -> None:
    cluster, office = Cluster(tmp_path), Office(tmp_path)
    own = office.client()
    door = tmp_path / "door"
    # The kernel takes connections, and nobody says a word: by itself the client would wait for seconds.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        client = Client(
            dial=Dial(nodes=[("first", [address])], pins=list(cluster.pins), chain=own.chain, key=own.key),
            root=office.root,
            computer=format_computer_id(bytes(10)),
            service="rfb",
            door=f"unix:{door}",
            program="test/1",
        )
        client.start()
        assert door.exists()
        del client
        gc.collect()
        await eventually(lambda: not door.exists(), timeout=2)
