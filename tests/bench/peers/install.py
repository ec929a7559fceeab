"""Brings peers from the registries into build/peers: unpacked or built there, never installed."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.bench.benchmark import Say
from tests.bench.peers.peer import HOME, Crate, Debian, GoModule, Need

DEBIAN: Final = HOME / "root"
CARGO: Final = HOME / "cargo" / "bin"
GO: Final = HOME / "go" / "bin"


def install(needs: Iterable[Need], say: Say) -> None:
    """Whatever of it is not there yet. Raises CalledProcessError."""
    for need in needs:
        match need:
            case Debian(program=program) if not (DEBIAN / program).exists():
                say(f"unpacking {', '.join(need.packages)}")
                _unpack(need)
            case Crate(program=program) if not (CARGO / program).exists():
                say(f"building {program} {need.version}")
                _build_crate(need)
            case GoModule(programs=programs) if not all((GO / program).exists() for program in programs):
                say(f"building {need.module} {need.version}")
                _build_module(need)


def libraries() -> str:
    """Where what was unpacked finds its shared libraries."""
    return ":".join(str(folder.resolve()) for folder in DEBIAN.glob("usr/lib/*-linux-gnu"))


def _unpack(need: Debian) -> None:
    archives = (HOME / "debs").resolve()
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    # Downloaded with what they need, and unpacked: nothing starts, and the machine stays as it was.
    _run(
        *("apt-get", "install", "-qq", "-y", "--download-only", "--reinstall", "--no-install-recommends"),
        *("-o", f"Dir::Cache::Archives={archives}", *need.packages),
    )
    for archive in sorted(archives.glob("*.deb")):
        _run("dpkg", "-x", str(archive), str(DEBIAN))


def _build_crate(need: Crate) -> None:
    scratch = HOME / "target"
    _run(
        *(
            "cargo",
            "install",
            need.program,
            "--version",
            need.version,
            "--quiet",
            "--root",
            str(HOME / "cargo"),
        ),
        *("--no-default-features", "--features", ",".join(need.features)),
        CARGO_TARGET_DIR=str(scratch.resolve()),
    )
    shutil.rmtree(scratch)


def _build_module(need: GoModule) -> None:
    """In a module that requires it: the checksum database is asked for everything but what is replaced."""
    home = (HOME / "go").resolve()
    work = home / Path(need.module).name
    work.mkdir(parents=True, exist_ok=True)
    (work / "go.mod").write_text(f"module bench\n\nrequire {need.module} {need.version}\n")
    go = ("go", "-C", str(work))
    if need.replaced:
        # A fork that the database does not know: the module's own file has its sum.
        _run(*go, "mod", "download", f"{need.module}@{need.version}", **_go(home))
        own = home / "pkg" / "mod" / f"{need.module}@{need.version}" / "go.sum"
        forks = tuple(new.partition("@")[0] for new in need.replaced.values())
        sums = [line for line in own.read_text().splitlines() if line.startswith(forks)]
        _run(
            *go, "mod", "edit", *(f"-replace={old}={new}" for old, new in need.replaced.items()), **_go(home)
        )
        (work / "go.sum").write_text("\n".join(sums) + "\n")
    for program, folder in need.programs.items():
        package = "/".join(part for part in (need.module, folder) if part)
        tags = ",".join([*need.tags, program])
        _run(*go, "build", "-tags", tags, "-o", str(home / "bin" / program), package, **_go(home))


def _go(home: Path) -> dict[str, str]:
    return {"GOPATH": str(home), "GOCACHE": str(home / "cache"), "GOFLAGS": "-mod=mod -buildvcs=false"}


def _run(*command: str, **environment: str) -> None:
    # Behind whatever else this machine does.
    nice: Sequence[str] = ("nice", "-n", "10", *command)
    subprocess.run(
        nice,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", **environment},
    )
