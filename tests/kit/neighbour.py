"""Another machine's network: a namespace of its own, joined with this thread's by one cable."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.kit.namespace import private_network

# Addresses for documentation (RFC 5737): nothing real has one.
HERE: Final = "192.0.2.1"
THERE: Final = "192.0.2.2"


@dataclass(frozen=True)
class Neighbour:
    """`entering` stands in front of a command that is to run there."""

    entering: tuple[str, ...]

    def nft(self, rules: str) -> None:
        """Load `rules` into its firewall."""
        subprocess.run([*self.entering, "nft", "-f", "-"], input=rules, text=True, check=True)

    def run(self, *command: str) -> str:
        """Run a command there to its end; its standard output."""
        return subprocess.run(
            [*self.entering, *command], capture_output=True, text=True, check=True, timeout=20
        ).stdout


@contextmanager
def neighbour() -> Iterator[Neighbour]:
    """Until the end of the context there is one: we are `HERE`, it is `THERE`. Needs root."""
    with private_network():
        theirs = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        place = f"/proc/{os.getpid()}/fd/{theirs}"
        other = Neighbour(("nsenter", f"--net={place}"))
        _ip("link", "add", "here", "type", "veth", "peer", "name", "there")
        _ip("link", "set", "there", "netns", place)
        _ip("address", "add", f"{HERE}/30", "dev", "here")
        _ip("link", "set", "here", "up")
        other.run("ip", "address", "add", f"{THERE}/30", "dev", "there")
        other.run("ip", "link", "set", "there", "up")
        yield other
    finally:
        os.close(theirs)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
