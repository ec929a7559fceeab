"""The node's settings: where a value comes from, and what is refused."""

import json
import subprocess
from pathlib import Path

import pytest

from telerelay.node.memory import default_budget
from telerelay.node.settings import load
from telerelay.routing import decide
from telerelay_endpoint.errors import TelerelayError
from tests.kit.node import TELERELAY

_COMMANDS = [(TELERELAY, "node"), (f"{TELERELAY}-agent", "agent"), (f"{TELERELAY}-client", "client")]


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
    assert (sources["workers"], sources["listen"]) == (f"{file}:3", "default")


def test_lists_are_written_with_commas_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELERELAY_NODE_LISTEN", "127.0.0.1:1, [::1]:2")
    assert load().settings.listen == ["127.0.0.1:1", "[::1]:2"]


def test_sides_have_listeners_of_their_own(tmp_path: Path) -> None:
    file = _file(tmp_path, 'listen_inside = ["10.0.0.1:8443"]\nlisten_outside = ["192.0.2.1:8443"]\n')
    assert load(file).settings.listeners() == [("10.0.0.1:8443", "inside"), ("192.0.2.1:8443", "outside")]


def test_without_anything_it_listens_everywhere() -> None:
    loaded = load()
    assert loaded.settings.listeners()[0] == ("0.0.0.0:8443", "both")
    assert set(loaded.sources.values()) == {"default"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "Relay"', ":1:8: name: a node name is 1 to 63 of a–z"),
        ('name = "-a"', ":1:8: name: a node name is 1 to 63 of a–z"),
        ('name = "42"', ":1:8: name: a node name is 1 to 63 of a–z"),
        ('listen = ["localhost:8443"]', ":1:10: listen: 'localhost' does not"),
        ('listen = ["::1:8443"]', ":1:10: listen: an IPv6 address stands in brackets"),
        ('listen = ["127.0.0.1"]', "HOST:PORT"),
        ('listen = ["127.0.0.1:65536"]', "65536 is no port"),
        ('advertise = ["relay.example:0"]', "relay.example:0 is no address"),
        ('trusted_networks = ["192.0.2.1/24"]', "192.0.2.1/24 has host bits set"),
        ("handshakes_per_s = 0", "handshakes_per_s"),
        ("memory_budget = 0", ":1:17: memory_budget: Expected `int` >= 1"),
        ("# here\n\n  workers = 0", ":3:13: workers: Expected `int` >= 1"),
        ('workers = "4"', ":1:11: workers: Expected `int`, got `str`"),
        ("workers = true", ":1:11: workers: Expected `int`, got `bool`"),
        ("log_json = 1", ":1:12: log_json: Expected `bool | null`, got `int`"),
        ("stop_grace_s = -1", ":1:16: stop_grace_s: Expected `float` >= 0"),
        ('log_level = "loud"', ":1:13: log_level: Invalid enum value 'loud'"),
        ('listen = [\n "127.0.0.1:1",\n]\n lisen = "x"', ":4:2: lisen is no setting; nearest: listen"),
        ("[node]\nworkers = 4", ":1:1: node is no setting; there are name, data, listen"),
        ("listen = [", ":1:11: "),
        ("workers = 1\r\nworkers = 2\r\n", ":2:1: Key"),
    ],
)
def test_a_setting_that_does_not_fit_is_named_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    file = _file(tmp_path, text)
    assert f"{file}:" in _refusal(file)
    assert told in _refusal(file)


def test_a_whole_number_is_a_number_of_seconds(tmp_path: Path) -> None:
    assert load(_file(tmp_path, "stop_grace_s = 3")).settings.stop_grace_s == 3.0


def test_a_mistyped_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELERELAY_NODE_LISEN", "127.0.0.1:1")
    assert "TELERELAY_NODE_LISEN is no setting; nearest: listen" in _refusal()


def test_a_variable_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELERELAY_NODE_WORKERS", "many")
    assert "TELERELAY_NODE_WORKERS: workers: Expected `int`" in _refusal()


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    assert "missing.toml: does not exist" in _refusal(tmp_path / "missing.toml")


def test_a_node_without_a_listener_does_not_start() -> None:
    assert "no address to listen on" in _refusal(listen=[])


# ---------------------------------------------------------------- commands


def _run(command: str, *arguments: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [command, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"HOME": str(home), **environment},
    )


def test_config_show_tells_value_and_source(tmp_path: Path) -> None:
    file = _file(tmp_path, 'name = "relay-7"\n')
    ended = _run(
        *(TELERELAY, "config", "show", "--json", "--config", str(file), "--data", str(tmp_path)),
        home=tmp_path,
        TELERELAY_NODE_WORKERS="2",
    )
    shown = json.loads(ended.stdout)
    assert shown["schema"] == "telerelay.config-show/1"
    told = {name: (entry["value"], entry["source"]) for name, entry in shown["settings"].items()}
    assert told["name"] == ("relay-7", f"{file}:1")
    assert told["workers"] == (2, "TELERELAY_NODE_WORKERS")
    assert told["data"] == (str(tmp_path), "--data")
    assert told["stop_grace_s"] == (10.0, "default")
    assert told["memory_budget"] == (default_budget(), "default")
    assert all(entry["description"] for entry in shown["settings"].values())
    assert shown["routing"] == {"compiled": decide.COMPILED, "file": decide.__file__}


def test_config_show_says_whether_compiled_code_decides(tmp_path: Path) -> None:
    shown = _run(TELERELAY, "config", "show", home=tmp_path).stdout.splitlines()
    assert shown[0].split() == ["setting", "value", "source", "description"]
    assert shown[-1] == f"requests are decided by compiled code ({decide.__file__})"


@pytest.mark.parametrize(("command", "program"), _COMMANDS)
def test_config_check_tells_every_problem_and_exits_as_a_start_would(
    tmp_path: Path, command: str, program: str
) -> None:
    file = _file(tmp_path, 'log_level = "loud"\n dat = "/nowhere"\n')
    variables = {f"TELERELAY_{program.upper()}_CONFIG": str(file)}
    ended = _run(command, "config", "check", "--json", home=tmp_path, **variables)
    assert ended.returncode == 2
    problems = json.loads(ended.stdout)["problems"]
    assert [problem["source"] for problem in problems] == [f"{file}:1:13", f"{file}:2:2"]
    assert problems[1]["nearest"] == "data"
    assert f"{file}:1:13: log_level: " in ended.stderr


@pytest.mark.parametrize(
    ("command", "start"), [(TELERELAY, "serve"), *((c, "status") for c, _ in _COMMANDS[1:])]
)
def test_no_program_starts_with_a_mistyped_setting(tmp_path: Path, command: str, start: str) -> None:
    folder = tmp_path / ".config" / "telerelay"
    folder.mkdir(parents=True)
    for _, program in _COMMANDS:
        (folder / f"{program}.toml").write_text('# mine\nlog_levl = "info"\n')
    ended = _run(command, start, home=tmp_path)
    assert ended.returncode == 2
    assert ".toml:2:1: log_levl is no setting; nearest: log_level" in ended.stderr


@pytest.mark.parametrize(("command", "program"), _COMMANDS)
def test_config_check_says_when_nothing_is_wrong(tmp_path: Path, command: str, program: str) -> None:
    ended = _run(command, "config", "check", home=tmp_path)
    assert ended.returncode == 0
    assert ended.stdout == f"nothing is wrong (no file /etc/telerelay/{program}.toml)\n"


@pytest.mark.parametrize(("command", "program"), _COMMANDS[1:])
def test_the_environment_wins_over_the_file(tmp_path: Path, command: str, program: str) -> None:
    file = _file(tmp_path, f'data = "{tmp_path}/file"\nlog_level = "debug"\n')
    prefix = f"TELERELAY_{program.upper()}_"
    variables = {f"{prefix}DATA": f"{tmp_path}/env", f"{prefix}CONFIG": str(file)}
    shown = json.loads(_run(command, "config", "show", "--json", home=tmp_path, **variables).stdout)[
        "settings"
    ]
    assert (shown["data"]["value"], shown["data"]["source"]) == (f"{tmp_path}/env", f"{prefix}DATA")
    assert (shown["log_level"]["value"], shown["log_level"]["source"]) == ("debug", f"{file}:2")
    # What is shown is what a command uses: nobody is enrolled there.
    assert f"{tmp_path}/env is not enrolled" in _run(command, "status", home=tmp_path, **variables).stderr
