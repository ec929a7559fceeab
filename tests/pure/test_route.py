"""route(): one decision for each connection request, from a table of cases."""

from dataclasses import replace
from typing import Any

import pytest

from telerelay.routing.decide import Decision, Deny, Here, Request, route
from telerelay.store.snapshot import Computer, Freshness, Snapshot

NOW = 1_800_000_000
ORGANISATION, CLIENT, STRANGER, AGENT = (bytes([n]) * 32 for n in range(4))
COMPUTER = b"computer10"

FRESH = Freshness(document_version=3, revocations_version=2, expires=NOW + 10)
DESK = Computer(
    agent=AGENT,
    version=3,
    expires=NOW + 10,
    services=("rfb",),
    grants={CLIENT: [(None, None)]},
    stamp=FRESH,
)
ASKED = Request(ORGANISATION, CLIENT, COMPUTER, "rfb")


def _snapshot(computer: Computer = DESK, **changed: Any) -> Snapshot:
    snapshot = Snapshot(
        organisation=ORGANISATION,
        version=1,
        suspended=False,
        revocations_version=2,
        revoked=frozenset(),
        computers={COMPUTER: computer},
    )
    return replace(snapshot, **changed)


HERE = Here(AGENT)
DENIED, STALE = Deny("DENIED"), Deny("POLICY_STALE")


@pytest.mark.parametrize(
    ("request_", "snapshot", "decision"),
    [
        pytest.param(ASKED, _snapshot(), HERE, id="granted"),
        pytest.param(ASKED, None, DENIED, id="organisation not admitted"),
        pytest.param(ASKED, _snapshot(organisation=STRANGER), DENIED, id="another organisation's snapshot"),
        pytest.param(ASKED, _snapshot(suspended=True), Deny("SUSPENDED"), id="suspended"),
        pytest.param(ASKED, _snapshot(revoked=frozenset([CLIENT])), Deny("REVOKED"), id="revoked"),
        pytest.param(replace(ASKED, computer=b"unknown-10"), _snapshot(), DENIED, id="unknown computer"),
        pytest.param(replace(ASKED, client=STRANGER), _snapshot(), DENIED, id="not granted"),
        pytest.param(replace(ASKED, service="rdp"), _snapshot(), DENIED, id="another service"),
        pytest.param(
            ASKED, _snapshot(replace(DESK, expires=NOW + 1)), HERE, id="document in its last second"
        ),
        pytest.param(ASKED, _snapshot(replace(DESK, expires=NOW)), STALE, id="document expired"),
        pytest.param(ASKED, _snapshot(replace(DESK, version=4)), STALE, id="document newer than its stamp"),
        pytest.param(ASKED, _snapshot(replace(DESK, stamp=None)), STALE, id="no stamp"),
        pytest.param(
            ASKED, _snapshot(replace(DESK, stamp=replace(FRESH, expires=NOW))), STALE, id="stamp expired"
        ),
        pytest.param(
            ASKED, _snapshot(revocations_version=1), STALE, id="revocation list older than the stamp"
        ),
        pytest.param(
            ASKED, _snapshot(revocations_version=9), HERE, id="revocation list newer than the stamp"
        ),
        pytest.param(
            ASKED,
            _snapshot(replace(DESK, stamp=replace(FRESH, revocations_version=0)), revocations_version=0),
            STALE,
            id="no revocation list at all",
        ),
        pytest.param(
            replace(ASKED, client=STRANGER),
            _snapshot(replace(DESK, expires=NOW)),
            DENIED,
            id="a stranger does not learn that a document expired",
        ),
    ],
)
def test_decision(request_: Request, snapshot: Snapshot | None, decision: Decision) -> None:
    assert route(request_, snapshot, NOW) == decision


@pytest.mark.parametrize(
    ("times", "decision"),
    [
        ([(NOW, None)], HERE),
        ([(NOW + 1, None)], DENIED),
        ([(None, NOW + 1)], HERE),
        ([(None, NOW)], DENIED),
        ([(NOW - 5, NOW - 1), (NOW - 1, NOW + 1)], HERE),
        ([], DENIED),
    ],
)
def test_times_of_a_grant(times: list[tuple[int | None, int | None]], decision: Decision) -> None:
    assert route(ASKED, _snapshot(replace(DESK, grants={CLIENT: times})), NOW) == decision
