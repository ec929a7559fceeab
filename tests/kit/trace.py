"""Bending a system call of a running process: strace attaches, injects, and lets go again."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ATTACH_TIMEOUT_S = 10.0


@contextmanager
def bent(pid: int, call: str, injection: str) -> Iterator[None]:
    """While it lasts, every `call` of the process is bent as strace's `inject` says. Needs root."""
    command = [
        "strace",
        "-f",
        "-qq",
        "-p",
        str(pid),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:{injection}",
    ]
    with subprocess.Popen([*command, "-o", "/dev/null"], stderr=subprocess.PIPE, text=True) as tracer:
        try:
            _wait_for_tracer(pid, tracer)
            yield
        finally:
            tracer.terminate()
            tracer.wait(_ATTACH_TIMEOUT_S)


def _wait_for_tracer(pid: int, tracer: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + _ATTACH_TIMEOUT_S
    while not all(f"TracerPid:\t{tracer.pid}\n" in status for status in _threads(pid)):
        assert tracer.poll() is None, f"strace ended: {tracer.stderr and tracer.stderr.read()}"
        assert time.monotonic() < deadline, "strace did not attach"
        time.sleep(0.01)


def _threads(pid: int) -> list[str]:
    return [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
