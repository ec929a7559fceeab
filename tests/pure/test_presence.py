"""Presence in memory: a set of devices that costs no Python object each."""

import gc
import hashlib
import sys

from hypothesis import given
from hypothesis import strategies as st

from telerelay.presence.memory import PresenceInMemory

DEVICES = [hashlib.sha256(bytes([number])).digest() for number in range(12)]


@given(st.lists(st.tuples(st.sampled_from(DEVICES), st.booleans())))
def test_it_answers_as_a_set_would(told: list[tuple[bytes, bool]]) -> None:
    presence = PresenceInMemory()
    expected: set[bytes] = set()
    for device, is_ready in told:
        if is_ready:
            presence.ready(device)
            expected.add(device)
        else:
            presence.gone(device)
            expected.discard(device)
        assert presence.present(DEVICES) == expected


def test_five_thousand_agents_are_no_objects() -> None:
    names = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(5_000)]
    presence = PresenceInMemory()
    gc.collect()
    # Blocks of Python's allocator: a set would need one for each device that it holds.
    before = sys.getallocatedblocks()
    for number in range(len(names)):
        presence.ready(names.pop(number % len(names)))
    gc.collect()
    assert len(presence) == 5_000
    # The names themselves are gone with the list.
    assert sys.getallocatedblocks() - before < -4_900
