"""The traffic generator: what it says has passed has passed, on a plain way and through a real node."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.bench.peers.generator import Generator, LoadError
from tests.bench.tenant import prepare
from tests.kit.node import NodeProcess

PORT: Final = "127.0.0.1:24683"
WINDOW: Final = {"warm_s": 0.05, "for_s": 0.25}


@contextmanager
def generator(*way: str | Path) -> Iterator[Generator]:
    made = Generator(*way)
    try:
        yield made
    finally:
        made.stop()


def load(made: Generator, **order: Any) -> dict[str, Any]:
    return dict(made.load(order, {}, **WINDOW))


def test_loads_come_through_a_plain_way_and_are_counted() -> None:
    with generator("plain", "--to", PORT, "--office", PORT) as made:
        bulk = load(made, order="bulk", sessions=3)
        assert (bulk["kind"], bulk["sessions"]) == ("plain", 3)
        assert bulk["bytes"] > 0
        assert 1 / 3 <= bulk["fairness"] <= 1
        echo = load(made, order="echo", sessions=20, bytes=64, per_s=400)
        # Each message of the time that counts came back, in a time of its own.
        assert echo["delay"]["count"] == 100
        assert 0 < echo["delay"]["p50_us"] <= echo["delay"]["max_us"]
        frames = load(made, order="desktop", sessions=20, per_s=20)
        assert (frames["sessions"], frames["skipped"]) == (20, 0)
        assert 90 <= frames["delay"]["count"] <= 110
        assert 1_400 <= frames["bytes"] / frames["delay"]["count"] <= 65_536
        # Four at once ten times a second, though they could be made at once a hundred times.
        assert 4 <= load(made, order="set_ups", sessions=4, per_s=40)["set_ups"] <= 16
        # Who is used up by set-ups or by a stalled reader is opened anew.
        stalled = load(made, order="bulk", sessions=3, stalled=1)
        assert stalled["sessions"] == 0
        assert 0.5 <= stalled["fairness"] <= 1
        assert made.open(5)["sessions"] == 5


def test_ends_that_are_viewer_and_desktop_find_each_other_and_show_a_picture() -> None:
    with generator("plain", "--rfb", "--to", PORT, "--office", PORT) as made:
        bulk = load(made, order="bulk", sessions=3)
        assert (bulk["kind"], bulk["sessions"]) == ("plain", 3)
        assert bulk["bytes"] > 0


def test_a_way_that_leads_nowhere_is_a_failure_and_no_figure() -> None:
    with generator("plain", "--to", "127.0.0.1:24684", "--office", PORT) as made, pytest.raises(LoadError):
        made.open(1)


@pytest.mark.timeout(120)
def test_ends_that_are_agent_and_client_have_the_path_that_the_node_says(tmp_path: Path) -> None:
    with NodeProcess(tmp_path) as node:
        folder = tmp_path / "organisation"
        prepare(node.data / "control.sock", folder, agents=2, clients=2)
        with generator("relay", folder, "--pairs", "2", "--wrapped") as made:
            bulk = load(made, order="bulk", sessions=4)
            assert (bulk["kind"], bulk["sessions"]) == ("wrapped", 4)
            counted = node.statistics()
            assert counted["live_paths.wrapped.staff"] == 4
            assert counted["bytes_to_client"] > bulk["bytes"]
            assert load(made, order="echo", sessions=4, bytes=1_400, per_s=200)["delay"]["count"] == 50
