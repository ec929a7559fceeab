"""The units for systemd: nothing in them is misread, and what they forbid a node does not do."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from telerelay_endpoint.certificates import Role
from tests.kit.condition import eventually
from tests.kit.node import TELERELAY, NodeProcess
from tests.kit.tenant import Tenant

_UNITS: Final = Path(__file__).parents[2] / "packaging" / "systemd"
_SYSTEM: Final = ("telerelay.service",)
_USER: Final = ("telerelay-agent.service", "telerelay-org-keep.service")
# systemd's own measure, tenths: 10 is best. A user's manager cannot enforce what needs rights.
_EXPOSURE: Final = {"telerelay.service": 20, "telerelay-agent.service": 65, "telerelay-org-keep.service": 65}

pytestmark = pytest.mark.timeout(120)


def _analyze(*arguments: str | Path, runtime: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR": str(runtime), "HOME": str(runtime)},
    )


def _installed(unit: str, folder: Path) -> Path:
    """The unit as it is where the programs lie elsewhere."""
    copied = folder / unit
    copied.write_text((_UNITS / unit).read_text().replace("/usr/bin/", f"{Path(TELERELAY).parent}/"))
    return copied


def test_every_unit_is_looked_at() -> None:
    assert {unit.name for unit in _UNITS.glob("*.service")} == {*_SYSTEM, *_USER} == set(_EXPOSURE)


@pytest.mark.parametrize("unit", [*_SYSTEM, *_USER])
def test_systemd_reads_a_unit_without_a_word(tmp_path: Path, unit: str) -> None:
    manager = "--user" if unit in _USER else "--system"
    verified = _analyze("verify", "--man=no", manager, _installed(unit, tmp_path), runtime=tmp_path)
    # It only warns of a name that it does not know, and exits 0.
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@pytest.mark.parametrize(("unit", "most"), _EXPOSURE.items())
def test_a_unit_is_exposed_as_little_as_it_can_be(tmp_path: Path, unit: str, most: int) -> None:
    file = _installed(unit, tmp_path)
    measured = _analyze("security", "--offline=yes", f"--threshold={most}", file, runtime=tmp_path)
    assert measured.returncode == 0, measured.stdout[-200:]


async def test_a_node_asks_for_nothing_that_its_unit_forbids(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    # The tracer is the node's grandchild, so that a signal to the process is one to the node.
    node = NodeProcess(tmp_path, program=("strace", "-D", "-f", "-o", str(trace), TELERELAY))
    with node:
        tenant = Tenant(now=int(time.time()))
        node.admit(tenant)
        node.publish(tenant)
        with node.api(tenant, Role.CLIENT) as api:
            api.computers()
        pid = node.process.pid
    # The tracer ends after the node, and pads a process's number to five places.
    ended = re.compile(rf"^{pid} +\+\+\+ exited with", re.MULTILINE)
    await eventually(lambda: ended.search(trace.read_text()) is not None, 60)
    called = trace.read_text()
    allowed = set(_calls("@system-service", tmp_path)) - {
        call for group in ("@privileged", "@resources") for call in _calls(group, tmp_path)
    }
    asked = set(re.findall(r"^\d+ +(\w+)\(", called, re.MULTILINE))
    # SQLite gives its files to the database's owner, as root only; the unit's user is not root.
    assert asked - {"fchown"} <= allowed
    assert len(asked) > 30
    assert not re.findall(r"PROT_READ\|PROT_WRITE\|PROT_EXEC.*", called)


def _calls(group: str, runtime: Path) -> Iterator[str]:
    """The system calls of a set, those of the sets in it included."""
    for line in _analyze("syscall-filter", group, runtime=runtime).stdout.splitlines():
        word = line.strip()
        if word.startswith("@") and word != group:
            yield from _calls(word, runtime)
        elif word and word[0].isalpha():
            yield word
