"""What was measured on: the facts without which no figure means anything; and what a process used of it."""

import os
import platform
import re
from pathlib import Path
from typing import Final

import msgspec

import telerelay_core

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_ANONYMOUS: Final = re.compile(r"^Anonymous:\s+(\d+) kB$", re.MULTILINE)
_CPU: Final = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


class Machine(msgspec.Struct, frozen=True):
    """The machine, as it stood when the measuring began.

    `load`: the load average of a minute. Above 0.5 somebody else was at work, and the figures are worth less.
    """

    kernel: str
    processor: str
    processors: int
    loopback_mtu: int
    congestion_control: str
    python: str
    build: str
    load: float

    @classmethod
    def now(cls) -> "Machine":
        """This one."""
        found = _CPU.search(Path("/proc/cpuinfo").read_text())
        return cls(
            kernel=platform.release(),
            processor=found[1] if found else platform.machine(),
            processors=len(os.sched_getaffinity(0)),
            loopback_mtu=int(Path("/sys/class/net/lo/mtu").read_text()),
            congestion_control=Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
            python=platform.python_version(),
            build=(
                "Cargo's release profile of this workspace, overflow checks on"
                if is_released()
                else "Cargo's dev profile of this workspace: opt-level 1, debug assertions, overflow checks"
            ),
            load=os.getloadavg()[0],
        )


def is_released() -> bool:
    """Whether the core is the one that `packaging/setup/release.sh` compiled, not that of the tests."""
    return Path(telerelay_core.__file__).is_relative_to(Path("build/release").resolve())


def cpu_s(pid: int) -> float:
    """Processor time of all threads that the process has had, user and system, in seconds."""
    # Behind the name, which may hold spaces; utime and stime are the 14th and 15th field of all.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def anonymous_bytes(pid: int) -> int:
    """User memory of the process's own: neither files nor what the kernel holds for it."""
    found = _ANONYMOUS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    if found is None:
        raise ValueError("this kernel does not tell anonymous memory")
    return int(found[1]) * 1024
