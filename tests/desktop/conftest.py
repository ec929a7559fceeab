"""What the tests in front of a real desktop share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from telerelay.demo.desktop import Desktop, open_desktop
from tests.kit.node import NodeProcess
from tests.kit.world import World, enrolled

SIZE = (640, 480)


@pytest.fixture(scope="session")
def enrolled_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Set up once; what runs, a test starts."""
    return enrolled(tmp_path_factory.getbasetemp() / "world")


@pytest.fixture
def world(enrolled_world: World, tmp_path: Path) -> World:
    """The same world on files of this test's own."""
    return enrolled_world.copied(tmp_path / "w")


@pytest_asyncio.fixture
async def desktop() -> AsyncIterator[Desktop]:
    async with open_desktop(size=SIZE) as opened:
        yield opened


@pytest.fixture(scope="session")
def guarded_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node for the organisations of all tests of the guard; nobody does anything to it."""
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running
