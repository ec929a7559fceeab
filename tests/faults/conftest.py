"""What the tests that break something share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.ordinary import Installed, installed_wheels
from tests.kit.world import World, enrolled


@pytest.fixture(scope="session")
def enrolled_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Set up once; what runs, a test starts."""
    return enrolled(tmp_path_factory.getbasetemp() / "world")


@pytest.fixture
def world(enrolled_world: World, tmp_path: Path) -> World:
    """The same world on files of this test's own."""
    return enrolled_world.copied(tmp_path / "w")


@pytest.fixture(scope="session")
def installed() -> Iterator[Installed]:
    """The wheels, where an ordinary user reaches them."""
    with installed_wheels() as wheels:
        yield wheels
