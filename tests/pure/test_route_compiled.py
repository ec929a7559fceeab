"""The compiled decision and the same file uncompiled answer alike, whatever is asked."""

from dataclasses import FrozenInstanceError
from itertools import product
from types import ModuleType
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telerelay.routing import decide as compiled
from telerelay.store.snapshot import Computer, Freshness, Snapshot
from tests.kit.uncompiled import uncompiled

NOW = 1_800_000_000
T = TypeVar("T")


def _mostly(usual: T, other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Each field is usually such that the request is granted, so that the others decide."""
    return st.one_of(*[st.just(usual)] * 4, other)


_DEVICE, _STRANGER = bytes(32), b"s" * 32
_COMPUTER, _UNKNOWN = bytes(10), b"u" * 10
_device = _mostly(_DEVICE, st.just(_STRANGER))
_version = _mostly(2, st.integers(1, 3))
# At the very second, and one before and behind it.
_time = _mostly(NOW + 1, st.integers(NOW - 1, NOW + 1))
_bound = st.none() | st.integers(NOW - 1, NOW + 1) | st.just(2**64 - 1)
_service = _mostly("rfb", st.just("rdp"))

_computer = st.builds(
    Computer,
    agent=_device,
    version=_version,
    expires=_time,
    services=_mostly(("rfb",), st.just(())),
    grants=st.dictionaries(_device, st.lists(st.tuples(_bound, _bound), max_size=2), min_size=1),
    stamp=_mostly(Freshness(2, 2, NOW + 1), st.none() | st.builds(Freshness, _version, _version, _time)),
)
_snapshot = st.builds(
    Snapshot,
    organisation=_device,
    version=_version,
    suspended=_mostly(False, st.booleans()),  # noqa: FBT003 - a value of the strategy
    revocations_version=_version,
    revoked=_mostly(frozenset(), st.frozensets(_device, max_size=1)),
    computers=st.dictionaries(st.just(_COMPUTER), _computer, min_size=1),
)
_asked = st.tuples(_device, _device, _mostly(_COMPUTER, st.just(_UNKNOWN)), _service)


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    """The source of the compiled module, run by Python itself."""
    return uncompiled(compiled)


def test_the_compiled_one_is_in_use(plain: ModuleType) -> None:
    assert compiled.COMPILED
    assert not plain.COMPILED


@settings(max_examples=300)
@given(asked=_asked, snapshot=_snapshot | st.none(), now=_mostly(NOW, st.integers(NOW - 1, NOW + 1)))
def test_both_decide_alike(
    plain: ModuleType, asked: tuple[bytes, bytes, bytes, str], snapshot: Snapshot | None, now: int
) -> None:
    theirs = plain.route(plain.Request(*asked), snapshot, now)
    assert repr(compiled.route(compiled.Request(*asked), snapshot, now)) == repr(theirs)


def test_both_decide_alike_at_the_very_second(plain: ModuleType) -> None:
    seconds = (NOW - 1, NOW, NOW + 1)
    asked = (_DEVICE, _DEVICE, _COMPUTER, "rfb")
    told = set()
    for expires, stamped, begin, end, version in product(seconds, seconds, seconds, seconds, (1, 2, 3)):
        stamp = Freshness(2, 2, stamped)
        computer = Computer(_DEVICE, 2, expires, ("rfb",), {_DEVICE: [(begin, end)]}, stamp)
        snapshot = Snapshot(_DEVICE, 1, False, version, frozenset(), {_COMPUTER: computer})  # noqa: FBT003
        decision = repr(compiled.route(compiled.Request(*asked), snapshot, NOW))
        assert decision == repr(plain.route(plain.Request(*asked), snapshot, NOW))
        told.add(decision)
    assert len(told) == 3


@pytest.mark.parametrize("which", ["compiled", "uncompiled"])
def test_a_decision_is_a_value(plain: ModuleType, which: str) -> None:
    module = compiled if which == "compiled" else plain
    decision = module.Here(b"a")
    assert decision == module.Here(b"a") != module.Here(b"b")
    assert hash(decision) == hash(module.Here(b"a"))
    match decision:
        case module.Here(agent):
            assert agent == b"a"
    with pytest.raises((AttributeError, FrozenInstanceError)):
        decision.agent = b"b"
