"""The way to the relay: names, addresses, TLS with the pinned node, and whether the clocks agree."""

import socket
import time
from collections.abc import Iterator
from typing import Final

from telerelay_endpoint.api import NodeApi
from telerelay_endpoint.credentials import open_dial
from telerelay_endpoint.doctor.findings import Check, Finding
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import NodeAddress

CONNECT_S: Final = LIMITS["dial_address_s"]
OFF_SLIGHTLY_S: Final = 30
OFF_TOO_FAR_S: Final = 300
"""Seconds: beyond, certificates and stamps are judged by a wrong time."""


def check_relay(cluster: ClusterLine) -> Iterator[Finding]:
    """Every address of every node, layer by layer; what lies above a layer that fails is not tried."""
    for node in cluster.nodes:
        for address in node.addresses:
            yield from check_address(cluster, node.name, address)


def check_address(cluster: ClusterLine, node: str, address: str) -> Iterator[Finding]:
    """One address of one node ("host:port")."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        yield Check("names").fail(
            f"{host} has no address: {error.strerror}",
            f"{host} のアドレスが見つかりません: {error.strerror}",
            f"getent ahosts {host}",
        )
        return
    numbers = sorted({str(entry[4][0]) for entry in found})
    if numbers != [host]:
        yield Check("names").ok(f"{host} is {', '.join(numbers)}", f"{host} は {', '.join(numbers)} です")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        why = error.strerror or "no answer"
        yield Check("address").fail(
            f"{address} cannot be reached: {why}",
            f"{address} に接続できません: {why}",
            (
                f"allow this machine out to TCP {address} (proxy, firewall), and see that the node runs",
                f"この機器から TCP {address} への通信を許可し、中継サーバーの稼働を確認してください",
            ),
        )
        return
    yield Check("address").ok(f"{address} can be reached", f"{address} に接続できます")
    yield from _check_tls(cluster, NodeAddress(node, (address,)))


def _check_tls(cluster: ClusterLine, node: NodeAddress) -> Iterator[Finding]:
    """TLS with the pins, without a certificate of our own, so that this says nothing of ours."""
    (address,) = node.addresses
    try:
        with NodeApi(open_dial(cluster, None, (node,))) as api:
            theirs = api.server_time()
    except TelerelayError as error:
        yield _not_the_node(error, address)
        return
    yield Check("tls").ok(f"{address} is node {node.name}", f"{address} は中継サーバー {node.name} です")
    yield _clock_beside(theirs)


def _not_the_node(error: TelerelayError, address: str) -> Finding:
    check = Check("tls")
    if error.code == "PIN":
        return check.failed(error)
    return check.fail(
        f"no relay node answers at {address}, or something between opens TLS: {error.detail}",
        f"{address} で応答したのは中継サーバーではないか、途中で TLS が解読されています: {error.detail}",
        (
            f"exempt {address} from TLS inspection; to see what answers: openssl s_client -connect {address}",
            f"{address} を TLS 検査の対象外にしてください。確認: openssl s_client -connect {address}",
        ),
    )


def _clock_beside(theirs: int) -> Finding:
    check = Check("time")
    off = int(time.time()) - theirs
    said = f"this clock is {abs(off)} s {'before' if off < 0 else 'ahead of'} the node's"
    said_ja = f"この機器の時計は中継サーバーより {abs(off)} 秒{'遅れて' if off < 0 else '進んで'}います"
    if abs(off) <= OFF_SLIGHTLY_S:
        return check.ok("this clock agrees with the node's", "時計は中継サーバーと一致しています")
    if abs(off) <= OFF_TOO_FAR_S:
        return check.warn(said, said_ja, "timedatectl set-ntp true")
    return check.fail(said, said_ja, "timedatectl set-ntp true")
