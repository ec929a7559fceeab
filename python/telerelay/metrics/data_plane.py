"""The families of the data plane: the door, legs and requests, paths and what they carry, set-ups."""

from typing import Final

from telerelay.metrics.family import Family
from telerelay_endpoint.limits import COUNTERS

DOOR: Final = (
    Family(
        "connections_accepted_total",
        "counter",
        "Connections that were accepted.",
        "Its rate is the arrivals at the door, whoever they are.",
        "accepted",
    ),
    Family(
        "connections",
        "gauge",
        "Connections that are open, whatever they are.",
        "Two for each session, one for each ready agent, and guests.",
        "connections",
    ),
    Family(
        "guests",
        "gauge",
        "Open connections of nobody known.",
        "Stays near zero; many of them are a flood, and the oldest go first.",
        "guests",
    ),
    Family(
        "handshaking",
        "gauge",
        "Connections in their handshake.",
        "Each lasts milliseconds: hundreds are slow or silent strangers.",
        "handshaking",
    ),
    Family(
        "handshakes_waiting",
        "gauge",
        "Connections whose handshake has not begun.",
        "Above zero the door is paced: a return after an outage, or a flood.",
        "handshakes_waiting",
    ),
    Family(
        "handshakes_total",
        "counter",
        "Handshakes that ended well.",
        "Two for each session and one for each agent that returns.",
        "handshakes",
    ),
    Family(
        "handshakes_failed_total",
        "counter",
        "Handshakes that failed.",
        "`busy` is the node's own pace; `not_tls`, `hello_late` and `handshake_late` are strangers; "
        "the others are certificates.",
        "handshakes_failed",
        ("reason",),
    ),
    Family(
        "handshake_seconds",
        "histogram",
        "From accepting to the end of the handshake.",
        "Has the line's round trips in it; it rises with the processor's load.",
        "handshake",
    ),
    Family(
        "memory_shed_total",
        "counter",
        "Connections that were refused or closed because memory was short, by the step at which they go.",
        "Any rise wants more memory or another node; a live session is never among them.",
        "shed",
        ("step",),
    ),
    Family(
        "accept_pauses_total",
        "counter",
        "Times that accepting paused.",
        "For want of descriptors, memory, or of somebody who takes the events: see which.",
        "accept_pauses",
    ),
    Family(
        "throttled_total",
        "counter",
        "Requests that were refused because they came too often or were one too many, by the limit.",
        "Of one device: somebody guesses. `organisation_sessions`: the quota. `arrivals_wait_ms` and "
        "`handshake_wait_ms`: the node has too little for what comes.",
        {
            "legs_per_device": "throttled.legs_per_device",
            "connects_per_minute": "throttled.connects_per_minute",
            "organisation_requests": "throttled.organisation_requests",
            "organisation_sessions": "throttled.organisation_sessions",
            "arrivals_wait_ms": "throttled.arrivals_wait_ms",
            "gap_waiters": "throttled.gap_waiters",
            "handshake_wait_ms": "handshakes_failed.busy",
        },
        ("rule",),
    ),
    Family(
        "limits_hit_total",
        "counter",
        "What rises when a bound of docs/LIMITS.md is hit; several may share it.",
        "Look here first when something is refused and nobody knows why.",
        COUNTERS,
        ("limit",),
    ),
)

LEGS: Final = (
    Family(
        "legs",
        "gauge",
        "Authenticated connections of agents and clients.",
        "Ready agents, sessions' legs and whoever is just asking.",
        "legs",
    ),
    Family(
        "ready_agents",
        "gauge",
        "Agents whose ready connection stands.",
        "The office PCs that can be reached; a fall is an outage in offices or at the node before.",
        "ready_agents",
    ),
    Family(
        "refusals_total",
        "counter",
        "ERROR frames that were sent.",
        "Of agents too, and of requests; what became of requests alone is in `set_ups_total`.",
        "refused",
        ("code",),
    ),
    Family(
        "attempts",
        "gauge",
        "Connection requests that have not had their end, sessions among them.",
        "Less the sessions it is what is being set up now.",
        "attempts",
    ),
    Family(
        "set_ups_total",
        "counter",
        "Connection requests by what became of them, each once: `PAIRED`, or the code of the refusal.",
        "Codes of which PROTOCOL.md §13 says that infrastructure is to blame are the node's failures.",
        "set_ups",
        ("outcome", "traffic"),
    ),
    Family(
        "attempts_ended_total",
        "counter",
        "Connection requests that had their end, those that became sessions too.",
        "`PATH_LOST` is a session whose line broke, `DONE` one that ended well.",
        "ended",
        ("code",),
    ),
    Family(
        "resumes_total",
        "counter",
        "Sessions that went on with an earlier one.",
        "Stays at zero: no endpoint asks for it yet.",
        "resumes",
    ),
    Family(
        "sessions",
        "gauge",
        "Live paths of sessions.",
        "All of them become `direct`, save where a network tears it down; `wrapped` ones cost thrice the "
        "processor time.",
        "live_paths",
        ("path_kind", "traffic"),
    ),
    Family(
        "session_seconds",
        "histogram",
        "From CONNECT to the end of the path.",
        "Many that end within seconds are lines that break, or people who try again.",
        "session",
        ("path_kind",),
    ),
    Family(
        "paths_ended_total",
        "counter",
        "Paths that ended, by the reason and by whose leg.",
        "`reset`, `timed_out` and `failed` are losses: of one leg alone, look at that side's network.",
        "paths_ended",
        ("reason", "leg"),
    ),
)

BYTES: Final = (
    Family(
        "carried_bytes_total",
        "counter",
        "Bytes that paths carried.",
        "To clients go pictures, to agents keys and the pointer: a hundredth of it.",
        {"client": "bytes_to_client", "agent": "bytes_to_agent"},
        ("to",),
    ),
    Family(
        "moved_bytes_total",
        "counter",
        "The same bytes, by how they were moved.",
        "Bulk is spliced and costs least; much copied beside missed pipes wants more descriptors.",
        {"wrapped": "bytes_wrapped", "copied": "engine.bytes_copied", "spliced": "engine.bytes_spliced"},
        ("by",),
    ),
    Family(
        "moves_total",
        "counter",
        "How often bytes of direct paths were moved.",
        "Beside the bytes it is their size: some hundred when people type, 64 KiB of bulk.",
        {"copied": "engine.copies", "spliced": "engine.splices"},
        ("by",),
    ),
    Family(
        "message_wait_seconds",
        "histogram",
        "At most how long a message waited in the node, from the event that told of it until the other leg "
        "had taken it. Of copied messages of direct paths that were taken at once.",
        "What the node adds to each key and picture: microseconds; milliseconds are a processor that is "
        "too small.",
        "message_wait",
        ("traffic",),
    ),
    Family(
        "messages_held_total",
        "counter",
        "Messages that the other leg did not take at once.",
        "They wait for that leg's line, not for the node: people with slow lines.",
        "engine.held",
    ),
    Family(
        "engine_paths_lingering",
        "gauge",
        "Paths that wait for their last bytes.",
        "Each does so for two seconds at most.",
        "engine.lingering",
    ),
    Family(
        "engine_pipes",
        "gauge",
        "Pipes of the engine's pool.",
        "Used ones hold bytes that a leg has not taken yet.",
        {"used": "engine.pipes_used", "free": "engine.pipes_free"},
        ("state",),
    ),
    Family(
        "engine_pipes_limit",
        "gauge",
        "How many pipes the pool may have.",
        "As many as the process's descriptors bear.",
        "pipes_limit",
    ),
    Family(
        "engine_pipes_destroyed_total",
        "counter",
        "Pipes that were destroyed with bytes in them.",
        "One for a session that ended while its picture was under way.",
        "engine.pipes_destroyed",
    ),
    Family(
        "engine_pipes_small_total",
        "counter",
        "Pipes that the kernel refused or made smaller than wanted.",
        "The user's share of pipe memory is used up: raise fs.pipe-user-pages-soft.",
        "engine.pipes_small",
    ),
    Family(
        "engine_pipes_missed_total",
        "counter",
        "Times that bulk was copied because there was no pipe.",
        "A rise wants more descriptors; nothing is lost but processor time.",
        "engine.pipes_missed",
    ),
    Family(
        "engine_wake_ups_total",
        "counter",
        "Times that the engine asked for events.",
        "Moves by wake-up: the more there are in one, the busier it is.",
        "engine.wake_ups",
    ),
    Family(
        "engine_turns_cut_total",
        "counter",
        "Times that a path was cut off for the sake of others.",
        "Bulk takes its turns so; it says nothing by itself.",
        "engine.turns_cut",
    ),
)

SET_UP: Final = (
    Family(
        "set_up_seconds",
        "histogram",
        "From a client's handshake to PAIRED at both sides.",
        "What a person waits for the node, agent and line; its objective is a second.",
        "set_up",
        ("traffic",),
    ),
    Family(
        "set_up_step_seconds",
        "histogram",
        "The steps of a set-up, each from the end of the one before; of those that became a path.",
        "`hello`, `connect` and `accept` are lines and endpoints, `claim` an agent that re-dials, `route` is "
        "Python, `recorded` the audit's disk.",
        "set_up_step",
        ("step",),
    ),
    Family(
        "decisions_total",
        "counter",
        "Requests that Python decided.",
        "Its rate is the arrivals that were let through.",
        "routes_decided",
    ),
    Family(
        "decisions_waiting",
        "gauge",
        "Requests that wait for the store.",
        "Above zero for long the database is slow or away.",
        "routes_waiting",
    ),
    Family(
        "decision_seconds",
        "histogram",
        "From taking a request to its answer, in Python.",
        "A fraction of a millisecond, unless the organisation was never asked for or has just changed.",
        "decision",
    ),
)
