"""A play of the load kit against a generator that loads nobody: what is taken down, judged and reported."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.lines import ClusterLine
from telerelay_endpoint.payloads import NodeAddress
from telerelay_generator import require_descriptors
from telerelay_loadtest.models import load_model
from telerelay_loadtest.play import faults
from telerelay_loadtest.play.capacity import Memory, reckon
from telerelay_loadtest.play.faults import require_processes
from telerelay_loadtest.play.generating import STAGES
from telerelay_loadtest.play.histogram import merged, since, total, value_at
from telerelay_loadtest.play.observing import Second
from telerelay_loadtest.play.playing import Cast, Play, Played
from telerelay_loadtest.play.verdict import busiest_share
from telerelay_loadtest.report.machine import Machine
from telerelay_loadtest.report.page import page
from telerelay_loadtest.report.result import Run, read_result, result_of, write_result
from telerelay_loadtest.running import require_test
from telerelay_loadtest.scenario.file import Fault, Link, Node, find_scenario
from telerelay_loadtest.scenario.plan import Party, Plan, PlannedFault, Visit
from telerelay_loadtest.scenario.words import Duration, TimeOfDay
from telerelay_loadtest.scraping import Sample, Watched, read_sample
from telerelay_loadtest.screens import over, screens_of
from telerelay_loadtest.target import Process, Target, read_target
from tests.kit.fake_generator import Course, FakeGenerator

PEOPLE: Final = 10
LENGTH_MS: Final = 900
SCENARIO: Final = find_scenario("town-300")
MACHINE: Final = Machine(processors=2, memory_bytes=2**33, kernel="6.1", shared=True)
TARGET: Final = Target(ClusterLine((bytes(32), bytes(32)), (NodeAddress("n1", ("127.0.0.1:8443",)),)), (), ())
PLAN: Final = Plan(
    begin_ms=TimeOfDay("08:30").ms,
    length_ms=LENGTH_MS,
    speed=1.0,
    parties=(Party("town", PEOPLE, PEOPLE),),
    visits=tuple(
        Visit(at_ms=50 * person, organisation=0, client=person, hold_ms=300, screen="office", link="fibre")
        for person in range(PEOPLE)
    ),
    faults=(),
)


def play(
    course: Course, *, plan: Plan = PLAN, interrupt: bool = False, samples: int = 0
) -> tuple[Played, list[FakeGenerator], list[Watched]]:
    """Played to its end, or until a SIGINT behind the first second."""
    opened: list[FakeGenerator] = []

    def opener(tenant: Path, *, models: Mapping[str, str], seed: int) -> FakeGenerator:
        assert seed == SCENARIO.head.seed
        opened.append(FakeGenerator(course, tenant, models))
        return opened[-1]

    def tell(_played: Played) -> None:
        if interrupt:
            os.kill(os.getpid(), signal.SIGINT)

    cast = Cast([Path("town")], screens_of(SCENARIO), SCENARIO.head.seed, agents_over_ms=0, agents_first=True)
    watched = [Watched("http://n1/metrics", [sample(float(number)) for number in range(samples)])]
    seen = watched if samples else []
    return asyncio.run(Play(plan, cast, seen, (), tell).run(opener)), opened, watched


def sample(at_s: float) -> Sample:
    return Sample(at_s, 0.1 * at_s, 0.05 * at_s, 1e8, {"staff": 0, "test": 1})


def reported(played: Played, watched: list[Watched] | None = None) -> dict[str, Any]:
    run = Run(scenario=SCENARIO, plan=PLAN, target=TARGET, machine=MACHINE, began=1_800_000_000)
    result = result_of(run, played, watched or [], whole=played.stopped is None)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result


def by_name(findings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in findings}


# ---------------------------------------------------------------- what is played and taken down


def test_a_play_that_goes_well_meets_its_goals_and_all_of_it_is_taken_down() -> None:
    played, opened, _ = play(Course())
    result = reported(played)
    assert result["verdict"] == "MET"
    assert (result["planned"], result["begun"], result["sessions_opened"]) == (PEOPLE, PEOPLE, PEOPLE)
    assert (result["errors"], result["ended"]) == ({}, {"DONE": PEOPLE})
    assert sum(second["planned"] for second in result["seconds"]) == PEOPLE
    assert sum(second["set_ups"] for second in result["seconds"]) == PEOPLE
    assert sum(second["ended"] for second in result["seconds"]) == PEOPLE
    assert result["seconds"][-1]["sessions"] == 0
    assert result["unanswered"] == PEOPLE
    assert sum(window["set_ups"] for window in result["windows"]) == PEOPLE
    assert [result["stages"][name]["p99_ms"] for name in STAGES] == [2.0] * len(STAGES)
    # 1 ms late, then seven stages of 2 ms.
    assert result["set_up"]["p50_ms"] == result["windows"][0]["p99_ms"] == 15.0
    assert [generator.stopped for generator in opened] == [True]


def test_a_set_up_that_fails_is_counted_by_stage_and_code_and_leaves_the_goal_unmet() -> None:
    played, _, _ = play(Course(fails={3: ("accept", "ABSENT"), 4: ("dial", "UNREACHABLE")}))
    result = reported(played)
    assert result["verdict"] == "UNMET"
    assert by_name(result["goals"])["set_up_success"]["measured"] == 0.8
    assert result["errors"] == {"ABSENT": 1, "UNREACHABLE": 1}
    assert result["failures"] == [
        {"stage": "accept", "code": "ABSENT", "count": 1},
        {"stage": "dial", "code": "UNREACHABLE", "count": 1},
    ]
    assert len(played.observation.set_ups) == PEOPLE - 2


def test_a_session_that_was_lost_leaves_the_goal_unmet() -> None:
    played, _, _ = play(Course(ends={1: "PATH_LOST"}))
    result = reported(played)
    assert (result["verdict"], result["ended"]) == ("UNMET", {"DONE": PEOPLE - 1, "PATH_LOST": 1})
    assert not by_name(result["goals"])["kept"]["met"]


@pytest.mark.parametrize(
    ("course", "late"), [(Course(late_ms=101), "late_p99"), (Course(message_late_ms=26), "message_late_p99")]
)
def test_a_generator_that_is_late_proves_nothing(course: Course, late: str) -> None:
    result = reported(play(course)[0])
    assert result["verdict"] == "INVALID"
    assert [name for name, finding in by_name(result["proof"]).items() if not finding["met"]] == [late]


def test_a_slow_relay_is_unmet_and_not_invalid() -> None:
    result = reported(play(Course(stage_ms=50, delay_ms=51))[0])
    assert result["verdict"] == "UNMET"
    met = {name: finding["met"] for name, finding in by_name(result["goals"]).items()}
    assert met == {"set_up_success": True, "set_up_p99": True, "delay_p99": False, "kept": True}


def test_an_interrupted_play_is_ended_in_order_and_marked() -> None:
    played, opened, _ = play(Course(), plan=replace(PLAN, length_ms=5_000), interrupt=True)
    result = reported(played)
    assert (result["verdict"], result["stopped"]) == ("PARTIAL", "SIGINT")
    assert len(result["seconds"]) == 1
    assert [generator.stopped for generator in opened] == [True]


def test_a_visit_that_was_never_begun_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telerelay_loadtest.play.playing._LAST_S", 0.05)
    result = reported(play(Course(forgets=frozenset({3})))[0])
    assert result["verdict"] == "INVALID"
    proof = by_name(result["proof"])
    assert [name for name, finding in proof.items() if not finding["met"]] == ["begun"]
    assert proof["begun"]["measured"] == 0.9


def test_whoever_is_just_leaving_is_waited_for() -> None:
    stay = replace(PLAN, visits=tuple(replace(visit, hold_ms=700) for visit in PLAN.visits))
    result = reported(play(Course(), plan=stay)[0])
    assert (result["verdict"], result["ended"]) == ("MET", {"DONE": PEOPLE})


async def test_what_the_generator_refuses_is_an_error_with_its_code() -> None:
    def opener(tenant: Path, *, models: Mapping[str, str], seed: int) -> FakeGenerator:
        require_descriptors(agents=10**9, sessions=seed)
        return FakeGenerator(Course(), tenant, models)

    cast = Cast([Path("town")], screens_of(SCENARIO), 0, agents_over_ms=0, agents_first=True)
    with pytest.raises(TelerelayError, match="descriptors are needed") as raised:
        await Play(PLAN, cast, [], (), lambda _played: None).run(opener)
    assert raised.value.code == "MACHINE"


async def test_agents_that_do_not_come_up_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telerelay_loadtest.play.playing._ONLINE_S", 0.05)
    cast = Cast([Path("town")], screens_of(SCENARIO), 0, agents_over_ms=0, agents_first=True)
    opened: list[FakeGenerator] = []

    def opener(tenant: Path, *, models: Mapping[str, str], seed: int) -> FakeGenerator:
        opened.append(FakeGenerator(Course(online=False), tenant, models))
        assert seed == 0
        return opened[-1]

    with pytest.raises(TelerelayError, match="0 of 10 agents"):
        await Play(PLAN, cast, [], (), lambda _played: None).run(opener)
    assert opened[0].stopped


# ---------------------------------------------------------------- faults


async def play_with(fault: PlannedFault, process: Process, tell: Callable[[Played], None]) -> Played:
    """Five seconds in which this happens to that process."""
    cast = Cast([Path("town")], screens_of(SCENARIO), 0, agents_over_ms=0, agents_first=True)
    plan = replace(PLAN, length_ms=5_000, faults=(fault,))

    def opener(tenant: Path, *, models: Mapping[str, str], seed: int) -> FakeGenerator:
        assert seed == 0
        return FakeGenerator(Course(), tenant, models)

    return await Play(plan, cast, [], (process,), tell).run(opener)


async def test_another_programs_process_is_not_killed_and_the_play_ends_with_why() -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        blow = PlannedFault("blow", 0, Fault(at=TimeOfDay("08:30"), does="kill"))
        process = Process(bystander.pid, Path("/var/lib/telerelay"))
        played = await play_with(blow, process, lambda _played: None)
        assert bystander.returncode is None
    finally:
        bystander.kill()
        assert await bystander.wait() == -signal.SIGKILL
    assert played.error is not None
    assert played.error.code == "USAGE"
    result = reported(played)
    assert (result["verdict"], result["faults"]) == ("PARTIAL", [])
    assert "is not the node of /var/lib/telerelay" in result["stopped"]


async def test_a_drain_is_taken_back_when_the_play_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    happened = []
    monkeypatch.setattr(faults, "do", lambda *_: happened.append("drained"))
    monkeypatch.setattr(faults, "take_back", lambda *_: happened.append("taken back"))
    drain = Fault(at=TimeOfDay("08:30"), does="drain", lasts=Duration("1h"))
    process = Process(os.getpid(), Path("/var/lib/telerelay"))
    played = await play_with(
        PlannedFault("maintenance", 0, drain), process, lambda _played: os.kill(os.getpid(), signal.SIGINT)
    )
    assert played.stopped == "SIGINT"
    assert happened == ["drained", "taken back"]


# ---------------------------------------------------------------- the report


def test_a_result_is_read_as_it_was_written_and_its_page_loads_nothing(tmp_path: Path) -> None:
    played, _, watched = play(Course(fails={3: ("accept", "ABSENT")}), samples=1)
    result = reported(played, watched)
    write_result(tmp_path, result)
    assert read_result(tmp_path) == result
    html = page(result)
    assert html.count("<svg") == 8
    assert "ABSENT at accept" in html
    assert "UNMET" in html.partition("Goals")[0]
    assert "default-src 'none'" in html
    assert "<script" not in html
    loaded = re.findall(r"""(?:src|href)=["']([^"'#][^"']*)|url\((?!#)([^)]*)\)|@import""", html)
    assert not loaded, loaded


def test_a_result_that_was_never_finished_says_so(tmp_path: Path) -> None:
    played, _, _ = play(Course())
    run = Run(scenario=SCENARIO, plan=PLAN, target=TARGET, machine=MACHINE, began=1_800_000_000)
    write_result(tmp_path, result_of(run, played, [], whole=False))
    left = read_result(tmp_path)
    assert (left["verdict"], left["stopped"].partition(":")[0]) == ("PARTIAL", "killed")
    assert "途中で終了" in page(left)


def test_a_result_says_what_nodes_needed_before_anybody_came_and_before_the_first_visit() -> None:
    played, _, watched = play(Course(), samples=2)
    result = reported(played, watched)
    assert result["alone"]["at_s"] == pytest.approx(-played.observation.begin_ns / 1e9, abs=0.001)
    assert (result["alone"]["node_cpu_s"], result["alone"]["node_loop_s"]) == (0.0, 0.0)
    assert (result["before"]["node_cpu_s"], result["before"]["node_loop_s"]) == (0.1, 0.05)
    assert reported(played)["alone"] is None


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"schema": "telerelay.prove/1"}')
    with pytest.raises(TelerelayError, match=r"its schema is telerelay\.prove/1"):
        read_result(tmp_path)


# ---------------------------------------------------------------- what is reckoned

rows = st.dictionaries(st.integers(0, 10**6), st.integers(1, 50), max_size=20).map(
    lambda d: sorted(d.items())
)


@given(rows, rows)
def test_histograms_merge_by_adding_and_are_taken_apart_again(first: Any, second: Any) -> None:
    both = merged([first, second])
    assert total(both) == total(first) + total(second)
    assert since(first, both) == second


@given(rows.filter(bool), st.floats(0, 1))
def test_a_share_of_a_histogram_is_what_counting_finds(counted: Any, share: float) -> None:
    values = [value for value, count in counted for _ in range(count)]
    found = value_at(counted, share)
    assert found is not None
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values) or found == values[0]


def second(at_s: float, **other: Any) -> Second:
    plain: dict[str, Any] = dict.fromkeys(Second.__dataclass_fields__, 0)
    return Second(**{**plain, "at_s": at_s, **other})


def test_a_generator_that_keeps_the_processors_to_itself_is_seen() -> None:
    calm = [second(at, generator_cpu_s=0.2) for at in range(1, 31)]
    busy = [second(at, generator_cpu_s=2.0 if 10 < at <= 20 else 0.2) for at in range(1, 31)]
    assert busiest_share(calm, processors=2) == 0.1
    assert busiest_share(busy, processors=2) == 1.0
    assert busiest_share([], processors=2) == 0.0


def test_nodes_are_reckoned_from_the_busiest_ten_seconds_and_three_sockets_a_session() -> None:
    mib = 2**20
    seconds = [
        second(at, node_cpu_s=0.5 if at > 10 else 0.1, sessions=100, set_ups=2, node_rss_bytes=120.0 * mib)
        for at in range(1, 21)
    ]
    node = Node(processors=2, memory_gib=1.0, descriptors=65_536, busy=0.5)
    # 1,000 agents took 10 MiB, 100 sessions another 10.
    reckoned = reckon(seconds, Memory(100.0 * mib, 110.0 * mib), agents=1_000, at_once=0.5, node=node)
    assert reckoned is not None
    assert (reckoned.busiest.cores, reckoned.busiest.set_ups_per_s) == (0.5, 2.0)
    assert reckoned.sessions_per_core == 200
    assert reckoned.bytes_per_agent == round(10 * mib / 1_000)
    assert reckoned.bytes_per_session == round(10 * mib / 1_000 + 10 * mib / 100)
    # 200 sessions a core, two of them half busy, half of the staff at once: 400 people.
    assert (reckoned.staff_per_node, reckoned.bound) == (400, "processors")
    assert [(row.staff, row.nodes) for row in reckoned.needed][:3] == [(300, 2), (1_000, 4), (3_000, 9)]
    small = reckon(
        seconds, Memory(100.0 * mib, 110.0 * mib), agents=1_000, at_once=0.5,
        node=Node(processors=2, memory_gib=1.0, descriptors=400, busy=0.5),
    )  # fmt: skip
    assert small is not None
    # A waiting agent has one socket, a session two more for half of them.
    assert (small.staff_per_node, small.bound) == (200, "descriptors")


def test_nothing_is_reckoned_where_nothing_was_seen() -> None:
    unseen = [second(1, node_cpu_s=None, sessions=5)]
    assert reckon(unseen, Memory(0, 0), agents=10, at_once=1.0, node=Node()) is None


def test_a_slow_line_spreads_pictures_and_a_fast_one_leaves_them() -> None:
    model = load_model("office")
    slow = over(model, Link(mbit=0.5, rtt=find_scenario("city-3000").links["far"].rtt))
    assert over(model, Link(mbit=100_000)) == model
    for before, behind in zip(model.states, slow.states, strict=True):
        assert before.up == behind.up
        if before.down is not None and behind.down is not None:
            assert before.down.bytes == behind.down.bytes
            assert min(gap for _, gap in behind.down.gap_us) >= 120_000


def test_only_nodes_of_a_demo_are_ever_broken() -> None:
    planned = PlannedFault("blow", 0, Fault(at=TimeOfDay("08:30"), does="kill"))
    with pytest.raises(TelerelayError, match=r"\[fault.blow\] is for node 1"):
        require_processes([planned], ())


def test_only_a_test_that_lasts_as_long_as_the_play_is_played_with() -> None:
    hour = replace(PLAN, length_ms=3_600_000)
    require_test(int(time.time()) + 3_700, hour)
    with pytest.raises(TelerelayError, match="without --until"):
        require_test(None, hour)
    with pytest.raises(TelerelayError, match="and the play lasts until"):
        require_test(int(time.time()) + 3_500, hour)


def test_metrics_are_of_every_node_or_of_none() -> None:
    nodes = tuple(NodeAddress(name, ("127.0.0.1:8443",)) for name in ("n1", "n2"))
    line = ClusterLine((bytes(32), bytes(32)), nodes).format()
    assert read_target(line, ()).metrics == ()
    assert len(read_target(line, ("http://n1/metrics", "http://n2/metrics")).metrics) == 2
    with pytest.raises(TelerelayError, match="once for each node: 1 of 2"):
        read_target(line, ("http://n1/metrics",))


def test_what_is_no_node_is_no_sample() -> None:
    with pytest.raises(ValueError, match="no metrics of a telerelay node"):
        read_sample("# TYPE up gauge\nup 1\n", 0.0)
