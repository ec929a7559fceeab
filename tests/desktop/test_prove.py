"""`telerelay prove` against a real desktop: guarded it passes; with an open agent it names what leaks."""

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import override

from telerelay.demo.desktop import Desktop
from telerelay.prove.trial import Try
from telerelay.prove.tries import CATALOGUE, clipboard, encodings, files, inputs, messages
from tests.kit.condition import eventually
from tests.kit.node import NodeProcess
from tests.kit.proving import NO_DESKTOP, Office
from tests.kit.tenant import RULES

pytestmark = pytest.mark.timeout(120)
# As many sessions as a node gives one device without a pause; all others are in the other half.
OF_THE_DESKTOP: Final = (
    *inputs.TRIES,
    *clipboard.TRIES,
    *files.TRIES,
    *messages.TRIES,
    *encodings.TRIES,
)
JAPANESE: Final = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One for all: each test has an organisation of its own."""
    with NodeProcess(tmp_path_factory.mktemp("n")) as running:
        yield running


@pytest.fixture
def office(node: NodeProcess, tmp_path: Path) -> Office:
    return Office.admitted(node, tmp_path / "office")


def names(*tries: Try) -> str:
    """As `--only` takes them."""
    return ",".join(one.id for one in tries)


class Loads(HTMLParser):
    """What a page would load, and its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str | None] = []
        self.texts: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        assert tag not in {"script", "link", "iframe", "object", "img"}

    @override
    def handle_data(self, data: str) -> None:
        self.texts.append(data)


async def test_a_guarded_desktop_passes(office: Office, desktop: Desktop) -> None:
    office.publish()
    async with office.machines.agent(f"{desktop.host}:{desktop.port}"):
        proved = await office.prove(desktop, "--only", names(*OF_THE_DESKTOP), "--json")
    assert proved.errors == ""
    # Somebody who types cannot be somebody who only looks, and nothing is drawn anew here.
    untested = {name for name, outcome in proved.outcomes.items() if outcome != "pass"}
    assert untested == {"view-only", "clipboard-in-halves"}, proved.out
    assert proved.status == 0
    await _report_is_good(office, proved.record)


async def test_who_must_be_refused_is(office: Office, desktop: Desktop) -> None:
    office.publish()
    closed, refused = office.publish_refused()
    named = (*refused, "--only", names(*(one for one in CATALOGUE if one not in OF_THE_DESKTOP)))
    async with office.machines.agent(f"{desktop.host}:{desktop.port}"), closed.machines.agent(NO_DESKTOP):
        proved = await office.prove(None, *named, "--json")
        untested = {name for name, outcome in proved.outcomes.items() if outcome != "pass"}
        assert (untested, proved.status) == ({"document-older"}, 0), proved.out
        # One that opens is a failure, whatever it was said to be.
        proved = await office.prove(None, "--expired", office.computer, "--only", "grant", "--json")
        assert (proved.status, proved.outcomes) == (9, {"grant-expired": "fail"})


async def _report_is_good(office: Office, told: dict[str, Any]) -> None:
    report = office.home / "report"
    written = (report / "prove.json").read_bytes()
    assert json.loads(written) == told
    assert [one["id"] for one in told["requirements"]] == [f"S{number}" for number in range(1, 41)]
    for one in [*told["requirements"], *told["tries"]]:
        assert one["why"]["en"]
        assert JAPANESE.search(one["why"]["ja"])
    page = Loads()
    page.feed((report / "prove.html").read_text())
    assert page.addresses == []
    shown = " ".join(page.texts)
    assert all(one["why"]["ja"] in shown and one["id"] in shown for one in told["tries"])
    # Its signature holds, until somebody alters it.
    assert (await office.prove(None, "--check", str(report))).status == 0
    (report / "prove.json").write_bytes(written.replace(b'"fail": 0', b'"fail": 1'))
    altered = await office.prove(None, "--check", str(report))
    assert (altered.status, "prove.json is not what was signed" in altered.errors) == (5, True)


async def test_an_open_agent_fails_and_what_leaks_is_named(office: Office, desktop: Desktop) -> None:
    office.publish()
    tries = "picture,keys,clipboard,files-tightvnc-2,log-in-tight,xvp,encodings"
    async with office.open_agent(desktop):
        proved = await office.prove(desktop, "--only", tries, "--json")
    assert proved.status == 9, proved.errors
    outcomes = proved.outcomes
    assert (outcomes["picture"], outcomes["keys"]) == ("pass", "pass")
    leaks = {name for name, outcome in outcomes.items() if outcome == "fail"}
    # A long list of encodings harms nobody, and who has no guard draws nothing anew.
    assert leaks == outcomes.keys() - {"picture", "keys", "encodings-many", "clipboard-in-halves"}, proved.out
    # Each form of a text arrives by itself, and not only what was copied to compare.
    seen = {one["id"]: one["why"]["en"] for one in proved.record["tries"]}
    arrived = {name for name, why in seen.items() if why == "the text could be pasted at the office"}
    forms = ("plain", "pieces", "long", "hidden", "extended", "unasked")
    assert arrived == {f"clipboard-in-{form}" for form in forms}, proved.out


async def test_a_guard_that_draws_anew_puts_nothing_into_a_message(office: Office, desktop: Desktop) -> None:
    office.publish(replace(RULES, watermark="{label}"))
    async with office.machines.agent(f"{desktop.host}:{desktop.port}"):
        proved = await office.prove(desktop, "--only", "picture,clipboard-in-halves", "--json")
    assert set(proved.outcomes.values()) == {"pass"}, proved.out


async def test_who_may_only_look_types_nothing(office: Office, desktop: Desktop) -> None:
    office.publish(replace(RULES, view_only=True))
    async with office.machines.agent(f"{desktop.host}:{desktop.port}"):
        proved = await office.prove(desktop, "--view-only", "--only", "picture,keys,view-only", "--json")
    assert proved.outcomes == {"picture": "pass", "keys": "not tested here", "view-only": "pass"}, (
        proved.errors
    )
    assert proved.status == 0


async def test_keys_that_arrive_fail_where_the_rules_should_forbid_them(
    office: Office, desktop: Desktop
) -> None:
    office.publish()
    async with office.machines.agent(f"{desktop.host}:{desktop.port}"):
        proved = await office.prove(desktop, "--view-only", "--only", "view-only", "--json")
    assert (proved.status, proved.outcomes) == (9, {"view-only": "fail"})


async def test_what_cannot_be_tried_at_all_has_its_own_code(office: Office, desktop: Desktop) -> None:
    office.publish(grants=())
    assert (await office.prove(None)).errors.startswith("error[DENIED]")
    office = office.other("one")
    office.publish(replace(RULES, sessions=1))
    async with office.machines.agent(f"{desktop.host}:{desktop.port}"):
        refused = await office.prove(None)
    assert (refused.status, refused.errors[:15]) == (3, "error[SESSIONS]")


async def test_ctrl_c_leaves_nothing_on_the_desktop(office: Office, desktop: Desktop) -> None:
    office.publish()

    async def windows() -> int:
        listed = await desktop.run("sh", "-c", "xdotool search --name telerelay-prove || true")
        return len(listed.split())

    async with (
        office.machines.agent(f"{desktop.host}:{desktop.port}") as agent,
        office.proving(desktop, "--only", "clipboard") as program,
    ):
        await agent.program.event(lambda event: event.get("event") == "session_opened", 20)
        assert await windows() > 0
        os.kill(program.pid, signal.SIGINT)
        assert await program.end() == "ended with status 130"
        assert await windows() == 0
        assert not (office.home / "report").exists()
        await eventually(lambda: "session_ended" in agent.program.log.read_text())
