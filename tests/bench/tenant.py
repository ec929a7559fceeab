"""A throw-away organisation for load: its folder, as `telerelay-load` reads it, and its documents at a node.

    python -m tests.bench.tenant FOLDER --control DATA/control.sock --agents 9000 --clients 500

The folder holds everybody's private keys. The node must run; clients are granted the first computers, one
each.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telerelay.node.control import NodeControl
from telerelay.org.api import OrganisationApi
from telerelay_core import Dial, format_computer_id
from telerelay_endpoint.certificates import Role, encode_certificate, format_chain
from telerelay_endpoint.keys import make_key
from telerelay_endpoint.lines import ClusterLine, parse_cluster_line
from tests.kit.tenant import Tenant

_PUBLISHERS: Final = 8
"""Connections that post documents: the node writes what comes together in one transaction."""


def prepare(control: Path, folder: Path, *, agents: int, clients: int, sessions: int | None = None) -> None:
    """Make an organisation in `folder`, admit it at the node of `control`, publish what lets clients in.

    `sessions`: how many it may have at once, where not as many as any organisation.
    """
    tenant = Tenant(now=int(time.time()))
    with NodeControl(control) as operator:
        _, _, admitted = operator.admit(tenant.root.public_bytes(Encoding.PEM), sessions)
    line = parse_cluster_line(admitted)
    for part in ("agents", "clients"):
        (folder / part).mkdir(parents=True)
    (folder / "root.der").write_bytes(encode_certificate(tenant.root))
    (folder / "cluster.json").write_text(_cluster(line))
    pairs = list(_pairs(tenant, agents))
    for number, pair in enumerate(pairs):
        name = f"{format_computer_id(pair.computer)}.pem"
        _write_device(folder / "agents" / name, pair, Role.AGENT, pair.agent_key)
        if number < clients:
            _write_device(folder / "clients" / name, pair, Role.CLIENT, pair.client_key)
    _publish(folder, tenant, line, pairs[:clients])


def _pairs(tenant: Tenant, count: int) -> Iterator[Tenant]:
    """So many computers of the organisation, each with its agent and a client."""
    for number in range(count):
        computer = number.to_bytes(10, "big")
        yield tenant.sibling(computer=computer, agent_key=make_key(), client_key=make_key())


def _cluster(line: ClusterLine) -> str:
    nodes = [{"name": node.name, "addresses": list(node.addresses)} for node in line.nodes]
    return json.dumps({"nodes": nodes, "pins": [pin.hex() for pin in line.pins]})


def _write_device(path: Path, pair: Tenant, role: Role, key: ec.EllipticCurvePrivateKey) -> None:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(0o600)
    path.write_bytes(format_chain(pair.chain(role)) + secret)


def _publish(folder: Path, tenant: Tenant, line: ClusterLine, pairs: Sequence[Tenant]) -> None:
    """What routing asks for: the revocation list, then for each pair a document that grants, its stamp."""
    # Written before several threads look for them.
    for role in (Role.ADMIN, Role.KEEPER):
        tenant.files(folder, role)
    with _api(folder, tenant, line, Role.ADMIN) as admin:
        admin.post_document(tenant.revocations())

    def publish(some: Sequence[Tenant]) -> None:
        with (
            _api(folder, tenant, line, Role.ADMIN) as admin,
            _api(folder, tenant, line, Role.KEEPER) as keeper,
        ):
            for pair in some:
                admin.post_document(pair.document())
                keeper.post_document(pair.stamp())

    with ThreadPoolExecutor(_PUBLISHERS) as publishers:
        # Whatever failed is raised here.
        list(publishers.map(publish, [pairs[first::_PUBLISHERS] for first in range(_PUBLISHERS)]))


def _api(folder: Path, tenant: Tenant, line: ClusterLine, role: Role) -> OrganisationApi:
    files = tenant.files(folder, role)
    nodes = [(node.name, list(node.addresses)) for node in line.nodes]
    return OrganisationApi(Dial(nodes=nodes, pins=line.pins, chain=files.chain, key=files.key))


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
