"""*load test*: what a load test does to the nodes, and whether staff feel it."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.dashboards.panels import Marks, Row, board, lines, number, quantile, quantiles, rate, total
from grafana.objectives import SET_UP_S, STAFF, WAIT_S

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
            number(
                "Set-up, slowest of 100",
                "As the node sees it; the load kit's own report counts from the intended moment.",
                quantile(0.99, "set_up_seconds", labels=_TEST),
                "s",
                Marks(SET_UP_S / 2, SET_UP_S),
                nothing="no test",
            ),
            number(
                "Message wait, slowest of 100",
                "How long the test's messages wait inside the nodes.",
                quantile(0.99, "message_wait_seconds", labels=_TEST),
                "s",
                Marks(WAIT_S / 2, WAIT_S),
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
            lines(
                "Set-up",
                "Of the test. The line is the objective of staff.",
                quantiles("set_up_seconds", _TEST),
                "s",
                limit=SET_UP_S,
            ),
            lines(
                "Outcomes a second",
                "What the test's requests came to; PAIRED is a session.",
                {"{{outcome}}": f"{rate('set_ups_total', by='outcome', labels=_TEST)} > 0"},
                "cps",
                stacked=True,
            ),
            lines(
                "Stages, slowest of 100",
                "Of all set-ups, staff and test: which stage gives way first.",
                {"{{step}}": quantile(0.99, "set_up_step_seconds", by="step")},
                "s",
            ),
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
            lines(
                "Set-up of staff",
                "If it rises with the test, stop the test.",
                quantiles("set_up_seconds", STAFF),
                "s",
                limit=SET_UP_S,
            ),
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
            lines(
                "Processor",
                "Of each node, in processors: at what the machine has, everybody waits.",
                {"{{instance}}": rate("cpu_seconds_total", by="instance")},
                "short",
                width=6,
            ),
            lines(
                "Memory of a session",
                "All memory that is watched, for each live session: falls towards what one costs as they grow.",
                {
                    "{{instance}}": f"{total('memory_watched_bytes', 'instance')} / {total('sessions', 'instance')}"
                },
                "bytes",
                width=6,
            ),
            lines(
                "Descriptors of a session",
                "All descriptors for each live session, agents that wait included.",
                {"{{instance}}": f"{total('descriptors', 'instance')} / {total('sessions', 'instance')}"},
                "short",
                width=6,
            ),
            lines(
                "Event loop, slowest of 100",
                "How late Python is, which decides who may connect.",
                {"{{instance}}": quantile(0.99, "event_loop_lag_seconds", by="instance")},
                "s",
                limit=0.5,
                width=6,
            ),
        ],
    )
