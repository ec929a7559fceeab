"""The node's ports: free before it starts, and the pinned node behind them once it runs."""

import errno
import socket
from collections.abc import Iterator
from ipaddress import ip_address

from telerelay.doctor.running import RunningNode
from telerelay.node.cluster import Cluster
from telerelay.node.settings import Settings, split_address
from telerelay_endpoint.doctor.findings import Check, Finding
from telerelay_endpoint.doctor.relay import check_address
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import NodeAddress


def check_listeners(
    settings: Settings, running: RunningNode | None, cluster: Cluster | None
) -> Iterator[Finding]:
    """Every address that the node listens on, or would."""
    for address, _side in settings.listeners():
        if running is None or cluster is None:
            yield _check_free(address)
        else:
            reached = _loopback_for(address)
            yield from check_address(_line(settings, cluster, reached), settings.name, reached)


def check_advertised(settings: Settings, running: RunningNode | None, cluster: Cluster) -> Iterator[Finding]:
    """The addresses that endpoints are told, while there is a node behind them."""
    if running is not None:
        for address in settings.advertise:
            yield from check_address(_line(settings, cluster, address), settings.name, address)


def _check_free(address: str) -> Finding:
    check = Check("port")
    host, port = split_address(address)
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET  # noqa: PLR2004 - of IP
    with socket.socket(family) as probe:
        # As the node does, which takes its port back from connections that are about to end.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return check.fail(
                f"{address} cannot be listened on: {error.strerror}",
                f"{address} で待ち受けできません: {error.strerror}",
                {
                    errno.EADDRINUSE: f"ss -ltnp '( sport = :{port} )'",
                    errno.EACCES: f"telerelay serve --listen {address.replace(f':{port}', ':8443')}",
                }.get(error.errno or 0, "ip address"),
            )
    return check.ok(f"{address} is free", f"{address} は空いています")


def _line(settings: Settings, cluster: Cluster, address: str) -> ClusterLine:
    return cluster.line(NodeAddress(settings.name, (address,)))


def _loopback_for(address: str) -> str:
    """Where this machine reaches what listens everywhere."""
    host, port = split_address(address)
    number = ip_address(host)
    if not number.is_unspecified:
        return address
    return f"127.0.0.1:{port}" if number.version == 4 else f"[::1]:{port}"  # noqa: PLR2004 - of IP
