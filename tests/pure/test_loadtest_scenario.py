"""Scenarios of the load kit: what is refused, with its place; and the plan, which is the curve asked for."""

import re
import tomllib
from collections import Counter
from importlib.resources import files
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from telerelay_endpoint.settings import SettingsError
from telerelay_loadtest.scenario.file import READY, Organisation, Scenario, Wave, find_scenario, read_scenario
from telerelay_loadtest.scenario.plan import Plan, attending, compile_plan
from telerelay_loadtest.scenario.reference import BEGIN, END, replaced
from telerelay_loadtest.scenario.words import Duration, TimeOfDay, clock, shown

PAGE = Path(__file__).parents[2] / "docs" / "LOADTEST.md"
TOWN = """title = "A town"
begins = "08:00"
lasts = "2h"

[organisation.town]
staff = 40

[wave.morning]
at = "08:30"
spread = "5m"
"""


def scenario(folder: Path, text: str = TOWN) -> Scenario:
    path = folder / "some.toml"
    path.write_text(text)
    return read_scenario(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        scenario(folder, text)
    assert caught.value.code == "USAGE"
    return [problem.line().removeprefix(f"{folder}/") for problem in caught.value.problems]


# ---------------------------------------------------------------- the file


def test_an_unknown_key_is_told_with_line_column_and_what_was_probably_meant(tmp_path: Path) -> None:
    text = TOWN.replace("spread", "  spred")
    assert problems(tmp_path, text) == [
        'some.toml:8:1: [wave."morning"] lacks spread',
        "some.toml:10:3: spred is no setting; nearest: spread",
    ]


def test_an_unknown_section_is_told_too(tmp_path: Path) -> None:
    assert problems(tmp_path, TOWN + '\n[waves.noon]\nat = "12:00"\n') == [
        "some.toml:12:1: waves is no setting; nearest: wave"
    ]


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ('"08:30"', '"8:30"', "some.toml:9:6: at: '8:30' is not written as HH:MM or HH:MM:SS, such as 08:30"),
        ('"5m"', '"5 m"', "some.toml:10:10: spread: '5 m' is not written with h, m, s or ms"),
        ("40", "0", "some.toml:6:9: staff: Expected `int` >= 1"),
        ("40", '"40"', "some.toml:6:9: staff: Expected `int`, got `str`"),
        ('"08:30"', '"08:05"', "some.toml:9:6: people of this wave come from 07:50:00 to 08:20:00"),
        ('title = "A town"', "", "some.toml: the file lacks title"),
        ("[organisation.town]\nstaff = 40", "", "there is no [organisation"),
    ],
)
def test_what_does_not_fit_is_told_where_it_stands(
    tmp_path: Path, written: str, instead: str, told: str
) -> None:
    (line,) = problems(tmp_path, TOWN.replace(written, instead))
    assert told in line


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            '[fault.f]\nat = "11:00"\ndoes = "kill"',
            "some.toml:12:6: the play is between 08:00:00 and 10:00:00",
        ),
        ('[fault.f]\nat = "09:00"\ndoes = "kill"\nlasts = "1m"', "nothing takes back what kill does"),
        ('[session]\nlength = ["2h", "1h"]', "some.toml:12:10: length: the values may not fall"),
        ("[goal]\nset_up_success = 2", "set_up_success: Expected `float` <= 1"),
    ],
)
def test_what_contradicts_itself_is_told(tmp_path: Path, more: str, told: str) -> None:
    (line,) = problems(tmp_path, f"{TOWN}{more}\n")
    assert told in line


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = TOWN.replace('"08:30"', '"noon"').replace("40", "-1") + "[goal]\nkep = 1\n"
    assert len(problems(tmp_path, text)) == 3


def test_what_is_no_toml_is_told(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, TOWN + "[wave")
    assert line.startswith("some.toml:11:")


@given(st.integers(0, 10**9))
def test_a_duration_is_read_as_it_is_shown(ms: int) -> None:
    assert Duration(shown(ms)).ms == ms


@given(st.integers(0, 24 * 3_600 - 1))
def test_a_time_of_day_is_read_as_it_is_shown(seconds: int) -> None:
    assert TimeOfDay(clock(seconds * 1000)).ms == seconds * 1000


# ---------------------------------------------------------------- the plan


TOWN_300 = find_scenario("town-300")

waves = st.builds(
    lambda at, spread, shape, share: Wave(
        at=TimeOfDay(clock(at * 1000)), spread=Duration(f"{spread}s"), shape=shape, share=share
    ),
    st.integers(9 * 3_600, 13 * 3_600),
    st.integers(0, 300),
    st.sampled_from(("bell", "even")),
    st.floats(0, 1),
)


def plan_of(*several: Wave, staff: int = 200, **head: object) -> Plan:
    named = {str(number): wave for number, wave in enumerate(several)}
    head = {"attendance": 1.0, "emergency": 1.0, **head}
    return compile_plan(
        replace(
            TOWN_300,
            head=replace(TOWN_300.head, **head),
            organisations={"town": Organisation(staff=staff)},
            waves=named,
        )
    )


@given(waves, st.integers(1, 500), st.floats(0, 1), st.sampled_from((1.0, 1.4)))
def test_as_many_come_as_the_staff_attends(
    wave: Wave, staff: int, attendance: float, emergency: float
) -> None:
    plan = plan_of(wave, staff=staff, attendance=attendance, emergency=emergency)
    (party,) = plan.parties
    assert party.agents == staff
    assert party.clients == attending(staff, attendance, emergency) <= staff
    assert len(plan.visits) == round(party.clients * wave.share)
    assert len({visit.client for visit in plan.visits}) == len(plan.visits)


def test_an_emergency_brings_more_people_and_never_more_than_there_are() -> None:
    assert [attending(1000, share, 1.4) for share in (0.5, 0.8)] == [700, 1000]


@given(waves)
def test_nobody_of_a_wave_comes_outside_it(wave: Wave) -> None:
    plan = plan_of(wave)
    first, last = (moment - plan.begin_ms for moment in wave.reach_ms)
    assert all(first <= visit.at_ms <= last for visit in plan.visits)


@pytest.mark.parametrize("shape", ["bell", "even"])
@pytest.mark.parametrize("seed", range(10))
def test_arrivals_follow_the_curve(seed: int, shape: Literal["bell", "even"]) -> None:
    """No share of them is further from the curve than one in a hundred thousand draws would be."""
    wave = Wave(at=TimeOfDay("09:00"), spread=Duration("5m"), shape=shape)
    plan = plan_of(wave, staff=1000, seed=seed)
    first, last = (moment - plan.begin_ms for moment in wave.reach_ms)
    bell = NormalDist(wave.at.ms - plan.begin_ms, wave.spread.ms)

    def curve(at_ms: int) -> float:
        return bell.cdf(at_ms) if shape == "bell" else (at_ms - first) / (last - first)

    furthest = max(
        abs((number + 0.5) / len(plan.visits) - curve(visit.at_ms))
        for number, visit in enumerate(plan.visits)
    )
    # Kolmogorov and Smirnov: 2.47 / sqrt(n) for 1 in 100,000; the bell's cut ends are another 0.00135.
    assert furthest < 2.47 / len(plan.visits) ** 0.5 + 0.0014


@given(st.lists(waves, min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_the_same_seed_is_the_same_morning(several: list[Wave], seed: int) -> None:
    assert plan_of(*several, seed=seed) == plan_of(*several, seed=seed)


def test_another_seed_is_another_morning() -> None:
    wave = Wave(at=TimeOfDay("09:00"), spread=Duration("5m"))
    assert plan_of(wave, seed=1).visits != plan_of(wave, seed=2).visits


def test_another_organisation_changes_nobody_elses_morning() -> None:
    alone = compile_plan(TOWN_300)
    more = {**TOWN_300.organisations, "village": Organisation(staff=50)}
    together = compile_plan(replace(TOWN_300, organisations=more))
    assert [visit for visit in together.visits if visit.organisation == 0] == list(alone.visits)
    assert {visit.organisation for visit in together.visits} == {0, 1}


@given(st.lists(waves, min_size=1, max_size=4))
def test_nobody_has_two_sessions_at_a_time_and_each_ends_within_the_play(several: list[Wave]) -> None:
    plan = plan_of(*several)
    pause = TOWN_300.session.think.ms
    by_person = attrgetter("client")
    for _, visits in groupby(sorted(plan.visits, key=by_person), key=by_person):
        own = list(visits)
        for before, behind in pairwise(own):
            assert before.at_ms + before.hold_ms + pause <= behind.at_ms
        assert all(visit.at_ms + visit.hold_ms <= plan.length_ms for visit in own)
        assert len({(visit.screen, visit.link) for visit in own}) == 1


def test_lines_are_as_common_as_their_weights() -> None:
    plan = plan_of(Wave(at=TimeOfDay("09:00"), spread=Duration("5m")), staff=10_000)
    common = Counter(visit.link for visit in plan.visits)
    assert common["fibre"] / len(plan.visits) == pytest.approx(0.7, abs=0.02)


def test_a_part_is_what_arrives_then() -> None:
    plan = compile_plan(TOWN_300)
    begin, length = TimeOfDay("08:25").ms, Duration("10m").ms
    part = plan.part(begin, length)
    shift = begin - plan.begin_ms
    assert [visit.at_ms + shift for visit in part.visits] == [
        visit.at_ms for visit in plan.visits if shift <= visit.at_ms < shift + length
    ]
    assert 0 < len(part.visits) < len(plan.visits)
    assert max(visit.at_ms + visit.hold_ms for visit in part.visits) <= part.length_ms == length


def test_a_faster_play_has_the_same_sessions_more_densely() -> None:
    plan = compile_plan(TOWN_300)
    fast = plan.faster(60)
    assert (len(fast.visits), fast.speed, fast.length_ms) == (len(plan.visits), 60, plan.length_ms // 60)
    assert fast.most_live() == pytest.approx(plan.most_live(), abs=2)
    assert fast.densest(1_000) == pytest.approx(plan.densest(60_000), abs=2)


@given(st.lists(waves, min_size=1, max_size=2))
def test_the_most_at_a_time_is_what_counting_finds(several: list[Wave]) -> None:
    plan = plan_of(*several, staff=30)
    spans = [(visit.at_ms, visit.at_ms + visit.hold_ms) for visit in plan.visits]
    counted = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert plan.most_live() == max(counted, default=0)
    near = [sum(moment <= at < moment + 5_000 for at, _ in spans) for moment, _ in spans]
    assert plan.densest(5_000) == max(near, default=0)


@pytest.mark.parametrize("name", READY)
def test_a_ready_scenario_is_well_and_brings_somebody(name: str) -> None:
    plan = compile_plan(find_scenario(name))
    assert len(plan.visits) > 100
    assert plan.visits == tuple(sorted(plan.visits, key=attrgetter("at_ms")))


# ---------------------------------------------------------------- the page


def test_the_page_has_the_reference_that_the_reader_goes_by() -> None:
    """Else: python -m telerelay_loadtest.scenario.reference."""
    page = PAGE.read_text()
    assert page == replaced(page)
    assert page.count(BEGIN) == page.count(END) == 1


def test_the_page_shows_the_ready_scenario_as_it_is() -> None:
    (shown_,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    ready = files("telerelay_loadtest").joinpath("scenarios", "town-300.toml").read_text()
    assert {**tomllib.loads(shown_), "seed": 300} == tomllib.loads(ready)
