"""The programs as an ordinary user has them: wheels in the system's own Python, run as uid 65534."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.kit.world import World

NOBODY: Final = 65534
# Becomes the user for good: no group, no capability, and no way back.
AS_NOBODY: Final = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs",
)  # fmt: skip
_PYTHON: Final = "/usr/bin/python3"
_REPOSITORY: Final = Path(__file__).parents[2]
_UV: Final = _REPOSITORY / "build" / "uv" / "bin" / "uv"
_OFFLINE: Final = ("--quiet", "--no-config", "--offline", "--python")
_WHEEL: Final = ("build", "--wheel", "--no-build-isolation", *_OFFLINE, sys.executable)


@dataclass(frozen=True)
class Installed:
    """The wheels of this repository in a folder that everybody can look into. `programs`: the commands."""

    folder: Path
    programs: Path

    def lend(self, world: World, name: str) -> World:
        """`world` on a copy of its files under `name` that belongs to the ordinary user, who runs it all."""
        home = self.folder / name
        copied = world.copied(home)
        for path in (home, *home.rglob("*")):
            os.lchown(path, NOBODY, NOBODY)
        commands = replace(copied.commands, folder=self.programs, before=AS_NOBODY)
        return replace(copied, commands=commands)


@contextmanager
def installed_wheels() -> Iterator[Installed]:
    """Build and install them; removed with the context.

    Python and the test's own folders may stand under a folder that is closed to others.
    """
    folder = Path(tempfile.mkdtemp(prefix="telerelay-ordinary-"))
    try:
        folder.chmod(0o755)
        yield Installed(folder, _install(folder))
    finally:
        shutil.rmtree(folder)


def as_nobody(*command: str, timeout: float = 20) -> "subprocess.CompletedProcess[str]":
    """Run a command of the system as the ordinary user."""
    return subprocess.run(
        [*AS_NOBODY, *command], capture_output=True, text=True, timeout=timeout, check=False, cwd="/"
    )


def _install(folder: Path) -> Path:
    wheels, programs = folder / "wheels", folder / "programs"
    # The profile of everything else, so that nothing is compiled twice.
    _run(_UV, *_WHEEL, "--config-setting=build-args=--profile=dev", "--out-dir", wheels, "relay_core/py")
    for package in ("python", "agent", "client"):
        _run(_UV, *_WHEEL, "--out-dir", wheels, package)
    _run(_PYTHON, "-m", "venv", "--without-pip", programs)
    (libraries,) = (programs / "lib").glob("python3.*/site-packages")
    # The packages of others are those of the lock already; the lock has a test of its own.
    others = shutil.ignore_patterns("*.pth", "*telerelay*")
    shutil.copytree(sysconfig.get_path("purelib"), libraries, ignore=others, dirs_exist_ok=True)
    installed_by = programs / "bin" / "python"
    _run(_UV, "pip", "install", "--no-deps", *_OFFLINE, installed_by, *wheels.glob("*.whl"))
    return programs / "bin"


def _run(*command: str | Path) -> None:
    subprocess.run(command, cwd=_REPOSITORY, check=True)
