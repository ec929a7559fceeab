"""The node's settings: what an operator can set, and what it means."""

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

import msgspec
from msgspec import Meta
from typing_extensions import override

from telerelay.node import memory
from telerelay_endpoint import places
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.log_lines import Level
from telerelay_endpoint.payloads import (
    ADDRESS_SIZE,
    ADDRESSES_MAXIMUM,
    NODE_NAME_MAXIMUM,
    is_node_name,
)
from telerelay_endpoint.settings import DEFAULT, Loaded, Program

DEFAULT_PORT: Final = 8443
_PROGRAM: Final = "node"
_PORTS: Final = range(65_536)

Side: TypeAlias = Literal["inside", "outside", "both"]


class NodeName(str):
    """A node's name: one DNS label (PROTOCOL.md §2.4)."""

    __slots__ = ()

    @override
    def __new__(cls, name: str) -> Self:
        """Raises ValueError."""
        if not is_node_name(name):
            raise ValueError(
                f"a node name is 1 to {NODE_NAME_MAXIMUM} of a–z, 0–9 and hyphens,"
                " with a letter first and no hyphen last"
            )
        return super().__new__(cls, name)


class Listener(str):
    """An address to listen on, IP:PORT; port 0 is any."""

    __slots__ = ()

    @override
    def __new__(cls, address: str) -> Self:
        """Raises ValueError."""
        host, port = split_address(address)
        ip_address(host)
        if port not in _PORTS:
            raise ValueError(f"{port} is no port")
        return super().__new__(cls, address)


class Advertised(str):
    """An address that endpoints dial, HOST:PORT."""

    __slots__ = ()

    @override
    def __new__(cls, address: str) -> Self:
        """Raises ValueError."""
        _, port = split_address(address)
        if port not in _PORTS or port == 0 or len(address.encode()) not in ADDRESS_SIZE:
            raise ValueError(f"{address} is no address that an endpoint could dial")
        return super().__new__(cls, address)


class Network(str):
    """A network, ADDRESS/LENGTH; a single address is one too."""

    __slots__ = ()

    @override
    def __new__(cls, network: str) -> Self:
        """Raises ValueError."""
        return super().__new__(cls, str(ip_network(network)))


def split_address(address: str) -> tuple[str, int]:
    """Host without brackets, and port. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ValueError(f"{address} is not written as HOST:PORT or [IPV6]:PORT")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets: [{host}]:{port}")
    return host, int(port)


def _everywhere() -> list[Listener]:
    # A kernel without IPv6 has no such file, and would refuse the second listener.
    addresses = ["0.0.0.0", *(["[::]"] if Path("/proc/net/if_inet6").exists() else [])]  # noqa: S104
    return [Listener(f"{address}:{DEFAULT_PORT}") for address in addresses]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can set. Field names are the names in the file."""

    name: Annotated[NodeName, Meta(description="The node's name in its cluster; one DNS label.")] = NodeName(
        "relay-1"
    )
    data: Annotated[Path, Meta(description="Folder of keys, database, audit spool and control socket.")] = (
        msgspec.field(default_factory=lambda: places.data_folder(_PROGRAM))
    )
    listen: Annotated[
        list[Listener],
        Meta(
            description="Addresses for agents and clients alike, IP:PORT; "
            "default: none where a side has its own, else all."
        ),
    ] = msgspec.field(default_factory=_everywhere)
    listen_inside: Annotated[list[Listener], Meta(description="Addresses for agents only (office side).")] = (
        msgspec.field(default_factory=list)
    )
    listen_outside: Annotated[list[Listener], Meta(description="Addresses for clients only (home side).")] = (
        msgspec.field(default_factory=list)
    )
    advertise: Annotated[
        list[Advertised],
        Meta(
            max_length=ADDRESSES_MAXIMUM,
            description="Addresses that endpoints dial, HOST:PORT; default: those that the node listens on.",
        ),
    ] = msgspec.field(default_factory=list)
    metrics_listen: Annotated[
        Listener,
        Meta(
            description="Address of /metrics, /healthz and /readyz, IP:PORT; whoever reaches it is answered."
        ),
    ] = Listener("127.0.0.1:9464")
    workers: Annotated[
        int,
        Meta(ge=1, le=256, description="Threads that move bytes; default: one for each processor."),
    ] = msgspec.field(default_factory=lambda: os.cpu_count() or 1)
    return_window_s: Annotated[
        int,
        Meta(ge=1, le=60, description="Least seconds over which agents spread their return."),
    ] = 1
    trusted_networks: Annotated[
        list[Network],
        Meta(description="Networks, ADDRESS/LENGTH, not limited by address and with half of what is short."),
    ] = msgspec.field(default_factory=list)
    handshakes_per_s: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None,
        Meta(description="Handshakes that begin each second; default: half of what the workers could do."),
    ] = None
    arrivals_per_s: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None,
        Meta(description="Log-ins that begin each second; default: 400 for each worker. More wait in turn."),
    ] = None
    memory_budget: Annotated[
        int,
        Meta(
            ge=1,
            le=1 << 50,
            description="Bytes of memory beyond which nobody new is let in and whoever is idle is sent away; "
            f"default: {memory.PERCENT} % of what machine or control group has.",
        ),
    ] = msgspec.field(default_factory=memory.default_budget)
    stop_grace_s: Annotated[
        float, Meta(ge=0, le=3_600, description="Seconds that sessions may go on after SIGTERM.")
    ] = 10.0
    banner: Annotated[
        Annotated[str, Meta(max_length=512)] | None,
        Meta(description="Text that agents and clients are shown."),
    ] = None
    log_level: Annotated[Level, Meta(description="Least level that is logged.")] = "info"
    log_json: Annotated[
        bool | None, Meta(description="Log in JSON, one object a line; default: wherever no terminal is.")
    ] = None

    def listeners(self) -> list[tuple[str, Side]]:
        """Every address with its side (PROTOCOL.md §1.1)."""
        return [
            *((address, "both") for address in self.listen),
            *((address, "inside") for address in self.listen_inside),
            *((address, "outside") for address in self.listen_outside),
        ]


PROGRAM: Final = Program(_PROGRAM, Settings)


def load(config: Path | None = None, arguments: Mapping[str, Any] | None = None) -> Loaded[Settings]:
    """The settings in force. `arguments`: those that were given; None values are not. `config`: the file.

    Raises SettingsError, TelerelayError(USAGE).
    """
    loaded = PROGRAM.load(config, arguments)
    settings = loaded.settings
    if loaded.sources["listen"] == DEFAULT and (settings.listen_inside or settings.listen_outside):
        settings = msgspec.structs.replace(settings, listen=[])
    if not settings.listeners():
        raise TelerelayError("USAGE", "there is no address to listen on")
    return Loaded(settings, loaded.sources)
