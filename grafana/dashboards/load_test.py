"""*load test*: what a load test does to the nodes, and whether staff feel it."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.dashboards.panels import Marks, Row, board, lines, number, quantile, rate, total
from grafana.dashboards.recurring import (
    NODE_LEGEND,
    event_loop,
    processor,
    set_up,
    slowest_set_up,
    slowest_wait,
    stages,
)
from grafana.objectives import STAFF, WAIT_S

_TEST = 'traffic="test"'
_JOINED = f'{_TEST},outcome="PAIRED"'
_BOTH = "traffic"


def load_test(runbooks: str) -> Dashboard:
    """Throw-away organisations beside those of staff: telerelay node admit --until marks them."""
    return board(
        "load test",
        "Traffic of throw-away organisations (telerelay node admit --until), beside that of staff, who must not feel it.",
        [_now(), _test(), _staff(), _cost()],
        runbooks,
        since="30m",
    )


def _now() -> Row:
    return Row(
        "The test",
        [
            number(
                "Organisations under test",
                "Admitted for a load test and not over yet.",
                f'max(telerelay_organisations{{instance=~"$node",{_TEST}}})',
                "short",
            ),
            number(
                "Sessions of the test",
                "Live now, of throw-away organisations.",
                total("sessions", labels=_TEST),
                "short",
            ),
            number(
                "Set-ups a second",
                "Requests of the test that became a session.",
                rate("set_ups_total", labels=_JOINED),
                "cps",
            ),
            slowest_set_up(
                "As the node sees it; the load kit's own report counts from the intended moment.",
                _TEST,
                nothing="no test",
            ),
            slowest_wait(
                "How long the test's messages wait inside the nodes.",
                _TEST,
                nothing="no test",
            ),
            number(
                "Refused, of all",
                "Share of the test's requests that did not become a session.",
                f"1 - {rate('set_ups_total', labels=_JOINED)} / {rate('set_ups_total', labels=_TEST)}",
                "percentunit",
                Marks(0.001, 0.01),
                nothing="no test",
            ),
        ],
    )


def _test() -> Row:
    return Row(
        "What it meets",
        [
            set_up("Of the test. The line is the objective of staff.", _TEST),
            lines(
                "Outcomes a second",
                "What the test's requests came to; PAIRED is a session.",
                {"{{outcome}}": f"{rate('set_ups_total', by='outcome', labels=_TEST)} > 0"},
                "cps",
                stacked=True,
                nothing="no test",
            ),
            stages("Of all set-ups, staff and test: which stage gives way first."),
        ],
    )


def _staff() -> Row:
    return Row(
        "Whether staff feel it",
        [
            lines(
                "Sessions",
                "Of staff and of the test, on top of each other.",
                {"{{traffic}}": total("sessions", by=_BOTH)},
                "short",
                stacked=True,
            ),
            set_up("If it rises with the test, stop the test.", STAFF, title="Set-up of staff"),
            lines(
                "Message wait, slowest of 100",
                "Of staff and of the test.",
                {"{{traffic}}": quantile(0.99, "message_wait_seconds", by=_BOTH)},
                "s",
                limit=WAIT_S,
            ),
        ],
    )


def _cost() -> Row:
    return Row(
        "What it costs",
        [
            processor(width=6),
            lines(
                "Memory of a session",
                "All memory that is watched, for each live session: falls towards what one costs as they grow.",
                {
                    NODE_LEGEND: f"{total('memory_watched_bytes', 'instance')} / {total('sessions', 'instance')}"
                },
                "bytes",
                width=6,
            ),
            lines(
                "Descriptors of a session",
                "All descriptors for each live session, agents that wait included.",
                {NODE_LEGEND: f"{total('descriptors', 'instance')} / {total('sessions', 'instance')}"},
                "short",
                width=6,
            ),
            event_loop(width=6),
        ],
    )
