"""Alerts: what staff feel, as the rate at which an objective's budget burns; then causes that need somebody.

Each has a section of its name in docs/RUNBOOKS.md. What a node defends itself against is a ticket: if it
hurts anybody, an objective burns and pages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from grafana.objectives import DAY_S, HOUR_S, MESSAGE_DELAY, MINUTE_S, SET_UP_SUCCESS, SET_UP_TIME, Objective
from grafana.rules.pace import Pace
from grafana.rules.rule import Alert, Severity

_FEWEST_BAD: Final = 10
"""One failure of two at night is half of everything and still no outage."""


@dataclass(frozen=True)
class Burn:
    """Budget that burns `factor` times as fast as it may, over a long window and still over a short one.

    Of a budget of 30 days, 14.4 for an hour is 2 %, 6 for six hours 5 %, 3 for a day and 1 for three days
    10 % (The Site Reliability Workbook, chapter 5).
    """

    factor: float
    long: str
    short: str


BURNS: Final[dict[Severity, tuple[Burn, ...]]] = {
    "page": (Burn(14.4, "1h", "5m"), Burn(6, "6h", "30m")),
    "ticket": (Burn(3, "1d", "2h"), Burn(1, "3d", "6h")),
}


def alerts(pace: Pace) -> dict[str, Sequence[Alert]]:
    """All of them, by group."""
    return {
        "objectives": [
            *_burning("SetUpsFail", SET_UP_SUCCESS, "Requests of people who may connect fail"),
            *_burning("SetUpsSlow", SET_UP_TIME, "Connecting takes longer than a second for too many"),
            *_burning("MessagesWait", MESSAGE_DELAY, "Screens and keys wait in the nodes"),
        ],
        "nodes": list(_nodes(pace)),
        "audit": list(_audit(pace)),
        "security": list(_security(pace)),
    }


def _burning(name: str, objective: Objective, says: str) -> Iterator[Alert]:
    labels = f'{{objective="{objective.name}"}}'
    for severity, burns in BURNS.items():
        expression = "\nor\n".join(
            f"(\n  telerelay:bad:ratio_{burn.long}{labels} > {burn.factor * objective.budget:.6g}\n"
            f"  and telerelay:bad:ratio_{burn.short}{labels} > {burn.factor * objective.budget:.6g}\n"
            f"  and telerelay:bad:count_{burn.long}{labels} >= {_FEWEST_BAD}\n)"
            for burn in burns
        )
        share = "{{ $value | humanizePercentage }}"
        yield Alert(name, severity, f"{says}: {share}; {100 * objective.budget:.3g} % may.", expression)


def _nodes(pace: Pace) -> Iterator[Alert]:
    five_minutes = pace.of(5 * MINUTE_S)
    hour = pace.of(HOUR_S)
    yield Alert(
        "NodeDown",
        "page",
        "{{ $labels.instance }} does not answer, and was not drained.",
        'up{job="telerelay"} == 0\n'
        f"unless on (instance) last_over_time(telerelay_draining[{pace.of(DAY_S)}]) == 1",
        MINUTE_S,
    )
    yield Alert(
        "NobodyWatched",
        "page",
        "Prometheus has no node to ask: whatever happens, nothing will be told.",
        'absent(up{job="telerelay"})',
        10 * MINUTE_S,
    )
    yield Alert(
        "NodeRestarts",
        "page",
        "{{ $labels.instance }} was started {{ $value }} times anew within an hour.",
        f"changes(telerelay_start_timestamp_seconds[{hour}]) >= 3",
    )
    yield Alert(
        "NodePanicked",
        "ticket",
        "A task of {{ $labels.instance }} panicked: a bug.",
        f"increase(telerelay_panics_total[{hour}]) > 0",
    )
    yield Alert(
        "StoreRefuses",
        "page",
        "The database of {{ $labels.instance }} refuses transactions.",
        f"increase(telerelay_store_failures_total[{five_minutes}]) > 0",
        5 * MINUTE_S,
    )
    yield Alert(
        "MemoryShort",
        "page",
        "{{ $labels.instance }} lets nobody new in for want of memory.",
        "telerelay_memory_short == 1",
        MINUTE_S,
    )
    yield Alert(
        "DescriptorsShort",
        "page",
        "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its descriptors.",
        "telerelay_descriptors / telerelay_descriptors_limit > 0.9",
        5 * MINUTE_S,
    )
    yield Alert(
        "EventLoopLate",
        "ticket",
        "Python of {{ $labels.instance }} is {{ $value | humanizeDuration }} late for one of 100 tasks.",
        "histogram_quantile(\n  0.99,\n"
        f"  sum by (instance, le) (rate(telerelay_event_loop_lag_seconds_bucket[{five_minutes}]))\n) > 0.5",
        10 * MINUTE_S,
    )
    yield Alert(
        "PathsLost",
        "ticket",
        "{{ $value | humanizePercentage }} of the sessions at {{ $labels.instance }} end with a lost line.",
        f"(\n  {_ended(_LOST, five_minutes)}\n  / {_ended('', five_minutes)}\n) > 0.2\n"
        f"and {_ended(_LOST, five_minutes)} >= 20",
        5 * MINUTE_S,
    )


_LOST: Final = '{reason=~"reset|timed_out|failed"}'


def _ended(labels: str, window: str) -> str:
    return f"sum by (instance) (increase(telerelay_paths_ended_total{labels}[{window}]))"


def _audit(_pace: Pace) -> Iterator[Alert]:
    yield Alert(
        "AuditFailing",
        "page",
        "{{ $labels.instance }} cannot write its audit, so it lets nobody in.",
        "telerelay_audit_failing == 1",
        MINUTE_S,
    )
    yield Alert(
        "AuditBacklog",
        "ticket",
        "The audit of {{ $labels.instance }} fills {{ $value | humanizePercentage }} of the room before SQL.",
        "telerelay_audit_backlog_bytes / telerelay_audit_backlog_limit_bytes > 0.5",
        10 * MINUTE_S,
    )


def _security(pace: Pace) -> Iterator[Alert]:
    five_minutes = pace.of(5 * MINUTE_S)
    yield Alert(
        "HandshakeFlood",
        "ticket",
        "{{ $value | humanize }} handshakes a second fail at {{ $labels.instance }}.",
        f"sum by (instance) (rate(telerelay_handshakes_failed_total[{five_minutes}])) > 20",
        2 * MINUTE_S,
    )
    yield Alert(
        "ComputersGuessed",
        "ticket",
        "A device at {{ $labels.instance }} asks for computers faster than a person could.",
        "sum by (instance) "
        f'(increase(telerelay_throttled_total{{rule="connects_per_minute"}}[{five_minutes}])) > 30',
    )
    yield Alert(
        "CertificateExpires",
        "ticket",
        "The {{ $labels.certificate }} certificate of {{ $labels.instance }} expires in "
        "{{ $value | humanizeDuration }}.",
        f'telerelay_certificate_expires_timestamp_seconds{{certificate="node"}} - time() < {60 * DAY_S}\n'
        f'or telerelay_certificate_expires_timestamp_seconds{{certificate="ca"}} - time() < {365 * DAY_S}',
        MINUTE_S,
    )
    yield Alert(
        "StampsStale",
        "ticket",
        "{{ $value }} computers have no valid stamp: a keeper does not run, nobody is let in there.",
        "max(telerelay_stamps_stale) > 0",
        HOUR_S,
    )
