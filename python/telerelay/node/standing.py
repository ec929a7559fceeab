"""What a running node says about itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from telerelay_endpoint.payloads import NodeAddress


@dataclass(frozen=True)
class Standing:
    """Facts that stand once the node listens; `counts` are asked each time."""

    node: NodeAddress
    program: str
    listening: Sequence[str]
    cluster_line: str
    counts: Sequence[Callable[[], Mapping[str, int]]]

    @property
    def name(self) -> str:
        """The node's name (PROTOCOL.md §2.4)."""
        return self.node.name

    def statistics(self) -> dict[str, int]:
        """Every counter and gauge, by name."""
        return {name: value for count in self.counts for name, value in count().items()}
