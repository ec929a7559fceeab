"""Thousands of agents and clients in one process: what the load kit plays its scenarios with."""

from telerelay_generator._generator import (
    Counts,
    Event,
    Generator,
    GeneratorError,
    Visit,
    __version__,
    draw_messages,
    require_descriptors,
)

__all__ = [
    "Counts",
    "Event",
    "Generator",
    "GeneratorError",
    "Visit",
    "__version__",
    "draw_messages",
    "require_descriptors",
]
