//! The opening, rule by rule (PROTOCOL.md §8.1).
use std::time::Duration;

use telerelay_session::{Cause, Event, PathKey, Timer, Violation};
use telerelay_wire::ids::{AttemptId, NoticeHash, PathId, Service, Stage};
use telerelay_wire::inner::{AuthAnswer, AuthAsk, AuthDone, Confirm, Frame, Notice, Open};
use telerelay_wire::{Code, limits};

use crate::alone::*;

fn ask(method: &str) -> AuthAsk {
    AuthAsk {
        method: method.try_into().unwrap(),
        nonce: vec![1; 16].try_into().unwrap(),
    }
}

fn answer(method: &str) -> AuthAnswer {
    AuthAnswer {
        method: method.try_into().unwrap(),
        answer: vec![2; 6].try_into().unwrap(),
    }
}

/// SHA-256 of "Be careful." by another implementation.
const CAREFUL: &str = "489fb53a49997003c69fb9dce959bf0e843ba893a51a658e95ad4bb1fee0abbd";

fn careful() -> NoticeHash {
    let byte = |at: usize| u8::from_str_radix(&CAREFUL[2 * at..2 * at + 2], 16).unwrap();
    NoticeHash(std::array::from_fn(byte))
}

#[test]
fn without_factors_and_notices_the_agent_says_two_frames() {
    let mut agent = new_agent(600, &[]);
    assert_eq!(names(&mut agent, FIRST, START), [""; 0]);
    agent.authenticated(FIRST, START);
    assert_eq!(names(&mut agent, FIRST, START), ["AUTH_DONE"]);
    assert_eq!(agent.next_timeout(), Some(START + limits::OPEN));
    tell(&mut agent, FIRST, open_frame(), START);
    let Open {
        instance,
        program,
        posture,
        ..
    } = open_frame();
    assert_eq!(
        events(&mut agent),
        [Event::ConnectDesktop {
            instance,
            program,
            posture
        }]
    );
    assert_eq!(names(&mut agent, FIRST, START), [""; 0]);
    assert_eq!(
        (agent.room_for_local(), agent.local_bytes(b"early")),
        (0, 0)
    );
    agent.desktop_connected(&mut Counting(1));
    let bytes = said(&mut agent, FIRST, START);
    let [Frame::Opened(opened)] = &frames(&bytes)[..] else {
        panic!()
    };
    assert_eq!(
        (Some(opened.session), opened.resume_limit),
        (agent.id(), 600)
    );
    assert_eq!(opened.rules[0].as_str(), "screen only");
    assert_eq!(agent.stage(), Stage::Session);
    assert_eq!(agent.room_for_local(), 65_536);
}

#[test]
fn the_client_opens_when_the_agent_is_satisfied() {
    let mut client = new_client();
    assert_eq!(names(&mut client, FIRST, START), [""; 0]);
    tell(&mut client, FIRST, AuthDone {}, START);
    let bytes = said(&mut client, FIRST, START);
    assert_eq!(frames(&bytes), [Frame::Open(open_frame())]);
    assert_eq!(client.room_for_local(), 0);
    tell(&mut client, FIRST, opened_frame(600), START);
    assert_eq!(events(&mut client), [Event::Opened(opened_frame(600))]);
    assert_eq!(client.room_for_local(), 262_144);
}

#[test]
fn every_factor_is_asked_and_answered() {
    let (mut agent, mut client) = (new_agent(0, &[]), new_client());
    for (number, method) in ["password", "code"].into_iter().enumerate() {
        agent.ask(FIRST, ask(method), START);
        assert_eq!(
            agent.next_timeout(),
            Some(START + limits::PING_IDLE),
            "a person has two minutes"
        );
        client.received(FIRST, &said(&mut agent, FIRST, START), START);
        assert_eq!(
            events(&mut client),
            [Event::Asked {
                path: FIRST,
                ask: ask(method)
            }],
            "{number}"
        );
        client.answer(FIRST, answer(method), START);
        agent.received(FIRST, &said(&mut client, FIRST, START), START);
        assert_eq!(
            events(&mut agent),
            [Event::Answered {
                path: FIRST,
                answer: answer(method)
            }]
        );
    }
    agent.authenticated(FIRST, START);
    client.received(FIRST, &said(&mut agent, FIRST, START), START);
    assert_eq!(names(&mut client, FIRST, START), ["OPEN"]);
}

#[test]
fn an_answer_without_a_question_breaks_the_protocol() {
    let mut agent = new_agent(0, &[]);
    tell(&mut agent, FIRST, answer("password"), START);
    let end = ended(&mut agent);
    assert_eq!(
        end.cause,
        Cause::Violation(Violation::Unexpected {
            frame: "AUTH_ANSWER"
        })
    );
    assert_eq!(
        (end.code, end.stage),
        (Code::SessionProtocol.into(), Stage::Auth)
    );
}

#[test]
fn a_client_is_asked_sixteen_times_and_no_more() {
    let mut client = new_client();
    for _ in 0..16 {
        tell(&mut client, FIRST, ask("code"), START);
    }
    assert_eq!(events(&mut client).len(), 16);
    tell(&mut client, FIRST, ask("code"), START);
    assert_eq!(
        ended(&mut client).cause,
        Cause::Violation(Violation::TooMany {
            frame: "AUTH_ASK",
            limit: 16
        })
    );

    let mut client = new_client();
    tell(&mut client, FIRST, AuthDone {}, START);
    let notice = Notice {
        hash: careful(),
        text: "Be careful.".try_into().unwrap(),
    };
    for _ in 0..16 {
        tell(&mut client, FIRST, notice.clone(), START);
    }
    assert_eq!(events(&mut client).len(), 16);
    tell(&mut client, FIRST, notice, START);
    assert_eq!(
        ended(&mut client).cause,
        Cause::Violation(Violation::TooMany {
            frame: "NOTICE",
            limit: 16
        })
    );
}

#[test]
fn the_desktop_is_connected_when_open_came_and_every_notice_is_confirmed() {
    // OPEN may cross NOTICE: a client cannot know that one will follow AUTH_DONE.
    for open_first in [true, false] {
        let mut agent = new_agent(0, &["Be careful.", "Working hours end at six."]);
        agent.authenticated(FIRST, START);
        let bytes = said(&mut agent, FIRST, START);
        let [
            Frame::AuthDone(_),
            Frame::Notice(first),
            Frame::Notice(second),
        ] = &frames(&bytes)[..]
        else {
            panic!()
        };
        assert_eq!(first.hash, careful());
        if open_first {
            tell(&mut agent, FIRST, open_frame(), START);
        }
        tell(&mut agent, FIRST, Confirm { hash: second.hash }, START);
        assert_eq!(events(&mut agent), []);
        tell(&mut agent, FIRST, Confirm { hash: first.hash }, START);
        if !open_first {
            assert_eq!(events(&mut agent), []);
            tell(&mut agent, FIRST, open_frame(), START);
        }
        assert!(matches!(
            events(&mut agent)[..],
            [Event::ConnectDesktop { .. }]
        ));
        assert_eq!(agent.confirmed(), [second.hash, first.hash]);
    }
}

#[test]
fn a_notice_is_confirmed_once_and_by_its_hash() {
    for confirms in [&[NoticeHash([9; 32])][..], &[careful(), careful()]] {
        let mut agent = new_agent(0, &["Be careful."]);
        agent.authenticated(FIRST, START);
        for hash in confirms {
            tell(&mut agent, FIRST, Confirm { hash: *hash }, START);
        }
        let hash = *confirms.last().unwrap();
        assert_eq!(
            ended(&mut agent).cause,
            Cause::Violation(Violation::NoticeHash { hash })
        );
    }
}

#[test]
fn a_client_shows_a_notice_and_confirms_what_its_person_confirmed() {
    let mut client = new_client();
    tell(&mut client, FIRST, AuthDone {}, START);
    let notice = Notice {
        hash: careful(),
        text: "Be careful.".try_into().unwrap(),
    };
    tell(&mut client, FIRST, notice.clone(), START);
    assert_eq!(events(&mut client), [Event::Notice(notice.clone())]);
    said(&mut client, FIRST, START);
    client.confirm(NoticeHash([9; 32]), START);
    assert_eq!(names(&mut client, FIRST, START), [""; 0]);
    client.confirm(careful(), START);
    assert_eq!(names(&mut client, FIRST, START), ["CONFIRM"]);
    client.confirm(careful(), START);
    assert_eq!(names(&mut client, FIRST, START), [""; 0]);

    // What is confirmed is what was shown: the hash must be that of the text.
    let mut client = new_client();
    tell(&mut client, FIRST, AuthDone {}, START);
    tell(
        &mut client,
        FIRST,
        Notice {
            text: "Be careless.".try_into().unwrap(),
            ..notice
        },
        START,
    );
    assert_eq!(
        ended(&mut client).cause,
        Cause::Violation(Violation::NoticeHash { hash: careful() })
    );

    // No screen before the person confirmed.
    let mut client = new_client();
    tell(&mut client, FIRST, AuthDone {}, START);
    tell(
        &mut client,
        FIRST,
        Notice {
            hash: careful(),
            text: "Be careful.".try_into().unwrap(),
        },
        START,
    );
    tell(&mut client, FIRST, opened_frame(0), START);
    assert_eq!(
        ended(&mut client).cause,
        Cause::Violation(Violation::Unexpected { frame: "OPENED" })
    );
}

#[test]
fn open_must_be_of_the_path_that_the_node_announced() {
    let changed: [fn(&mut Open); 3] = [
        |open| open.service = Service::Rdp,
        |open| open.attempt = AttemptId([9; 5]),
        |open| open.path = PathId([9; 16]),
    ];
    for change in changed {
        let mut agent = new_agent(0, &[]);
        agent.authenticated(FIRST, START);
        let mut open = open_frame();
        change(&mut open);
        said(&mut agent, FIRST, START);
        tell(&mut agent, FIRST, open, START);
        assert_eq!(names(&mut agent, FIRST, START), ["CLOSE"]);
        let end = ended(&mut agent);
        assert_eq!(
            end.cause,
            Cause::Violation(Violation::OtherPath { frame: "OPEN" })
        );
        assert_eq!((end.code, end.stage), (Code::Identity.into(), Stage::Open));
    }
}

#[test]
fn a_desktop_that_does_not_answer_ends_the_opening() {
    let mut agent = new_agent(0, &[]);
    agent.authenticated(FIRST, START);
    tell(&mut agent, FIRST, open_frame(), START);
    let due = agent.next_timeout().unwrap();
    assert_eq!(due, START + limits::DESKTOP);
    agent.timeout(due);
    said(&mut agent, FIRST, due);
    events(&mut agent);
    // The desktop came too late.
    agent.desktop_connected(&mut Counting(1));
    assert_eq!((names(&mut agent, FIRST, due), agent.id()), (vec![], None));

    let mut agent = new_agent(0, &[]);
    agent.authenticated(FIRST, START);
    said(&mut agent, FIRST, START);
    tell(&mut agent, FIRST, open_frame(), START);
    agent.close(Code::DesktopAbsent);
    let bytes = said(&mut agent, FIRST, START);
    let [Frame::Close(close)] = &frames(&bytes)[..] else {
        panic!()
    };
    assert_eq!(
        (close.code.code(), close.stage),
        (Some(Code::DesktopAbsent), Stage::Open)
    );
    assert_eq!(ended(&mut agent).cause, Cause::Owner);
}

#[test]
fn a_desktop_is_connected_only_when_asked_for() {
    let mut agent = new_agent(0, &["Be careful."]);
    agent.desktop_connected(&mut Counting(1));
    agent.authenticated(FIRST, START);
    tell(&mut agent, FIRST, open_frame(), START);
    agent.desktop_connected(&mut Counting(1));
    assert_eq!(
        (agent.id(), names(&mut agent, FIRST, START)),
        (None, vec!["AUTH_DONE", "NOTICE"])
    );
}

#[test]
fn each_step_of_the_opening_has_its_time() {
    let timed_out = Cause::Timeout(Timer::Opening);

    let mut agent = new_agent(0, &["Be careful.", "Twice."]);
    agent.authenticated(FIRST, START);
    let due = START + limits::OPEN + 2 * limits::NOTICE;
    agent.timeout(due - Duration::from_micros(1));
    assert!(!agent.is_ended());
    // PING asked meanwhile; an answer keeps the path, not the opening.
    tell(
        &mut agent,
        FIRST,
        telerelay_wire::inner::Pong { token: 1 },
        due - Duration::from_micros(1),
    );
    agent.timeout(due);
    let end = ended(&mut agent);
    assert_eq!(
        (end.code, end.cause, end.stage),
        (Code::PathLost.into(), timed_out, Stage::Open)
    );

    let mut agent = new_agent(0, &[]);
    agent.ask(FIRST, ask("code"), START);
    tell(
        &mut agent,
        FIRST,
        telerelay_wire::inner::Pong { token: 1 },
        START + limits::NOTICE,
    );
    agent.timeout(START + limits::NOTICE);
    assert_eq!(
        (ended(&mut agent).cause, agent.stage()),
        (timed_out, Stage::Auth)
    );

    let mut client = new_client();
    client.timeout(START + limits::OPEN - Duration::from_micros(1));
    assert!(!client.is_ended());
    client.timeout(START + limits::OPEN);
    assert_eq!(
        (ended(&mut client).cause, client.stage()),
        (timed_out, Stage::Auth)
    );

    let mut client = new_client();
    let later = START + Duration::from_secs(9);
    tell(&mut client, FIRST, AuthDone {}, later);
    client.timeout(START + limits::OPEN);
    assert!(!client.is_ended());
    client.timeout(later + limits::OPEN);
    assert_eq!(
        (ended(&mut client).cause, client.stage()),
        (timed_out, Stage::Open)
    );

    // A client waits for its person as long as the agent does.
    let mut client = new_client();
    tell(&mut client, FIRST, AuthDone {}, START);
    tell(
        &mut client,
        FIRST,
        Notice {
            hash: careful(),
            text: "Be careful.".try_into().unwrap(),
        },
        START,
    );
    assert_eq!(client.next_timeout(), Some(START + limits::PING_IDLE));
    client.confirm(careful(), later);
    assert_eq!(client.next_timeout(), Some(START + limits::PING_IDLE));
    tell(
        &mut client,
        FIRST,
        telerelay_wire::inner::Pong { token: 1 },
        later,
    );
    assert_eq!(client.next_timeout(), Some(later + limits::OPEN));
}

#[test]
fn a_path_that_is_lost_during_the_opening_ends_it() {
    let mut agent = new_agent(600, &[]);
    agent.path_lost(PathKey(5), START);
    assert!(!agent.is_ended());
    agent.path_lost(FIRST, START);
    let end = ended(&mut agent);
    assert_eq!(
        (end.code, end.cause, end.stage),
        (Code::PathLost.into(), Cause::PathLost, Stage::Auth)
    );
}

#[test]
fn an_offer_that_fits_no_frame_is_refused_before_the_session_begins() {
    let address = "a".repeat(72);
    let addresses: Vec<_> = (0..8)
        .map(|_| address.as_str().try_into().unwrap())
        .collect();
    let node = telerelay_wire::ids::NodeAddress {
        name: "tokyo-1".parse().unwrap(),
        addresses: addresses.try_into().unwrap(),
    };
    let mut offer = offer(0, &[]);
    offer.nodes = vec![node; 8].try_into().unwrap();
    assert!(
        telerelay_session::AgentSession::new(offer, secret(), FIRST, pairing(FIRST), START)
            .is_err()
    );
}
