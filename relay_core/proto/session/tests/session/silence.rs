//! Silence: PING, PONG, a second dial, a lost path (PROTOCOL.md §8.3).
use std::time::Duration;

use telerelay_session::{Cause, Event};
use telerelay_wire::inner::{Ack, Frame, Ping, Pong};
use telerelay_wire::{Code, limits};

use crate::alone::*;
use crate::pair::Pair;

const TICK: Duration = Duration::from_micros(1);

#[test]
fn an_idle_path_is_asked_after_15_s_and_pong_repeats_the_token() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    let due = START + limits::PING_IDLE;
    assert_eq!(
        (agent.next_timeout(), client.next_timeout()),
        (Some(due), Some(due))
    );
    agent.timeout(due - TICK);
    assert_eq!(names(&mut agent, FIRST, due - TICK), [""; 0]);
    agent.timeout(due);
    let bytes = said(&mut agent, FIRST, due);
    let [Frame::Ping(Ping { token })] = frames(&bytes)[..] else {
        panic!()
    };
    client.received(FIRST, &bytes, due);
    let bytes = said(&mut client, FIRST, due);
    assert_eq!(frames(&bytes), [Frame::Pong(Pong { token })]);
    let later = due + Duration::from_secs(1);
    agent.received(FIRST, &bytes, later);
    assert_eq!(agent.next_timeout(), Some(later + limits::PING_IDLE));
    assert_eq!(
        client.next_timeout(),
        Some(due + limits::PING_IDLE),
        "PING is a frame too"
    );
}

#[test]
fn own_bytes_in_doubt_shorten_the_wait_to_5_s() {
    let mut client = open_client(600);
    let typed = START + Duration::from_secs(12);
    client.local_bytes(b"key");
    assert_eq!(
        client.next_timeout(),
        Some(START + limits::PING_IDLE),
        "nothing is in doubt before it travels"
    );
    said(&mut client, FIRST, typed);
    assert_eq!(
        client.next_timeout(),
        Some(START + limits::PING_IDLE),
        "15 s are over sooner than 5 more"
    );
    let mut client = open_client(600);
    client.local_bytes(b"key");
    said(&mut client, FIRST, START);
    assert_eq!(client.next_timeout(), Some(START + limits::PING_BUSY));
    tell(
        &mut client,
        FIRST,
        Ack { offset: 2 },
        START + Duration::from_secs(1),
    );
    assert_eq!(
        client.next_timeout(),
        Some(START + Duration::from_secs(1) + limits::PING_BUSY)
    );
    tell(
        &mut client,
        FIRST,
        Ack { offset: 3 },
        START + Duration::from_secs(1),
    );
    assert_eq!(
        client.next_timeout(),
        Some(START + Duration::from_secs(1) + limits::PING_IDLE)
    );
}

#[test]
fn only_a_client_with_bytes_in_doubt_dials_in_parallel() {
    let mut client = open_client(600);
    client.local_bytes(b"key");
    said(&mut client, FIRST, START);
    let asked = START + limits::PING_BUSY;
    client.timeout(asked);
    client.timeout(asked + limits::PING_PARALLEL - TICK);
    assert_eq!(events(&mut client), []);
    client.timeout(asked + limits::PING_PARALLEL);
    assert_eq!(events(&mut client), [Event::DialParallel]);
    client.timeout(asked + limits::PING_PARALLEL);
    assert_eq!(events(&mut client), []);

    let mut idle = open_client(600);
    let asked = START + limits::PING_IDLE;
    idle.timeout(asked);
    idle.timeout(asked + limits::PING_PARALLEL);
    assert_eq!(events(&mut idle), []);
    // A key that is pressed now makes up for it.
    let typed = asked + Duration::from_secs(5);
    idle.local_bytes(b"key");
    said(&mut idle, FIRST, typed);
    idle.timeout(typed);
    assert_eq!(events(&mut idle), [Event::DialParallel]);

    let mut agent = open_agent(600);
    agent.local_bytes(b"screen");
    said(&mut agent, FIRST, START);
    let asked = START + limits::PING_BUSY;
    agent.timeout(asked);
    agent.timeout(asked + limits::PING_PARALLEL);
    assert_eq!(events(&mut agent), []);
}

#[test]
fn an_answer_in_time_calls_everything_off() {
    let mut client = open_client(600);
    client.local_bytes(b"key");
    said(&mut client, FIRST, START);
    let asked = START + limits::PING_BUSY;
    client.timeout(asked);
    tell(
        &mut client,
        FIRST,
        Pong { token: 1 },
        asked + Duration::from_secs(2),
    );
    client.timeout(asked + limits::PING_PARALLEL);
    assert_eq!(events(&mut client), []);
    // The path took nothing meanwhile, and the question is not asked once the answer is there.
    assert_eq!(
        names(&mut client, FIRST, asked + limits::PING_PARALLEL),
        [""; 0]
    );
}

#[test]
fn a_path_without_any_frame_for_10_s_after_ping_is_lost() {
    for resume_limit in [0, 600] {
        let mut agent = open_agent(resume_limit);
        let asked = START + limits::PING_IDLE;
        agent.timeout(asked);
        let due = asked + limits::PING_LOST;
        agent.timeout(due - TICK);
        assert_eq!(
            (events(&mut agent), agent.sending_path()),
            (vec![], Some(FIRST))
        );
        agent.timeout(due);
        let lost = Event::PathLost { path: FIRST };
        if resume_limit == 0 {
            let end = ended(&mut agent);
            assert_eq!(
                (end.code, end.cause),
                (Code::PathLost.into(), Cause::PathLost)
            );
        } else {
            let until = due + Duration::from_mins(10);
            assert_eq!(events(&mut agent), [lost, Event::Disconnected { until }]);
            assert_eq!(
                (agent.sending_path(), agent.next_timeout()),
                (None, Some(until))
            );
        }
    }
}

#[test]
fn any_frame_saves_a_path_that_was_asked() {
    let mut agent = open_agent(600);
    let asked = START + limits::PING_IDLE;
    agent.timeout(asked);
    let saved = asked + limits::PING_LOST - TICK;
    tell(&mut agent, FIRST, data(0, b"k"), saved);
    agent.timeout(asked + limits::PING_LOST);
    assert_eq!(
        (events(&mut agent), agent.next_timeout()),
        (vec![], Some(saved + limits::PING_IDLE))
    );
    // A part of a frame is no frame.
    let mut agent = open_agent(600);
    agent.timeout(asked);
    agent.received(FIRST, &encoded(Pong { token: 1 })[..3], saved);
    agent.timeout(asked + limits::PING_LOST);
    assert!(matches!(
        events(&mut agent)[..],
        [Event::PathLost { .. }, Event::Disconnected { .. }]
    ));
}

#[test]
fn a_frozen_minute_is_not_a_lost_path() {
    let mut pair = Pair::open(600);
    pair.desktop.writes = Some(32 << 20);
    pair.viewer.frozen = true;
    pair.run_for(Duration::from_mins(1));
    assert_eq!(
        (pair.agent.sending_path(), pair.client.sending_path()),
        (Some(FIRST), Some(FIRST))
    );
    assert_eq!(
        pair.agent.offsets().read,
        4_194_304 + 65_536,
        "the window and what the viewer's socket took"
    );
    assert_eq!(
        pair.agent_events.len() + pair.client_events.len(),
        2,
        "ConnectDesktop and Opened"
    );
    // The path goes on being asked and answers: some 12 PING of each side in a minute, and no more.
    let before = pair.records;
    pair.run_for(Duration::from_mins(1));
    assert!(
        (10..50).contains(&(pair.records - before)),
        "{}",
        pair.records - before
    );
    pair.viewer.frozen = false;
    pair.run_until(Duration::from_mins(1), |pair| pair.viewer.read == 32 << 20);
}

#[test]
fn a_path_that_goes_silent_is_found_within_30_s_and_the_session_goes_on() {
    for busy in [true, false] {
        let mut pair = Pair::open(600);
        pair.run_for(Duration::from_secs(1));
        pair.silence(FIRST);
        if busy {
            pair.desktop.writes = Some(100_000);
            pair.viewer.writes = Some(1_000);
        }
        let before = pair.now;
        pair.run_until(Duration::from_secs(30), |pair| {
            let resumed = |events: &[Event]| {
                events
                    .iter()
                    .any(|event| matches!(event, Event::Resumed { .. }))
            };
            resumed(&pair.agent_events) && resumed(&pair.client_events)
        });
        let dialled_early = pair.client_events.contains(&Event::DialParallel);
        assert_eq!(dialled_early, busy);
        if busy {
            assert!(pair.now - before < Duration::from_secs(9));
        }
        pair.run_until(Duration::from_secs(30), |pair| !busy || pair.is_delivered());
        pair.run_for(Duration::from_mins(1));
        assert_eq!(pair.wires.len(), 1, "both ends let go of the silent path");
    }
}

#[test]
fn without_a_resume_limit_both_ends_end_within_30_s_of_silence() {
    let mut pair = Pair::open(0);
    pair.silence(FIRST);
    pair.run_until(Duration::from_secs(30), |pair| pair.both_ended().is_some());
    assert_eq!(pair.both_ended(), Some(Code::PathLost));
}
