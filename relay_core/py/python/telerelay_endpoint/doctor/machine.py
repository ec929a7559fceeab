"""What the machine itself has to offer: descriptors, disk, clock, kernel settings."""

import ctypes
import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telerelay_endpoint.doctor.findings import Check, Finding
from telerelay_endpoint.limits import LIMITS

MIB: Final = 1 << 20
DISK_LEAST: Final = 128 * MIB
"""Bytes: two files of the audit spool; documents and keys need next to nothing."""
DISK_PLENTY: Final = 1024 * MIB
"""Bytes: a month's records of a large node, and time for somebody to see the warning."""

_TIME_ERROR: Final = 5
_TIMEX_SIZE: Final = 256
"""Bytes of `struct timex` (adjtimex(2)): 208 on 64-bit Linux, with a margin."""


def check_descriptors(needed: int, process: int = 0) -> Iterator[Finding]:
    """Whether `process` (0: this one, as the next command of this shell) may hold `needed` open files."""
    check = Check("descriptors")
    soft, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
    raised = "set LimitNOFILE= in the unit, or: ulimit -n " + str(needed)
    raised_ja = f"ユニットの LimitNOFILE= を設定するか、次を実行: ulimit -n {needed}"
    if soft >= needed:
        yield check.ok(
            f"{soft} files may be open, {needed} are planned",
            f"同時に開けるファイルは {soft} 個です (計画 {needed} 個)",
        )
    else:
        yield check.fail(
            f"{soft} files may be open (at most {hard}), {needed} are planned",
            f"同時に開けるファイルは {soft} 個 (上限 {hard} 個) で、計画の {needed} 個に足りません",
            (raised, raised_ja),
        )


def check_disk(folder: Path) -> Iterator[Finding]:
    """Whether the disk of `folder`, or of its nearest parent that exists, has room and can be written."""
    check = Check("disk")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    shown = f"{free // MIB} MiB"
    if not os.access(there, os.W_OK):
        yield check.fail(
            f"{there} cannot be written",
            f"{there} に書き込めません",
            f"findmnt -T {there}; ls -ld {there}",
        )
    elif free < DISK_LEAST:
        yield check.fail(
            f"{shown} are free at {there}, {DISK_LEAST // MIB} MiB are the least",
            f"{there} の空き容量は {shown} で、最低限の {DISK_LEAST // MIB} MiB に足りません",
            f"du -xh --max-depth=1 {there} | sort -h",
        )
    elif free < DISK_PLENTY:
        yield check.warn(
            f"{shown} are free at {there}",
            f"{there} の空き容量は {shown} です",
            f"du -xh --max-depth=1 {there} | sort -h",
        )
    else:
        yield check.ok(f"{shown} are free at {there}", f"{there} の空き容量は {shown} です")


def check_clock_source() -> Iterator[Finding]:
    """Whether the kernel says that something keeps its clock right."""
    check = Check("clock")
    if is_clock_kept():
        yield check.ok("the clock is kept right", "時計は同期されています")
    else:
        yield check.warn(
            "nothing keeps this machine's clock right, as far as the kernel knows",
            "この機器の時計が同期されていることを確認できません",
            "timedatectl set-ntp true",
        )


def is_clock_kept() -> bool:
    """Whether adjtimex(2), asked and changing nothing, does not say TIME_ERROR."""
    asked = ctypes.create_string_buffer(_TIMEX_SIZE)
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(asked)
    return state not in (_TIME_ERROR, -1)


# ---------------------------------------------------------------- kernel settings


@dataclass(frozen=True)
class _Sysctl:
    name: str
    least: int
    why: tuple[str, str]


_SYSCTLS: Final = (
    _Sysctl(
        "net.core.somaxconn",
        4096,
        ("agents that return at once wait here to be accepted", "一斉に復帰するエージェントの受付待ち行列"),
    ),
    _Sysctl(
        "net.ipv4.tcp_max_syn_backlog",
        1024,
        ("half-open connections of a rush", "集中時の接続確立待ち行列"),
    ),
)
_CONGESTION: Final = ("bbr", "cubic")
_PORTS_LEAST: Final = 16_384
"""Ports: what a reverse proxy, a load test or an office behind one address opens to the same node."""


def check_sysctls(root: Path = Path("/proc/sys")) -> Iterator[Finding]:
    """Kernel settings that many connections at once meet first."""
    check = Check("sysctl")
    for wanted in _SYSCTLS:
        value = int(_read(root, wanted.name))
        en, ja = wanted.why
        if value < wanted.least:
            yield check.warn(
                f"{wanted.name} is {value}, {wanted.least} are advised: {en}",
                f"{wanted.name} が {value} です ({wanted.least} 以上を推奨): {ja}",
                f"sysctl -w {wanted.name}={wanted.least}",
            )
        else:
            yield check.ok(f"{wanted.name} is {value}", f"{wanted.name} は {value} です")
    yield _congestion(check, _read(root, "net.ipv4.tcp_congestion_control"))
    yield _local_ports(check, _read(root, "net.ipv4.ip_local_port_range"))


def check_pipes(pipes: int, user: int, root: Path = Path("/proc/sys")) -> Iterator[Finding]:
    """Whether `user` (uid) may have `pipes` of the engine before the kernel makes new ones smaller."""
    check = Check("pipes")
    name = "fs.pipe-user-pages-soft"
    budget = int(_read(root, name))
    needed = pipes * LIMITS["engine_pipe"] // resource.getpagesize()
    if user == 0 or budget == 0 or budget >= needed:
        yield check.ok(
            f"the pipe budget ({budget} pages) is enough", f"パイプの予算 ({budget} ページ) は十分です"
        )
    else:
        yield check.warn(
            f"{name} is {budget} pages, {pipes} pipes want {needed}: copies get slower",
            f"{name} は {budget} ページで、{pipes} 本のパイプには {needed} 必要です。転送が遅くなります",
            f"sysctl -w {name}={needed}",
        )


def _congestion(check: Check, value: str) -> Finding:
    name = "net.ipv4.tcp_congestion_control"
    if value in _CONGESTION:
        return check.ok(f"{name} is {value}", f"{name} は {value} です")
    return check.warn(
        f"{name} is {value}; {' or '.join(_CONGESTION)} recover better from loss",
        f"{name} が {value} です。{' または '.join(_CONGESTION)} のほうが損失から早く回復します",
        f"sysctl -w {name}=cubic",
    )


def _local_ports(check: Check, value: str) -> Finding:
    name = "net.ipv4.ip_local_port_range"
    first, last = map(int, value.split())
    if last - first + 1 >= _PORTS_LEAST:
        return check.ok(f"{name} is {first}–{last}", f"{name} は {first}–{last} です")
    return check.warn(
        f"{name} is {first}–{last}: {last - first + 1} connections to one address, no more",
        f"{name} は {first}–{last} です。一つの宛先への接続は {last - first + 1} 本までです",
        f"sysctl -w {name}='32768 60999'",
    )


def _read(root: Path, name: str) -> str:
    return (root / name.replace(".", "/")).read_text().strip()
