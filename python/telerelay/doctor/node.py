"""Everything that a node needs of its machine, checked one after the other."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509

from telerelay.doctor.listeners import check_advertised, check_listeners
from telerelay.doctor.memory import check_memory
from telerelay.doctor.running import RunningNode, find_running
from telerelay.doctor.store import check_store
from telerelay.node.cluster import Cluster, open_cluster
from telerelay.node.data_folder import DataFolder
from telerelay.node.settings import Settings, load
from telerelay.routing import decide
from telerelay_endpoint.certificates import CertificateRefusedError, parse_chain, require_valid
from telerelay_endpoint.doctor.device import check_issue_times, check_validity
from telerelay_endpoint.doctor.findings import Check, Finding, Mend
from telerelay_endpoint.doctor.machine import (
    check_clock_source,
    check_descriptors,
    check_disk,
    check_pipes,
    check_sysctls,
)
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.limits import LIMITS

FILES_BESIDE: Final = 1_024
"""Descriptors beside one for each leg: the API's 256 connections with two each, database, spool."""
_RESTART: Final = "systemctl restart telerelay"
_SUCCESSION: Final = (
    "bring successor.key back from where it is kept: endpoints know it already",
    "別に保管した successor.key を用意してください。端末はすでにその鍵を知っています",
)


def check_node(config: Path | None, data: Path | None, connections: int) -> Iterator[Finding]:
    """Check a node's machine, whether one runs or not, for `connections` agents and clients at once."""
    try:
        settings = load(config, {"data": data}).settings
    except TelerelayError as error:
        yield Check("settings").failed(error, "telerelay config check")
        return
    yield Check("settings").ok("the settings fit", "設定に問題はありません")
    yield check_routing()
    folder = DataFolder(settings.data)
    running = find_running(folder)
    pipes = settings.workers * LIMITS["engine_pipes"]
    yield from check_descriptors(connections + FILES_BESIDE + 2 * pipes, running.pid if running else 0)
    yield from check_memory(settings.memory_budget)
    yield from check_pipes(pipes, _user_of(folder.path))
    yield from check_sysctls()
    yield from check_disk(folder.path)
    yield from check_clock_source()
    yield from check_store(folder)
    yield from _check_cluster(settings, folder, running)


def _user_of(folder: Path) -> int:
    """The uid that a node runs as: its folder's owner, who need not be whoever looks; for a new one, ours."""
    return folder.stat().st_uid if folder.exists() else os.geteuid()


def check_routing() -> Finding:
    """Whether the routing decision is the compiled one."""
    check = Check("routing")
    if decide.COMPILED:
        return check.ok("requests are decided by compiled code", "接続要求はコンパイル済みコードで判定します")
    return check.warn(
        "requests are decided by uncompiled code, which takes twice as long",
        "接続要求をコンパイルしていないコードで判定しています (所要時間は約 2 倍)",
        ("install the wheel of this machine's kind", "この機器の種類に合う wheel を入れてください"),
    )


def _check_cluster(settings: Settings, folder: DataFolder, running: RunningNode | None) -> Iterator[Finding]:
    """What stands on the cluster's keys: certificates, successor, the port as endpoints see it."""
    if not folder.cluster.exists():
        yield Check("certificate").ok(
            "the first start makes the cluster", "クラスターは最初の起動時に作成されます"
        )
        yield from check_listeners(settings, None, None)
        return
    try:
        cluster = open_cluster(folder.cluster, int(time.time()))
    except TelerelayError as error:
        yield Check("certificate").failed(error)
        return
    yield from _check_certificates(cluster)
    yield from _check_successor(cluster)
    yield from check_listeners(settings, running, cluster)
    yield from check_advertised(settings, running, cluster)


def _check_certificates(cluster: Cluster) -> Iterator[Finding]:
    """The CA and the node's own certificate, which each start makes anew in time."""
    yield from _check_certificate(cluster.authority.certificate, _SUCCESSION)
    try:
        leaf = parse_chain(cluster.chain_file.read_bytes())[0]
    except FileNotFoundError:
        return  # the next start makes it
    yield from _check_certificate(leaf, _RESTART)


def _check_certificate(certificate: x509.Certificate, renew: Mend) -> Iterator[Finding]:
    yield from check_issue_times(int(certificate.not_valid_before_utc.timestamp()))
    try:
        require_valid(certificate, int(time.time()))
    except CertificateRefusedError as error:
        yield Check("certificate").failed(TelerelayError("CERTIFICATE", str(error)), renew)
    else:
        yield from check_validity(certificate, renew)


def _check_successor(cluster: Cluster) -> Iterator[Finding]:
    check = Check("successor")
    file = cluster.successor_file
    if file.exists():
        yield check.warn(
            f"{file} is still here: who steals the CA steals its successor too",
            f"{file} がまだこの機器にあります。CA と一緒に盗まれると後継の意味がありません",
            (
                f"mv {file} to a medium that is kept elsewhere",
                f"{file} を別の場所で保管する媒体へ移してください",
            ),
        )
    else:
        yield check.ok("the successor's key is elsewhere", "後継 CA の鍵は別の場所にあります")
