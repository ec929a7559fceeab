"""One run from the question whether to begin to the report: its organisations, its play, its result."""

import asyncio
import fcntl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import rich.console
import rich.live
import typer
from cryptography.hazmat.primitives.serialization import Encoding

from telerelay_endpoint import places
from telerelay_endpoint.console import Console, local_time
from telerelay_endpoint.errors import TelerelayError
from telerelay_endpoint.files import make_private_folder
from telerelay_loadtest.play.faults import require_processes
from telerelay_loadtest.play.generating import Opener, require_descriptors
from telerelay_loadtest.play.histogram import value_at
from telerelay_loadtest.play.playing import Cast, Play, Played
from telerelay_loadtest.report.machine import this_machine
from telerelay_loadtest.report.page import page
from telerelay_loadtest.report.result import JSON_FILE, PAGE_FILE, Run, result_of, write_result
from telerelay_loadtest.scenario.file import Scenario
from telerelay_loadtest.scenario.plan import Plan
from telerelay_loadtest.scenario.words import clock
from telerelay_loadtest.scraping import STAFF, TEST, Sample, Watched, look
from telerelay_loadtest.screens import screens_of
from telerelay_loadtest.target import Target
from telerelay_loadtest.tenant import ThrowAway

_CHECKPOINT_S: Final = 15
"""How often the result is written on the way, for whoever looks behind a run that was killed."""
_ADMITTED_BEHIND: Final = timedelta(hours=1)
"""How much longer than the play the operator is asked to admit."""
_LOCK: Final = "telerelay-loadtest.lock"
LINE_FILE: Final = "cluster.txt"
"""Whom the organisations of a folder were made for."""


@dataclass(frozen=True)
class Asked:
    """What is to be played, where the report goes, and how long is waited for the operator."""

    scenario: Scenario
    plan: Plan
    target: Target
    out: Path
    yes: bool
    admit_wait_s: float


@dataclass(frozen=True)
class Reported:
    """The result (`telerelay.loadtest/1`), which is written, and what ended the play before its time."""

    result: Mapping[str, Any]
    error: TelerelayError | None


def run(console: Console, asked: Asked, opener: Opener) -> Reported:
    """Play it and write the report.

    Raises TelerelayError, nothing being played: USAGE, UNREACHABLE, PIN, MACHINE; INTERRUPTED where the
    person does not want it; CERTIFICATE where the operator does not admit; ABSENT where agents do not come.
    """
    plan, target = asked.plan, asked.target
    with _alone():
        require_processes(plan.faults, target.processes)
        staff = sum(party.agents for party in plan.parties)
        require_descriptors(staff, plan.most_live())
        models = screens_of(asked.scenario)
        target.require_relay()
        samples = look(target.metrics)
        _require_no_other(samples)
        _ask(console, asked, samples)
        asked.out.mkdir(parents=True, exist_ok=True)
        # What an earlier run left would pass for this one's, if this one ended early.
        for left in (JSON_FILE, PAGE_FILE):
            (asked.out / left).unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="telerelay-loadtest-") as home:
            folders = _found(console, asked, Path(home))
            head = asked.scenario.head
            # Where they come with the people they are part of the play, and come as many times as densely.
            over_ms = head.agents_over.ms if head.agents_first else round(head.agents_over.ms / plan.speed)
            cast = Cast(folders, models, head.seed, over_ms, head.agents_first)
            return _play(console, asked, cast, opener)


def leave(console: Console, asked: Asked) -> None:
    """Make the plan's organisations and leave them in `asked.out`, a folder for each, for others to play.

    Raises TelerelayError: UNREACHABLE, PIN; CERTIFICATE where the operator does not admit.
    """
    asked.target.require_relay()
    make_private_folder(asked.out)
    (asked.out / LINE_FILE).write_text(f"{asked.target.line.format()}\n")
    _found(console, asked, asked.out)


def is_local(target: Target) -> bool:
    """Whether every address of the target is one of this machine's loopback."""
    hosts = [
        address.rpartition(":")[0].strip("[]") for node in target.line.nodes for address in node.addresses
    ]
    return all(host == "localhost" or _is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


# ---------------------------------------------------------------- before it begins


@contextmanager
def _alone() -> Iterator[None]:
    """Two at once would measure each other. Raises TelerelayError(USAGE)."""
    folder = places.runtime_folder() or Path(tempfile.gettempdir())
    with (folder / _LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TelerelayError("USAGE", "another load test runs on this machine") from None
        yield


def _require_no_other(samples: Sequence[Sample]) -> None:
    """Raises TelerelayError(USAGE) where somebody else tests there."""
    live = sum(sample.sessions.get(TEST, 0) for sample in samples)
    if live:
        raise TelerelayError("USAGE", f"another load test runs against this target, with {live} sessions")


def _ask(console: Console, asked: Asked, samples: Sequence[Sample]) -> None:
    """Say what will be done to whom, and go on when the person agrees."""
    plan, named = asked.plan, asked.target.named()
    live = sum(sample.sessions.get(STAFF, 0) for sample in samples)
    agents = sum(party.agents for party in plan.parties)
    known = console.text(
        f"{live:,} sessions of staff are live there"
        if samples
        else "how many sessions are live there is not known",
        f"現在の職員の接続数 {live:,}" if samples else "現在の接続数は不明",
    )
    console.note(
        f"{asked.scenario.head.title}: {agents:,} office PCs, {len(plan.visits):,} sessions, at most"
        f" {plan.most_live():,} at once and {plan.densest(1_000)} new ones within a second, for"
        f" {plan.length_ms / 1000:,.0f} s from {clock(plan.begin_ms)}\nagainst {named}; {known}",
        f"{asked.scenario.head.title}: 職場PC {agents:,} 台、接続 {len(plan.visits):,} 件、同時に最大"
        f" {plan.most_live():,} 件、1秒に最大 {plan.densest(1_000)} 件、{plan.length_ms / 1000:,.0f} 秒\n"
        f"対象: {named}。{known}",
    )
    if plan.speed != 1:
        console.warn(
            f"played {plan.speed:g} times as fast: arrivals come as many times as densely",
            f"{plan.speed:g} 倍速で実施します。到着の密度も同じ倍率で高くなります",
        )
    if not asked.yes and not typer.confirm(console.text("Begin?", "開始しますか?"), err=True):
        raise TelerelayError("INTERRUPTED")


def _found(console: Console, asked: Asked, home: Path) -> list[Path]:
    """The folders of the plan's organisations, each admitted by the operator and published."""
    plan, target = asked.plan, asked.target
    tenants = [
        ThrowAway(f"load test {party.name}", home / str(number)) for number, party in enumerate(plan.parties)
    ]
    until = (
        datetime.now().astimezone()
        + timedelta(milliseconds=plan.length_ms, seconds=asked.admit_wait_s)
        + _ADMITTED_BEHIND
    )
    for party, tenant in zip(plan.parties, tenants, strict=True):
        tenant.write_root()
        root = asked.out / f"{party.name}-root.pem"
        root.write_bytes(tenant.root.public_bytes(Encoding.PEM))
        command = target.admit_command(
            root.resolve(), until.strftime("%Y-%m-%dT%H:%M"), max(1, party.clients)
        )
        console.note(
            f"waiting until the operator of the node admits the test organisation with:\n  {command}",
            f"中継の運用者が次のコマンドで試験用の組織を登録するまで待ちます:\n  {command}",
        )
    for tenant in tenants:
        require_test(tenant.wait_until_admitted(target.line, asked.admit_wait_s), plan)
    for party, tenant in zip(plan.parties, tenants, strict=True):
        console.progress(
            f"{party.name}: keys of {party.agents:,} office PCs, documents of {party.clients:,}",
            f"{party.name}: 職場PC {party.agents:,} 台の鍵、文書 {party.clients:,} 件を準備",
        )
        tenant.prepare(target.line, agents=party.agents, clients=party.clients)
    return [tenant.folder for tenant in tenants]


def require_test(until: int | None, plan: Plan) -> None:
    """Raises TelerelayError(USAGE) where nodes would count the play as staff's work, or end it too early.

    `until`: when the admission for a test ends (Unix seconds), as the cluster says it.
    """
    if until is None:
        raise TelerelayError(
            "USAGE", "the organisation was admitted without --until: its traffic would count as staff's"
        )
    end = int(time.time()) + plan.length_ms // 1000
    if until < end:
        admitted, lasts = local_time(until), local_time(end)
        raise TelerelayError(
            "USAGE", f"the organisation is admitted until {admitted}, and the play lasts until {lasts}"
        )


# ---------------------------------------------------------------- the play


def _play(console: Console, asked: Asked, cast: Cast, opener: Opener) -> Reported:
    plan, target = asked.plan, asked.target
    watched = [
        Watched(url, [sample]) for url, sample in zip(target.metrics, look(target.metrics), strict=True)
    ]
    run = Run(
        scenario=asked.scenario,
        plan=plan,
        target=target,
        machine=this_machine(shared=is_local(target)),
        began=int(time.time()),
    )
    with ExitStack() as stack:
        show = _live(stack)

        def tell(played: Played) -> None:
            show(progress(console, plan, played))
            if len(played.observation.seconds) % _CHECKPOINT_S == 1:
                write_result(asked.out, result_of(run, played, watched, whole=False))

        console.progress("office PCs come up", "職場PCを起動しています")
        played = asyncio.run(Play(plan, cast, watched, target.processes, tell).run(opener))
    result = result_of(run, played, watched, whole=played.stopped is None)
    write_result(asked.out, result)
    (asked.out / PAGE_FILE).write_text(page(result), encoding="utf-8")
    error = played.error or (TelerelayError("INTERRUPTED") if played.stopped else None)
    return Reported(result, error)


def _live(stack: ExitStack) -> Callable[[str], None]:
    """A line at the terminal that is written over; nothing where nobody watches."""
    terminal = rich.console.Console(stderr=True, highlight=False, markup=False)
    if not terminal.is_terminal:
        return lambda _line: None
    live = stack.enter_context(rich.live.Live(console=terminal, auto_refresh=False, transient=True))
    return lambda line: live.update(line, refresh=True)


def progress(console: Console, plan: Plan, played: Played) -> str:
    """How it goes, in one line."""
    second, standing = played.observation.seconds[-1], played.last.standing
    done = min(1.0, second.at_s * 1000 / plan.length_ms)
    at = clock(plan.begin_ms + int(second.at_s * 1000 * plan.speed))
    failed = sum(standing.failed.values())
    set_up, late = (_p99(standing.histograms[name]) for name in ("set_up", "late"))
    delay = "–" if second.delay_p99_ms is None else f"{second.delay_p99_ms:.1f} ms"
    return console.text(
        f"{at} {done:4.0%}  sessions {second.sessions:,}  +{second.set_ups}/s  failed {failed:,}"
        f"  set-up p99 {set_up}  delay p99 {delay}  late p99 {late}",
        f"{at} {done:4.0%}  接続 {second.sessions:,}  +{second.set_ups}/秒  失敗 {failed:,}"
        f"  確立 p99 {set_up}  遅延 p99 {delay}  開始の遅れ p99 {late}",
    )


def _p99(rows: Sequence[tuple[int, int]]) -> str:
    us = value_at(rows, 0.99)
    return "–" if us is None else f"{us / 1000:.1f} ms"
