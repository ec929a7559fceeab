"""What a running node says about itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from telerelay.metrics.distribution import Distribution, Snapshot
from telerelay_endpoint.payloads import NodeAddress


@dataclass(frozen=True)
class Standing:
    """Facts that stand once the node listens; `counts` and `distributions` are asked each time."""

    node: NodeAddress
    program: str
    listening: Sequence[str]
    cluster_line: str
    metrics_url: str
    counts: Sequence[Callable[[], Mapping[str, int]]]
    distributions: Sequence[Callable[[], Mapping[str, Distribution]]]

    @property
    def name(self) -> str:
        """The node's name (PROTOCOL.md §2.4)."""
        return self.node.name

    def snapshot(self) -> Snapshot:
        """All that the node counts."""
        return Snapshot(
            {name: value for count in self.counts for name, value in count().items()},
            {name: value for distribution in self.distributions for name, value in distribution().items()},
        )
