"""A third ground: a line of 100 Mbit/s and 20 ms, there and back, between homes and the relay.

This kernel has no netem. The rate is tbf's, at both ends of the cable to homes; what waits for it waits in a
buffer of 50 ms. The delay is NFQUEUE's, 10 ms each way: `telerelay-load traffic distance` holds what comes
from that cable, and what goes to it.
"""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.bench.driver import Driver
from tests.bench.peers.ground import RELAY_NETWORK, Ground, ip, open_segments
from tests.bench.peers.install import DEBIAN, libraries
from tests.bench.peers.peer import Debian

IPTABLES: Final = Debian("usr/sbin/iptables-legacy", ["iptables"])
"""nft has no queue in every kernel."""
MBIT_S: Final = 100
DELAY_S: Final = 0.010
"""Each way."""
_BURST: Final = "16kb"
_BUFFER: Final = "50ms"
_HOME: Final = "home"
_FAR: Final = "home-far"
_OFFICE_FOR_HOMES: Final = "10.77.1.3"
_QUEUE: Final = 1
_LINE: Final = "20 ms at 100 Mbit/s"
_BEFORE_OTHERS: Final = ("chrt", "--fifo", "1")
"""Packets wait for their time, and not for a processor."""
_READY_S: Final = 5.0
_DIALS: Final = 7
_SLOW_START_S: Final = 0.5
_COUNTED_S: Final = 1.5
_MOST_LATE_S: Final = 0.001
_LEAST_SHARE: Final = 0.9
"""Of 100 Mbit/s: headers take 4.4 %."""
_MOST_LOST: Final = 1e-3
"""More than where a virtual machine stood still for some milliseconds, which it may."""

_ROUTER: Final = f"""\
table ip line {{
  chain arriving {{
    type nat hook prerouting priority dstnat
    ip daddr {_OFFICE_FOR_HOMES} dnat to 10.77.2.1
  }}
  chain leaving {{
    type nat hook postrouting priority srcnat
    oifname "office-far" masquerade
  }}
}}
"""
"""Homes reach the office without a relay as they reach a relay: over both cables, by a router."""


class LineError(Exception):
    """The line is not what it is told as."""


@contextmanager
def open_line() -> Iterator[Ground]:
    """The ground, checked. Raises LineError, here or at its end. Needs `IPTABLES`, and root."""
    with open_segments(_LINE) as cables, ExitStack() as ends:
        ip("-n", RELAY_NETWORK, "address", "add", f"{_OFFICE_FOR_HOMES}/24", "dev", _FAR)
        within = ("ip", "netns", "exec", RELAY_NETWORK)
        subprocess.run((*within, "sysctl", "-qw", "net.ipv4.ip_forward=1"), check=True)
        subprocess.run((*within, "nft", "-f", "-"), input=_ROUTER, text=True, check=True)
        narrow(MBIT_S)
        way = ("distance", "--queue", str(_QUEUE), "--for", str(DELAY_S))
        distance = ends.enter_context(Driver("traffic", *way, before=_BEFORE_OTHERS))
        distance.wait("ready", _READY_S)
        for chain, direction in (("INPUT", "-i"), ("OUTPUT", "-o")):
            _iptables("-A", chain, direction, _HOME, "-j", "NFQUEUE", "--queue-num", str(_QUEUE))
        ground = replace(cables, office_for_homes=_OFFICE_FOR_HOMES, carriers=[distance.pid])
        require(*_measured(ground))
        yield ground
        require_kept(Path("/proc/thread-self/net/netfilter/nfnetlink_queue").read_text())


def narrow(mbit_s: int) -> None:
    """Let so much through the cable to homes, either way."""
    for where, device in (((), _HOME), (("-n", RELAY_NETWORK), _FAR)):
        shaped = ("rate", f"{mbit_s}mbit", "burst", _BURST, "latency", _BUFFER)
        subprocess.run(("tc", *where, "qdisc", "add", "dev", device, "root", "tbf", *shaped), check=True)


def require(round_trip_s: float, mbit_s: float) -> None:
    """Raises LineError unless the line is as long as it is told, and as broad."""
    if not 2 * DELAY_S <= round_trip_s <= 2 * DELAY_S + _MOST_LATE_S:
        raise LineError(f"there and back takes {1e3 * round_trip_s:.1f} ms and not {2e3 * DELAY_S:.0f}")
    if not _LEAST_SHARE * MBIT_S <= mbit_s <= MBIT_S:
        raise LineError(f"{mbit_s:.1f} Mbit/s come through and not {MBIT_S}")


def require_kept(queues: str) -> None:
    """Raises LineError where packets were lost that nobody had the time to hold.

    `queues`: nfnetlink_queue of /proc: number, port, waiting, mode, range, dropped twice, the last ID.
    """
    for line in queues.splitlines():
        fields = [int(field) for field in line.split()]
        lost, all_of_them = fields[5] + fields[6], fields[7]
        if fields[0] == _QUEUE and lost > _MOST_LOST * all_of_them:
            raise LineError(f"{lost} of {all_of_them} packets were lost where they were to wait")


def _measured(ground: Ground) -> tuple[float, float]:
    """Seconds to connect to the office over the line, and Mbit/s from there."""
    with socket.create_server((ground.office, 0)) as office:
        address = (ground.office_for_homes, office.getsockname()[1])
        times = []
        # The first asks besides who has the address.
        for _ in range(1 + _DIALS):
            began = time.monotonic()
            with socket.create_connection(address):
                times.append(time.monotonic() - began)
                office.accept()[0].close()
        with socket.create_connection(address) as home, office.accept()[0] as far:
            sender = threading.Thread(target=_send, args=(far,))
            sender.start()
            try:
                _received(home, _SLOW_START_S)
                seconds, length = _received(home, _COUNTED_S)
            finally:
                far.shutdown(socket.SHUT_RDWR)
                sender.join()
    # More than the least is the weather.
    return min(times[1:]), 8e-6 * length / seconds


def _send(to: socket.socket) -> None:
    # Until it is shut down.
    with suppress(BrokenPipeError, ConnectionResetError):
        while True:
            to.send(bytes(2**16))


def _received(at: socket.socket, seconds: float) -> tuple[float, int]:
    """How long it took really, and the bytes that came."""
    length, taken, began = 0, 0.0, time.monotonic()
    while taken < seconds:
        length += len(at.recv(2**20))
        taken = time.monotonic() - began
    return taken, length


def _iptables(*arguments: str) -> None:
    (extensions,) = (folder.resolve() for folder in DEBIAN.glob("usr/lib/*/xtables"))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries(), "XTABLES_LIBDIR": str(extensions)}
    # By its name, which tells it what it is.
    program = DEBIAN.resolve() / IPTABLES.program
    subprocess.run((program, *arguments), check=True, env=environment)
