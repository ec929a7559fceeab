"""Every metric family of a node, in one table: name, meaning, and which numbers of a snapshot it shows.

Names begin with `telerelay_`. No family has a label that could name anybody: label values are codes, reasons,
steps and kinds that are known before anybody comes. So every series stands at zero from the first scrape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from telerelay_endpoint.limits import COUNTERS

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Family:
    """One family; a counter's name ends with `_total`.

    `shows`: the name of one number or distribution; with a label the name of a group of them, whose members
    are the label's values, or names by the label's values. What is shown is `unit` times the number.
    """

    name: str
    kind: Kind
    help: str
    shows: str | Mapping[str, str]
    label: str | None = None
    unit: float = field(default=1, kw_only=True)


FAMILIES: Final = (
    # ------------------------------------------------------------ connections
    Family("connections_accepted_total", "counter", "Connections that were accepted.", "accepted"),
    Family("connections", "gauge", "Connections that are open, whatever they are.", "connections"),
    Family("guests", "gauge", "Open connections of nobody known.", "guests"),
    Family("handshaking", "gauge", "Connections in their handshake.", "handshaking"),
    Family("handshakes_waiting", "gauge", "Connections whose handshake has not begun.", "handshakes_waiting"),
    Family("handshakes_total", "counter", "Handshakes that ended well.", "handshakes"),
    Family(
        "handshakes_failed_total", "counter", "Handshakes that failed.", "handshakes_failed", label="reason"
    ),
    Family("handshake_seconds", "histogram", "From accepting to the end of the handshake.", "handshake"),
    Family(
        "memory_shed_total",
        "counter",
        "Connections that were refused or closed because memory was short, by the step at which they go.",
        "shed",
        label="step",
    ),
    Family("accept_pauses_total", "counter", "Times that accepting paused.", "accept_pauses"),
    Family(
        "limits_hit_total",
        "counter",
        "What rises when a bound of docs/LIMITS.md is hit; several may share it.",
        COUNTERS,
        label="limit",
    ),
    # ------------------------------------------------------------ legs, attempts, paths
    Family("legs", "gauge", "Authenticated connections of agents and clients.", "legs"),
    Family("ready_agents", "gauge", "Agents whose ready connection stands.", "ready_agents"),
    Family("refusals_total", "counter", "ERROR frames that were sent.", "refused", label="code"),
    Family("attempts", "gauge", "Connection requests that have not had their end.", "attempts"),
    Family(
        "attempts_ended_total",
        "counter",
        "Connection requests that had their end, those that became sessions too.",
        "ended",
        label="code",
    ),
    Family("sessions_joined_total", "counter", "Paths that were joined for a session.", "paths_joined"),
    Family("sessions", "gauge", "Live paths of sessions.", "live_paths", label="path_kind"),
    Family(
        "session_seconds",
        "histogram",
        "From CONNECT to the end of the path.",
        "session",
        label="path_kind",
    ),
    Family(
        "carried_bytes_total",
        "counter",
        "Bytes that paths carried.",
        {"client": "bytes_to_client", "agent": "bytes_to_agent"},
        label="to",
    ),
    # ------------------------------------------------------------ the engine of direct paths
    Family(
        "engine_bytes_total",
        "counter",
        "Bytes of direct paths, by how they were moved.",
        {"copied": "engine.bytes_copied", "spliced": "engine.bytes_spliced"},
        label="by",
    ),
    Family("engine_paths_lingering", "gauge", "Paths that wait for their last bytes.", "engine.lingering"),
    Family(
        "engine_pipes",
        "gauge",
        "Pipes of the engine's pool.",
        {"used": "engine.pipes_used", "free": "engine.pipes_free"},
        label="state",
    ),
    Family(
        "engine_pipes_destroyed_total",
        "counter",
        "Pipes that were destroyed with bytes in them.",
        "engine.pipes_destroyed",
    ),
    Family(
        "engine_pipes_small_total",
        "counter",
        "Pipes that the kernel refused or made smaller than wanted.",
        "engine.pipes_small",
    ),
    Family(
        "engine_pipes_missed_total",
        "counter",
        "Times that bulk was copied because there was no pipe.",
        "engine.pipes_missed",
    ),
    Family("engine_wake_ups_total", "counter", "Times that the engine asked for events.", "engine.wake_ups"),
    Family(
        "engine_turns_cut_total",
        "counter",
        "Times that a path was cut off for the sake of others.",
        "engine.turns_cut",
    ),
    # ------------------------------------------------------------ set-up
    Family("set_up_seconds", "histogram", "From a client's handshake to PAIRED at both sides.", "set_up"),
    Family(
        "set_up_step_seconds",
        "histogram",
        "The steps of a set-up, each from the end of the one before; of those that became a path.",
        "set_up_step",
        label="step",
    ),
    Family("decisions_total", "counter", "Requests that Python decided.", "routes_decided"),
    Family("decisions_waiting", "gauge", "Requests that wait for the store.", "routes_waiting"),
    Family("decision_seconds", "histogram", "From taking a request to its answer, in Python.", "decision"),
    # ------------------------------------------------------------ Python
    Family("events_waiting", "gauge", "Events of the core that Python has not taken.", "events_waiting"),
    Family("event_loop_lag_seconds", "histogram", "How late the event loop runs what is due.", "loop_lag"),
    Family(
        "event_loop_lag_longest_seconds",
        "gauge",
        "The longest that the event loop was late.",
        "loop_lag_longest_us",
        unit=1e-6,
    ),
    Family("agents_present", "gauge", "Agents that Python knows as present.", "agents_present"),
    Family("newcomers_waiting", "gauge", "Agents to be told of their documents.", "newcomers_waiting"),
    Family("sightings_waiting", "gauge", "Devices whose last sight is not written.", "sightings_waiting"),
    Family(
        "api_connections",
        "gauge",
        "Open connections of the API.",
        {"identified": "api_identified", "anonymous": "api_anonymous"},
        label="caller",
    ),
    Family(
        "api_refusals_total",
        "counter",
        "Requests to the API that were refused, the operator's own too.",
        "api_refused",
        label="code",
    ),
    # ------------------------------------------------------------ audit and store
    Family("audit_records_total", "counter", "Audit records that are durable.", "audit_records"),
    Family("audit_waiting", "gauge", "Audit records that are not durable yet.", "audit_waiting"),
    Family("audit_failing", "gauge", "1 while audit records cannot be written.", "audit_failing"),
    Family("audit_group_records", "histogram", "Records that shared one sync.", "audit_group"),
    Family("audit_sync_seconds", "histogram", "Writing and syncing one group.", "audit_sync"),
    Family(
        "audit_backlog_bytes",
        "gauge",
        "Durable records in the spool that are not in the database.",
        "audit_backlog_bytes",
    ),
    Family("store_transactions_total", "counter", "Transactions that ended well.", "store_transactions"),
    Family("store_failures_total", "counter", "Transactions that the database refused.", "store_failures"),
    Family("store_waiting", "gauge", "Transactions that wait for their turn to write.", "store_waiting"),
    # ------------------------------------------------------------ what expires
    Family(
        "certificate_expires_timestamp_seconds",
        "gauge",
        "When a certificate of the node expires, Unix time.",
        {"node": "node_certificate_expires", "ca": "ca_certificate_expires"},
        label="certificate",
    ),
    Family("computers", "gauge", "Computers that have a document.", "computers"),
    Family(
        "document_expires_timestamp_seconds",
        "gauge",
        "When the first computer document expires that has not yet, Unix time; 0 where there is none.",
        "document_expires",
    ),
    Family("documents_expired", "gauge", "Computer documents that have expired.", "documents_expired"),
    Family(
        "stamps_stale",
        "gauge",
        "Computers without a stamp that holds: nobody is let in there.",
        "stamps_stale",
    ),
    # ------------------------------------------------------------ the process
    Family("start_timestamp_seconds", "gauge", "When the process started, Unix time.", "started"),
    Family("panics_total", "counter", "Tasks of the core that panicked: bugs.", "panics"),
    Family("descriptors", "gauge", "Descriptors in use.", "descriptors"),
    Family("descriptors_limit", "gauge", "Descriptors that the process may have.", "descriptors_limit"),
    Family("memory_bytes", "gauge", "Resident memory.", "memory_bytes"),
    Family(
        "memory_watched_bytes",
        "gauge",
        "Anonymous memory, which the budget is for; of each second.",
        "memory_used",
    ),
    Family("memory_budget_bytes", "gauge", "Memory beyond which nobody new is let in.", "memory_budget"),
    Family("memory_short", "gauge", "1 while nobody new is let in for want of memory.", "memory_short"),
    Family("cpu_seconds_total", "counter", "Processor time of all threads.", "cpu_us", unit=1e-6),
    Family("python_blocks", "gauge", "Small objects of Python.", "python_blocks"),
    Family("python_collections_total", "counter", "Full collections of Python.", "python_collections"),
)
