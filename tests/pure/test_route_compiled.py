"""The compiled decision and the same file uncompiled answer alike, whatever is asked."""

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telerelay.routing import decide as compiled
from telerelay.store.snapshot import Computer, Freshness, Snapshot

NOW = 1_800_000_000

# Few values of each, so that what is asked is often what there is.
_devices = st.sampled_from([bytes([n]) * 32 for n in range(3)])
_computers = st.sampled_from([bytes([n]) * 10 for n in range(3)])
_versions = st.integers(0, 3)
_times = st.integers(NOW - 2, NOW + 2) | st.sampled_from([0, 2**64 - 1])
_bound = st.none() | _times
_services = st.sampled_from(["rfb", "rdp"])

_computer = st.builds(
    Computer,
    agent=_devices,
    version=_versions,
    expires=_times,
    services=st.lists(_services, max_size=2).map(tuple),
    grants=st.dictionaries(_devices, st.lists(st.tuples(_bound, _bound), max_size=2)),
    stamp=st.none() | st.builds(Freshness, _versions, _versions, _times),
)
_snapshot = st.none() | st.builds(
    Snapshot,
    organisation=_devices,
    version=_versions,
    suspended=st.booleans(),
    revocations_version=_versions,
    revoked=st.frozensets(_devices, max_size=1),
    computers=st.dictionaries(_computers, _computer),
)
_asked = st.tuples(_devices, _devices, _computers, _services)


@pytest.fixture(scope="module")
def plain() -> Iterator[ModuleType]:
    """The source of the compiled module, run by Python itself."""
    name = "telerelay.routing.decide_uncompiled"
    source = Path(compiled.__file__).parent / "decide.py"
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where a dataclass looks its module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


def test_the_compiled_one_is_in_use(plain: ModuleType) -> None:
    assert compiled.COMPILED
    assert not plain.COMPILED


@given(asked=_asked, snapshot=_snapshot, now=_times)
def test_both_decide_alike(
    plain: ModuleType, asked: tuple[bytes, bytes, bytes, str], snapshot: Snapshot | None, now: int
) -> None:
    theirs = plain.route(plain.Request(*asked), snapshot, now)
    assert repr(compiled.route(compiled.Request(*asked), snapshot, now)) == repr(theirs)


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
