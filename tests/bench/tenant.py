"""A throw-away organisation for load: its folder, as `telerelay-load` reads it, and its documents at a node.

    python -m tests.bench.tenant FOLDER --control DATA/control.sock --agents 9000 --clients 500

The folder holds everybody's private keys. The node must run; clients are granted the first computers, one
each.
"""

import argparse
from pathlib import Path

from telerelay.node.control import NodeControl
from telerelay_endpoint.lines import parse_cluster_line
from telerelay_loadtest.tenant import ThrowAway


def prepare(
    control: Path,
    folder: Path,
    *,
    agents: int,
    clients: int,
    sessions: int | None = None,
    until: int | None = None,
) -> None:
    """Make an organisation in `folder`, admit it at the node of `control`, publish what lets clients in.

    `sessions`: how many it may have at once, where not as many as any organisation. `until`: when it goes
    again (Unix seconds); what it does is counted as a test.
    """
    organisation = ThrowAway("load", folder)
    root = organisation.write_root()
    with NodeControl(control) as operator:
        _, _, line = operator.admit(root.read_bytes(), sessions, until)
    organisation.prepare(parse_cluster_line(line), agents=agents, clients=clients)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="made anew")
    parser.add_argument("--control", type=Path, required=True, help="the node's control socket")
    parser.add_argument("--agents", type=int, required=True, help="how many computers")
    parser.add_argument("--clients", type=int, default=0, help="how many of them a client may reach")
    asked = parser.parse_args()
    if asked.clients > asked.agents:
        parser.error("each client needs a computer of its own")
    prepare(asked.control, asked.folder, agents=asked.agents, clients=asked.clients)


if __name__ == "__main__":
    main()
