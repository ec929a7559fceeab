"""What a peer is: what it needs, what it is told, and what runs. Adding one is one entry in `entries.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

HOME: Final = Path("build/peers")
"""Where peers are installed; nothing of them is installed on the machine."""


@dataclass(frozen=True)
class Debian:
    """Packages of Debian that hold `program`."""

    program: str
    packages: Sequence[str]


@dataclass(frozen=True)
class Crate:
    """A program of crates.io."""

    program: str
    version: str
    features: Sequence[str]


@dataclass(frozen=True)
class GoModule:
    """Programs of a Go module, each with the folder of its package.

    `replaced`: modules that it builds with instead of others, by their paths.
    """

    module: str
    version: str
    programs: Mapping[str, str]
    tags: Sequence[str] = ()
    replaced: Mapping[str, str] = field(default_factory=dict)


Need: TypeAlias = Debian | Crate | GoModule


@dataclass(frozen=True)
class Peer:
    """A relay that is no part of us.

    Commands and files are `string.Template`: `$front` is where homes dial it (HOST:PORT), `$back` where the
    office is, `$control` a port of its own; `$host` and `$port` are those of `$front`; `$folder` holds its
    files, `$debian`, `$cargo`, `$go` what was installed, `$load` is our own driver. A command is its words.
    `agent`: the part at the office, where it has one. `has_tls`: both ends speak TLS with it. `is_extra`: not
    in the ordinary run.
    """

    name: str
    title: str
    needs: Sequence[Need] = ()
    relay: str = ""
    agent: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    has_tls: bool = False
    is_extra: bool = False
