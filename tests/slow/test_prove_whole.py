"""`telerelay prove` with all that it can try, as an auditor runs it: a minute or two."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from telerelay.demo.desktop import Desktop, open_desktop
from telerelay.prove.tries import CATALOGUE
from tests.kit.node import NodeProcess
from tests.kit.proving import NO_DESKTOP, Office
from tests.kit.tenant import RULES

pytestmark = pytest.mark.timeout(300)
# Somebody who types cannot be somebody who only looks, and no client can hand an agent an older document.
UNTRIED = {"view-only", "document-older"}


@pytest_asyncio.fixture
async def desktop() -> AsyncIterator[Desktop]:
    async with open_desktop(size=(640, 480)) as opened:
        yield opened


@pytest.mark.parametrize("watermark", ["", "{label}"])
async def test_a_guarded_office_is_guarded(tmp_path: Path, desktop: Desktop, watermark: str) -> None:
    with NodeProcess(tmp_path) as node:
        office = Office.admitted(node, tmp_path / "office")
        office.publish(replace(RULES, watermark=watermark))
        closed, refused = office.publish_refused()
        address = f"{desktop.host}:{desktop.port}"
        async with office.machines.agent(address), closed.machines.agent(NO_DESKTOP):
            proved = await office.prove(desktop, *refused, "--json")
    assert proved.outcomes.keys() == {one.id for one in CATALOGUE}
    untried = UNTRIED if watermark else UNTRIED | {"clipboard-in-halves"}
    assert {name for name, outcome in proved.outcomes.items() if outcome != "pass"} == untried, proved.out
    assert (proved.status, proved.record["guarded"], proved.record["left_out"]) == (0, True, [])


async def test_an_open_office_is_not(tmp_path: Path, desktop: Desktop) -> None:
    with NodeProcess(tmp_path) as node:
        office = Office.admitted(node, tmp_path / "office")
        office.publish()
        async with office.open_agent(desktop):
            proved = await office.prove(desktop, "--json")
    assert proved.outcomes.keys() == {one.id for one in CATALOGUE}
    failed = {name for name, outcome in proved.outcomes.items() if outcome == "fail"}
    assert {"clipboard-in-plain", "clipboard-out-plain", "files-tightvnc-2", "unknown"} <= failed, proved.out
    assert (proved.status, proved.record["guarded"]) == (9, False)
