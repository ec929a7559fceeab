"""The node that runs on a data folder, if one does."""

import socket
import struct
from dataclasses import dataclass

from telerelay.node.data_folder import DataFolder

_PEER: struct.Struct = struct.Struct("3i")
"""`struct ucred` (unix(7)): process, user, group."""


@dataclass(frozen=True)
class RunningNode:
    """Its process."""

    pid: int


def find_running(folder: DataFolder) -> RunningNode | None:
    """Who listens on the operator's socket, as the kernel says."""
    with socket.socket(socket.AF_UNIX) as connected:
        try:
            connected.connect(str(folder.control))
        except OSError:
            return None
        peer = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return RunningNode(_PEER.unpack(peer)[0])
