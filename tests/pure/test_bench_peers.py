"""`make bench-peers` is honest: its entries, its rounds, what it takes for direct, its verdicts."""

import argparse
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from string import Template
from typing import Any, Final

import pytest

from tests.bench.peers.__main__ import BEGIN, parts_of, run
from tests.bench.peers.contest import REPEATS, Clock, Results, contest
from tests.bench.peers.entries import PEERS
from tests.bench.peers.generator import LoadError
from tests.bench.peers.line import DELAY_S, MBIT_S, LineError, require, require_kept
from tests.bench.peers.loads import BULK, MESSAGES, bulk, desktop, echo, figures, is_disturbed, set_ups
from tests.bench.peers.ours import NotDirectError, Ours
from tests.bench.peers.parts import PARTS, Found, Run
from tests.bench.peers.verdicts import DIRECT, line, set_up, sheets, verdicts, wrapped
from tests.bench.report import END

WORDS: Final = {
    *("front", "host", "port", "back", "back_host", "back_port", "control", "folder"),
    *("debian", "cargo", "go", "load"),
}

# ---------------------------------------------------------------- entries


def test_every_peer_has_a_name_of_its_own_and_uses_words_that_there_are() -> None:
    names = [peer.name for peer in PEERS]
    assert len(set(names)) == len(names)
    for peer in PEERS:
        for text in (peer.relay, peer.agent, *peer.files.values()):
            assert set(Template(text).get_identifiers()) <= WORDS, peer.name
        for name in re.findall(r"\$folder/(\w[\w.]*)", f"{peer.relay} {peer.agent}"):
            # What it writes is not there before.
            assert name in peer.files or name.endswith(".log"), f"{peer.name} has no {name}"


def test_the_page_has_its_place() -> None:
    text = Path("docs/BENCHMARKS.md").read_text()
    assert BEGIN in text
    assert END in text.partition(BEGIN)[2]


# ---------------------------------------------------------------- one round


def _done(**more: Any) -> dict[str, Any]:
    used = {"cores_s": [1.0, 0.5], "cpu_s": {"relay": 0.4, "agent": 0.2}, "others_s": 0.1, "stolen_s": 0.0}
    return {"seconds": 1.0, "kind": "direct", "sessions": 16, **used, **more}


def test_bulk_is_counted_by_the_gigabyte_and_messages_and_set_ups_each() -> None:
    assert figures(bulk(16), _done(bytes=2_000_000_000, fairness=1.0)) == pytest.approx(
        {"gbit_s": 16, "fairness": 1, "core": 0.25, "machine": 0.7, "relay": 0.2, "agent": 0.1}
    )
    delay = {"count": 1_000, "p50_us": 80, "p99_us": 900}
    assert figures(echo(64), _done(delay=delay)) == pytest.approx(
        {"p50_ms": 0.08, "p99_ms": 0.9, "core": 500, "machine": 1_400, "relay": 400, "agent": 200}
    )
    assert figures(set_ups(100, at_once=4), _done(set_ups=100)) == pytest.approx(
        {"per_s": 100, "core": 5_000, "machine": 14_000, "relay": 4_000, "agent": 2_000}
    )


def test_a_round_beside_somebody_elses_work_is_disturbed() -> None:
    assert not is_disturbed(_done(others_s=0.14))
    assert is_disturbed(_done(others_s=0.16))
    assert is_disturbed(_done(others_s=0.1, stolen_s=0.1))


# ---------------------------------------------------------------- rounds


class Fake:
    """Stands as contestant and as its generator; `lines` are what its loads come to, in turn."""

    def __init__(self, name: str, lines: Sequence[Mapping[str, Any] | LoadError], turns: list[str]) -> None:
        self.name = self.title = name
        self._lines = iter(lines)
        self._turns = turns

    @property
    def generator(self) -> Any:
        return self

    def open(self, sessions: int) -> None:
        """Sessions cost nothing here."""

    def load(
        self, _order: object, watched: Mapping[str, Sequence[int]], **window: float
    ) -> Mapping[str, Any]:
        self._turns.append(self.name)
        self.seen = (watched, window)
        line = next(self._lines)
        if isinstance(line, LoadError):
            raise line
        return line

    def watched(self) -> Mapping[str, Sequence[int]]:
        return {}

    def check(self, done: Mapping[str, object]) -> None:
        """It is what it is."""


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.peers.contest.require_cubic", lambda: None)


def _quiet(gigabytes: float) -> Mapping[str, Any]:
    return _done(bytes=gigabytes * 1e9, fairness=1.0)


def _clock() -> Clock:
    return Clock(1, lambda _what: None)


def test_what_is_left_is_told_at_the_pace_of_turns_and_not_of_the_start() -> None:
    told: list[str] = []
    moments = iter([100.0, 100.0, 102.0, 104.0])
    clock = Clock(5, told.append, lambda: next(moments))
    clock.turn("a")
    clock.turn("b")
    assert told == ["1/5, 0 s left: a", "2/5, 6 s left: b"]


def test_everybody_has_a_turn_in_every_round_and_the_order_rotates() -> None:
    turns: list[str] = []
    fakes = [Fake(name, [_quiet(1)] * 3, turns) for name in "abc"]
    contest([bulk(1)], fakes, Results(), _clock(), rounds=3)
    rounds = ["".join(turns[first : first + 3]) for first in (0, 3, 6)]
    assert rounds == ["abc", "acb", "cab"]


def test_a_round_lasts_as_its_load_says_and_who_carries_the_ground_is_nobodys_work() -> None:
    fake = Fake("a", [_quiet(1)], [])
    contest([bulk(1).lasting(0.8, 1.6)], [fake], Results(), _clock(), rounds=1, carriers=[7])
    assert fake.seen == ({"carriers": [7]}, {"warm_s": 0.8, "for_s": 1.6})


def test_a_disturbed_round_is_done_again_and_then_the_least_disturbed_counts() -> None:
    noisy = [_done(bytes=one * 1e9, fairness=1.0, others_s=0.2 + one / 10) for one in (2, 1, 3, 4)]
    results, turns = Results(), list[str]()
    contest([bulk(1)], [Fake("a", [noisy[0], _quiet(8)], turns)], results, _clock(), rounds=1)
    assert (results.of(bulk(1), "a", "gbit_s"), results.disturbed) == ([64], 0)
    assert len(noisy) == REPEATS + 1
    contest([bulk(16)], [Fake("a", noisy, turns)], results, _clock(), rounds=1)
    assert (results.of(bulk(16), "a", "gbit_s"), results.disturbed) == ([8], 1)


def test_a_peer_that_fails_has_no_figures_of_that_load_and_ours_ends_the_run() -> None:
    results, turns = Results(), list[str]()
    broken: list[Mapping[str, Any] | LoadError] = [_quiet(1), LoadError("sessions ended")]
    lines = [*broken, _quiet(1), _quiet(1)]
    contest([bulk(1), bulk(16)], [Fake("a", lines, turns)], results, _clock(), rounds=2)
    assert results.failed == {("bulk1", "a"): "sessions ended"}
    assert results.of("bulk1", "a", "gbit_s") == []
    with pytest.raises(LoadError, match="ended"):
        contest(
            [bulk(1)],
            [Fake("ours", [LoadError("ended")], turns)],
            Results(),
            _clock(),
            must=frozenset(["ours"]),
        )


# ---------------------------------------------------------------- direct, and spliced


class FakeNode:
    def __init__(self, **counted: int) -> None:
        self.counted = counted
        self.process = self
        self.pid = 1

    def statistics(self) -> dict[str, int]:
        kinds = {
            f"live_paths.{kind}.staff": self.counted.get(kind, 0) for kind in ("wrapped", "mixed", "direct")
        }
        moved = self.counted.get("moved", 0)
        spliced = self.counted.get("spliced", 0)
        return {**kinds, "bytes_to_client": moved, "bytes_to_agent": 0, "engine.bytes_spliced": spliced}


def _checked(node: FakeNode, done: Mapping[str, Any]) -> None:
    fake: Any = node
    ours = Ours(DIRECT, "ours", fake, fake, "direct")
    node.counted |= {"moved": 1_000, "spliced": 1_000}
    ours.watched()
    node.counted |= {"moved": 2_000, "spliced": 1_000 + node.counted.get("share", 0)}
    ours.check(done)


def test_what_is_direct_and_spliced_counts() -> None:
    _checked(FakeNode(direct=16, share=950), _done(fairness=1.0))
    # Messages are copied, as they should be.
    _checked(FakeNode(direct=16, share=0), _done())


@pytest.mark.parametrize(
    ("counted", "kind"),
    [
        ({"direct": 16, "share": 949}, "direct"),
        ({"direct": 15, "share": 1_000}, "direct"),
        ({"direct": 16, "mixed": 1, "share": 1_000}, "direct"),
        ({"direct": 16, "wrapped": 1, "share": 1_000}, "direct"),
        ({"direct": 16, "share": 1_000}, "wrapped"),
    ],
)
def test_what_is_not_ends_the_run(counted: dict[str, int], kind: str) -> None:
    with pytest.raises(NotDirectError):
        _checked(FakeNode(**counted), _done(fairness=1.0, kind=kind))


# ---------------------------------------------------------------- verdicts


def _results(*, without: str = "") -> Results:
    """Ours costs half of what HAProxy's splice does, which costs half of what everybody else does."""
    costs = {DIRECT: 0.1, "haproxy-splice": 0.2, "direct": 0.0}
    results = Results()
    for name in ("direct", DIRECT, "haproxy-splice", "haproxy-copy", "nginx", "rathole"):
        cost = costs.get(name, 0.4)
        line = {"gbit_s": 10 / (cost + 1), "core": cost, "relay": cost, "machine": cost}
        for load in (*BULK, *MESSAGES):
            if name == without:
                results.failed[load.id, name] = "it broke"
            else:
                times = {"p50_ms": 0.05 + cost, "p99_ms": 0.5 + cost}
                results.rounds[load.id, name] = [{**line, **times}] * 5
    return results


def test_every_goal_is_compared_with_the_peer_that_it_names() -> None:
    rows = {row.id: row for row in verdicts(_results())}
    assert (rows["B1.16.haproxy-splice"].ratio, rows["B1.16.haproxy-splice"].met) == (0.5, True)
    assert (rows["B1.1.rathole"].ratio, rows["B1.1.rathole"].met) == (0.25, True)
    # Who was not asked for has no row.
    assert "B1.1.frp-mux" not in rows
    assert rows["B2.64"].met is True
    assert (rows["B4.desktop"].ratio, rows["B4.desktop"].ratio_bound) == (0.5, 0.5)
    assert rows["B4.echo64.added_p50"].ours == pytest.approx(0.1)
    assert rows["B4.echo64.added_p50"].ratio == pytest.approx(0.5)
    assert (rows["B4.desktop.p99"].ours, rows["B4.desktop.p99"].met) == (0.6, True)
    assert wrapped(_results())[0].note == "not measured: telerelay-wrapped, floor-tls"


def test_a_row_whose_peer_failed_has_no_figure_and_says_why() -> None:
    results = _results(without="haproxy-splice")
    rows = {row.id: row for row in verdicts(results)}
    row = rows["B1.1.haproxy-splice"]
    assert (row.ours, row.met, row.note) == (None, None, "haproxy-splice: it broke")
    # The best of those that are left.
    assert rows["B4.desktop"].ratio == pytest.approx(0.25)
    lines = {line[0]: line for line in sheets(results, [desktop()])[0].lines}
    assert lines["haproxy-splice"][1] == "it broke"
    assert lines[DIRECT][1] == "0.15 (0.15–0.15)"


def test_a_line_is_compared_with_who_is_as_long() -> None:
    loads = (bulk(16), desktop(12))
    rows = {row.id: row for row in line(_results(), loads)}
    assert rows.keys() == {"B2.line.16", "B4.line.p50", "B4.line.p99"}
    assert rows["B2.line.16"].ratio == pytest.approx(1.2 / 1.1)
    assert rows["B4.line.p50"].ratio == pytest.approx(0.15 / 0.25)
    assert rows["B4.line.p99"].note == "peer: haproxy-splice"


def test_a_set_up_is_compared_by_what_the_relay_ran() -> None:
    load, results = set_ups(100, at_once=4), Results()
    for name, cost in ((DIRECT, 300.0), ("haproxy-tls", 400.0)):
        results.rounds[load.id, name] = [{"per_s": 100, "relay": cost, "core": 1_000, "machine": 1_000}] * 5
    row = set_up(results, load, "haproxy-tls")
    assert (row.id, row.ratio, row.met) == ("B7.haproxy", 0.75, False)
    assert sheets(results, [load])[0].headings[1:3] == ("1/s", "relay's core µs")


# ---------------------------------------------------------------- the line


@pytest.mark.parametrize(
    ("round_trip_s", "mbit_s"), [(0.0199, 95.0), (0.0211, 95.0), (0.0205, 89.0), (0.0205, 101.0)]
)
def test_a_line_that_is_not_what_it_is_told_as_ends_the_run(round_trip_s: float, mbit_s: float) -> None:
    assert (DELAY_S, MBIT_S) == (0.01, 100)
    require(0.0205, 95.6)
    with pytest.raises(LineError):
        require(round_trip_s, mbit_s)


def test_packets_that_were_lost_where_they_were_to_wait_end_the_run() -> None:
    ours = "    1  13313    84 1     0     {}     {}    100000  1"
    queues = f"{ours}\n    2  13313     0 1     0     9     9         9  1\n"
    require_kept(queues.format(0, 100))
    with pytest.raises(LineError, match="101 of 100000"):
        require_kept(queues.format(1, 100))


# ---------------------------------------------------------------- parts


def test_parts_are_measured_in_their_order_and_others_are_unknown() -> None:
    assert parts_of("line,wrapped") == ("wrapped", "line")
    with pytest.raises(argparse.ArgumentTypeError, match="no part is called lines"):
        parts_of("line,lines")


def test_what_is_installed_is_what_the_parts_need() -> None:
    def programs(*parts: Any) -> set[str]:
        needs = Run(PEERS, parts, Path(), lambda _what: None).needs()
        return {getattr(need, "program", "") for need in needs}

    assert programs("set-ups") == {"usr/sbin/haproxy"}
    assert programs("line") == {"usr/sbin/haproxy", "usr/sbin/nginx", "usr/sbin/iptables-legacy"}
    assert {"rathole", "usr/sbin/sshd"} <= programs(*PARTS)


def test_the_page_is_written_by_whole_runs_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    main, page = "tests.bench.peers.__main__", tmp_path / "page.md"
    before = f"{BEGIN}\nbefore\n{END}\n"
    page.write_text(before)
    monkeypatch.setattr(f"{main}.PAGE", page)
    monkeypatch.setattr(f"{main}.RESULT", tmp_path / "build" / "result.json")
    monkeypatch.setattr(f"{main}.install", lambda *_asked: None)
    monkeypatch.setattr(f"{main}.open_network", lambda: nullcontext(None))
    monkeypatch.setattr(Run, "measure", lambda *_ground: Found())
    assert run(["--only", "set-ups"]) == 0
    assert page.read_text() == before
    assert run([]) == 0
    assert "before" not in page.read_text()
