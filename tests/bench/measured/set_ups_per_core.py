"""B7: session set-ups by the node's processor time, against two bare handshakes of a server of nothing else.

The peer is tokio-rustls with sockets, accept and the node's own certificate checks. Both are offered the same
handshakes a second, since a server that is never idle has fewer wake-ups to pay for each.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.benchmark import ROUNDS, Benchmark, Say
from tests.bench.rows import Goal, Row, measured
from tests.bench.scene import Scene, open_scene

_CLIENTS: Final = 400
_RATE: Final = 100.0
_SECONDS: Final = 6.0
_HANDSHAKES: Final = 2
"""Of a set-up: the client's, and that of the agent's next ready connection."""


def _measure(say: Say) -> Sequence[Row]:
    ours, peer = [], []
    with open_scene(agents=_CLIENTS, clients=_CLIENTS) as scene:
        scene.ready_agents(_CLIENTS)
        for number in range(ROUNDS):
            ours.append(1 / _set_up_cpu_s(scene))
            peer.append(1 / (_HANDSHAKES * _handshake_cpu_s(scene)))
            say(f"round {number + 1} of {ROUNDS}: {ours[-1]:.0f} set-ups a core second, peer {peer[-1]:.0f}")
    row = measured(
        "B7",
        "session set-ups per second and core",
        "1/s",
        ours,
        peer=peer,
        goal=Goal("least", 0.8, of="ratio"),
        note="by the process's own processor time: Python, audit and the sessions' ends are in ours; "
        "peer: two handshakes with sockets, accept and the same certificate checks",
    )
    return [row]


def _set_up_cpu_s(scene: Scene) -> float:
    """Of the node, for one set-up and its end, until everything about it is written down."""
    before = scene.cpu_s()
    told = scene.set_ups(_RATE, _SECONDS, clients=_CLIENTS).summary(_SECONDS + 60)
    scene.settled(_CLIENTS)
    if told["failed"] or told["unmade"]:
        raise ValueError(f"set-ups failed: {told['failed']}, {told['unmade']} not begun")
    return float((scene.cpu_s() - before) / told["done"])


def _handshake_cpu_s(scene: Scene) -> float:
    """Of the reference server, for one handshake, HELLO and WELCOME."""
    cluster = scene.folder.parent / "reference.json"
    server = scene.reference(cluster)
    arrivals = ("--rate", str(_HANDSHAKES * _RATE))
    driver = scene.handshakes(*arrivals, clients=_CLIENTS, seconds=_SECONDS, cluster=cluster)
    shaken = driver.summary(_SECONDS + 60)
    if shaken["failed"] or shaken["unmade"]:
        raise ValueError(f"handshakes failed: {shaken['failed']}, {shaken['unmade']} not begun")
    told = server.stop()
    if told is None or not told["done"]:
        raise ValueError(f"the reference server told {told}")
    # Those that were under way at the end are among the server's failed.
    return float(told["cpu_s"] / told["done"])


BENCHMARK: Final = Benchmark("B7", "session set-ups per second and core", _measure)
