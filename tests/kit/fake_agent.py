"""An enrolled agent's folder without a node, and a stand-in for the core that remembers what it was told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from telerelay.authority.cluster import ClusterAuthority, new_cluster
from telerelay.authority.signing import sign_nodes
from telerelay_core import SessionRules
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.credentials import Credentials, Relay
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import ListedNode, NodeAddress, NodeList
from tests.kit.tenant import NOW, Tenant

FIRST_NODE = NodeAddress("first", ("192.0.2.1:8443",))


class EnrolledAgent:
    """An agent of one tenant and one cluster; `tenant` signs what it holds."""

    def __init__(self, folder: Path) -> None:
        self.tenant = Tenant()
        self.cluster, successor = new_cluster(NOW)
        line = ClusterLine(self.cluster.pins(successor.public_key()), (FIRST_NODE,))
        self.credentials = Credentials(
            folder=folder,
            relay=Relay(Role.AGENT, line, "desk 4", self.tenant.computer),
            chain=tuple(self.tenant.chain(Role.AGENT)),
            root=self.tenant.root,
        )

    def nodes(self, version: int, *names: str, authority: ClusterAuthority | None = None) -> bytes:
        """A node list of this agent's cluster, or of another authority's."""
        listed = (ListedNode(NodeAddress(name, ("192.0.2.9:8443",)), "telerelay/0.1.0") for name in names)
        return sign_nodes(NodeList(version, NOW, tuple(listed)), (authority or self.cluster).signer).encoded


@dataclass
class FakeAgentHandle:
    """What `telerelay_core.Agent` was told, in order."""

    allowed: list[bytes] = field(default_factory=list)
    refused: list[tuple[bytes, str]] = field(default_factory=list)
    revoked: list[Sequence[bytes]] = field(default_factory=list)
    nodes: list[Sequence[tuple[str, list[str]]]] = field(default_factory=list)

    def allow(self, path: bytes, rules: SessionRules) -> None:
        assert isinstance(rules, SessionRules)
        self.allowed.append(path)

    def refuse(self, path: bytes, code: str) -> None:
        self.refused.append((path, code))

    def set_revoked(self, devices: Sequence[bytes]) -> None:
        self.revoked.append(devices)

    def set_nodes(self, nodes: Sequence[tuple[str, list[str]]]) -> None:
        self.nodes.append(nodes)
