"""The node's settings: where a value comes from, and what is refused."""

import json
import subprocess
from pathlib import Path

import pytest

from telerelay.node.settings import Loaded, load
from telerelay_endpoint.errors import TelerelayError
from tests.kit.node import TELERELAY


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the machine's file nor the person's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "some.toml"
    path.write_text(text)
    return path


def _refusal(config: Path | None = None, **arguments: object) -> str:
    with pytest.raises(TelerelayError) as caught:
        load(config, arguments)
    assert caught.value.code == "USAGE"
    return caught.value.detail


def test_arguments_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _file(tmp_path, 'name = "file"\nbanner = "file"\nworkers = 3\n')
    monkeypatch.setenv("TELERELAY_NODE_NAME", "environment")
    monkeypatch.setenv("TELERELAY_NODE_BANNER", "environment")
    loaded = load(file, {"name": "argument", "listen": None})
    settings, sources = loaded.settings, loaded.sources
    assert (settings.name, settings.banner, settings.workers) == ("argument", "environment", 3)
    assert (sources["name"], sources["banner"]) == ("--name", "TELERELAY_NODE_BANNER")
    assert (sources["workers"], sources["listen"]) == (str(file), "default")


def test_lists_are_written_with_commas_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELERELAY_NODE_LISTEN", "127.0.0.1:1, [::1]:2")
    assert load().settings.listen == ["127.0.0.1:1", "[::1]:2"]


def test_sides_have_listeners_of_their_own(tmp_path: Path) -> None:
    file = _file(tmp_path, 'listen_inside = ["10.0.0.1:8443"]\nlisten_outside = ["192.0.2.1:8443"]\n')
    assert load(file).settings.listeners() == [("10.0.0.1:8443", "inside"), ("192.0.2.1:8443", "outside")]


def test_without_anything_it_listens_everywhere() -> None:
    loaded: Loaded = load()
    assert loaded.settings.listeners()[0] == ("0.0.0.0:8443", "both")
    assert set(loaded.sources.values()) == {"default"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('name = "Relay"', "name (from"),
        ('name = "-a"', "name (from"),
        ('listen = ["localhost:8443"]', "listen (from"),
        ('listen = ["::1:8443"]', "stands in brackets"),
        ('listen = ["127.0.0.1"]', "HOST:PORT"),
        ('listen = ["127.0.0.1:65536"]', "65536 is no port"),
        ('advertise = ["relay.example:0"]', "relay.example:0 is no address"),
        ("workers = 0", "workers (from"),
        ("stop_grace_s = -1", "stop_grace_s (from"),
        ('lisen = "x"', "lisen is no setting"),
        ("listen = [", "some.toml"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(tmp_path: Path, text: str, named: str) -> None:
    assert named in _refusal(_file(tmp_path, text))


def test_a_mistyped_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELERELAY_NODE_LISEN", "127.0.0.1:1")
    assert "TELERELAY_NODE_LISEN is no setting" in _refusal()


def test_a_node_without_a_listener_does_not_start() -> None:
    assert "no address to listen on" in _refusal(listen=[])


def test_config_show_tells_value_and_source(tmp_path: Path) -> None:
    file = _file(tmp_path, 'name = "relay-7"\n')
    ended = subprocess.run(
        [TELERELAY, "config", "show", "--json", "--config", str(file), "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={"HOME": str(tmp_path), "TELERELAY_NODE_WORKERS": "2"},
    )
    shown = json.loads(ended.stdout)
    assert shown["schema"] == "telerelay.config-show/1"
    told = {name: (entry["value"], entry["source"]) for name, entry in shown["settings"].items()}
    assert told["name"] == ("relay-7", str(file))
    assert told["workers"] == (2, "TELERELAY_NODE_WORKERS")
    assert told["data"] == (str(tmp_path), "--data")
    assert told["stop_grace_s"] == (10.0, "default")
    assert all(entry["description"] for entry in shown["settings"].values())
