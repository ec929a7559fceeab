//! Several paths: RESUME, replay, generations, standby, the resume limit (PROTOCOL.md §8.4).
use std::time::Duration;

use telerelay_session::{AgentSession, Cause, ClientSession, Event, Pairing, PathKey, Violation};
use telerelay_wire::ids::{DeviceId, NodeAddress, SessionId, Stage};
use telerelay_wire::inner::{
    Ack, AuthDone, Frame, Migrate, Opened, Ping, ResumeAsk, Resumed, Standby,
};
use telerelay_wire::{Code, limits};

use crate::alone::*;
use crate::pair::pattern;

const SECOND: PathKey = PathKey(1);
const THIRD: PathKey = PathKey(2);

/// A client that dialled a path and was asked nothing on it: what it says there.
fn resuming(client: &mut ClientSession, key: PathKey) -> Vec<u8> {
    let generation = client.next_resume().unwrap().generation;
    client.path_up(key, generation, pairing(key), exporter(key), START);
    tell(client, key, AuthDone {}, START);
    said(client, key, START)
}

/// A path at the agent that waits for RESUME.
fn awaiting(agent: &mut AgentSession, key: PathKey) {
    agent.path_up(key, pairing(key), exporter(key), CLIENT);
    agent.authenticated(key, START);
    assert_eq!(names(agent, key, START), ["AUTH_DONE"]);
}

fn resume_of(bytes: &[u8]) -> ResumeAsk {
    let [Frame::ResumeAsk(ask)] = frames(bytes)[..] else {
        panic!()
    };
    ask
}

#[test]
fn resume_is_asked_for_with_what_was_written_and_answered_with_the_same() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    tell(&mut client, FIRST, data(0, b"screen"), START);
    client.written(4, START);
    agent.local_bytes(b"screen");
    said(&mut agent, FIRST, START);
    tell(&mut agent, FIRST, data(0, b"keys"), START);
    agent.written(3, START);
    client.local_bytes(b"keys");
    said(&mut client, FIRST, START);

    let bytes = resuming(&mut client, SECOND);
    let ask = resume_of(&bytes);
    assert_eq!(
        (Some(ask.session), ask.generation, ask.received),
        (agent.id(), 1, 4)
    );
    assert_eq!(
        (ask.attempt, ask.path),
        (pairing(SECOND).attempt, pairing(SECOND).path)
    );
    assert_eq!(client.sending_path(), Some(FIRST), "make before break");

    awaiting(&mut agent, SECOND);
    agent.received(SECOND, &bytes, START);
    assert_eq!(
        events(&mut agent),
        [Event::Resumed {
            path: SECOND,
            generation: 1
        }]
    );
    let bytes = said(&mut agent, SECOND, START);
    assert_eq!(
        frames(&bytes),
        [Frame::Resumed(Resumed { received: 3 }), data(4, b"en")]
    );

    client.received(SECOND, &bytes, START);
    let done = Event::PathDone { path: FIRST };
    assert_eq!(
        events(&mut client),
        [
            done,
            Event::Resumed {
                path: SECOND,
                generation: 1
            }
        ]
    );
    assert_eq!(
        (waiting(&client), client.offsets().received),
        (b"en".to_vec(), 6)
    );
    let bytes = said(&mut client, SECOND, START);
    assert_eq!(frames(&bytes), [data(3, b"s")]);
    assert_eq!(names(&mut client, FIRST, START), [""; 0]);
}

#[test]
fn a_resume_that_may_not_be_is_answered_session_gone_and_the_session_goes_on() {
    type Forge = fn(&mut ResumeAsk);
    let forge: [(&str, Forge); 5] = [
        ("another session", |ask| ask.session = SessionId([9; 16])),
        ("the first path's number", |ask| ask.generation = 0),
        ("another number than was proven", |ask| ask.generation += 1),
        ("another count than was proven", |ask| ask.received += 1),
        ("no proof", |ask| ask.proof.0[31] ^= 1),
    ];
    for (name, forge) in forge {
        let (mut agent, mut client) = (open_agent(600), open_client(600));
        let mut ask = resume_of(&resuming(&mut client, SECOND));
        forge(&mut ask);
        awaiting(&mut agent, SECOND);
        tell(&mut agent, SECOND, ask, START);
        goes_on(&mut agent, SECOND, Code::SessionGone, name);
    }
    // The proof of one path is none for another: a node that holds a copy of RESUME gains nothing.
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    let ask = resume_of(&resuming(&mut client, SECOND));
    awaiting(&mut agent, THIRD);
    let Pairing { attempt, path } = pairing(THIRD);
    tell(
        &mut agent,
        THIRD,
        ResumeAsk {
            attempt,
            path,
            ..ask
        },
        START,
    );
    goes_on(&mut agent, THIRD, Code::SessionGone, "another path's proof");
}

/// A path was refused with a code, and nothing else changed.
fn goes_on(agent: &mut AgentSession, refused: PathKey, code: Code, name: &str) {
    assert_eq!(events(agent), [Event::PathDone { path: refused }], "{name}");
    let bytes = said(agent, refused, START);
    let [Frame::Close(close)] = &frames(&bytes)[..] else {
        panic!("{name}")
    };
    assert_eq!(
        (close.code.code(), close.stage),
        (Some(code), Stage::Open),
        "{name}"
    );
    tell(agent, refused, Ping { token: 1 }, START);
    assert_eq!(
        names(agent, refused, START),
        [""; 0],
        "{name}: a refused path is not read"
    );
    assert_eq!(
        (agent.sending_path(), agent.is_ended()),
        (Some(FIRST), false),
        "{name}"
    );
    tell(agent, FIRST, data(0, b"k"), START);
    assert_eq!(waiting(agent), b"k", "{name}");
    agent.path_lost(refused, START);
    assert_eq!(events(agent), [], "{name}");
}

#[test]
fn only_the_same_device_resumes() {
    let mut agent = open_agent(600);
    agent.path_up(
        SECOND,
        pairing(SECOND),
        exporter(SECOND),
        DeviceId([0xee; 32]),
    );
    agent.authenticated(SECOND, START);
    goes_on(&mut agent, SECOND, Code::SessionGone, "another device");
}

#[test]
fn resume_must_be_of_the_path_that_the_node_announced() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    let bytes = resuming(&mut client, SECOND);
    awaiting(&mut agent, THIRD);
    agent.received(THIRD, &bytes, START);
    goes_on(&mut agent, THIRD, Code::Identity, "swapped paths");
}

#[test]
fn a_mistake_on_a_path_that_has_proven_nothing_costs_that_path() {
    let wrong = [
        encoded(Ack { offset: 1 }),
        encoded(data(0, b"k")),
        encoded(open_frame()),
        vec![0, 0, 0xee, 1],
    ];
    for (index, bytes) in wrong.iter().enumerate() {
        let mut agent = open_agent(600);
        awaiting(&mut agent, SECOND);
        agent.received(SECOND, bytes, START);
        let code = if index == 3 {
            Code::BadFrame
        } else {
            Code::SessionProtocol
        };
        goes_on(&mut agent, SECOND, code, "a mistake");
    }
    // RESUME before AUTH_DONE.
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    let bytes = resuming(&mut client, SECOND);
    agent.path_up(SECOND, pairing(SECOND), exporter(SECOND), CLIENT);
    agent.received(SECOND, &bytes, START);
    goes_on(&mut agent, SECOND, Code::SessionProtocol, "too early");
    // RESUME on the path that opened the session is a partner's mistake.
    tell(&mut agent, FIRST, resume_of(&bytes), START);
    assert_eq!(
        ended(&mut agent).cause,
        Cause::Violation(Violation::Unexpected { frame: "RESUME" })
    );
}

#[test]
fn generations_only_rise() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    let first = resuming(&mut client, SECOND);
    let second = resuming(&mut client, THIRD);
    awaiting(&mut agent, SECOND);
    awaiting(&mut agent, THIRD);
    agent.received(THIRD, &second, START);
    assert_eq!(
        events(&mut agent),
        [Event::Resumed {
            path: THIRD,
            generation: 2
        }]
    );
    agent.received(SECOND, &first, START);
    assert_eq!(events(&mut agent), [Event::PathDone { path: SECOND }]);
    let refused = said(&mut agent, SECOND, START);
    assert_eq!(frames(&refused)[0].name(), "CLOSE");
    // The client hears the refusal first, and waits for the other dial.
    client.received(SECOND, &refused, START);
    assert_eq!(events(&mut client), [Event::PathDone { path: SECOND }]);
    client.received(THIRD, &said(&mut agent, THIRD, START), START);
    assert_eq!(
        (client.sending_path(), agent.sending_path()),
        (Some(THIRD), Some(THIRD))
    );
}

#[test]
fn a_generation_is_used_once() {
    // Two copies of one client, as a restored machine would be.
    let (mut agent, mut one, mut other) = (open_agent(600), open_client(600), open_client(600));
    let first = resuming(&mut one, SECOND);
    let second = resuming(&mut other, THIRD);
    awaiting(&mut agent, SECOND);
    awaiting(&mut agent, THIRD);
    agent.received(SECOND, &first, START);
    agent.received(THIRD, &second, START);
    let resumed = Event::Resumed {
        path: SECOND,
        generation: 1,
    };
    assert_eq!(
        events(&mut agent),
        [resumed, Event::PathDone { path: THIRD }]
    );
}

#[test]
fn a_proof_for_another_session_of_the_same_inner_tls_is_none() {
    let mut client = new_client();
    tell(&mut client, FIRST, AuthDone {}, START);
    tell(
        &mut client,
        FIRST,
        Opened {
            session: SessionId([9; 16]),
            ..opened_frame(600)
        },
        START,
    );
    let bytes = resuming(&mut client, SECOND);
    let mut agent = open_agent(600);
    awaiting(&mut agent, SECOND);
    agent.received(SECOND, &bytes, START);
    goes_on(&mut agent, SECOND, Code::SessionGone, "another session");
}

#[test]
fn the_count_of_resume_moves_the_window_like_an_acknowledgement() {
    let mut client = open_client(600);
    tell(&mut client, FIRST, data(0, &[1; 1_000]), START);
    client.written(1_000, START);
    client.path_lost(FIRST, START);
    resuming(&mut client, SECOND);
    tell(&mut client, SECOND, Resumed { received: 0 }, START);
    let window = 4_194_304;
    let mut offset = 1_000;
    while offset < 1_000 + window {
        let length = (1_000 + window - offset).min(16_346);
        tell(
            &mut client,
            SECOND,
            data(offset, &vec![1; usize::try_from(length).unwrap()]),
            START,
        );
        offset += length;
    }
    assert_eq!(
        (client.offsets().received, client.is_ended()),
        (1_000 + window, false)
    );
}

#[test]
fn a_question_on_the_path_before_is_no_doubt_about_the_new_one() {
    let mut agent = open_agent(600);
    let mut client = open_client(600);
    let asked = START + limits::PING_IDLE;
    agent.timeout(asked);
    let ask = resuming(&mut client, SECOND);
    agent.path_up(SECOND, pairing(SECOND), exporter(SECOND), CLIENT);
    agent.authenticated(SECOND, asked);
    agent.received(SECOND, &ask, asked);
    agent.path_lost(FIRST, asked);
    assert_eq!(names(&mut agent, SECOND, asked), ["AUTH_DONE", "RESUMED"]);
    assert_eq!(agent.next_timeout(), Some(asked + limits::PING_IDLE));
}

#[test]
fn a_slower_answer_does_not_take_the_session_back() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    let first = resuming(&mut client, SECOND);
    let second = resuming(&mut client, THIRD);
    awaiting(&mut agent, SECOND);
    awaiting(&mut agent, THIRD);
    agent.local_bytes(b"screen");
    agent.received(SECOND, &first, START);
    let slower = said(&mut agent, SECOND, START);
    agent.received(THIRD, &second, START);
    client.received(THIRD, &said(&mut agent, THIRD, START), START);
    events(&mut client);
    client.received(SECOND, &slower, START);
    assert_eq!(events(&mut client), [Event::PathDone { path: SECOND }]);
    assert_eq!(
        (client.sending_path(), waiting(&client)),
        (Some(THIRD), b"screen".to_vec())
    );
}

#[test]
fn a_refused_client_without_another_path_ends_with_the_code() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    agent.close(Code::DesktopLost);
    client.path_lost(FIRST, START);
    let until = START + Duration::from_mins(10);
    assert_eq!(events(&mut client), [Event::Disconnected { until }]);
    let bytes = resuming(&mut client, SECOND);
    agent.path_up(SECOND, pairing(SECOND), exporter(SECOND), CLIENT);
    agent.authenticated(SECOND, START);
    let gone = said(&mut agent, SECOND, START);
    agent.received(SECOND, &bytes, START);
    assert_eq!(names(&mut agent, SECOND, START), [""; 0]);
    client.received(SECOND, &gone, START);
    let mut told = events(&mut client);
    let Some(Event::Ended(end)) = told.pop() else {
        panic!()
    };
    assert_eq!(
        (end.code.code(), end.cause),
        (Some(Code::SessionGone), Cause::Peer)
    );
}

#[test]
fn every_cut_of_a_short_stream_arrives_once_and_in_order() {
    let bytes: Vec<u8> = (0..12).map(|at| pattern(5, at)).collect();
    for sent in 0..=bytes.len() {
        for received in 0..=sent {
            for written in 0..=received {
                for told in [false, true] {
                    let (mut agent, mut client) = (open_agent(600), open_client(600));
                    client.local_bytes(&bytes[..sent]);
                    said(&mut client, FIRST, START);
                    if received > 0 {
                        tell(&mut agent, FIRST, data(0, &bytes[..received]), START);
                    }
                    let mut taken = waiting(&agent)[..written].to_vec();
                    agent.written(written, START);
                    if told {
                        agent.timeout(START + limits::ACK);
                        client.received(FIRST, &said(&mut agent, FIRST, START), START);
                    }
                    agent.path_lost(FIRST, START);
                    client.path_lost(FIRST, START);
                    client.local_bytes(&bytes[sent..]);
                    let ask = resuming(&mut client, SECOND);
                    awaiting(&mut agent, SECOND);
                    agent.received(SECOND, &ask, START);
                    client.received(SECOND, &said(&mut agent, SECOND, START), START);
                    agent.received(SECOND, &said(&mut client, SECOND, START), START);
                    taken.extend(waiting(&agent));
                    assert_eq!(
                        taken, bytes,
                        "{sent} sent, {received} received, {written} written, told {told}"
                    );
                }
            }
        }
    }
}

#[test]
fn frames_of_an_older_path_are_read_and_nothing_is_sent_on_it() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    client.local_bytes(b"late");
    let late = said(&mut client, FIRST, START);
    let ask = resuming(&mut client, SECOND);
    awaiting(&mut agent, SECOND);
    agent.received(SECOND, &ask, START);
    said(&mut agent, SECOND, START);
    agent.received(FIRST, &late, START);
    agent.received(FIRST, &late, START);
    tell(&mut agent, FIRST, Ping { token: 8 }, START);
    assert_eq!(waiting(&agent), b"late");
    agent.written(4, START);
    agent.local_bytes(b"screen");
    assert_eq!(names(&mut agent, FIRST, START), [""; 0]);
    assert_eq!(names(&mut agent, SECOND, START), ["PONG", "ACK", "DATA"]);
    // The session does not end with it.
    agent.path_lost(FIRST, START);
    assert_eq!(
        events(&mut agent),
        [Event::Resumed {
            path: SECOND,
            generation: 1
        }]
    );
}

#[test]
fn an_acknowledgement_may_pass_what_was_replayed_so_far() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    client.local_bytes(&vec![1; 100_000]);
    let sent = said(&mut client, FIRST, START);
    let ask = resuming(&mut client, SECOND);
    awaiting(&mut agent, SECOND);
    agent.received(SECOND, &ask, START);
    let resumed = said(&mut agent, SECOND, START);
    // All of it arrives on the older path and is written, before the replay has begun.
    agent.received(FIRST, &sent, START);
    agent.written(100_000, START);
    client.received(SECOND, &resumed, START);
    client.poll_transmit(SECOND, START).unwrap();
    client.received(SECOND, &said(&mut agent, SECOND, START), START);
    assert_eq!(
        (client.offsets().acked, client.offsets().sent),
        (100_000, 100_000)
    );
    assert_eq!(
        names(&mut client, SECOND, START),
        [""; 0],
        "nothing is replayed that was written"
    );
}

#[test]
fn an_older_path_is_given_up_10_s_after_its_last_frame() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    let ask = resuming(&mut client, SECOND);
    awaiting(&mut agent, SECOND);
    agent.received(SECOND, &ask, START);
    events(&mut agent);
    assert_eq!(agent.next_timeout(), Some(START + limits::PING_LOST));
    let later = START + Duration::from_secs(6);
    tell(&mut agent, FIRST, Ping { token: 1 }, later);
    agent.timeout(START + limits::PING_LOST);
    assert_eq!(events(&mut agent), []);
    agent.timeout(later + limits::PING_LOST);
    assert_eq!(events(&mut agent), [Event::PathLost { path: FIRST }]);
}

#[test]
fn a_path_on_which_resume_does_not_come_or_is_not_answered_is_dropped() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    awaiting(&mut agent, SECOND);
    agent.timeout(START + limits::OPEN);
    assert_eq!(events(&mut agent), [Event::PathLost { path: SECOND }]);
    resuming(&mut client, SECOND);
    client.timeout(START + limits::OPEN);
    assert_eq!(events(&mut client), [Event::PathLost { path: SECOND }]);
    assert_eq!(
        (agent.sending_path(), client.sending_path()),
        (Some(FIRST), Some(FIRST))
    );
}

#[test]
fn a_fifth_path_takes_the_place_of_the_least_useful() {
    let mut agent = open_agent(600);
    (1..=3).for_each(|key| awaiting(&mut agent, PathKey(key)));
    assert_eq!(events(&mut agent), []);
    awaiting(&mut agent, PathKey(4));
    assert_eq!(events(&mut agent), [Event::PathLost { path: PathKey(1) }]);
    agent.path_up(
        PathKey(5),
        pairing(PathKey(5)),
        exporter(PathKey(5)),
        DeviceId([0xee; 32]),
    );
    assert_eq!(events(&mut agent)[0], Event::PathLost { path: PathKey(2) });
    awaiting(&mut agent, PathKey(6));
    assert_eq!(
        events(&mut agent),
        [Event::PathLost { path: PathKey(5) }],
        "a refused path goes first"
    );
    assert_eq!(agent.sending_path(), Some(FIRST));
}

#[test]
fn the_standby_is_told_on_the_path_that_carries() {
    let node = NodeAddress {
        name: "tokyo-2".parse().unwrap(),
        addresses: vec!["192.0.2.1:8443".try_into().unwrap()]
            .try_into()
            .unwrap(),
    };
    let mut agent = new_agent(600, &[]);
    agent.standby(node.clone());
    assert_eq!(names(&mut agent, FIRST, START), [""; 0]);
    agent.authenticated(FIRST, START);
    tell(&mut agent, FIRST, open_frame(), START);
    agent.desktop_connected(&mut Counting(1));
    agent.migrate(30);
    let bytes = said(&mut agent, FIRST, START);
    let [_, _, standby, migrate] = &frames(&bytes)[..] else {
        panic!()
    };
    assert_eq!(*standby, Frame::Standby(Standby { node: node.clone() }));
    assert_eq!(*migrate, Frame::Migrate(Migrate { within: 30 }));
    let mut client = new_client();
    client.received(FIRST, &bytes, START);
    assert_eq!(
        events(&mut client)[1..],
        [Event::Standby(node.clone()), Event::Migrate { within: 30 }]
    );

    // What was not told before the path was lost is told on the next.
    agent.path_lost(FIRST, START);
    agent.standby(node.clone());
    let mut client = open_client(600);
    let ask = resuming(&mut client, SECOND);
    awaiting(&mut agent, SECOND);
    agent.received(SECOND, &ask, START);
    assert_eq!(names(&mut agent, SECOND, START), ["RESUMED", "STANDBY"]);
}

#[test]
fn factors_can_be_asked_on_a_later_path_too() {
    let mut client = open_client(600);
    let generation = client.next_resume().unwrap().generation;
    client.path_up(SECOND, generation, pairing(SECOND), exporter(SECOND), START);
    let ask = telerelay_wire::inner::AuthAsk {
        method: "code".try_into().unwrap(),
        nonce: vec![1; 16].try_into().unwrap(),
    };
    tell(&mut client, SECOND, ask.clone(), START);
    assert_eq!(events(&mut client), [Event::Asked { path: SECOND, ask }]);
    client.timeout(START + limits::OPEN);
    let answer = telerelay_wire::inner::AuthAnswer {
        method: "code".try_into().unwrap(),
        answer: vec![].try_into().unwrap(),
    };
    client.answer(SECOND, answer, START);
    tell(&mut client, SECOND, AuthDone {}, START);
    assert_eq!(names(&mut client, SECOND, START), ["AUTH_ANSWER", "RESUME"]);
}

#[test]
fn a_count_of_bytes_that_were_never_sent_costs_the_path() {
    let mut client = open_client(600);
    resuming(&mut client, SECOND);
    tell(&mut client, SECOND, Resumed { received: 1 }, START);
    assert_eq!(names(&mut client, SECOND, START), ["CLOSE"]);
    assert_eq!(events(&mut client), [Event::PathDone { path: SECOND }]);
    assert_eq!(client.sending_path(), Some(FIRST));
}
