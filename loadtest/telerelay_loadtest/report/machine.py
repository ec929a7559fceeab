"""The machine that generates: what a result has to say of it to be compared with another."""

import os
import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """`shared`: whether the loaded nodes run here too."""

    processors: int
    memory_bytes: int
    kernel: str
    shared: bool


def this_machine(*, shared: bool) -> Machine:
    """The one that this runs on."""
    return Machine(
        processors=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=platform.release(),
        shared=shared,
    )
