"""A network of a test's own: a namespace with nothing but loopback, in which packets can vanish."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_OWN = Path("/proc/thread-self/ns/net")


@contextmanager
def private_network() -> Iterator[None]:
    """Until the end of the context this thread, and every program that it starts, is in a network of its own.

    Needs root, and says so where it is missing.
    """
    before = os.open(_OWN, os.O_RDONLY)
    try:
        _call("unshare", _CLONE_NEWNET)
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            _call("setns", before, _CLONE_NEWNET)
    finally:
        os.close(before)


def nft(rules: str) -> None:
    """Load `rules` into the firewall of this thread's network."""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def _call(function: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{function}: {os.strerror(error)}; these tests need root")
