//! The rules between endpoints and nodes (PROTOCOL.md §5).
use std::time::Duration;

use telerelay_outer::node::Census;
use telerelay_wire::ids::Stage;
use telerelay_wire::{Code, Moment, Reason, limits};

use super::{Verdict, hold};

/// §5.6: each attempt at a node has exactly one terminal event, or was redirected.
pub(crate) fn one_terminal_event_per_attempt(ticket: u64, ends: u32) -> Verdict {
    hold(
        ("one_terminal_event_per_attempt", "§5.6"),
        ends == 1,
        || format!("attempt {ticket} has {ends}"),
    )
}

/// §5.6: a path ends with the agent's word where there is one, else with `PATH_LOST`, unless the node itself ended it.
pub(crate) fn the_agents_word_counts(
    told: (&Reason, Stage),
    report: Option<(&Reason, Stage)>,
) -> Verdict {
    let is_nodes = [Code::Cut, Code::Revoked, Code::Drained]
        .iter()
        .any(|&code| *told.0 == code);
    let is_agents = match report {
        Some(report) => told == report,
        None => *told.0 == Code::PathLost,
    };
    hold(
        ("the_agents_word_counts", "§5.6"),
        is_nodes || is_agents,
        || format!("the node says {told:?}, the agent said {report:?}"),
    )
}

/// §5.5: each request of a client ends exactly once.
pub(crate) fn one_end_per_request(ends: u32) -> Verdict {
    hold(("one_end_per_request", "§5.5"), ends == 1, || {
        format!("{ends} ends")
    })
}

/// §5.5: a request asks for nothing after its end.
pub(crate) fn nothing_follows_the_end(has_ended: bool) -> Verdict {
    hold(("nothing_follows_the_end", "§5.5"), !has_ended, || {
        "a command after the end".to_owned()
    })
}

/// §5.5: an attempt is redirected at most three times.
pub(crate) fn redirects_end(redirects: u32) -> Verdict {
    hold(
        ("redirects_end", "§5.5"),
        redirects <= limits::REDIRECTS,
        || format!("a dial after {redirects} REDIRECT"),
    )
}

/// §5.3 step 5: PAIRED only when this agent's ACCEPT for this path and this attempt's record are there.
pub(crate) fn no_path_without_consent(accepted: bool, recorded: bool) -> Verdict {
    hold(
        ("no_path_without_consent", "§5.3"),
        accepted && recorded,
        || format!("ACCEPT from this leg: {accepted}, recorded: {recorded}"),
    )
}

/// §5.2: a path ID serves one pairing, and a leg is part of one path.
pub(crate) fn no_leg_in_two_paths(leg: u64, is_joined: bool) -> Verdict {
    hold(("no_leg_in_two_paths", "§5.2"), !is_joined, || {
        format!("leg {leg} is part of a path already")
    })
}

/// §5.3 step 3: a ready connection is claimed by one attempt, and by none that claims another.
pub(crate) fn a_ready_connection_is_claimed_once(leg: u64, is_claimed: bool) -> Verdict {
    hold(
        ("a_ready_connection_is_claimed_once", "§5.3"),
        !is_claimed,
        || format!("INCOMING on leg {leg}, whose last one is unanswered"),
    )
}

/// §5.3 step 3: INCOMING goes to the device that *here* named.
pub(crate) fn incoming_goes_to_whom_route_named(is_named: bool) -> Verdict {
    hold(
        ("incoming_goes_to_whom_route_named", "§5.3"),
        is_named,
        || "INCOMING went to another device".to_owned(),
    )
}

/// §5.3 step 2: a denial leaves 200 ms after CONNECT came, or at once where the look-up took longer.
pub(crate) fn a_denial_leaves_at_its_time(began: Moment, decided: Moment, left: Moment) -> Verdict {
    let due = (began + limits::DENIED).max(decided);
    hold(
        ("a_denial_leaves_at_its_time", "§5.3"),
        left == due,
        || format!("CONNECT came at {began}, ERROR left at {left} and not at {due}"),
    )
}

/// §5.3 step 4: waiting CONNECTs are served in order of arrival.
pub(crate) fn whoever_waits_longest_is_served(ticket: u64, first: Option<u64>) -> Verdict {
    hold(
        ("whoever_waits_longest_is_served", "§5.3"),
        first == Some(ticket),
        || format!("attempt {ticket} is served before {first:?}"),
    )
}

/// §5.3 step 4: at most four CONNECTs wait for a device.
pub(crate) fn few_wait_for_one_device(waiting: usize) -> Verdict {
    hold(
        ("few_wait_for_one_device", "§5.3"),
        waiting <= limits::GAP_WAITERS,
        || format!("{waiting} wait"),
    )
}

/// §5.3 steps 3 and 4: nobody waits while the agent's ready connection stands and is not in doubt.
pub(crate) fn nobody_waits_for_a_ready_agent(waiting: usize, is_ready: bool) -> Verdict {
    hold(
        ("nobody_waits_for_a_ready_agent", "§5.3"),
        waiting == 0 || !is_ready,
        || format!("{waiting} wait"),
    )
}

/// §5.8: a device has one ready connection at a node.
pub(crate) fn one_ready_connection_per_device(ready: usize) -> Verdict {
    hold(
        ("one_ready_connection_per_device", "§5.8"),
        ready <= 1,
        || format!("{ready} welcomed legs that are no paths"),
    )
}

/// §5.8: a ready connection gives its place to a newer leg of its own process, or when it is silent.
pub(crate) fn a_living_agent_keeps_its_place(has_reason: bool) -> Verdict {
    hold(
        ("a_living_agent_keeps_its_place", "§5.8"),
        has_reason,
        || "a ready connection was closed that had spoken".to_owned(),
    )
}

/// §5.3: an agent is told out as gone only after it was told out as ready.
pub(crate) fn presence_is_told_in_turn(was_here: bool, is_here: bool) -> Verdict {
    hold(
        ("presence_is_told_in_turn", "§5.3"),
        is_here || was_here,
        || "gone, and never was here".to_owned(),
    )
}

/// §5.4: one leg at most is Dialling, Hello, Ready or Asked.
pub(crate) fn one_ready_connection_at_most(count: usize) -> Verdict {
    hold(
        ("one_ready_connection_at_most", "§5.4"),
        count <= 1,
        || format!("{count} legs that are neither accepted nor a path"),
    )
}

/// §5.4: with ACCEPT the agent dials a new ready connection at once.
pub(crate) fn an_agent_that_accepts_dials_at_once(accepts: bool, dials: bool) -> Verdict {
    hold(
        ("an_agent_that_accepts_dials_at_once", "§5.4"),
        !accepts || dials,
        || "ACCEPT without a dial".to_owned(),
    )
}

/// §5.6: an agent reports a path once.
pub(crate) fn one_report_per_path(reports: u32) -> Verdict {
    hold(("one_report_per_path", "§5.6"), reports <= 1, || {
        format!("{reports} reports")
    })
}

/// §5.3 step 5: ACCEPT and the record make a path, in whichever order they come.
pub(crate) fn consent_and_record_make_a_path(is_agreed: bool, is_joined: bool) -> Verdict {
    hold(
        ("consent_and_record_make_a_path", "§5.3"),
        is_joined || !is_agreed,
        || "ACCEPT and the record are there, and no PAIRED".to_owned(),
    )
}

/// §5.3 step 4: where the agent was here within a minute, ABSENT is said only after 3 s of waiting for it.
pub(crate) fn whoever_may_come_back_is_waited_for(has_hope: bool, waited: Duration) -> Verdict {
    hold(
        ("whoever_may_come_back_is_waited_for", "§5.3"),
        !has_hope || waited >= limits::GAP_WAIT,
        || format!("ABSENT after {waited:?}, and the agent was here a moment ago"),
    )
}

/// §5.3 step 4: nobody waits for an agent that was not here within a minute.
pub(crate) fn nobody_waits_in_vain(has_hope: bool) -> Verdict {
    hold(("nobody_waits_in_vain", "§5.3"), has_hope, || {
        "an attempt waits for an agent that left long ago".to_owned()
    })
}

/// §5.3 step 3, §5.8: a ready connection is not claimed while a newcomer waits for it to show that it lives.
pub(crate) fn no_leg_in_doubt_is_claimed(is_in_doubt: bool) -> Verdict {
    hold(
        ("no_leg_in_doubt_is_claimed", "§5.8"),
        !is_in_doubt,
        || "INCOMING to an agent that has not answered KEEPALIVE".to_owned(),
    )
}

/// §5.8: a newcomer waits for the answer of a ready connection; where none stands it is welcomed at once.
pub(crate) fn nobody_challenges_an_empty_place(is_taken: bool) -> Verdict {
    hold(
        ("nobody_challenges_an_empty_place", "§5.8"),
        is_taken,
        || "HELLO is not answered, and no ready connection stands".to_owned(),
    )
}

/// §5.2: whose ready connection stands is told out as ready.
pub(crate) fn a_ready_agent_is_told_out(is_told_out: bool) -> Verdict {
    hold(("a_ready_agent_is_told_out", "§5.2"), is_told_out, || {
        "an agent is ready, and was told out as gone".to_owned()
    })
}

/// §5.6: what the node ends itself ends with the node's code.
pub(crate) fn the_nodes_word_stands(told: &Reason, ruled: Code) -> Verdict {
    hold(("the_nodes_word_stands", "§5.6"), *told == ruled, || {
        format!("the node ruled {ruled:?} and says {told}")
    })
}

/// §5.6: a path that has ended is reported as soon as there is a ready connection.
pub(crate) fn a_report_leaves_at_once(owed: usize) -> Verdict {
    hold(("a_report_leaves_at_once", "§5.6"), owed == 0, || {
        format!("{owed} ended paths and a ready connection")
    })
}

/// §4, §5.7: an agent that was sent away dials when ERROR's `retry` has passed, and without one never.
pub(crate) fn no_dial_before_its_time(not_before: Option<Moment>, now: Moment) -> Verdict {
    hold(
        ("no_dial_before_its_time", "§5.7"),
        not_before.is_some_and(|not_before| not_before <= now),
        || format!("a dial at {now}, the last ERROR said {not_before:?}"),
    )
}

/// §5.2, §12: a node's tables fit one another and the legs that there are: a timer has an owner, a path ID an attempt.
pub(crate) fn the_tables_of_a_node_agree(census: &Census, legs: usize) -> Verdict {
    // Three are the node's own: the grace of a stop, the next arrival's turn, and when use is forgotten.
    let owners = census.legs + census.attempts + census.devices + 3;
    hold(
        ("the_tables_of_a_node_agree", "§5.2"),
        census.legs == legs
            && census.path_ids == census.attempts
            && census.paths <= census.attempts
            && census.ready <= census.devices
            && census.waiting <= census.attempts
            && census.device_timers <= census.devices
            && census.deadlines <= owners,
        || format!("{census:?} with {legs} legs"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::each_is_kept_and_broken;
    use super::*;

    #[test]
    fn every_rule_can_be_kept_and_broken() {
        let ms = |ms: u64| Moment(ms * 1_000);
        let census = |attempts| Census {
            attempts,
            ..Census::default()
        };
        let (done, lost) = (Reason::from(Code::Done), Reason::from(Code::PathLost));
        let done = (&done, Stage::Session);
        each_is_kept_and_broken([
            [1, 2].map(|ends| one_terminal_event_per_attempt(1, ends)),
            [&done.0, &&lost].map(|&code| the_agents_word_counts((code, done.1), Some(done))),
            [&lost, done.0].map(|code| the_agents_word_counts((code, done.1), None)),
            [1, 0].map(one_end_per_request),
            [false, true].map(nothing_follows_the_end),
            [3, 4].map(redirects_end),
            [true, false].map(|accepted| no_path_without_consent(accepted, true)),
            [true, false].map(|recorded| no_path_without_consent(true, recorded)),
            [false, true].map(|joined| no_leg_in_two_paths(1, joined)),
            [false, true].map(|claimed| a_ready_connection_is_claimed_once(1, claimed)),
            [true, false].map(incoming_goes_to_whom_route_named),
            [200, 199].map(|left| a_denial_leaves_at_its_time(ms(0), ms(10), ms(left))),
            [300, 200].map(|left| a_denial_leaves_at_its_time(ms(0), ms(300), ms(left))),
            [1, 2].map(|first| whoever_waits_longest_is_served(1, Some(first))),
            [4, 5].map(few_wait_for_one_device),
            [0, 1].map(|waiting| nobody_waits_for_a_ready_agent(waiting, true)),
            [1, 2].map(one_ready_connection_per_device),
            [true, false].map(a_living_agent_keeps_its_place),
            [true, false].map(|was_here| presence_is_told_in_turn(was_here, false)),
            [1, 2].map(one_ready_connection_at_most),
            [true, false].map(|dials| an_agent_that_accepts_dials_at_once(true, dials)),
            [1, 2].map(one_report_per_path),
            [true, false].map(|joined| consent_and_record_make_a_path(true, joined)),
            [3, 2]
                .map(Duration::from_secs)
                .map(|waited| whoever_may_come_back_is_waited_for(true, waited)),
            [true, false].map(nobody_waits_in_vain),
            [false, true].map(no_leg_in_doubt_is_claimed),
            [true, false].map(nobody_challenges_an_empty_place),
            [true, false].map(a_ready_agent_is_told_out),
            [Code::Cut, Code::Revoked].map(|code| the_nodes_word_stands(&Code::Cut.into(), code)),
            [0, 1].map(a_report_leaves_at_once),
            [2, 1].map(|now| no_dial_before_its_time(Some(ms(2)), ms(now))),
            [Some(ms(0)), None].map(|not_before| no_dial_before_its_time(not_before, ms(9))),
            [census(0), census(1)].map(|census| the_tables_of_a_node_agree(&census, 0)),
            [0, 1].map(|legs| the_tables_of_a_node_agree(&census(0), legs)),
        ]);
    }
}
