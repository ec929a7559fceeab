"""Whom a run loads: a cluster by its line, and what is known of its nodes from the side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from telerelay_endpoint import foreign_json
from telerelay_endpoint.api import NodeApi
from telerelay_endpoint.credentials import open_dial
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import CLUSTER_PREFIX, ClusterLine, parse_cluster_line

_DEMO: Final = "telerelay.demo/1"


@dataclass(frozen=True)
class Process:
    """A node on this machine that a scenario may kill or drain. `data`: its data folder."""

    pid: int
    data: Path


@dataclass(frozen=True)
class Target:
    """A cluster. `metrics`: what its nodes answer monitoring at; `processes`: those of a demo."""

    line: ClusterLine
    metrics: tuple[str, ...]
    processes: tuple[Process, ...]

    def named(self) -> str:
        """Its nodes and their addresses, for whoever is asked whether these are meant."""
        return "; ".join(f"{node.name} at {', '.join(node.addresses)}" for node in self.line.nodes)

    def require_relay(self) -> None:
        """Ask it without a certificate. Raises TelerelayError: UNREACHABLE, PIN where it is not that one."""
        with NodeApi(open_dial(self.line, None)) as api:
            api.server_time()

    def admit_command(self, root: Path, until: str, sessions: int) -> str:
        """What the operator runs to let a throw-away organisation in."""
        where = f" --data {self.processes[0].data}" if self.processes else ""
        return f"telerelay node admit {root} --until {until} --sessions {sessions}{where}"


def read_target(text: str, metrics: Sequence[str]) -> Target:
    """A cluster line, a file that holds one, or a demo's file. `metrics`: URLs that were given besides.

    Raises TelerelayError(USAGE), also for metrics of some of the nodes: sessions of all would be reckoned
    by what these need.
    """
    target = _read(text, metrics)
    nodes, urls = len(target.line.nodes), len(target.metrics)
    if urls not in (0, nodes):
        raise TelerelayError("USAGE", f"--metrics is given once for each node: {urls} of {nodes}")
    return target


def _read(text: str, metrics: Sequence[str]) -> Target:
    if text.strip().startswith(CLUSTER_PREFIX):
        return Target(parse_cluster_line(text), tuple(metrics), ())
    try:
        content = Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TelerelayError("USAGE", f"--target {text} is no cluster line and no file: {error}") from error
    if content.strip().startswith(CLUSTER_PREFIX):
        return Target(parse_cluster_line(content), tuple(metrics), ())
    return _of_demo(text, content, metrics)


def _of_demo(name: str, content: str, metrics: Sequence[str]) -> Target:
    try:
        demo: dict[str, Any] = foreign_json.read(content)
        if demo["schema"] != _DEMO:
            raise ValueError(f"its schema is {demo['schema']}")
        nodes = demo["nodes"]
        processes = tuple(Process(int(node["pid"]), Path(node["data_dir"])) for node in nodes)
        urls = tuple(metrics) or tuple(str(node["metrics_url"]) for node in nodes)
        line = str(demo["cluster"])
    except (ValueError, KeyError, TypeError) as error:
        raise TelerelayError(
            "USAGE", f"--target {name} holds no cluster line and is no file of a demo: {error}"
        ) from error
    return Target(parse_cluster_line(line), urls, processes)
