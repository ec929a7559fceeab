"""`telerelay org keep` as a process of its own: it waits for a node, and stops when it is told."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from telerelay.org.folder import KEEP
from telerelay.org.founding import found
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.credentials import Relay
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import NodeAddress

TELERELAY = str(Path(sys.executable).with_name("telerelay"))
# The discard port of this machine: nobody listens there.
NOWHERE = ClusterLine((bytes(32), bytes(32)), (NodeAddress("a", ("127.0.0.1:9",)),))


@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_waits_for_a_node_and_stops_when_told(
    tmp_path: Path, signal_number: signal.Signals, code: int
) -> None:
    found(tmp_path / "org", "City", None, int(time.time()))
    Relay(Role.KEEPER, NOWHERE, "keeper").save(tmp_path / "org" / KEEP)
    command = [TELERELAY, "org", "keep", "--org", str(tmp_path / "org"), "--json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as keeper:
        assert keeper.stderr is not None
        events = []
        while "no node" not in events:
            events.append(json.loads(keeper.stderr.readline())["event"])
        keeper.send_signal(signal_number)
        rest = keeper.stderr.read()
        assert keeper.wait(10) == code
    assert events[0] == "keeping"
    assert '"stopped"' in rest
    assert "Traceback" not in rest
    # Nothing in the log names a person, an address or a computer.
    assert "127.0.0.1" not in "".join(events) + rest


def test_without_a_cluster_it_says_what_to_do(tmp_path: Path) -> None:
    found(tmp_path / "org", "City", None, int(time.time()))
    command = [TELERELAY, "org", "keep", "--org", str(tmp_path / "org"), "--lang", "en"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 5
    assert ended.stderr.splitlines()[-1].startswith("error[CERTIFICATE] ")
    assert "is not enrolled" in ended.stderr
