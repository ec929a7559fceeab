"""One version everywhere: Cargo workspace, wheels, commands."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import telerelay_core

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


@pytest.mark.parametrize(
    "wheel", ["telerelay", "telerelay-agent", "telerelay-client", "telerelay-core", "telerelay-loadtest"]
)
def test_every_wheel_has_the_version_of_the_core(wheel: str) -> None:
    assert version(wheel) == VERSION
    assert telerelay_core.__version__ == VERSION


@pytest.mark.parametrize(
    "command", ["telerelay", "telerelay-agent", "telerelay-client", "telerelay-loadtest"]
)
def test_every_command_tells_its_version(command: str) -> None:
    program = Path(sys.executable).parent / command
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"{command} {VERSION}\n"
