"""The node's settings: their meaning, their defaults, and where each value came from.

A value comes from the command's arguments, else from the environment (TELERELAY_NODE_…), else from the file,
else it is the default.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from telerelay_endpoint import places
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.log_lines import Level
from telerelay_endpoint.payloads import (
    ADDRESS_SIZE,
    ADDRESSES_MAXIMUM,
    NODE_NAME_CHARACTERS,
    NODE_NAME_MAXIMUM,
)

PROGRAM: Final = "node"
PREFIX: Final = "TELERELAY_NODE_"
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
DEFAULT_PORT: Final = 8443
_PORTS: Final = range(65_536)

Side: TypeAlias = Literal["inside", "outside", "both"]


def _split(value: Any) -> Any:
    """A list in the environment is written with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_name(name: str) -> str:
    if not NODE_NAME_CHARACTERS.issuperset(name) or name.startswith("-") or name.endswith("-"):
        raise ValueError("a node name has a–z, 0–9 and inner hyphens only")
    return name


def _check_listener(address: str) -> str:
    host, port = split_address(address)
    ip_address(host)
    if port not in _PORTS:
        raise ValueError(f"{port} is no port")
    return address


def _check_advertised(address: str) -> str:
    _, port = split_address(address)
    if port not in _PORTS or port == 0 or len(address.encode()) not in ADDRESS_SIZE:
        raise ValueError(f"{address} is no address that an endpoint could dial")
    return address


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


def _everywhere() -> list[str]:
    # A kernel without IPv6 has no such file, and would refuse the second listener.
    addresses = ["0.0.0.0", *(["[::]"] if Path("/proc/net/if_inet6").exists() else [])]  # noqa: S104
    return [f"{address}:{DEFAULT_PORT}" for address in addresses]


Listeners = Annotated[
    list[Annotated[str, AfterValidator(_check_listener)]], NoDecode, BeforeValidator(_split)
]
Advertised = Annotated[
    list[Annotated[str, AfterValidator(_check_advertised)]],
    NoDecode,
    BeforeValidator(_split),
    Field(max_length=ADDRESSES_MAXIMUM),
]


class Settings(BaseSettings):
    """What an operator can set. Field names are the names in the file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    name: Annotated[str, AfterValidator(_check_name), Field(min_length=1, max_length=NODE_NAME_MAXIMUM)] = (
        Field("relay-1", description="The node's name in its cluster; one DNS label.")
    )
    data: Path = Field(
        default_factory=lambda: places.data_folder(PROGRAM),
        description="Folder of keys, database, audit spool and control socket.",
    )
    listen: Listeners = Field(
        default_factory=_everywhere, description="Addresses for agents and clients alike, IP:PORT."
    )
    listen_inside: Listeners = Field(default=[], description="Addresses for agents only (office side).")
    listen_outside: Listeners = Field(default=[], description="Addresses for clients only (home side).")
    advertise: Advertised = Field(
        default=[],
        description="Addresses that endpoints dial, HOST:PORT; default: those that the node listens on.",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=256,
        description="Threads that move bytes; default: one for each processor.",
    )
    return_window_s: int = Field(
        5, ge=1, le=60, description="Seconds over which agents spread their return after an outage."
    )
    stop_grace_s: float = Field(
        10, ge=0, le=3_600, description="Seconds that sessions may go on after SIGTERM."
    )
    banner: str | None = Field(None, max_length=512, description="Text that agents and clients are shown.")
    log_level: Level = Field("info", description="Least level that is logged.")
    log_json: bool = Field(default=False, description="Log in JSON, one object a line.")

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load` reads the sources one by one, so that it can say which value came from where."""
        return (init_settings,)

    @model_validator(mode="before")
    @classmethod
    def _split_sides(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Where sides have listeners of their own, one for both is opened only on demand."""
        if values.get("listen_inside") or values.get("listen_outside"):
            return {"listen": [], **values}
        return values

    @model_validator(mode="after")
    def _listen_somewhere(self) -> Self:
        if not self.listeners():
            raise ValueError("there is no address to listen on")
        return self

    def listeners(self) -> list[tuple[str, Side]]:
        """Every address with its side (PROTOCOL.md §1.1)."""
        return [
            *((address, "both") for address in self.listen),
            *((address, "inside") for address in self.listen_inside),
            *((address, "outside") for address in self.listen_outside),
        ]


@dataclass(frozen=True)
class Loaded:
    """Settings, and for each name in words where its value came from."""

    settings: Settings
    sources: Mapping[str, str]


def load(config: Path | None = None, arguments: Mapping[str, Any] | None = None) -> Loaded:
    """The settings in force. `arguments`: those that were given; None values are not. `config`: the file.

    Raises TelerelayError(USAGE) that names the setting and where it came from.
    """
    names = tuple(Settings.model_fields)
    file = config or places.settings_file(PROGRAM)
    in_file = places.read_settings(PROGRAM, config, names)
    in_environment = EnvSettingsSource(Settings)()
    _refuse_mistyped(names)
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    sources = dict.fromkeys(names, "default")
    sources |= dict.fromkeys(in_file, str(file))
    sources |= {name: PREFIX + name.upper() for name in in_environment}
    sources |= {name: f"--{name.replace('_', '-')}" for name in given}
    try:
        settings = Settings(**in_file | in_environment | given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "listen"
        source = sources.get(name, str(file))
        raise TelerelayError("USAGE", f"{name} (from {source}): {_sentence(first['msg'])}") from error
    return Loaded(settings, sources)


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")


def _refuse_mistyped(names: tuple[str, ...]) -> None:
    known = {PREFIX + name.upper() for name in names} | {CONFIG_VARIABLE}
    for variable in os.environ:
        if variable.startswith(PREFIX) and variable not in known:
            raise TelerelayError("USAGE", f"{variable} is no setting; there are {', '.join(sorted(known))}")
