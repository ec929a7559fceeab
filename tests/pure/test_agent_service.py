"""The running agent told of things by hand: what it answers, fetches, passes on and says."""

import asyncio
import errno
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger

from telerelay_agent import run, service, watermark
from telerelay_agent.documents import OwnDocuments
from telerelay_agent.service import Service
from telerelay_agent.state import State, StateFile
from telerelay_agent.watermark import Pattern
from telerelay_endpoint.admission import Request
from telerelay_endpoint.documents import Clock, Kind
from telerelay_endpoint.limits import LIMITS
from telerelay_endpoint.payloads import Rules
from tests.kit.fake_agent import EnrolledAgent, FakeAgentHandle
from tests.kit.tenant import NOW, RULES

PATH = b"p" * 16
ATTEMPT = "7KQ2-M9XB"


@dataclass
class FakeDesktopLock:
    """A desktop that counts how often it was locked."""

    works: bool = True
    locked: int = 0

    def lock(self) -> None:
        self.locked += 1


@dataclass
class Stage:
    """A service in front of a core that only remembers."""

    folder: Path
    handle: FakeAgentHandle = field(default_factory=FakeAgentHandle)
    fetched: list[Kind] = field(default_factory=list)
    desktop: FakeDesktopLock = field(default_factory=FakeDesktopLock)
    said: CapturingLogger = field(default_factory=CapturingLogger)

    def __post_init__(self) -> None:
        self.enrolled = EnrolledAgent(self.folder)
        self.tenant = self.enrolled.tenant
        self.state = StateFile(self.folder, State(pid=1, desktop="127.0.0.1:5900", started=NOW))
        self.service = self.restarted()

    def restarted(self) -> Service:
        clock = Clock(lambda: NOW)
        own = OwnDocuments(self.enrolled.credentials, clock)
        log = structlog.wrap_logger(self.said, processors=[_as_is], wrapper_class=structlog.BoundLogger)
        return Service(self.handle, own, clock, self.state, log, self.fetched.append, self.desktop)

    def take_all(self, revoked: list[bytes] | None = None, rules: Rules = RULES) -> None:
        self.service.fetched(Kind.REVOCATIONS, self.tenant.revocations(devices=revoked or []))
        self.service.fetched(Kind.COMPUTER, self.tenant.document(rules=rules))
        self.service.fetched(Kind.STAMP, self.tenant.stamp())

    def take_next(self, document: bytes) -> None:
        """The computer document of version 2."""
        self.service.fetched(Kind.COMPUTER, document)
        self.service.fetched(Kind.STAMP, self.tenant.stamp(epoch=2, document_version=2))

    def events(self) -> list[str]:
        return [call.args[0]["event"] for call in self.said.calls]


def _as_is(_logger: Any, _method: str, event: Any) -> tuple[tuple[Any], dict[str, Any]]:
    return (dict(event),), {}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def asking(client: bytes) -> Request:
    return Request(client, "rfb", "192.0.2.7", "telerelay-client/0.1.0")


async def test_without_documents_everybody_is_refused(stage: Stage) -> None:
    await stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client))
    assert stage.handle.refused == [(PATH, "POLICY_STALE")]
    assert not stage.handle.allowed


async def test_a_granted_client_is_let_in_and_a_stranger_is_not(stage: Stage) -> None:
    stage.take_all()
    await stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client))
    await stage.service.asked(b"q" * 16, ATTEMPT, asking(b"x" * 32))
    assert stage.handle.allowed == [PATH]
    assert stage.handle.refused == [(b"q" * 16, "DENIED")]


async def test_nobody_sees_a_screen_without_the_mark_that_its_rules_want(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.take_all(rules=replace(RULES, watermark="閲覧 {time}"))
    await stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client))
    assert stage.handle.allowed == [PATH]
    # Here nobody can look for fonts.
    watermark._face.cache_clear()
    monkeypatch.setenv("PATH", "")
    await stage.service.asked(b"q" * 16, ATTEMPT, asking(stage.tenant.client))
    assert stage.handle.allowed == [PATH]
    assert stage.handle.refused == [(b"q" * 16, "UNSUPPORTED")]


async def test_a_mark_that_the_guard_does_not_take_refuses_one_client_and_ends_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.take_all(rules=replace(RULES, watermark="閲覧"))
    monkeypatch.setattr(service, "render", lambda _: Pattern(1, bytes(LIMITS["guard_mark"] + 1)))
    await stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client))
    assert (stage.handle.allowed, stage.handle.refused) == ([], [(PATH, "UNSUPPORTED")])


class Renderer:
    """Renders when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.texts: list[str] = []

    def __call__(self, text: str) -> Pattern:
        self.texts.append(text)
        self.begun.set()
        assert self.go.wait(10)
        return Pattern(1, bytes(1))


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> Renderer:
    renderer = Renderer()
    monkeypatch.setattr(service, "render", renderer)
    return renderer


async def test_nobody_waits_for_the_mark_of_another_and_what_holds_behind_it_decides(
    stage: Stage, renderer: Renderer
) -> None:
    marked = replace(RULES, watermark="閲覧")
    stage.take_all(rules=marked)
    answered = asyncio.create_task(stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client)))
    assert await asyncio.to_thread(renderer.begun.wait, 10)
    await stage.service.asked(b"q" * 16, ATTEMPT, asking(b"x" * 32))
    assert stage.handle.refused == [(b"q" * 16, "DENIED")]
    # Its grant goes meanwhile.
    stage.take_next(stage.tenant.document(2, grants=(), rules=marked))
    renderer.go.set()
    await answered
    assert (stage.handle.allowed, stage.handle.refused[1:]) == ([], [(PATH, "DENIED")])


@pytest.mark.parametrize(("later", "said"), [("社外秘", ["閲覧", "社外秘"]), ("", ["閲覧"])])
async def test_a_mark_says_what_the_rules_want_when_the_screen_is_shown(
    stage: Stage, renderer: Renderer, later: str, said: list[str]
) -> None:
    stage.take_all(rules=replace(RULES, watermark="閲覧"))
    answered = asyncio.create_task(stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client)))
    assert await asyncio.to_thread(renderer.begun.wait, 10)
    stage.take_next(stage.tenant.document(2, rules=replace(RULES, watermark=later)))
    renderer.go.set()
    await answered
    assert stage.handle.allowed == [PATH]
    assert [text.split()[0] for text in renderer.texts] == said


async def test_an_answer_that_fails_ends_the_agent_with_its_own_error() -> None:
    async def fails() -> None:
        raise OSError(errno.ENOSPC, "no space")

    async def serves() -> None:
        async with run._answering() as answers:
            answers.create_task(fails())
            await asyncio.Event().wait()

    with pytest.raises(OSError, match="no space"):
        await serves()


def test_it_says_once_when_it_begins_to_serve(stage: Stage) -> None:
    stage.take_all()
    assert stage.events().count("serving_nobody") == 2  # each time for another reason
    assert stage.events()[-1] == "serving"
    stage.service.fetched(Kind.STAMP, stage.tenant.stamp(epoch=2))
    assert stage.events().count("serving") == 1


def test_revocations_reach_the_core_now_and_after_a_restart(stage: Stage) -> None:
    assert stage.handle.revoked == [[]]
    stage.take_all(revoked=[b"r" * 32])
    stage.restarted()
    assert stage.handle.revoked == [[], [b"r" * 32], [b"r" * 32]]


def test_a_new_node_list_reaches_the_core(stage: Stage) -> None:
    stage.service.fetched(Kind.NODES, stage.enrolled.nodes(1, "second"))
    assert stage.handle.nodes == [[("second", ["192.0.2.9:8443"])]]


def test_news_of_a_newer_document_is_fetched_unless_it_travelled_along(stage: Stage) -> None:
    stage.service.news(Kind.COMPUTER, 1, None)
    stage.service.news(Kind.STAMP, 1, stage.tenant.stamp())
    assert stage.fetched == [Kind.COMPUTER]
    stage.service.fetched(Kind.COMPUTER, stage.tenant.document())
    stage.service.news(Kind.COMPUTER, 1, None)
    stage.service.news(Kind.STAMP, 1, None)
    assert stage.fetched == [Kind.COMPUTER]


def test_news_of_an_older_document_is_said_and_changes_nothing(stage: Stage) -> None:
    stage.service.fetched(Kind.COMPUTER, stage.tenant.document(2))
    stage.service.news(Kind.COMPUTER, 1, stage.tenant.document(1))
    assert stage.events()[-1] == "older_document_offered"
    assert not stage.fetched


async def test_a_forged_document_is_said_and_what_is_held_stays_in_force(stage: Stage) -> None:
    stage.take_all()
    stage.service.fetched(Kind.REVOCATIONS, b"forged")
    assert stage.events()[-1] == "document_refused"
    await stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client))
    assert stage.handle.allowed == [PATH]


def test_whoever_comes_online_without_current_documents_asks_for_them(stage: Stage) -> None:
    stage.service.online("node-1", nodes_version=1, banner=None)
    assert stage.fetched == [Kind.NODES, Kind.REVOCATIONS, Kind.COMPUTER, Kind.STAMP]
    assert stage.state.state.node == "node-1"
    stage.take_all()
    stage.service.fetched(Kind.NODES, stage.enrolled.nodes(1, "node-1"))
    stage.fetched.clear()
    stage.service.online("node-1", nodes_version=1, banner=None)
    assert not stage.fetched


def test_status_sees_sessions_come_and_go(stage: Stage) -> None:
    stage.service.opened(ATTEMPT, "direct")
    stage.service.opened("AAAA-AAAA", "wrapped")
    assert stage.state.state.sessions == {ATTEMPT: "direct", "AAAA-AAAA": "wrapped"}
    stage.service.ended(ATTEMPT, "direct", "VIEWER_GONE", "session", 5, 1, 2)
    assert list(stage.state.state.sessions) == ["AAAA-AAAA"]
    stage.service.offline("UNREACHABLE", 1000)
    assert stage.state.state.node is None
    assert stage.state.state.last_code == "UNREACHABLE"


def test_the_last_session_leaves_a_locked_desktop_where_the_rules_want_it(stage: Stage) -> None:
    stage.take_all(rules=replace(RULES, lock_on_disconnect=True))
    # An attempt that did not become a session has left nothing open.
    stage.service.ended("AAAA-AAAA", "wrapped", "IDENTITY", "inner", 5, 0, 0)
    assert stage.desktop.locked == 0
    stage.service.opened(ATTEMPT, "direct")
    stage.service.opened("BBBB-BBBB", "direct")
    stage.service.ended(ATTEMPT, "direct", "PATH_LOST", "session", 5, 1, 2)
    assert stage.desktop.locked == 0
    stage.service.ended("BBBB-BBBB", "direct", "DONE", "session", 5, 1, 2)
    assert stage.desktop.locked == 1


def test_the_desktop_is_locked_though_the_state_cannot_be_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.take_all(rules=replace(RULES, lock_on_disconnect=True))
    stage.service.opened(ATTEMPT, "direct")

    def is_full(**_changes: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(stage.state, "update", is_full)
    with pytest.raises(OSError, match="no space"):
        stage.service.ended(ATTEMPT, "direct", "DONE", "session", 5, 1, 2)
    assert stage.desktop.locked == 1


def test_without_the_rule_no_desktop_is_locked(stage: Stage) -> None:
    stage.take_all()
    stage.service.opened(ATTEMPT, "direct")
    stage.service.ended(ATTEMPT, "direct", "DONE", "session", 5, 1, 2)
    assert stage.desktop.locked == 0


async def test_a_desktop_that_could_not_be_locked_is_opened_to_nobody(stage: Stage) -> None:
    stage.take_all(rules=replace(RULES, lock_on_disconnect=True))
    await stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client))
    stage.desktop.works = False
    await stage.service.asked(b"q" * 16, ATTEMPT, asking(stage.tenant.client))
    assert stage.handle.allowed == [PATH]
    assert stage.handle.refused == [(b"q" * 16, "UNSUPPORTED")]


async def test_no_line_names_a_device_an_address_or_a_computer(stage: Stage) -> None:
    stage.take_all()
    stage.service.online("node-1", nodes_version=0, banner="maintenance tonight")
    await stage.service.asked(PATH, ATTEMPT, asking(stage.tenant.client))
    await stage.service.asked(PATH, ATTEMPT, asking(b"x" * 32))
    stage.service.opened(ATTEMPT, "direct")
    stage.service.ended(ATTEMPT, "direct", "DONE", "session", 5, 1, 2)
    said = repr([call.args for call in stage.said.calls])
    assert stage.tenant.client.hex() not in said
    assert repr(stage.tenant.client) not in said
    assert "desk 4" not in said
    assert "a client" not in said
