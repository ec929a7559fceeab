"""What a scenario does to nodes of a demo on this machine, and to no others."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from telerelay.node.control import NodeControl
from telerelay.node.data_folder import DataFolder
from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.scenario.file import Fault
from telerelay_loadtest.scenario.plan import PlannedFault
from telerelay_loadtest.target import Process


def require_processes(faults: Sequence[PlannedFault], processes: Sequence[Process]) -> None:
    """Every fault is of a node that may be broken. Raises TelerelayError(USAGE)."""
    for planned in faults:
        if planned.fault.node > len(processes):
            raise TelerelayError(
                "USAGE",
                f"[fault.{planned.name}] is for node {planned.fault.node} of a demo's file, and --target has"
                f" {len(processes)}; what runs elsewhere is never broken",
            )


def do(fault: Fault, processes: Sequence[Process]) -> None:
    """Let it happen. Raises TelerelayError: USAGE where the process is not that node, UNREACHABLE."""
    process = processes[fault.node - 1]
    match fault.does:
        case "kill":
            _kill(process)
        case "drain":
            with NodeControl(DataFolder(process.data).control) as control:
                control.drain()


def take_back(fault: Fault, processes: Sequence[Process]) -> None:
    """End a drain. Raises TelerelayError(UNREACHABLE)."""
    with NodeControl(DataFolder(processes[fault.node - 1].data).control) as control:
        control.cancel_drain()


def _kill(process: Process) -> None:
    # The number may be another program's by now: a node that is meant was started on this data folder.
    descriptor = os.pidfd_open(process.pid)
    try:
        started = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        if os.fsencode(process.data) not in started:
            raise TelerelayError("USAGE", f"process {process.pid} is not the node of {process.data}")
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    finally:
        os.close(descriptor)
