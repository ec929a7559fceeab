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
    quantile,
    quantiles,
    rate,
    total,
)
from grafana.objectives import (
    MESSAGE_DELAY,
    OBJECTIVES,
    SET_UP_S,
    SET_UP_SUCCESS,
    SET_UP_TIME,
    STAFF,
    WAIT_S,
    Objective,
)
from grafana.rules.alerts import BURNS

_JOINED = f'{STAFF},outcome="PAIRED"'
_NOT_JOINED = f'{STAFF},outcome!="PAIRED"'


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
            number(
                "Set-up, slowest of 100",
                f"From the client's handshake to a joined session, now. {SET_UP_TIME.says} Runbook: SetUpsSlow.",
                quantile(0.99, "set_up_seconds", labels=STAFF),
                "s",
                Marks(SET_UP_S / 2, SET_UP_S),
                nothing="nobody connects",
            ),
            number(
                "Message wait, slowest of 100",
                f"How long keys and pixels wait inside the nodes. {MESSAGE_DELAY.says} Runbook: MessagesWait.",
                quantile(0.99, "message_wait_seconds", labels=STAFF),
                "s",
                Marks(WAIT_S / 2, WAIT_S),
                nothing="nothing moves",
            ),
            number(
                "Sessions of staff",
                "Live now; the course of the morning is below.",
                sessions,
                "short",
                nothing="none",
            ),
            number(
                "Against last week",
                "Sessions now, against the same weekday and time a week ago: -50 % on a working day means that "
                "half of them do not get in, or do not come.",
                f"{sessions} / {_before(sessions, '1w')} - 1",
                "percentunit",
                Marks(-0.2, -0.5, falling=True),
                nothing="no last week yet",
            ),
            number(
                "Nodes down",
                "Nodes that do not answer, of all that Prometheus asks, drained ones too. Runbook: NodeDown.",
                'count(up{job="telerelay"} == 0) or vector(0)',
                "short",
                Marks(1, 1),
                width=2,
            ),
            number(
                "Alerts",
                "That fire now; Prometheus shows them under /alerts, docs/RUNBOOKS.md what to do.",
                'count(ALERTS{alertstate="firing"}) or vector(0)',
                "short",
                Marks(1, 1),
                width=2,
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
                    "joined": f"60 * {rate('set_ups_total', labels=_JOINED)}",
                    "not joined": f"60 * {rate('set_ups_total', labels=_NOT_JOINED)}",
                },
                "cpm",
            ),
            lines(
                "Refusals by code, a minute",
                "What people are told. BUSY, TRY_LATER, AUDIT_UNAVAILABLE, STORE: the cluster has no room or "
                "a fault. ABSENT, DENIED, POLICY_…: an office PC is off, a grant is missing. docs/PROTOCOL.md §13.",
                {"{{code}}": f"60 * {rate('refusals_total', by='code')} > 0"},
                "cpm",
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
            lines(
                "Set-up",
                "From the client's handshake to a joined session, staff only. The line is the objective.",
                quantiles("set_up_seconds", STAFF),
                "s",
                limit=SET_UP_S,
            ),
            lines(
                "Stages, slowest of 100",
                "hello, connect: the client's line. route: Python and the database. claim, accept: the office PC. "
                "recorded: the audit's disk. paired: the node.",
                {"{{step}}": quantile(0.99, "set_up_step_seconds", by="step")},
                "s",
            ),
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
                {"{{instance}}": total("sessions", by="instance")},
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
            lines(
                "Event loop, slowest of 100",
                "How late Python is, which decides who may connect; sessions run without it. Runbook: EventLoopLate.",
                {"{{instance}}": quantile(0.99, "event_loop_lag_seconds", by="instance")},
                "s",
                limit=0.5,
                width=6,
            ),
            lines(
                "Processor",
                "Of each node, in processors: at what the machine has, everybody waits.",
                {"{{instance}}": rate("cpu_seconds_total", by="instance")},
                "short",
                width=6,
            ),
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
                {"{{reason}} ({{leg}})": f"60 * {rate('paths_ended_total', by='reason, leg')} > 0"},
                "cpm",
            ),
            lines(
                "Message wait",
                "Inside the nodes, staff only: what the network adds is not in it. The line is the objective.",
                quantiles("message_wait_seconds", STAFF),
                "s",
                limit=WAIT_S,
            ),
        ],
    )


def _before(sum_of_gauge: str, ago: str) -> str:
    """The same sum, so long ago."""
    return f"{sum_of_gauge.removesuffix(')')} offset {ago})"


def _burn(objective: Objective, window: str) -> str:
    return f'telerelay:bad:ratio_{window}{{objective="{objective.name}"}} / {objective.budget:g}'
