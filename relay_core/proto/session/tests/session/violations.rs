//! Everything that an end may not say: what breaks it, with which code, and that the session then ends exactly once.
use proptest::prelude::*;
use telerelay_session::{Cause, PathKey, Role, Session, Violation};
use telerelay_wire::frame::Layer;
use telerelay_wire::ids::{NoticeHash, Proof, SessionId, Stage};
use telerelay_wire::inner::{
    Ack, AuthAnswer, AuthAsk, AuthDone, Close, Confirm, Fin, Frame, Inner, Migrate, Notice, Ping,
    Pong, ResumeAsk, Resumed, Standby,
};
use telerelay_wire::{Code, FrameError};

use crate::alone::*;

/// One frame of every type, as right as it can be on the first path.
fn every_frame() -> Vec<Frame<'static>> {
    let method = || "code".try_into().unwrap();
    let node = telerelay_wire::ids::NodeAddress {
        name: "tokyo-2".parse().unwrap(),
        addresses: vec!["192.0.2.1:8443".try_into().unwrap()]
            .try_into()
            .unwrap(),
    };
    let text: telerelay_wire::bounded::Text<1, 8000> = "Be careful.".try_into().unwrap();
    let telerelay_session::Pairing { attempt, path } = pairing(FIRST);
    let (session, proof) = (SessionId([1; 16]), Proof([0; 32]));
    let frames = vec![
        AuthAsk {
            method: method(),
            nonce: vec![0; 16].try_into().unwrap(),
        }
        .into(),
        AuthAnswer {
            method: method(),
            answer: vec![].try_into().unwrap(),
        }
        .into(),
        AuthDone {}.into(),
        Notice {
            hash: NoticeHash([0; 32]),
            text,
        }
        .into(),
        Confirm {
            hash: NoticeHash([0; 32]),
        }
        .into(),
        open_frame().into(),
        opened_frame(600).into(),
        data(0, b"k"),
        Ack { offset: 0 }.into(),
        Fin { offset: 0 }.into(),
        Ping { token: 1 }.into(),
        Pong { token: 1 }.into(),
        Standby { node }.into(),
        Migrate { within: 1 }.into(),
        ResumeAsk {
            session,
            generation: 1,
            received: 0,
            proof,
            attempt,
            path,
        }
        .into(),
        Resumed { received: 0 }.into(),
        Close {
            code: Code::Done.into(),
            stage: Stage::Session,
        }
        .into(),
    ];
    assert_eq!(
        frames.iter().map(Frame::kind).collect::<Vec<_>>(),
        Inner::TYPES.iter().map(|row| row.kind).collect::<Vec<_>>()
    );
    frames
}

/// Tells a session of one state every frame, each in a run of its own: those that are named belong there, all others
/// end the session.
fn judge<R: Role>(state: &str, begin: impl Fn() -> Session<R>, belong: &[&str]) {
    for frame in every_frame() {
        let name = frame.name();
        let mut session = begin();
        tell(&mut session, FIRST, frame, START);
        if belong.contains(&name) || ["PING", "PONG"].contains(&name) {
            assert!(!session.is_ended(), "{name} in {state}");
        } else if name == "CLOSE" {
            assert_eq!(ended(&mut session).cause, Cause::Peer);
        } else {
            assert_eq!(
                names(&mut session, FIRST, START),
                ["CLOSE"],
                "{name} in {state}"
            );
            let end = ended(&mut session);
            assert_eq!(end.code, Code::SessionProtocol, "{name} in {state}");
            let violation = match name {
                "CONFIRM" | "NOTICE"
                    if !matches!(end.cause, Cause::Violation(Violation::Unexpected { .. })) =>
                {
                    Violation::NoticeHash {
                        hash: NoticeHash([0; 32]),
                    }
                }
                name => Violation::Unexpected { frame: name },
            };
            assert_eq!(end.cause, Cause::Violation(violation), "{name} in {state}");
        }
    }
}

#[test]
fn an_agent_takes_in_each_state_what_belongs_there() {
    let quiet = |mut agent: telerelay_session::AgentSession| {
        said(&mut agent, FIRST, START);
        events(&mut agent);
        agent
    };
    let begin = || new_agent(600, &[]);
    judge("auth", begin, &[]);
    let begin = || {
        let mut agent = begin();
        agent.authenticated(FIRST, START);
        quiet(agent)
    };
    judge("opening", begin, &["OPEN"]);
    let begin = || {
        let mut agent = begin();
        tell(&mut agent, FIRST, open_frame(), START);
        quiet(agent)
    };
    judge("connecting", begin, &[]);
    judge("open", || open_agent(600), &["DATA", "ACK", "FIN"]);
}

#[test]
fn a_client_takes_in_each_state_what_belongs_there() {
    judge("auth", new_client, &["AUTH_ASK", "AUTH_DONE"]);
    let begin = || {
        let mut client = new_client();
        tell(&mut client, FIRST, AuthDone {}, START);
        said(&mut client, FIRST, START);
        client
    };
    judge("opening", begin, &["OPENED"]);
    judge(
        "open",
        || open_client(600),
        &["DATA", "ACK", "FIN", "STANDBY", "MIGRATE"],
    );
}

#[test]
fn each_way_to_break_the_streams_has_its_name() {
    let k = data(0, b"k");
    let cases: Vec<(Vec<Frame<'_>>, Violation)> = vec![
        (
            vec![data(1, b"k")],
            Violation::Gap {
                offset: 1,
                received: 0,
            },
        ),
        (
            vec![k.clone(), data(2, b"k")],
            Violation::Gap {
                offset: 2,
                received: 1,
            },
        ),
        (
            vec![k.clone(), data(u64::MAX, b"k")],
            Violation::Gap {
                offset: u64::MAX,
                received: 1,
            },
        ),
        (
            vec![Ack { offset: 1 }.into()],
            Violation::AckBeyondSent { offset: 1, sent: 0 },
        ),
        (
            vec![k.clone(), Fin { offset: 0 }.into()],
            Violation::FinBelowReceived {
                offset: 0,
                received: 1,
            },
        ),
        (
            vec![Fin { offset: 3 }.into(), Fin { offset: 4 }.into()],
            Violation::FinMoved {
                offset: 4,
                before: 3,
            },
        ),
        (
            vec![Fin { offset: 1 }.into(), data(0, b"kk")],
            Violation::BeyondFin { end: 2 },
        ),
    ];
    for (frames, violation) in cases {
        let mut client = open_client(600);
        for frame in frames {
            assert!(!client.is_ended());
            tell(&mut client, FIRST, frame, START);
        }
        let end = ended(&mut client);
        assert_eq!(
            (end.code, end.cause),
            (Code::SessionProtocol.into(), Cause::Violation(violation))
        );
    }
}

#[test]
fn more_than_a_window_is_refused_and_a_whole_window_is_not() {
    fn fill<R: Role>(session: &mut Session<R>, window: u64) {
        let mut offset = 0;
        while offset < window {
            let length = (window - offset).min(16_346);
            tell(
                session,
                FIRST,
                data(offset, &vec![0; usize::try_from(length).unwrap()]),
                START,
            );
            offset += length;
        }
        assert_eq!(
            (session.offsets().received, session.is_ended()),
            (window, false)
        );
        tell(session, FIRST, data(window, b"k"), START);
        let violation = Violation::BeyondWindow {
            end: window + 1,
            acked: 0,
        };
        assert_eq!(ended(session).cause, Cause::Violation(violation));
    }
    fill(&mut open_client(600), 4_194_304);
    fill(&mut open_agent(600), 262_144);
}

#[test]
fn bytes_that_are_no_frame_end_the_session_with_bad_frame() {
    let cases: [(&[u8], FrameError); 5] = [
        (&[0, 0, 0xee, 1], FrameError::UnknownCritical { kind: 0xee }),
        (
            &[0, 0, 0x91, 2],
            FrameError::Flags {
                kind: 0x91,
                flags: 2,
            },
        ),
        (
            &[0xff, 0xff, 0x90, 1],
            FrameError::TooLong {
                kind: 0x90,
                length: 0xffff,
                maximum: 16_354,
            },
        ),
        (
            &[0, 8, 0x90, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            FrameError::TooShort { kind: 0x90 },
        ),
        (&[0, 1, 0x91, 1, 0xa0], FrameError::Missing { kind: 0x91 }),
    ];
    for (bytes, error) in cases {
        let mut client = open_client(600);
        client.received(FIRST, &encoded(data(0, b"before")), START);
        client.received(FIRST, bytes, START);
        assert_eq!(names(&mut client, FIRST, START), ["CLOSE"]);
        let end = ended(&mut client);
        assert_eq!(
            (end.code, end.cause),
            (
                Code::BadFrame.into(),
                Cause::Violation(Violation::Frame(error))
            )
        );
        assert_eq!(waiting(&client), b"before");
    }
}

#[test]
fn a_path_that_nobody_knows_is_not_read() {
    let mut client = open_client(600);
    client.received(PathKey(77), &[0xff; 10], START);
    assert_eq!((events(&mut client), client.is_ended()), (vec![], false));
    assert!(client.poll_transmit(PathKey(77), START).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes, in whatever pieces: no panic, at most one end, the same end as in one piece, and no byte held
    /// that the window does not allow.
    #[test]
    fn garbage_ends_a_session_at_most_once(
        parts in prop::collection::vec(
            prop_oneof![
                3 => (0..17_usize).prop_map(|index| encoded(every_frame()[index].clone())),
                1 => prop::collection::vec(any::<u8>(), 0..40),
            ],
            0..12,
        ),
        piece in 1..50_usize,
    ) {
        let stream = parts.concat();
        let run = |piece: usize| {
            let (mut agent, mut client) = (open_agent(600), open_client(600));
            for bytes in stream.chunks(piece.max(1)) {
                agent.received(FIRST, bytes, START);
                client.received(FIRST, bytes, START);
            }
            let told = (events(&mut agent), events(&mut client));
            let said = (said(&mut agent, FIRST, START), said(&mut client, FIRST, START));
            (told, said, agent.offsets(), client.offsets())
        };
        let whole = run(stream.len());
        let ends = |events: &[telerelay_session::Event]| {
            events.iter().filter(|event| matches!(event, telerelay_session::Event::Ended(_))).count()
        };
        prop_assert!(ends(&whole.0.0) <= 1 && ends(&whole.0.1) <= 1);
        prop_assert_eq!(run(piece), whole);
    }
}
