"""*morning*: whether it goes well, for somebody who looks for a minute at 08:30; if not, where it hurts."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.dashboards.panels import (
    Marks,
    Row,
    bars,
    board,
    each,
    lines,
    number,
    per_minute,
    rate,
    total,
)
from grafana.dashboards.recurring import (
    NODE_LEGEND,
    counted,
    event_loop,
    message_wait,
    processor,
    set_up,
    slowest_set_up,
    slowest_wait,
    stages,
)
from grafana.objectives import MESSAGE_DELAY, OBJECTIVES, SET_UP_SUCCESS, SET_UP_TIME, STAFF, Objective
from grafana.rules.alerts import BURNS
from grafana.rules.rule import SERVICE

_JOINED = f'{STAFF},outcome="PAIRED"'
_NOT_JOINED = f'{STAFF},outcome!="PAIRED"'
_FIRING = f'ALERTS{{alertstate="firing",service="{SERVICE}"}}'


def morning(runbooks: str) -> Dashboard:
    """The whole cluster, or the nodes that were chosen."""
    return board(
        "morning",
        "Green above: it goes well. If not, the rows below tell where it hurts: a stage, a node, the line.",
        [_well(), _course(), _objectives(), _stages(), _nodes(), _line()],
        runbooks,
        since="3h",
    )


def _well() -> Row:
    sessions = total("sessions", labels=STAFF)
    return Row(
        "Does it go well?",
        [
            number(
                "Set-ups that succeed",
                f"Of the last five minutes, of staff who may connect. {SET_UP_SUCCESS.says} "
                "Red: at this rate a month's budget is gone in two days. Runbook: SetUpsFail.",
                f'1 - telerelay:bad:ratio_5m{{objective="{SET_UP_SUCCESS.name}"}}',
                "percentunit",
                Marks(
                    SET_UP_SUCCESS.share,
                    1 - BURNS["page"][0].factor * SET_UP_SUCCESS.budget,
                    falling=True,
                ),
                nothing="nobody connects",
            ),
            slowest_set_up(
                f"From the client's handshake to a joined session, now. {SET_UP_TIME.says} Runbook: SetUpsSlow.",
                STAFF,
                nothing="nobody connects",
            ),
            slowest_wait(
                f"How long keys and pixels wait inside the nodes. {MESSAGE_DELAY.says} Runbook: MessagesWait.",
                STAFF,
                nothing="nothing moves",
            ),
            number(
                "Sessions of staff",
                "Live now; the course of the morning is below.",
                sessions,
                "short",
                width=3,
                nothing="none",
            ),
            number(
                "Against last week",
                "Sessions now, against the same weekday and time a week ago: -50 % on a working day means that "
                "half of them do not get in, or do not come.",
                f"{sessions} / {_before(sessions, '1w')} - 1",
                "percentunit",
                Marks(-0.2, -0.5, falling=True),
                width=3,
                nothing="no last week yet",
            ),
            number(
                "Nodes down",
                "Nodes that do not answer, of all that Prometheus asks, drained ones too. Runbook: NodeDown.",
                'count(up{job="telerelay"} == 0) or 0 * count(up{job="telerelay"})',
                "short",
                Marks(1, 1),
                width=2,
                nothing="none is asked",
            ),
            number(
                "Alerts",
                "Those that fire now, by name; docs/RUNBOOKS.md says what to do about each.",
                f"count by (alertname) ({_FIRING}) or vector(0)",
                "short",
                Marks(1, 1),
                legend="{{alertname}}",
            ),
        ],
    )


def _course() -> Row:
    sessions = total("sessions", labels=STAFF)
    return Row(
        "How the morning goes",
        [
            lines(
                "Sessions of staff",
                "Now, and at the same time yesterday and a week ago: the shape of a morning repeats.",
                {
                    "now": sessions,
                    "yesterday": _before(sessions, "1d"),
                    "a week ago": _before(sessions, "1w"),
                },
                "short",
            ),
            lines(
                "Set-ups, a minute",
                "Sessions of staff that began, and requests that did not become one. A gap that opens between "
                "arrivals of other mornings and these is a queue outside.",
                {
                    "joined": per_minute("set_ups_total", labels=_JOINED),
                    "not joined": per_minute("set_ups_total", labels=_NOT_JOINED),
                },
                "cpm",
            ),
            counted(
                "Refusals by code",
                "What people are told. BUSY, TRY_LATER, AUDIT_UNAVAILABLE, STORE: the cluster has no room or "
                "a fault. ABSENT, DENIED, POLICY_…: an office PC is off, a grant is missing. docs/PROTOCOL.md §13.",
                "refusals_total",
                "code",
                nothing="nobody was refused",
                stacked=True,
            ),
        ],
    )


def _objectives() -> Row:
    fast = BURNS["page"][0].factor
    return Row(
        "Objectives: how fast the month's budget of failures burns",
        [
            lines(
                objective.name.replace("_", " ").capitalize(),
                f"{objective.says} 1: the budget lasts 30 days exactly. Above {fast:g} for an hour: somebody is "
                "paged. Only traffic of staff counts.",
                {window: _burn(objective, window) for window in ("5m", "1h", "6h", "3d")},
                "short",
                limit=fast,
            )
            for objective in OBJECTIVES
        ],
    )


def _stages() -> Row:
    return Row(
        "Where it hurts: the stages of a set-up",
        [
            set_up(
                "From the client's handshake to a joined session, staff only. The line is the objective.",
                STAFF,
            ),
            stages(),
            bars(
                "Share of each stage",
                "Of the time that set-ups take, now: the longest bar is where to look first.",
                {
                    "{{step}}": f"{rate('set_up_step_seconds_sum', by='step')} / ignoring (step) group_left () "
                    f"{rate('set_up_step_seconds_sum')}"
                },
                "percentunit",
            ),
        ],
    )


def _nodes() -> Row:
    return Row(
        "Where it hurts: the nodes",
        [
            lines(
                "Sessions by node",
                "A node far below the others takes nobody, or everybody left it.",
                {NODE_LEGEND: total("sessions", by="instance")},
                "short",
                width=6,
            ),
            bars(
                "Fullest of each node",
                "Share of what it may use: descriptors, memory, pipes, the audit's room. At the end nobody new is let "
                "in. Runbooks: DescriptorsShort, MemoryShort, AuditBacklog.",
                {
                    "{{instance}} descriptors": f"{each('descriptors')} / {each('descriptors_limit')}",
                    "{{instance}} memory": f"{each('memory_watched_bytes')} / {each('memory_budget_bytes')}",
                    "{{instance}} pipes": f"{total('engine_pipes', 'instance')} / {total('engine_pipes_limit', 'instance')}",
                    "{{instance}} audit": f"{each('audit_backlog_bytes')} / {each('audit_backlog_limit_bytes')}",
                },
                "percentunit",
                Marks(0.7, 0.9),
                width=6,
            ),
            event_loop(width=6),
            processor(width=6),
        ],
    )


def _line() -> Row:
    return Row(
        "Where it hurts: office PCs and lines",
        [
            lines(
                "Office PCs that wait",
                "Agents whose connection stands, now and yesterday. A step down is an office's line, or a node that "
                "went; they come back by themselves within seconds.",
                {"now": total("ready_agents"), "yesterday": _before(total("ready_agents"), "1d")},
                "short",
            ),
            lines(
                "Sessions that ended, a minute",
                "By how. reset, timed_out, failed: a line was lost; by which leg tells on whose side. Runbook: PathsLost.",
                {"{{reason}} ({{leg}})": f"{per_minute('paths_ended_total', by='reason, leg')} > 0"},
                "cpm",
                nothing="no session ended",
            ),
            message_wait(
                "Inside the nodes, staff only: what the network adds is not in it. The line is the objective.",
                STAFF,
            ),
        ],
    )


def _before(sum_of_gauge: str, ago: str) -> str:
    """The same sum, so long ago."""
    return f"{sum_of_gauge.removesuffix(')')} offset {ago})"


def _burn(objective: Objective, window: str) -> str:
    return f'telerelay:bad:ratio_{window}{{objective="{objective.name}"}} / {objective.budget:g}'
