"""A machine that vanished: its connection stands, and nothing that is sent to it arrives."""

import ctypes
import socket
import struct
from typing import Final

# <asm-generic/socket.h>, which Python does not name.
_ATTACH_FILTER: Final = 26
# One instruction of classic BPF, "return 0": of each packet, zero bytes are kept (<linux/filter.h>).
_DROP: Final = struct.pack("=HBBI", 0x06, 0, 0, 0)


def go_deaf(connected: socket.socket) -> None:
    """The kernel drops every packet to this connection from now on: no acknowledgement, no reset."""
    program = ctypes.create_string_buffer(_DROP)
    connected.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))
