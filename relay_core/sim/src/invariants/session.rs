//! The rules between agent and client (PROTOCOL.md §8).
use core::time::Duration;

use telerelay_session::{Offsets, PathKey};
use telerelay_wire::{Moment, limits};

use super::{Verdict, hold};

/// §8.2: what reaches a local socket is what the other local socket gave, every byte once and in order.
pub(crate) fn bytes_arrive_once_and_in_order(
    offset: u64,
    found: &[u8],
    expected: &[u8],
) -> Verdict {
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

/// §8.2: ACK leaves 20 ms after a write at the latest.
pub(crate) fn an_acknowledgement_leaves_in_time(since: Moment, now: Moment) -> Verdict {
    hold(
        ("an_acknowledgement_leaves_in_time", "§8.2"),
        now.since(since) <= limits::ACK,
        || format!("bytes were written at {since}, and the other end was not told"),
    )
}

/// §8.2: the local socket is shut down when it took the other side's whole stream, not sooner.
pub(crate) fn the_local_socket_is_shut_behind_the_last_byte(
    written: u64,
    given: u64,
    is_over: bool,
) -> Verdict {
    hold(
        ("the_local_socket_is_shut_behind_the_last_byte", "§8.2"),
        is_over && written == given,
        || format!("{written} of {given} bytes were written, the other side is over: {is_over}"),
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
        offsets.read <= offsets.acked + outgoing
            && offsets.received <= offsets.written_told + incoming,
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

/// §8.2: on a path that lives, a session with something to do does it.
pub(crate) fn a_session_moves_on(since: Moment, now: Moment, what: &str) -> Verdict {
    hold(
        ("a_session_moves_on", "§8.2"),
        now.since(since) <= Duration::from_secs(10),
        || format!("nothing has moved since {since}, and {what}"),
    )
}

/// §8.2: a session ends once.
pub(crate) fn one_end_per_session(has_ended: bool) -> Verdict {
    hold(("one_end_per_session", "§8.2"), !has_ended, || {
        "a second end".to_owned()
    })
}

/// §8.2, §8.4: FIN follows the last byte on the path that carries the session, whatever an older one was told.
pub(crate) fn the_end_of_a_stream_is_said_on_the_newest_path(
    said: Option<PathKey>,
    newest: PathKey,
) -> Verdict {
    hold(
        ("the_end_of_a_stream_is_said_on_the_newest_path", "§8.4"),
        said == Some(newest),
        || format!("every byte has left on path {}, FIN on {said:?}", newest.0),
    )
}

/// §8.2: whoever ends a session says CLOSE on its newest path.
pub(crate) fn whoever_ends_a_session_says_so(said: Option<PathKey>, newest: PathKey) -> Verdict {
    hold(
        ("whoever_ends_a_session_says_so", "§8.2"),
        said == Some(newest),
        || format!("path {} is left, CLOSE was said on {said:?}", newest.0),
    )
}

/// §8.3: a path over which nothing comes is lost within 15 + 10 s.
pub(crate) fn a_silent_path_is_lost_in_time(silent: Moment, now: Moment) -> Verdict {
    hold(
        ("a_silent_path_is_lost_in_time", "§8.3"),
        now.since(silent) <= limits::PING_IDLE + limits::PING_LOST,
        || format!("nothing has come since {silent}"),
    )
}

/// §8.3: a path that lives is not given up: not because of a frozen viewer, not because nobody types.
pub(crate) fn a_living_path_is_not_given_up(path: u64, is_calm: bool) -> Verdict {
    hold(("a_living_path_is_not_given_up", "§8.3"), !is_calm, || {
        format!("path {path} is given up, and nothing was broken for long")
    })
}

/// §8.1: an older path is given up when nothing has come by it for 10 s.
pub(crate) fn an_older_path_is_given_up(heard: Moment, now: Moment) -> Verdict {
    hold(
        ("an_older_path_is_given_up", "§8.1"),
        now.since(heard) <= limits::PING_LOST,
        || format!("nothing has come by it since {heard}"),
    )
}

/// §8.4: RESUME and RESUMED say how many bytes the local socket took.
pub(crate) fn resuming_begins_at_what_was_written(said: u64, written: u64) -> Verdict {
    hold(
        ("resuming_begins_at_what_was_written", "§8.4"),
        said == written,
        || format!("{said} said, {written} written"),
    )
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
pub(crate) fn streams_go_by_the_newest_path(path: u64, newest: u64, frame: &str) -> Verdict {
    hold(
        ("streams_go_by_the_newest_path", "§8.4"),
        newest == path,
        || format!("{frame} on path {path}, the newest is {newest}"),
    )
}

/// §8.4: a session without a path ends at its resume limit.
pub(crate) fn a_session_ends_at_its_limit(since: Moment, now: Moment, limit: Duration) -> Verdict {
    hold(
        ("a_session_ends_at_its_limit", "§8.4"),
        now.since(since) <= limit,
        || format!("without a path since {since}, the limit is {limit:?}"),
    )
}

/// §8.4: the loss of a path ends no session before its resume limit.
pub(crate) fn a_session_outlives_its_path(since: Moment, now: Moment, limit: Duration) -> Verdict {
    hold(
        ("a_session_outlives_its_path", "§8.4"),
        now.since(since) >= limit,
        || format!("ended without a path since {since}, the limit is {limit:?}"),
    )
}

/// §8.4: a session goes on by a path for which its own client asked, with the secret that only the two ends have.
pub(crate) fn only_its_client_resumes_a_session(has_asked: bool, generation: u32) -> Verdict {
    hold(
        ("only_its_client_resumes_a_session", "§8.4"),
        has_asked,
        || format!("generation {generation} carries, and its client has not asked"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::each_is_kept_and_broken;
    use super::*;

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
        each_is_kept_and_broken([
            [&b"ab"[..], b"aa"].map(|found| bytes_arrive_once_and_in_order(7, found, b"ab")),
            [5, 6].map(|written| nothing_arrives_that_was_not_given(written, 5)),
            [5, 6].map(|acknowledged| nothing_is_acknowledged_unwritten(acknowledged, 5)),
            [20, 21].map(|now| an_acknowledgement_leaves_in_time(ms(0), ms(now))),
            [5, 4].map(|written| the_local_socket_is_shut_behind_the_last_byte(written, 5, true)),
            [true, false].map(|over| the_local_socket_is_shut_behind_the_last_byte(5, 5, over)),
            [5, 4].map(|written| done_means_that_all_arrived(5, written)),
            [10, 11].map(|read| the_window_is_kept(offsets(read, 0, 0, 0, 0), 10, 10)),
            [10, 11].map(|received| the_window_is_kept(offsets(0, 0, 0, received, 0), 10, 10)),
            [limits::UNSENT_DESKTOP, limits::UNSENT_DESKTOP + 1].map(|read| {
                the_desktop_is_read_only_while_little_is_unsent(offsets(read, 0, 0, 0, 0), 1)
            }),
            [10_000, 10_001].map(|now| a_session_moves_on(ms(0), ms(now), "")),
            [false, true].map(one_end_per_session),
            [1, 2].map(|newest| {
                the_end_of_a_stream_is_said_on_the_newest_path(Some(PathKey(1)), PathKey(newest))
            }),
            [Some(PathKey(1)), None].map(|said| whoever_ends_a_session_says_so(said, PathKey(1))),
            [25_000, 25_001].map(|now| a_silent_path_is_lost_in_time(ms(0), ms(now))),
            [false, true].map(|calm| a_living_path_is_not_given_up(1, calm)),
            [10_000, 10_001].map(|now| an_older_path_is_given_up(ms(0), ms(now))),
            [5, 4].map(|said| resuming_begins_at_what_was_written(said, 5)),
            [2, 1].map(|now| an_older_generation_never_carries(1, now)),
            [1, 2].map(|newest| streams_go_by_the_newest_path(1, newest, "DATA")),
            [5_000, 5_001]
                .map(|now| a_session_ends_at_its_limit(ms(0), ms(now), Duration::from_secs(5))),
            [5_000, 4_999]
                .map(|now| a_session_outlives_its_path(ms(0), ms(now), Duration::from_secs(5))),
            [true, false].map(|asked| only_its_client_resumes_a_session(asked, 1)),
        ]);
    }
}
