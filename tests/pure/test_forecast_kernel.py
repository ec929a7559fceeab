"""The forecast's kernel: waiting times as queueing theory has them, and compiled as uncompiled."""

import math
from itertools import pairwise
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from telerelay_loadtest.forecast import kernel as compiled
from tests.kit.uncompiled import uncompiled

Numbers: TypeAlias = NDArray[np.int64]
_S = 1_000_000_000
_JOBS = 2_000_000
WAIT, WORK, LOOP, ENDS, SYNC = compiled.WAIT, compiled.WORK, compiled.LOOP, compiled.ENDS, compiled.SYNC
_GATHER = 20


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    return uncompiled(compiled)


def _play(
    module: ModuleType, processors: int, jobs: list[tuple[int, list[tuple[int, int]]]], endpoints: int = 1
) -> list[Any]:
    """When each job's steps ended, of jobs with their moment and their steps (kind, time)."""
    steps = [step for _, one in jobs for step in one]
    first = np.cumsum([0, *(len(one) for _, one in jobs)])
    arrivals = np.array([at for at, _ in jobs], np.int64)
    kinds, takes = (np.array([step[place] for step in steps], np.int64) for place in (0, 1))
    node = module.Node(processors, arrivals, first, kinds, takes, _GATHER, endpoints)
    busy = node.run()
    ends = list(np.asarray(node.ends))
    return [busy, *(ends[begin:end] for begin, end in pairwise(first))]


# ---------------------------------------------------------------- by hand


@pytest.mark.parametrize("which", ["compiled", "uncompiled"])
def test_whoever_waits_is_served_in_the_order_of_arrival(plain: ModuleType, which: str) -> None:
    module = compiled if which == "compiled" else plain
    jobs = [(0, [(WORK, 10)]), (1, [(WORK, 10)]), (2, [(WAIT, 3), (WORK, 1)]), (2, [(WORK, 4)])]
    assert _play(module, 1, jobs) == [25, [10], [20], [5, 25], [24]]
    assert _play(module, 2, jobs) == [25, [10], [11], [5, 12], [14]]


@pytest.mark.parametrize("which", ["compiled", "uncompiled"])
def test_there_is_one_event_loop_and_it_needs_a_processor(plain: ModuleType, which: str) -> None:
    module = compiled if which == "compiled" else plain
    # Two on the loop, one beside it: the second of the loop waits though a processor is free.
    assert _play(module, 2, [(0, [(LOOP, 10)]), (1, [(LOOP, 10)]), (2, [(WORK, 3)])]) == [23, [10], [20], [5]]
    # On one processor whoever has the loop waits for it as everybody does.
    assert _play(module, 1, [(0, [(WORK, 10)]), (1, [(LOOP, 5)]), (2, [(WORK, 3)])]) == [18, [10], [15], [18]]


@pytest.mark.parametrize("which", ["compiled", "uncompiled"])
def test_endpoints_have_threads_of_their_own(plain: ModuleType, which: str) -> None:
    module = compiled if which == "compiled" else plain
    jobs = [(0, [(ENDS, 10)]), (1, [(ENDS, 10)]), (2, [(LOOP, 3)])]
    assert _play(module, 3, jobs) == [23, [10], [20], [5]]
    assert _play(module, 3, jobs, endpoints=2) == [23, [10], [11], [5]]


@pytest.mark.parametrize("which", ["compiled", "uncompiled"])
def test_who_finds_the_disk_idle_is_written_at_once_and_the_others_together(
    plain: ModuleType, which: str
) -> None:
    module = compiled if which == "compiled" else plain
    jobs = [(at, [(SYNC, 1)]) for at in (5, 6, 24, 26, 45, 66)]
    assert _play(module, 1, jobs) == [0, [6], [26], [26], [46], [46], [67]]


@pytest.mark.parametrize("which", ["compiled", "uncompiled"])
def test_numbers_that_do_not_fit_one_another_are_refused(plain: ModuleType, which: str) -> None:
    module = compiled if which == "compiled" else plain
    for arrivals, first, takes in (
        ([0, 1], [0, 1], [5]),
        ([0], [0, 2], [5]),
        ([1, 0], [0, 1, 2], [5, 5]),
        ([0, 0], [0, 2, 1], [5]),
        ([0], [0, 1], [-1]),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            module.Node(1, *(np.array(numbers, np.int64) for numbers in (arrivals, first, takes, takes)))


# ---------------------------------------------------------------- by theory


def _mean_wait_s(processors: int, kind: int, rate: float, served: NDArray[np.float64], seed: int) -> float:
    """Of jobs that come by chance, `rate` a second, each of one step."""
    chance = np.random.default_rng(seed)
    arrivals = np.cumsum(chance.exponential(_S / rate, len(served))).astype(np.int64)
    takes = (served * _S).astype(np.int64)
    first = np.arange(len(served) + 1)
    node = compiled.Node(processors, arrivals, first, np.full(len(served), kind, np.int64), takes)
    assert node.run() == takes.sum()
    return float((np.asarray(node.ends) - arrivals - takes).mean()) / _S


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (1, 0.8), (2, 0.7), (4, 0.85)])
def test_the_mean_wait_of_m_m_c_is_erlangs(servers: int, load: float) -> None:
    each = 0.001
    rate = load * servers / each
    served = np.random.default_rng(11).exponential(each, _JOBS)
    offered = load * servers
    # Erlang's C: the share of jobs that have to wait.
    last = offered**servers / math.factorial(servers) / (1 - load)
    waits = last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)
    expected = waits * each / (servers * (1 - load))
    assert _mean_wait_s(servers, WORK, rate, served, seed=1) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
def test_the_mean_wait_of_m_d_1_is_pollaczeks(load: float) -> None:
    each = 0.001
    served = np.full(_JOBS, each)
    expected = load * each / (2 * (1 - load))
    assert _mean_wait_s(1, WORK, load / each, served, seed=2) == pytest.approx(expected, rel=0.05)
    # The event loop is one server however many processors there are, and so is one thread of the endpoints.
    assert _mean_wait_s(4, LOOP, load / each, served, seed=2) == pytest.approx(expected, rel=0.05)
    assert _mean_wait_s(4, ENDS, load / each, served, seed=2) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("during", [0.1, 0.5, 2.0])
def test_as_many_gather_as_groups_follow_one_another(during: float) -> None:
    gather = 20_000_000
    chance = np.random.default_rng(3)
    arrivals = np.cumsum(chance.exponential(gather / during, _JOBS // 10)).astype(np.int64)
    first, takes = np.arange(len(arrivals) + 1), np.zeros(len(arrivals), np.int64)
    node = compiled.Node(1, arrivals, first, np.full(len(arrivals), SYNC), takes, gather)
    node.run()
    # Another group follows unless nobody came for so long: e^during of them, then nothing for 1 / rate.
    busy = during * math.exp(during)
    waited = (np.asarray(node.ends) > arrivals).mean()
    assert waited == pytest.approx(busy / (1 + busy), rel=0.02)


# ---------------------------------------------------------------- compiled and not


def test_the_compiled_one_is_in_use(plain: ModuleType) -> None:
    assert compiled.COMPILED
    assert not plain.COMPILED


_steps = st.lists(st.tuples(st.sampled_from([WAIT, WORK, LOOP, ENDS, SYNC]), st.integers(0, 9)), max_size=5)


@settings(max_examples=200)
@given(processors=st.integers(1, 4), jobs=st.lists(st.tuples(st.integers(0, 40), _steps), max_size=25))
def test_both_play_alike(
    plain: ModuleType, processors: int, jobs: list[tuple[int, list[tuple[int, int]]]]
) -> None:
    jobs.sort(key=lambda job: job[0])
    assert _play(compiled, processors, jobs) == _play(plain, processors, jobs)
