//! What holds at every step of every run: one function a rule, with the section of PROTOCOL.md that it comes from. Each judges
//! facts that the simulator saw itself, never what a machine says of itself alone.
use std::fmt;

use telerelay_outer::node::Census;
use telerelay_session::Offsets;
use telerelay_wire::{Code, Moment, limits};

/// A rule that a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The function of `invariants` that says so.
    pub rule: &'static str,
    /// The section of PROTOCOL.md.
    pub section: &'static str,
    /// What was found.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.rule, self.section, self.detail)
    }
}

/// What a rule says.
pub(crate) type Verdict = Result<(), Broken>;

fn hold(
    (rule, section): (&'static str, &'static str),
    holds: bool,
    detail: impl FnOnce() -> String,
) -> Verdict {
    if holds {
        return Ok(());
    }
    let detail = detail();
    Err(Broken {
        rule,
        section,
        detail,
    })
}

/// §8.2: what reaches a local socket is what the other local socket gave, every byte once and in order.
pub(crate) fn bytes_arrive_once_and_in_order(offset: u64, found: &[u8], expected: &[u8]) -> Verdict {
    hold(
        ("bytes_arrive_once_and_in_order", "§8.2"),
        found == expected,
        || {
            let first = found.iter().zip(expected).position(|(a, b)| a != b);
            let at = offset + first.unwrap_or(0) as u64;
            format!("the byte at {at} is not the one that was given there")
        },
    )
}

/// §8.2: no byte reaches a local socket that the other local socket did not give.
pub(crate) fn nothing_arrives_that_was_not_given(written: u64, given: u64) -> Verdict {
    hold(
        ("nothing_arrives_that_was_not_given", "§8.2"),
        written <= given,
        || format!("{written} bytes were written, {given} were read at the other end"),
    )
}

/// §8.2: ACK, RESUME and RESUMED count bytes that the local socket took: what a receiver said, what a sender heard.
pub(crate) fn nothing_is_acknowledged_unwritten(acknowledged: u64, written: u64) -> Verdict {
    hold(
        ("nothing_is_acknowledged_unwritten", "§8.2"),
        acknowledged <= written,
        || format!("{acknowledged} bytes acknowledged, the local socket took {written}"),
    )
}

/// §8.2: DONE is said when both streams were written to their ends.
pub(crate) fn done_means_that_all_arrived(given: u64, written: u64) -> Verdict {
    hold(
        ("done_means_that_all_arrived", "§8.2"),
        given == written,
        || format!("{written} of {given} bytes were written"),
    )
}

/// §8.2: sent − acknowledged ≤ W, and what is received and not acknowledged ≤ W.
pub(crate) fn the_window_is_kept(offsets: Offsets, outgoing: u64, incoming: u64) -> Verdict {
    hold(
        ("the_window_is_kept", "§8.2"),
        offsets.read - offsets.acked <= outgoing
            && offsets.received - offsets.written_told <= incoming,
        || format!("{offsets:?} with windows {outgoing} and {incoming}"),
    )
}

/// §8.2: the agent reads the desktop only while less than 64 KiB are unsent.
pub(crate) fn the_desktop_is_read_only_while_little_is_unsent(
    offsets: Offsets,
    read_now: u64,
) -> Verdict {
    hold(
        ("the_desktop_is_read_only_while_little_is_unsent", "§8.2"),
        read_now == 0 || offsets.read - offsets.sent <= limits::UNSENT_DESKTOP,
        || format!("{read_now} bytes read, now {offsets:?}"),
    )
}

/// §8.2: a session ends once.
pub(crate) fn one_end_per_session(has_ended: bool) -> Verdict {
    hold(("one_end_per_session", "§8.2"), !has_ended, || {
        "a second end".to_owned()
    })
}

/// §8.4: an endpoint is carried on by a path of a higher generation only.
pub(crate) fn an_older_generation_never_carries(before: u32, now: u32) -> Verdict {
    hold(
        ("an_older_generation_never_carries", "§8.4"),
        now > before,
        || format!("generation {now} carries after {before}"),
    )
}

/// §8.4: an endpoint sends on its newest generation only.
pub(crate) fn data_goes_by_the_newest_path(path: u64, newest: Option<u64>) -> Verdict {
    hold(
        ("data_goes_by_the_newest_path", "§8.4"),
        newest == Some(path),
        || format!("DATA on path {path}, the newest is {newest:?}"),
    )
}

/// §5.6: each attempt at a node has exactly one terminal event, or was redirected.
pub(crate) fn one_terminal_event_per_attempt(ticket: u64, ends: u32) -> Verdict {
    hold(
        ("one_terminal_event_per_attempt", "§5.6"),
        ends == 1,
        || format!("attempt {ticket} has {ends}"),
    )
}

/// §5.5: each request of a client ends exactly once, and nothing follows.
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

/// §7: the device behind inner TLS is the one that the node named.
pub(crate) fn the_other_end_is_who_was_named(is_named: bool) -> Verdict {
    hold(("the_other_end_is_who_was_named", "§7"), is_named, || {
        "another device is behind inner TLS".to_owned()
    })
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

/// §5.4: one leg at most is Dialling, Hello, Ready or Asked.
pub(crate) fn one_ready_connection_at_most(count: usize) -> Verdict {
    hold(
        ("one_ready_connection_at_most", "§5.4"),
        count <= 1,
        || format!("{count} legs that are neither accepted nor a path"),
    )
}

/// §5.6: an agent reports a path once.
pub(crate) fn one_report_per_path(reports: u32) -> Verdict {
    hold(("one_report_per_path", "§5.6"), reports <= 1, || {
        format!("{reports} reports")
    })
}

/// §4, §8: between machines that keep the protocol nobody says that it was broken.
pub(crate) fn nobody_breaks_the_protocol(code: Option<Code>, said: &str) -> Verdict {
    let blames = matches!(
        code,
        Some(
            Code::BadFrame
                | Code::SessionProtocol
                | Code::PathUnknown
                | Code::Version
                | Code::WrongRole
                | Code::WrongSide
                | Code::Unsupported
                | Code::Internal
        )
    );
    hold(("nobody_breaks_the_protocol", "§4"), !blames, || {
        said.to_owned()
    })
}

/// §12: what waits for a slow end is bounded.
pub(crate) fn buffers_are_bounded(what: &str, length: usize, most: usize) -> Verdict {
    hold(("buffers_are_bounded", "§12"), length <= most, || {
        format!("{what}: {length}, at most {most}")
    })
}

/// §5.2, §12: a node's tables fit one another: a timer has an owner, a path ID an attempt.
pub(crate) fn the_tables_of_a_node_agree(census: &Census) -> Verdict {
    let owners = census.legs + census.attempts + census.devices + 1;
    hold(
        ("the_tables_of_a_node_agree", "§5.2"),
        census.path_ids == census.attempts
            && census.paths <= census.attempts
            && census.ready <= census.devices
            && census.device_timers <= census.devices
            && census.deadlines <= owners,
        || format!("{census:?}"),
    )
}

/// §12: a timer that has fired is not due any more.
pub(crate) fn timers_move_on(next: Option<Moment>, now: Moment) -> Verdict {
    hold(
        ("timers_move_on", "§12"),
        next.is_none_or(|next| next > now),
        || format!("at {now} the next timeout is {next:?}"),
    )
}

/// §5, §8, §12: when everybody has stopped, nothing is left.
pub(crate) fn nothing_is_left(what: &str, count: usize) -> Verdict {
    hold(("nothing_is_left", "§12"), count == 0, || {
        format!("{count} {what}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each rule, once kept and once broken.
    #[test]
    fn every_rule_can_be_kept_and_broken() {
        let offsets = |read, sent, acked, received, written_told| Offsets {
            read,
            sent,
            acked,
            received,
            written: received,
            written_told,
        };
        let ms = |ms: u64| Moment(ms * 1_000);
        let census = |attempts| Census {
            attempts,
            ..Census::default()
        };
        let rules: [[Verdict; 2]; 25] = [
            [&b"ab"[..], b"aa"].map(|found| bytes_arrive_once_and_in_order(7, found, b"ab")),
            [5, 6].map(|written| nothing_arrives_that_was_not_given(written, 5)),
            [5, 6].map(|acknowledged| nothing_is_acknowledged_unwritten(acknowledged, 5)),
            [false, true].map(one_end_per_session),
            [5, 4].map(|written| done_means_that_all_arrived(5, written)),
            [10, 11].map(|read| the_window_is_kept(offsets(read, 0, 0, 0, 0), 10, 10)),
            [10, 11].map(|received| the_window_is_kept(offsets(0, 0, 0, received, 0), 10, 10)),
            [limits::UNSENT_DESKTOP, limits::UNSENT_DESKTOP + 1].map(|read| {
                the_desktop_is_read_only_while_little_is_unsent(offsets(read, 0, 0, 0, 0), 1)
            }),
            [2, 1].map(|now| an_older_generation_never_carries(1, now)),
            [Some(1), Some(2)].map(|newest| data_goes_by_the_newest_path(1, newest)),
            [1, 2].map(|ends| one_terminal_event_per_attempt(1, ends)),
            [1, 0].map(one_end_per_request),
            [false, true].map(nothing_follows_the_end),
            [true, false].map(|accepted| no_path_without_consent(accepted, true)),
            [false, true].map(|joined| no_leg_in_two_paths(1, joined)),
            [false, true].map(|claimed| a_ready_connection_is_claimed_once(1, claimed)),
            [true, false].map(incoming_goes_to_whom_route_named),
            [true, false].map(the_other_end_is_who_was_named),
            [200, 199].map(|left| a_denial_leaves_at_its_time(ms(0), ms(10), ms(left))),
            [1, 2].map(one_ready_connection_at_most),
            [1, 2].map(one_report_per_path),
            [Code::Denied, Code::BadFrame].map(|code| nobody_breaks_the_protocol(Some(code), "")),
            [1, 2].map(|length| buffers_are_bounded("", length, 1)),
            [census(0), census(1)].map(|census| the_tables_of_a_node_agree(&census)),
            [ms(2), ms(1)].map(|next| timers_move_on(Some(next), ms(1))),
        ];
        for [kept, broken] in rules {
            assert_eq!(kept, Ok(()));
            let broken = broken.expect_err("it was broken");
            assert!(broken.section.starts_with('§'), "{broken}");
        }
        assert_eq!(nothing_is_left("legs", 0), Ok(()));
        assert!(nothing_is_left("legs", 1).is_err());
    }
}
