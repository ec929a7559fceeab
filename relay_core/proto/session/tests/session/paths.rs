//! Sessions without a path, and pairs whose paths break, come back and multiply while bytes flow (PROTOCOL.md §8.4).
use std::time::Duration;

use telerelay_session::{Cause, Event, Timer};
use telerelay_wire::Code;
use telerelay_wire::ids::Stage;

use crate::alone::{FIRST, START, ended, events, open_agent, open_client};
use crate::pair::Pair;

const LONG: Duration = Duration::from_hours(1);

#[test]
fn a_session_without_a_path_ends_after_the_resume_limit() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    let due = START + Duration::from_mins(10);
    agent.path_lost(FIRST, START);
    client.path_lost(FIRST, START);
    assert_eq!(
        (agent.next_timeout(), client.next_timeout()),
        (Some(due), Some(due))
    );
    agent.timeout(due);
    client.timeout(due);
    for mut told in [events(&mut agent), events(&mut client)] {
        let Some(Event::Ended(end)) = told.pop() else {
            panic!()
        };
        assert_eq!(told, [Event::Disconnected { until: due }]);
        assert_eq!(
            (end.code, end.cause),
            (Code::PathLost.into(), Cause::Timeout(Timer::Limit))
        );
    }
    assert_eq!(client.next_resume(), None);
}

#[test]
fn without_a_resume_limit_a_session_ends_with_its_path() {
    let mut agent = open_agent(0);
    agent.path_lost(FIRST, START);
    let end = ended(&mut agent);
    assert_eq!(
        (end.code, end.cause, end.stage),
        (Code::PathLost.into(), Cause::PathLost, Stage::Session)
    );
}

#[test]
fn a_session_without_a_path_reads_64_kib_of_the_desktop_and_no_more() {
    let mut agent = open_agent(600);
    agent.path_lost(FIRST, START);
    assert_eq!(agent.local_bytes(&vec![1; 100_000]), 65_536);
    assert_eq!(agent.room_for_local(), 0);
    assert!(agent.poll_transmit(FIRST, START).is_none());
}

#[test]
fn a_path_that_comes_in_time_stops_the_resume_limit() {
    let mut pair = Pair::open(600);
    pair.dials = false;
    pair.break_path(FIRST);
    pair.run_for(Duration::from_secs(599));
    pair.dial().unwrap();
    pair.run_for(Duration::from_mins(20));
    assert_eq!((pair.agent_end(), pair.client_end()), (None, None));
    pair.viewer.writes = Some(10);
    pair.run_until(LONG, |pair| pair.desktop.read == 10);
}

#[test]
fn a_path_that_breaks_behind_any_record_costs_nothing() {
    // Some records each way, ends included; the path breaks behind every one of them, with what is in flight
    // delivered or gone.
    let begin = || {
        let mut pair = Pair::open(600);
        (pair.desktop.writes, pair.desktop.ends) = (Some(200_000), true);
        (pair.viewer.writes, pair.viewer.ends) = (Some(30_000), true);
        pair
    };
    let mut whole = begin();
    whole.run_until(LONG, |pair| pair.both_ended().is_some());
    assert!(whole.records > 20);
    for limit in 0..=whole.records {
        for delivered in [true, false] {
            let mut pair = begin();
            pair.records_limit = limit;
            pair.run_for(if delivered {
                Duration::from_millis(50)
            } else {
                Duration::ZERO
            });
            pair.break_path(FIRST);
            pair.records_limit = u64::MAX;
            pair.run_until(LONG, |pair| {
                pair.agent_end().is_some() && pair.client_end().is_some()
            });
            assert!(pair.is_delivered(), "{limit} {delivered}");
            // Where CLOSE itself was lost, one end is done and the other finds the session gone.
            let codes =
                [pair.agent_end(), pair.client_end()].map(|end| end.unwrap().code.code().unwrap());
            assert!(codes.contains(&Code::Done), "{limit} {delivered} {codes:?}");
            let others = [Code::Done, Code::SessionGone, Code::PathLost];
            assert!(codes.iter().all(|code| others.contains(code)), "{codes:?}");
        }
    }
}

#[test]
fn a_second_live_path_is_harmless() {
    let mut pair = Pair::open(600);
    pair.desktop.writes = Some(8 << 20);
    pair.viewer.writes = Some(1 << 20);
    for round in 0..20 {
        pair.run_for(Duration::from_millis(7));
        pair.latency = Duration::from_millis(10 + 3 * (round % 5));
        pair.dial().unwrap();
    }
    pair.run_until(LONG, Pair::is_delivered);
    pair.run_for(Duration::from_mins(1));
    assert_eq!(pair.wires.len(), 1);
}

#[test]
fn data_that_was_received_and_not_written_is_not_asked_for_twice_by_the_window() {
    // The agent replays from what was written; the client holds more than that already. Its window must bear both.
    let mut pair = Pair::open(600);
    pair.viewer.frozen = true;
    pair.desktop.writes = Some(16 << 20);
    pair.run_for(Duration::from_secs(5));
    for _ in 0..3 {
        let path = pair.client.sending_path().unwrap();
        pair.break_path(path);
        pair.run_for(Duration::from_secs(5));
        assert_eq!(pair.client_end(), None);
    }
    pair.viewer.frozen = false;
    pair.run_until(LONG, Pair::is_delivered);
}
