"""What nodes say of themselves while they are loaded: their /metrics, read again and again."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from telerelay_endpoint.errors import TelerelayError

TEST: Final = "test"
STAFF: Final = "staff"
"""Whose sessions: values of the label `traffic`."""
_TIMEOUT_S: Final = 5.0
_SHOWN: Final = {
    "telerelay_cpu_seconds_total": "cpu_s",
    "telerelay_event_loop_cpu_seconds_total": "loop_s",
    "telerelay_memory_bytes": "memory",
}
_SESSIONS: Final = "telerelay_sessions"


@dataclass(frozen=True, slots=True)
class Sample:
    """One node at one moment. `at_s`: seconds of `time.monotonic()`; bytes.

    `cpu_s`: processor time since its start; `loop_s`: that of its event loop alone.
    """

    at_s: float
    cpu_s: float
    loop_s: float
    memory: float
    sessions: Mapping[str, int]
    """Live ones, by whose they are."""


@dataclass
class Watched:
    """One node's metrics, as they were read. `missed`: how often it did not answer."""

    url: str
    samples: list[Sample] = field(default_factory=list)
    missed: int = 0


def read_sample(text: str, at_s: float) -> Sample:
    """What a node's /metrics says. Raises ValueError, KeyError where it is no node's."""
    values: dict[str, float] = {}
    sessions: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in _SHOWN:
                values[_SHOWN[sample.name]] = sample.value
            elif sample.name == _SESSIONS:
                sessions[sample.labels["traffic"]] += int(sample.value)
    missing = [name for name, shown in _SHOWN.items() if shown not in values]
    missing += [] if sessions else [_SESSIONS]
    if missing:
        raise ValueError(f"these are no metrics of a telerelay node: there is no {missing[0]}")
    return Sample(at_s=at_s, sessions=sessions, **values)


def look(urls: Sequence[str]) -> list[Sample]:
    """All nodes once. Raises TelerelayError(UNREACHABLE) where one does not answer with a node's metrics."""
    samples = []
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
        for url in urls:
            try:
                response = client.get(url).raise_for_status()
                samples.append(read_sample(response.text, time.monotonic()))
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
                raise TelerelayError("UNREACHABLE", f"--metrics {url}: {error}") from error
    return samples


async def watch(nodes: Sequence[Watched], every_s: float) -> None:
    """Read all nodes' metrics every so often, until it is cancelled. One that does not answer is missed."""
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
        while True:
            await asyncio.gather(*(_read(client, node) for node in nodes))
            # In step with whoever looks each second: with a pause behind each answer some looks would see
            # nothing new.
            await asyncio.sleep(every_s - (time.monotonic() - began) % every_s)


async def _read(client: httpx.AsyncClient, node: Watched) -> None:
    try:
        response = (await client.get(node.url)).raise_for_status()
        node.samples.append(read_sample(response.text, time.monotonic()))
    except (httpx.HTTPError, ValueError, KeyError):
        # A node that was killed answers nobody; the report shows the hole and how often it was.
        node.missed += 1
