"""A real `telerelay serve` on a port and folder of its own, and ways to it."""

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.serialization import Encoding

import telerelay_core as core
from telerelay.node.control import NodeControl
from telerelay.org.api import OrganisationApi
from telerelay_endpoint.api import NodeApi
from telerelay_endpoint.certificates import Role
from telerelay_endpoint.lines import ClusterLine, parse_cluster_line
from tests.kit.tenant import Tenant

TELERELAY: Final = str(Path(sys.executable).with_name("telerelay"))
START_TIMEOUT_S: Final = 30
STOP_TIMEOUT_S: Final = 20


class NodeProcess:
    """One node. It may be started again after its end, on the same folder and port.

    `program` is what runs, `environment` is added to a small one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        program: Sequence[str] = (TELERELAY,),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.data = folder / "node"
        self.log = folder / "node.log"
        self.address = "127.0.0.1:0"
        self.listeners: list[str] = []
        self.metrics_url = ""
        self._metrics_address = "127.0.0.1:0"
        self._program = program
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "TELERELAY_NODE_STOP_GRACE_S": "0",
            **(environment or {}),
        }
        self._process: subprocess.Popen[str] | None = None
        self._lines: dict[bytes, ClusterLine] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # ------------------------------------------------------------ its life

    @property
    def process(self) -> "subprocess.Popen[str]":
        assert self._process is not None, "the node was not started"
        return self._process

    def start(self) -> dict[str, Any]:
        """Start it; what it said when it was ready."""
        command = [
            *self._program,
            *("serve", "--json", "--data", str(self.data)),
            *("--listen", self.address, "--metrics-listen", self._metrics_address),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], START_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else ""
        assert line, f"the node did not start:\n{self.log.read_text()}"
        ready: dict[str, Any] = json.loads(line)
        self.listeners = ready["listeners"]
        self.address = self.listeners[0]
        self.metrics_url = ready["metrics_url"]
        self._metrics_address = urlsplit(self.metrics_url).netloc
        return ready

    def stop(self) -> int:
        """SIGTERM; its exit code. A node that does not go is killed, and that fails."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_TIMEOUT_S)
        finally:
            self._end(process)

    def hang_up(self) -> None:
        """SIGHUP: it looks whether there is another certificate."""
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL: the node dies as it stands."""
        process, self._process = self.process, None
        process.kill()
        self._end(process)

    def _end(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    # ------------------------------------------------------------ ways to it

    @contextmanager
    def control(self) -> Iterator[NodeControl]:
        """The operator's socket."""
        with NodeControl(self.data / "control.sock") as control:
            yield control

    def admit(self, tenant: Tenant, until: int | None = None) -> None:
        """Admit the organisation, or admit it for a test that ends `until` then (Unix seconds)."""
        with self.control() as control:
            _, _, line = control.admit(tenant.root.public_bytes(Encoding.PEM), until=until)
        self._lines[tenant.id] = parse_cluster_line(line)

    def line(self, tenant: Tenant) -> ClusterLine:
        """What the operator gave to the tenant's administrator."""
        return self._lines[tenant.id]

    def dial(self, tenant: Tenant, role: Role | None) -> core.Dial:
        """The way of one of the tenant's to this node; without a certificate for None."""
        line = self.line(tenant)
        files = tenant.files(self.folder, role) if role else None
        return core.Dial(
            nodes=[(node.name, list(node.addresses)) for node in line.nodes],
            pins=line.pins,
            chain=files.chain if files else None,
            key=files.key if files else None,
        )

    def api(self, tenant: Tenant, role: Role | None) -> NodeApi:
        """The API as an endpoint uses it."""
        return NodeApi(self.dial(tenant, role))

    def organisation(self, tenant: Tenant, role: Role) -> OrganisationApi:
        """The API as an administrator or keeper uses it."""
        return OrganisationApi(self.dial(tenant, role))

    def publish(self, tenant: Tenant) -> None:
        """Everything that lets the tenant's client in: document, revocation list, stamp."""
        with self.organisation(tenant, Role.ADMIN) as admin:
            admin.post_document(tenant.document())
            admin.post_document(tenant.revocations())
        with self.organisation(tenant, Role.KEEPER) as keeper:
            keeper.post_document(tenant.stamp())

    def statistics(self) -> dict[str, int]:
        """The node's counters and gauges."""
        with self.control() as control:
            return control.statistics()

    def ask(self, path: str) -> httpx.Response:
        """What monitoring is answered."""
        return httpx.get(self.metrics_url.removesuffix("/metrics") + path, timeout=20, trust_env=False)

    def records(self) -> list[dict[str, Any]]:
        """Every audit record there is by now, in order, from SQL and spool. Checkpoints tell of nobody."""
        with closing(sqlite3.connect(f"file:{self.data}/store.db?mode=ro", uri=True)) as store:
            rows = [bytes(row[0]) for row in store.execute("SELECT record FROM audit_records ORDER BY seq")]
        spooled = [
            line
            for file in sorted((self.data / "audit").iterdir())
            for line in file.read_bytes().splitlines()
        ]
        found = {json.loads(line)["seq"]: json.loads(line) for line in [*rows, *spooled]}
        return [found[seq] for seq in sorted(found) if found[seq]["kind"] != "CHECKPOINT"]

    def record(self, timeout_s: float = 10, **wanted: object) -> dict[str, Any]:
        """The first audit record with these fields, waited for."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for record in self.records():
                if wanted.items() <= record.items():
                    return record
            time.sleep(0.02)
        raise AssertionError(f"no record with {wanted}; there are {self.records()}")
