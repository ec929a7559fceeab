"""*node*: everything that a node tells of itself, by part, for somebody who knows which node it is."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.dashboards.panels import (
    Marks,
    Row,
    board,
    each,
    lines,
    number,
    per_minute,
    quantile,
    quantiles,
    rate,
    total,
)
from grafana.dashboards.recurring import NODE_LEGEND, counted, message_wait, set_up, stages


def node(runbooks: str) -> Dashboard:
    """One node, or several on top of each other."""
    return board(
        "node",
        "Choose a node above. Each row is a part of it: data plane, Python, audit and database, process.",
        [_now(), _set_up(), _data_plane(), _python(), _durable(), _process()],
        runbooks,
        since="1h",
    )


def _now() -> Row:
    return Row(
        "Now",
        [
            number(
                "Runs for",
                "A node that is younger than its last planned restart has restarted by itself: NodeRestarts.",
                f"time() - {each('start_timestamp_seconds')}",
                "s",
                legend=NODE_LEGEND,
            ),
            number(
                "Version",
                "What runs; several while a cluster is updated.",
                f"count by (version) ({each('build_info')})",
                "short",
                legend="{{version}}",
            ),
            number(
                "Draining",
                "1 while it takes nothing new: drained by the operator, or stopping.",
                each("draining"),
                "short",
                Marks(1, 2),
                width=3,
                legend=NODE_LEGEND,
            ),
            number("Sessions", "Live, of staff and of load tests.", total("sessions"), "short", width=3),
            number(
                "Office PCs that wait",
                "Agents that a client can reach now.",
                total("ready_agents"),
                "short",
                width=3,
            ),
            number(
                "Requests under way",
                "Connection requests that have not had their end, sessions among them.",
                total("attempts"),
                "short",
                width=3,
            ),
            number(
                "Processor",
                "In processors: at what the machine has, everybody waits.",
                rate("cpu_seconds_total", by="instance"),
                "short",
                legend=NODE_LEGEND,
            ),
        ],
    )


def _set_up() -> Row:
    return Row(
        "Set-up",
        [
            set_up("From the client's handshake to a joined session. The line is the objective."),
            stages(),
            lines(
                "Outcomes, a minute",
                "What requests came to, by code; PAIRED is a session.",
                {"{{outcome}} ({{traffic}})": f"{per_minute('set_ups_total', by='outcome, traffic')} > 0"},
                "cpm",
                stacked=True,
                nothing="nobody connects",
            ),
            lines(
                "Handshake",
                "From accepting a connection to the end of its handshake, of agents and clients.",
                quantiles("handshake_seconds"),
                "s",
            ),
            lines(
                "Connections",
                "Open ones: guests are those of nobody known, legs those of agents and clients.",
                {
                    "all": total("connections"),
                    "legs": total("legs"),
                    "guests": total("guests"),
                    "in their handshake": total("handshaking"),
                    "wait for their handshake": total("handshakes_waiting"),
                },
                "short",
            ),
            counted(
                "Bounds that are hit",
                "Each is named in docs/LIMITS.md with its reason. One that is hit all morning is the bottleneck.",
                "limits_hit_total",
                "limit",
                nothing="none is hit",
            ),
        ],
    )


def _data_plane() -> Row:
    return Row(
        "Data plane: how bytes of sessions move",
        [
            lines(
                "Sessions by kind",
                "direct: the node moves sealed bytes. wrapped: it still wraps them in its own TLS, which costs more.",
                {"{{path_kind}} ({{traffic}})": total("sessions", by="path_kind, traffic")},
                "short",
                stacked=True,
            ),
            lines(
                "Bytes a second",
                "To the client: screens. To the agent: keys and pointer.",
                {"to the {{to}}": rate("carried_bytes_total", by="to")},
                "Bps",
            ),
            lines(
                "Bytes a second, by how",
                "spliced: moved by the kernel, the cheapest. copied: small messages. wrapped: through TLS.",
                {"{{by}}": rate("moved_bytes_total", by="by")},
                "Bps",
                stacked=True,
            ),
            lines(
                "Bytes of a move",
                "How much each call moved: spliced ones are large, or splicing does not pay.",
                {
                    "{{by}}": f"{rate('moved_bytes_total', by='by', labels=_MOVED)} "
                    f"/ {rate('moves_total', by='by')}"
                },
                "bytes",
            ),
            message_wait(
                "From the event that told of a message until it was sent. The line is the objective."
            ),
            lines(
                "Messages that were held, a second",
                "The other leg did not take them at once: they wait for a slow line, not for the node.",
                {"held": rate("messages_held_total")},
                "cps",
                width=4,
            ),
            lines(
                "Last bytes",
                "Sessions of which one end has left while what it sent is still on its way; two seconds at most.",
                {"sessions": total("engine_paths_lingering")},
                "short",
                width=4,
            ),
            lines(
                "Pipes",
                "Of the pool that splicing needs. At the limit bulk is copied: nobody is refused, it costs processor.",
                {
                    "used": total("engine_pipes", labels='state="used"'),
                    "free": total("engine_pipes", labels='state="free"'),
                    "limit": total("engine_pipes_limit"),
                },
                "short",
            ),
            lines(
                "Pipes that were not there, a minute",
                "missed: bulk was copied instead. small: the kernel refused one or made it smaller. destroyed: bytes were in it.",
                {
                    "missed": per_minute("engine_pipes_missed_total"),
                    "small": per_minute("engine_pipes_small_total"),
                    "destroyed": per_minute("engine_pipes_destroyed_total"),
                },
                "cpm",
            ),
            lines(
                "The engine's turns, a second",
                "wake-ups: how often it asked for events. cut: a path had to let others go first.",
                {"wake-ups": rate("engine_wake_ups_total"), "cut": rate("engine_turns_cut_total")},
                "cps",
            ),
            lines(
                "Ends of sessions, a minute",
                "By how and whose leg. reset, timed_out, failed: a lost line. Resumed: went on over another one.",
                {
                    "{{reason}} ({{leg}})": f"{per_minute('paths_ended_total', by='reason, leg')} > 0",
                    "resumed": per_minute("resumes_total"),
                },
                "cpm",
            ),
            counted(
                "Ends of requests",
                "Of those that became sessions too, by code: DONE ended well, PATH_LOST by a lost line.",
                "attempts_ended_total",
                "code",
                nothing="none ended",
            ),
            lines(
                "How long sessions lasted",
                "Those that ended. Many that last seconds are lines that break, or people who try again.",
                quantiles("session_seconds"),
                "s",
            ),
        ],
    )


_MOVED = 'by=~"copied|spliced"'


def _python() -> Row:
    return Row(
        "Python: who may connect",
        [
            lines(
                "Event loop",
                "How late it runs what is due; sessions do not wait for it, set-ups do. Runbook: EventLoopLate.",
                {
                    "slowest of 100": quantile(0.99, "event_loop_lag_seconds"),
                    "half": quantile(0.5, "event_loop_lag_seconds"),
                    "longest": f"max({each('event_loop_lag_longest_seconds')})",
                },
                "s",
                limit=0.5,
            ),
            lines(
                "Decisions",
                "How long Python needs to say who may connect.",
                quantiles("decision_seconds"),
                "s",
            ),
            lines(
                "Queues",
                "What waits for Python, the database, or to be written. Each has its bound in docs/LIMITS.md.",
                {
                    "events of the core": total("events_waiting"),
                    "decisions": total("decisions_waiting"),
                    "newcomers": total("newcomers_waiting"),
                    "sightings": total("sightings_waiting"),
                },
                "short",
            ),
            lines(
                "Decisions a second",
                "Requests to connect that Python decided.",
                {"decisions": rate("decisions_total")},
                "cps",
            ),
            lines(
                "API connections",
                "identified: devices and administrators. anonymous: machines that enrol.",
                {"{{caller}}": total("api_connections", by="caller")},
                "short",
            ),
            lines(
                "Python's memory",
                "Small objects. A line that only rises is a leak.",
                {"objects": total("python_blocks"), "agents known": total("agents_present")},
                "short",
            ),
        ],
    )


def _durable() -> Row:
    return Row(
        "Audit and database",
        [
            lines(
                "Syncs of the audit",
                "Nobody is let in before their record is on disk: this is the disk's share of each set-up.",
                quantiles("audit_sync_seconds"),
                "s",
            ),
            lines(
                "Audit records",
                "Durable ones a second; those that wait to be, and how many share a sync.",
                {
                    "a second": rate("audit_records_total"),
                    "waiting": total("audit_waiting"),
                    "of one sync": f"{rate('audit_group_records_sum')} / {rate('audit_group_records_count')}",
                },
                "short",
            ),
            lines(
                "Audit, room in front of the database",
                "At the limit nobody is let in. Runbooks: AuditBacklog, AuditFailing.",
                {"used": total("audit_backlog_bytes"), "limit": total("audit_backlog_limit_bytes")},
                "bytes",
            ),
            number(
                "Audit fails",
                "1: records cannot be written, nobody is let in. Runbook: AuditFailing.",
                f"max({each('audit_failing')})",
                "short",
                Marks(1, 1),
                width=8,
            ),
            lines(
                "Transactions a second",
                "Of the database; refused ones: runbook StoreRefuses.",
                {
                    "done": rate("store_transactions_total"),
                    "refused": rate("store_failures_total"),
                },
                "cps",
            ),
            lines(
                "Transactions that wait",
                "For their turn to write; the database has one writer.",
                {"waiting": total("store_waiting")},
                "short",
            ),
        ],
    )


def _process() -> Row:
    return Row(
        "Process",
        [
            lines(
                "Memory",
                "At the budget nobody new is let in. Runbook: MemoryShort.",
                {
                    "watched": total("memory_watched_bytes"),
                    "budget": total("memory_budget_bytes"),
                    "resident": total("memory_bytes"),
                },
                "bytes",
            ),
            lines(
                "Descriptors",
                "Three a session that starts, two a direct one, one an agent that waits. Runbook: DescriptorsShort.",
                {"used": total("descriptors"), "limit": total("descriptors_limit")},
                "short",
            ),
            lines(
                "Processor",
                "In processors. Of the event loop there is one: near 1 requests wait, whatever else is idle.",
                {"all": rate("cpu_seconds_total"), "event loop": rate("event_loop_cpu_seconds_total")},
                "short",
            ),
            lines(
                "Let go for want of memory, a minute",
                "new: not let in. idle, ready, api: closed.",
                {"{{step}}": per_minute("memory_shed_total", by="step")},
                "cpm",
                width=6,
            ),
            lines(
                "Panics and full collections, a minute",
                "A panic is a bug: runbook NodePanicked. A full collection of Python stops its loop for a moment.",
                {
                    "panics": per_minute("panics_total"),
                    "collections": per_minute("python_collections_total"),
                },
                "cpm",
                width=6,
            ),
            lines(
                "Scrape",
                "What it costs to ask: it must not disturb anybody.",
                {NODE_LEGEND: 'scrape_duration_seconds{job="telerelay",instance=~"$node"}'},
                "s",
                width=6,
            ),
            lines(
                "What the data plane knows",
                "How long ago it was last told whom to let in: at a start, an admission, a suspension, a revocation.",
                {NODE_LEGEND: f"time() - {each('admission_timestamp_seconds')}"},
                "s",
                width=6,
            ),
        ],
    )
