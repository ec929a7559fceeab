"""What is measured on: networks of our own, cubic on every connection, a core for the relay alone."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.kit.namespace import private_network

ENDS_CORE: Final = 0
"""Generator, and the agents of peers that have some."""
RELAY_CORE: Final = 1
CONGESTION_CONTROL: Final = "cubic"
_LOOPBACK: Final = ("127.0.0.0/8", "127.0.0.1")
RELAY_NETWORK: Final = "telerelay-bench-relay"
"""Where a relay stands that has cables."""


@dataclass(frozen=True)
class Ground:
    """Where the relay stands. `before` puts a command there, on the relay's core.

    `relay_for_homes` and `relay_for_offices` are the relay's addresses, `office` is the office's, and
    `office_for_homes` where homes dial it without a relay. `carriers` are processes that are part of it.
    """

    name: str
    before: Sequence[str]
    relay_for_homes: str
    relay_for_offices: str
    office: str
    office_for_homes: str
    devices: Sequence[str] = ()
    carriers: Sequence[int] = ()


@contextmanager
def open_network() -> Iterator[Ground]:
    """This process and all that it starts in a network of its own, whose loopback has 64 KiB segments.

    Needs root and two cores.
    """
    with private_network():
        for destination in _LOOPBACK:
            ip(
                *("route", "replace", "local", destination, "dev", "lo", "table", "local", "proto", "kernel"),
                *("scope", "host", "src", "127.0.0.1", "congctl", CONGESTION_CONTROL),
            )
        # One source address must be enough for all connections to a port.
        Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("10000 64000")
        os.sched_setaffinity(0, {ENDS_CORE})
        local = "127.0.0.1"
        yield Ground("loopback", _ON_THE_RELAYS_CORE, local, local, local, local)


@contextmanager
def open_segments(name: str = "segments") -> Iterator[Ground]:
    """The relay in a network beside, a cable each to homes and to the office: 1,448 bytes a segment."""
    ip("netns", "add", RELAY_NETWORK)
    try:
        ip("-n", RELAY_NETWORK, "link", "set", "lo", "up")
        for number, cable in enumerate(("home", "office"), 1):
            _cable(cable, f"10.77.{number}")
        yield Ground(
            name,
            ("ip", "netns", "exec", RELAY_NETWORK, *_ON_THE_RELAYS_CORE),
            *("10.77.1.2", "10.77.2.2", "10.77.2.1", "10.77.2.1"),
            devices=("home", "office"),
        )
    finally:
        ip("netns", "delete", RELAY_NETWORK)


def segment_bytes(ground: Ground) -> float:
    """Bytes of a packet on the ground's cables, the mean since they are there."""
    moved = packets = 0
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        device, _, counts = line.strip().partition(":")
        if device in ground.devices:
            fields = [int(field) for field in counts.split()]
            moved += fields[0] + fields[8]
            packets += fields[1] + fields[9]
    return moved / max(packets, 1)


_ON_THE_RELAYS_CORE: Final = ("taskset", "--cpu-list", str(RELAY_CORE))


def _cable(name: str, network: str) -> None:
    far = f"{name}-far"
    ip("link", "add", name, "type", "veth", "peer", "name", far, "netns", RELAY_NETWORK)
    for where, device, host in (((), name, 1), (("-n", RELAY_NETWORK), far, 2)):
        address = f"{network}.{host}"
        ip(*where, "address", "add", f"{address}/24", "dev", device)
        # Without offloads: a packet is a segment.
        ip(*where, "link", "set", device, "mtu", "1500", "gso_max_segs", "1", "up")
        ip(
            *where,
            *("route", "replace", f"{network}.0/24", "dev", device, "src", address),
            *("congctl", CONGESTION_CONTROL),
        )


def ip(*arguments: str) -> None:
    """Configure networks. Raises CalledProcessError."""
    subprocess.run(("ip", *arguments), check=True)
