"""What holds for every test."""

import asyncio
import gc
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# `make fuzz` runs what looks at arbitrary input with this one.
settings.register_profile("fuzz", max_examples=20_000)

# Whoever ends a run with one of these ends what its tests have started too: each is a program of its own.
for _end in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_end, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_reaches_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test when an exception reached the event loop that nobody awaited."""
    seen: list[dict[str, Any]] = []

    def keep(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        seen.append(context)

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_exception_handler", keep)
    yield
    # A task whose exception was never looked at tells of it when it is collected.
    gc.collect()
    if seen:
        causes = [context.get("exception") for context in seen]
        told = "; ".join(f"{context['message']}: {context.get('exception')!r}" for context in seen)
        pytest.fail(f"reached the event loop: {told}", pytrace=not any(causes))
