"""What staff may expect of a cluster (SLOs), in whose terms dashboards and alerts speak.

Only traffic of staff counts: what a load test does to itself is nobody's outage.
"""

import tomllib
from dataclasses import dataclass
from typing import Final

from telerelay_core import ERRORS_TOML

STAFF: Final = 'traffic="staff"'

OURS: Final = "|".join(
    [
        *sorted(
            code
            for code, error in tomllib.loads(ERRORS_TOML).items()
            if error["who"] == "infrastructure" or code == "INTERNAL"
        ),
        "UNKNOWN",
    ]
)
"""Outcomes of a set-up that the operator answers for, as a regular expression. Who is not granted, or whose
office PC is off, was served as they should be: neither good nor bad."""

SET_UP_S: Final = 1.0
"""A bound of `set_up_seconds`."""
WAIT_S: Final = 0.005
"""A bound of `message_wait_seconds`: a third of a frame at 60 a second."""

MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S

WINDOWS: Final = {
    "5m": 5 * MINUTE_S,
    "30m": 30 * MINUTE_S,
    "1h": HOUR_S,
    "2h": 2 * HOUR_S,
    "6h": 6 * HOUR_S,
    "1d": DAY_S,
    "3d": 3 * DAY_S,
}
"""Over which shares are recorded: what a window is called, and its seconds."""


@dataclass(frozen=True)
class Objective:
    """`share` of `every` event is not `bad`, over 30 days.

    `bad` and `every` are PromQL: how many there were in the last $window.
    """

    name: str
    says: str
    share: float
    bad: str
    every: str

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return round(1 - self.share, 9)


def _slower(histogram: str, bound: float) -> tuple[str, str]:
    """How many of a histogram were beyond a bound, and how many there were."""
    every = f"sum(increase({histogram}_count{{{STAFF}}}[$window]))"
    within = f'sum(increase({histogram}_bucket{{{STAFF},le="{bound}"}}[$window]))'
    return f"{every} - {within}", every


SET_UP_SUCCESS: Final = Objective(
    "set_up_success",
    "999 of 1,000 requests of those who may connect become a session.",
    0.999,
    f'sum(increase(telerelay_set_ups_total{{{STAFF},outcome=~"{OURS}"}}[$window]))',
    f'sum(increase(telerelay_set_ups_total{{{STAFF},outcome=~"PAIRED|{OURS}"}}[$window]))',
)
SET_UP_TIME: Final = Objective(
    "set_up_time",
    f"99 of 100 sessions are set up within {SET_UP_S:g} s.",
    0.99,
    *_slower("telerelay_set_up_seconds", SET_UP_S),
)
MESSAGE_DELAY: Final = Objective(
    "message_delay",
    "99 of 100 messages wait in the node for no more than 5 ms.",
    0.99,
    *_slower("telerelay_message_wait_seconds", WAIT_S),
)
OBJECTIVES: Final = (SET_UP_SUCCESS, SET_UP_TIME, MESSAGE_DELAY)
