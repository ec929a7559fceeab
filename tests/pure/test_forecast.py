"""Forecasts: prices that explain runs, queues that grow with the load, and as few nodes as are enough."""

import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from telerelay_endpoint.errors import TelerelayError
from telerelay_loadtest.forecast.cluster import Outlook, busiest_share, least_nodes, outlook
from telerelay_loadtest.forecast.costs import Costs, Kinds, calibrate
from telerelay_loadtest.forecast.courses import LENGTH_NS, Course, course
from telerelay_loadtest.forecast.crowd import Crowd, decided
from telerelay_loadtest.forecast.playing import Part, Played, play, quantile_ms
from telerelay_loadtest.forecast.runs import Run, read_run
from telerelay_loadtest.main import app
from telerelay_loadtest.models import load_model
from telerelay_loadtest.models.sampling import SIDES, messages
from telerelay_loadtest.play.generating import STAGES
from telerelay_loadtest.scenario.file import Goals, Node, find_scenario
from telerelay_loadtest.scenario.plan import compile_plan
from telerelay_loadtest.scenario.scaling import scaled

_S: Final = 1_000_000_000
_NODE: Final = Kinds(base=0.02, agent=2e-5, come=0.001, set_up=0.003, end=0.0005, session=2e-4)
_LOOP: Final = Kinds(base=0.01, agent=0.0, come=0.0004, set_up=0.0012, end=0.0002, session=0.0)
_ENDS: Final = Kinds(base=0.05, agent=0.0, set_up=0.004, end=0.0001, session=3e-4)
_MEMORY: Final = Kinds(base=8e7, agent=8_000.0, session=3_000.0)
_SET_UP: Final = [(4_000, 10), (5_000, 50), (6_000, 20), (8_000, 15), (12_000, 5)]
_DELAY: Final = [(2_000, 10), (3_000, 80), (10_000, 10)]
_SECONDS: Final = 120
_COMING_S: Final = 30.0


def _result(staff: int) -> dict[str, Any]:
    """A run whose events cost exactly so much, give or take a twentieth."""
    chance = random.Random(staff)
    seconds, live = [], 0
    for second in range(_SECONDS):
        arrivals = chance.randrange(staff // 40) if second < 60 else 0
        ended = chance.randrange(staff // 40) if second >= 60 else 0
        ended = min(ended, live)
        live += arrivals - ended
        there = Kinds(base=1, agent=staff, set_up=arrivals, end=ended, session=live)
        noise = chance.uniform(0.95, 1.05)
        seconds.append(
            {
                "at_s": second + 1.0,
                "set_ups": arrivals,
                "ended": ended,
                "sessions": live,
                "agents": staff,
                "node_cpu_s": noise * there.at(_NODE),
                "node_loop_s": noise * there.at(_LOOP),
                "generator_cpu_s": noise * there.at(_ENDS),
                "node_rss_bytes": Kinds(base=1, agent=staff, session=live).at(_MEMORY),
            }
        )
    coming = Kinds(base=_COMING_S, agent=staff * _COMING_S / 2, come=staff)
    return {
        "schema": "telerelay.loadtest/1",
        "verdict": "MET",
        "staff": staff,
        "models": {"office": 1.0},
        "machine": {"processors": 2, "shared": True},
        "stages": {name: {"p50_ms": 0.7, "p99_ms": 1.0, "rows": [(600, 10), (700, 90)]} for name in STAGES},
        "set_up": {"p50_ms": 5.0, "p99_ms": 12.0, "rows": _SET_UP},
        "delay": {"p50_ms": 3.0, "p99_ms": 10.0, "rows": _DELAY},
        "alone": {"at_s": -_COMING_S, "node_cpu_s": 2.0, "node_loop_s": 1.0, "node_rss_bytes": _MEMORY.base},
        "before": {
            "at_s": 0.0,
            "agents": staff,
            "node_cpu_s": 2.0 + coming.at(_NODE),
            "node_loop_s": 1.0 + coming.at(_LOOP),
            "node_rss_bytes": Kinds(base=1, agent=staff).at(_MEMORY),
        },
        "seconds": seconds,
    }


def _read(result: dict[str, Any]) -> Run:
    return msgspec.convert(result, Run, strict=False)


@cache
def _costs() -> Costs:
    return calibrate([_read(_result(300)), _read(_result(1_000))])


@cache
def _courses() -> list[Course]:
    return [course(load_model("office"), 0)]


def _crowd(count: int, over_s: int, hold_s: int = 30) -> Crowd:
    """So many people, as densely at all times."""
    begins = np.arange(count, dtype=np.int64) * over_s * _S // count
    return Crowd(begins, begins + hold_s * _S, np.arange(count), np.zeros(count, np.int64))


def _played(crowd: Crowd, seconds: int, costs: Costs, seed: int = 1) -> Played:
    return play(crowd, 0, Part(0, seconds * _S), costs, _courses(), seed=seed)


# ---------------------------------------------------------------- costs


def test_prices_are_those_that_explain_the_runs() -> None:
    costs = _costs()
    for found, made in (
        (costs.node, _NODE),
        (costs.loop, _LOOP),
        (costs.ends, _ENDS),
        (costs.memory, _MEMORY),
    ):
        assert found.set_up == pytest.approx(made.set_up, rel=0.2)
        assert found.session == pytest.approx(made.session, rel=0.1, abs=1e-6)
        assert found.come == pytest.approx(made.come, rel=0.2)
        # What waits and what is there anyway are told apart by two sizes only.
        assert Kinds(base=1, agent=1_000).at(found) == pytest.approx(
            Kinds(base=1, agent=1_000).at(made), rel=0.3
        )
    assert costs.stages == dict.fromkeys(STAGES, 0.0006)


def test_nothing_costs_less_than_nothing() -> None:
    results = [_result(300), _result(1_000)]
    for second in (second for result in results for second in result["seconds"]):
        second["node_cpu_s"] -= 0.002 * second["ended"]
    prices = calibrate([_read(result) for result in results]).node
    assert prices.end == 0
    assert min(prices.base, prices.agent, prices.come, prices.set_up, prices.session) >= 0


@pytest.mark.parametrize(
    "changed", [{"machine": {"processors": 4, "shared": True}}, {"models": {"video": 1.0}}]
)
def test_runs_that_are_not_alike_explain_nothing(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="one machine"):
        calibrate([_read(_result(300)), _read(_result(1_000) | changed)])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"verdict": "INVALID"}, "INVALID says nothing"),
        ({"verdict": "PARTIAL"}, "PARTIAL says nothing"),
        ({"seconds": []}, "no result of a run"),
        ({"set_up": None}, "no result of a run"),
        ({"alone": None}, "nodes were seen throughout"),
    ],
)
def test_a_file_that_says_nothing_is_refused(tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(_result(300) | changed))
    with pytest.raises(TelerelayError, match=why):
        read_run(file)


def test_a_run_whose_nodes_were_not_seen_is_refused(tmp_path: Path) -> None:
    result = _result(300)
    result["seconds"][7]["node_cpu_s"] = None
    file = tmp_path / "result.json"
    file.write_text(json.dumps(result))
    with pytest.raises(TelerelayError, match="nodes were seen throughout"):
        read_run(file)


# ---------------------------------------------------------------- when sessions speak


def test_a_part_of_a_course_is_what_its_model_says_then() -> None:
    begin, last = 600 * _S, 60 * _S
    up, down = (
        [
            said.at_us * 1_000 - begin
            for said in _until(messages(load_model("office"), 0, side), (begin + last) // 1_000)
            if said.at_us * 1_000 >= begin
        ]
        for side in SIDES
    )
    within, is_ask, part = _courses()[0].between(np.array([0, begin]), np.array([0, last]))
    assert set(part) == {1}
    asked = within[is_ask]
    assert len(asked) > 10
    assert np.diff(asked).min() >= _S
    assert set(asked) <= set(up) <= set(within) <= {*up, *down}
    # An answer stands in for the next picture: no more is said than the model says.
    assert len(within) + len(asked) == pytest.approx(len(up) + len(down), rel=0.02)


def _until(said: Any, end_us: int) -> Any:
    for message in said:
        if message.at_us >= end_us:
            return
        yield message


def test_behind_a_courses_end_it_begins_anew() -> None:
    one = _courses()[0]
    across, _, _ = one.between(np.array([LENGTH_NS - 5 * _S]), np.array([10 * _S]))
    end, _, _ = one.between(np.array([LENGTH_NS - 5 * _S]), np.array([5 * _S]))
    begin, _, _ = one.between(np.array([0]), np.array([5 * _S]))
    assert list(across) == [*end, *(begin + 5 * _S)]


# ---------------------------------------------------------------- one node


def test_where_nobody_waits_times_are_those_that_were_measured() -> None:
    played = _played(_crowd(400, 400, 1), 400, _costs())
    assert quantile_ms(played.set_ups, 0.5) == pytest.approx(5.0, rel=0.05)
    # The slowest of the run are taken for those whose records gathered.
    assert quantile_ms(played.set_ups, 0.95) == pytest.approx(8.0, rel=0.05)
    assert quantile_ms(played.delays, 0.5) == pytest.approx(3.0, rel=0.05)


def test_whose_records_gather_waits_for_the_next_writing() -> None:
    # One every 25 ms finds the disk idle; two in 20 ms do not, and the second of them waits for the rest.
    alone, pairs = _crowd(100, 3), _crowd(100, 3)
    alone.begins[:] = np.arange(100) * 25_000_000
    pairs.begins[:] = np.arange(100) // 2 * 50_000_000 + np.arange(100) % 2 * 8_000_000
    costs = replace(_costs(), set_up=[(4_000, 1)], shared=False)
    costs = replace(
        costs, loop=replace(costs.loop, base=0.0), node=replace(costs.node, base=0.0, session=0.0)
    )
    assert quantile_ms(_played(alone, 20, costs).set_ups, 0.99) < 8
    waited = np.sort(_played(pairs, 20, costs).set_ups) / 1e6
    assert waited[49] < 8
    assert waited[51] > 4 + 20 - 8 - 1


def test_a_generators_messages_share_its_timer_and_its_thread() -> None:
    costs = replace(_costs(), delay=[(1, 1)])
    together, alone = (
        _played(_crowd(400, 4, 60), 30, replace(costs, shared=shared)).delays for shared in (True, False)
    )
    # 4,000 a second in batches of four at one thread, 0.15 ms each, against two processors without an end.
    assert np.median(together) > 3 * np.median(alone)


def test_a_message_that_asks_passes_everything_twice() -> None:
    costs = replace(_costs(), delay=[(1, 1)], shared=True)
    each_ns = (costs.node.session + costs.ends.session) / costs.message_rate * _S
    delays = _played(_crowd(1, 1, 60), 60, costs).delays
    assert np.median(delays) == pytest.approx(2 * each_ns, rel=0.01)
    alone = _played(_crowd(1, 1, 60), 60, replace(costs, shared=False)).delays
    assert np.median(alone) == pytest.approx(2 * costs.node.session / costs.message_rate * _S, rel=0.01)


def test_people_wait_where_more_come_than_processors_can_serve() -> None:
    costs = _costs()
    fits, crowded = (_played(_crowd(count, 10, 1), 10, costs) for count in (600, 4_000))
    assert quantile_ms(fits.set_ups, 0.99) < 100
    assert quantile_ms(crowded.set_ups, 0.99) > 1_000
    alone = replace(costs, shared=False, processors=8)
    assert quantile_ms(_played(_crowd(4_000, 10, 1), 10, alone).delays, 0.5) < 100


def test_there_is_one_event_loop_however_many_processors_there_are() -> None:
    costs = replace(_costs(), shared=False, processors=64)
    # 1.2 ms of the loop each: 833 a second, and no more.
    assert quantile_ms(_played(_crowd(7_000, 10, 1), 10, costs).set_ups, 0.99) < 100
    assert quantile_ms(_played(_crowd(12_000, 10, 1), 10, costs).set_ups, 0.99) > 1_000


def test_a_node_is_as_busy_as_its_prices_say() -> None:
    crowd, costs = _crowd(1_000, 50, 30), _costs()
    there = Kinds(base=100, agent=200_000, set_up=1_000, end=1_000, session=30_000)
    played = play(crowd, 2_000, Part(0, 100 * _S), costs, _courses(), seed=1)
    assert played.busy_ns / _S == pytest.approx(there.at(costs.node) + there.at(costs.ends), rel=0.03)


def test_a_seed_is_a_forecast_and_another_seed_is_another() -> None:
    first, again, other = (_played(_crowd(50, 10), 40, _costs(), seed) for seed in (1, 1, 2))
    assert (first.set_ups == again.set_ups).all()
    assert (first.delays == again.delays).all()
    assert first.busy_ns == again.busy_ns
    assert (first.set_ups != other.set_ups).any()


def test_the_parts_of_a_morning_hold_the_same_messages_as_the_whole() -> None:
    crowd, costs = _crowd(100, 100, 10), _costs()
    whole = _played(crowd, 110, costs)
    parts = [
        play(crowd, 0, Part(at * _S, (at + 11) * _S), costs, _courses(), seed=1) for at in range(0, 110, 11)
    ]
    assert sum(len(part.set_ups) for part in parts) == len(whole.set_ups) == 100
    assert sum(len(part.delays) for part in parts) == len(whole.delays) > 300


# ---------------------------------------------------------------- many nodes


def test_the_nodes_own_decision_lets_in_whom_it_knows() -> None:
    plan = compile_plan(scaled(find_scenario("town-300"), 50))
    screens = ["office/fibre", "office/mobile"]
    assert len(decided(plan, screens)) == len(plan.visits)
    stranger = replace(plan.visits[0], client=plan.parties[0].clients)
    crowd = decided(replace(plan, visits=(*plan.visits, stranger)), screens)
    assert list(crowd.begins) == [visit.at_ms * 1_000_000 for visit in plan.visits]
    assert list(crowd.people) == [visit.client for visit in plan.visits]
    assert {screens[number] for number in crowd.screens} == {f"office/{visit.link}" for visit in plan.visits}


def test_a_scenario_grows_by_more_organisations_and_shrinks_by_smaller_ones() -> None:
    town = find_scenario("town-300")
    assert [one.staff for one in scaled(town, 900).organisations.values()] == [300, 300, 300]
    assert [one.staff for one in scaled(town, 100).organisations.values()] == [100]
    assert sum(one.staff for one in scaled(town, 1_000).organisations.values()) == pytest.approx(1_000, abs=3)
    plan = compile_plan(scaled(town, 600))
    mornings = [[visit.at_ms for visit in plan.visits if visit.organisation == which] for which in (0, 1)]
    assert mornings[0] != mornings[1]


def test_sessions_are_counted_at_the_end_of_each_second() -> None:
    crowd = Crowd(
        np.array([500_000_000, 1_500_000_000]),
        np.array([2_500_000_000, 9 * _S]),
        np.arange(2),
        np.zeros(2, np.int64),
    )
    assert list(crowd.live(4)) == [1, 2, 1, 1]
    assert list(crowd.set_ups(4)) == [1, 1, 0, 0]
    assert list(crowd.ended(4)) == [0, 0, 1, 0]


def test_the_busiest_node_has_more_than_its_share_and_no_more_than_all() -> None:
    crowd = _crowd(1_000, 100)
    share = busiest_share(crowd, 1_000, 4, seed=1)
    assert 250 <= len(share.crowd) < 400
    # Everybody's office PC is where they are.
    assert share.agents == len(share.crowd)
    assert len(busiest_share(crowd, 1_000, 1, seed=1).crowd) == 1_000


def test_a_lost_node_is_more_to_do_for_the_others() -> None:
    share = busiest_share(_crowd(3_000, 60, 120), 3_000, 3, seed=1)
    costs = replace(_costs(), shared=False)
    whole, lost = (
        outlook(share, 180, 3, costs, _courses(), seed=1, one_lost=one_lost) for one_lost in (False, True)
    )
    assert lost.agents == pytest.approx(1.5 * whole.agents, abs=1)
    assert lost.most_sessions > 1.3 * whole.most_sessions
    assert lost.processors_used > whole.processors_used
    assert lost.memory_mib > whole.memory_mib
    assert lost.descriptors == lost.agents + 2 * lost.most_sessions
    dear = replace(costs, node=replace(costs.node, come=0.02))
    assert outlook(share, 180, 3, dear, _courses(), seed=1, one_lost=True).processors_used > (
        lost.processors_used + 0.1
    )


def test_what_is_beyond_its_bound_is_named() -> None:
    fits = Outlook(100, 50, 2.7, 900.0, 40.0, 100.0, 200)
    node = Node(processors=4, busy=0.7, memory_gib=1.0, descriptors=200)
    assert fits.beyond(Goals(), node) == []
    for name in ("processors_used", "set_up_p99_ms", "delay_p99_ms", "memory_mib", "descriptors"):
        assert replace(fits, **{name: 10 * getattr(fits, name)}).beyond(Goals(), node) == [name]


@given(enough=st.integers(1, 3_000), at_least=st.integers(1, 500), more=st.integers(0, 3_000))
def test_as_few_nodes_as_are_enough(enough: int, at_least: int, more: int) -> None:
    asked: list[int] = []

    def is_enough(count: int) -> bool:
        asked.append(count)
        return count >= enough

    if enough > at_least + more:
        with pytest.raises(ValueError, match="not enough"):
            least_nodes(is_enough, at_least, at_least + more)
    else:
        assert least_nodes(is_enough, at_least, at_least + more) == max(enough, at_least)
    assert at_least <= min(asked) <= max(asked) <= at_least + more


# ---------------------------------------------------------------- the command


_TOWN: Final = """title = "Two minutes"
begins = "08:29"
lasts = "2m"

[organisation.town]
staff = 100

[wave.morning]
at = "08:29:40"
spread = "10s"

[session]
length = ["20s", "40s"]

[node]
descriptors = 300
"""


def _told(folder: Path, *words: str) -> str:
    """What it tells, by runs of 300 and 1,000."""
    scenario = folder / "town.toml"
    scenario.write_text(_TOWN)
    by = [word for staff in (300, 1_000) for word in ("--by", str(_file(folder, staff)))]
    arguments = ["forecast", str(scenario), *by, "--lang", "en", *words]
    return CliRunner().invoke(app, arguments, catch_exceptions=False).stdout


def _file(folder: Path, staff: int) -> Path:
    file = folder / f"{staff}.json"
    file.write_text(json.dumps(_result(staff)))
    return file


def test_the_command_compares_with_a_run(tmp_path: Path) -> None:
    told = json.loads(_told(tmp_path, "--against", str(_file(tmp_path, 200)), "--json"))
    assert told["schema"] == "telerelay.forecast-compared/1"
    assert told["measured"]["set_up_p99_ms"] == 12.0
    assert told["forecast"]["set_up_p50_ms"] == pytest.approx(5.0, rel=0.1)
    assert told["off"]["cpu_s"] == pytest.approx(told["forecast"]["cpu_s"] / told["measured"]["cpu_s"] - 1)
    assert told["costs"]["loop"]["set_up"] == pytest.approx(_LOOP.set_up, rel=0.2)


def test_the_command_says_how_many_nodes_are_enough_and_what_one_fewer_lacks(tmp_path: Path) -> None:
    told = json.loads(_told(tmp_path, "--staff", "500", "--json"))
    assert told["agents"] == 500
    assert told["nodes"] > 500 * 2 / 300
    assert told["one_lost"]["descriptors"] <= 300
    assert told["lacks"] == []
    assert told["one_fewer_lacks"] == ["descriptors"]


def test_what_no_number_of_nodes_gives_is_told(tmp_path: Path) -> None:
    slow = _result(300)
    slow["delay"]["rows"] = [(60_000, 1)]
    file = tmp_path / "slow.json"
    file.write_text(json.dumps(slow))
    (tmp_path / "town.toml").write_text(_TOWN)
    arguments = ["forecast", str(tmp_path / "town.toml"), "--by", str(file), "--lang", "en"]
    with pytest.raises(
        TelerelayError, match="no number of nodes is enough: each lacks message delay p99, ms"
    ):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_people_read_a_table_and_what_is_lacking(tmp_path: Path) -> None:
    lines = _told(tmp_path, "--staff", "500", "--nodes", "2").splitlines()
    assert lines[0].split("  ")[0] == "busiest of 2 nodes"
    assert lines[-1] == "these are not enough: descriptors"
