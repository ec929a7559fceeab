//! The end: CLOSE from either side, exactly once, and what is still said and written after it (PROTOCOL.md §8.2).
use telerelay_session::{Cause, Ended, Event, PathKey};
use telerelay_wire::ids::Stage;
use telerelay_wire::inner::{AuthDone, Close, Frame, Ping};
use telerelay_wire::{Code, Reason};

use crate::alone::*;
use crate::pair::Pair;

const SECOND: PathKey = PathKey(1);

#[test]
fn close_is_said_once_and_nothing_after_it() {
    let mut client = open_client(600);
    client.local_bytes(b"key");
    client.close(Code::ViewerGone);
    client.close(Code::Internal);
    let bytes = said(&mut client, FIRST, START);
    let close = Close {
        code: Code::ViewerGone.into(),
        stage: Stage::Session,
    };
    assert_eq!(frames(&bytes), [Frame::Close(close)]);
    let end = ended(&mut client);
    assert_eq!(
        end,
        Ended {
            code: Code::ViewerGone.into(),
            stage: Stage::Session,
            cause: Cause::Owner
        }
    );
    // Whatever comes now changes nothing.
    tell(&mut client, FIRST, Ping { token: 1 }, START);
    client.received(FIRST, &[0xff; 100], START);
    client.local_eof();
    client.timeout(START + std::time::Duration::from_hours(1));
    client.path_lost(FIRST, START);
    assert_eq!(
        (client.local_bytes(b"key"), client.room_for_local()),
        (0, 0)
    );
    assert_eq!(
        (
            events(&mut client),
            client.next_timeout(),
            client.next_resume()
        ),
        (vec![], None, None)
    );
    assert!(client.poll_transmit(FIRST, START).is_none());
}

#[test]
fn the_other_end_learns_code_and_stage() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    agent.close(Code::Revoked);
    client.received(FIRST, &said(&mut agent, FIRST, START), START);
    let end = Ended {
        code: Code::Revoked.into(),
        stage: Stage::Session,
        cause: Cause::Peer,
    };
    assert_eq!(ended(&mut client), end);
    assert_eq!(
        names(&mut client, FIRST, START),
        [""; 0],
        "CLOSE is not answered"
    );
}

#[test]
fn a_code_of_another_version_is_kept() {
    let code: Reason = "COFFEE_BREAK".parse().unwrap();
    let mut client = open_client(600);
    tell(
        &mut client,
        FIRST,
        Close {
            code: code.clone(),
            stage: Stage::Open,
        },
        START,
    );
    assert_eq!(
        ended(&mut client),
        Ended {
            code,
            stage: Stage::Open,
            cause: Cause::Peer
        }
    );
}

#[test]
fn what_was_received_before_the_end_can_still_be_written() {
    let mut client = open_client(600);
    let mut bytes = encoded(data(0, b"last words"));
    bytes.extend(encoded(Close {
        code: Code::DesktopLost.into(),
        stage: Stage::Session,
    }));
    bytes.extend(encoded(data(10, b"never")));
    client.received(FIRST, &bytes, START);
    ended(&mut client);
    assert_eq!(waiting(&client), b"last words");
    client.written(10, START);
    assert_eq!((waiting(&client), events(&mut client)), (vec![], vec![]));
    assert!(client.poll_transmit(FIRST, START).is_none());
}

#[test]
fn both_ends_may_close_at_once() {
    let (mut agent, mut client) = (open_agent(600), open_client(600));
    agent.close(Code::DesktopLost);
    client.close(Code::ViewerGone);
    let (from_agent, from_client) = (
        said(&mut agent, FIRST, START),
        said(&mut client, FIRST, START),
    );
    client.received(FIRST, &from_agent, START);
    agent.received(FIRST, &from_client, START);
    assert_eq!(ended(&mut agent).code, Reason::from(Code::DesktopLost));
    assert_eq!(ended(&mut client).code, Reason::from(Code::ViewerGone));
}

#[test]
fn close_is_said_at_every_stage() {
    let mut agent = new_agent(0, &[]);
    agent.close(Code::Superseded);
    let bytes = said(&mut agent, FIRST, START);
    assert_eq!(
        frames(&bytes),
        [Frame::Close(Close {
            code: Code::Superseded.into(),
            stage: Stage::Auth
        })]
    );

    let mut client = new_client();
    tell(&mut client, FIRST, AuthDone {}, START);
    client.close(Code::Unsupported);
    let bytes = said(&mut client, FIRST, START);
    let close = Close {
        code: Code::Unsupported.into(),
        stage: Stage::Open,
    };
    assert_eq!(frames(&bytes)[1], Frame::Close(close));
}

#[test]
fn close_travels_on_the_newest_path_and_else_on_those_that_would_carry() {
    let mut agent = open_agent(600);
    agent.path_up(SECOND, pairing(SECOND), exporter(SECOND), CLIENT);
    agent.close(Code::Cut);
    assert_eq!(names(&mut agent, FIRST, START), ["CLOSE"]);
    assert_eq!(names(&mut agent, SECOND, START), [""; 0]);

    let mut agent = open_agent(600);
    agent.path_lost(FIRST, START);
    agent.path_up(SECOND, pairing(SECOND), exporter(SECOND), CLIENT);
    agent.close(Code::Cut);
    assert_eq!(names(&mut agent, SECOND, START), ["CLOSE"]);
}

#[test]
fn a_path_that_comes_up_after_the_end_is_told_so() {
    let mut agent = open_agent(600);
    agent.close(Code::DesktopLost);
    events(&mut agent);
    agent.path_up(SECOND, pairing(SECOND), exporter(SECOND), CLIENT);
    agent.authenticated(SECOND, START);
    let bytes = said(&mut agent, SECOND, START);
    assert_eq!(
        frames(&bytes),
        [Frame::Close(Close {
            code: Code::SessionGone.into(),
            stage: Stage::Open
        })]
    );
    assert_eq!(events(&mut agent), [Event::PathDone { path: SECOND }]);

    let mut client = open_client(600);
    let resume = client.next_resume().unwrap();
    client.close(Code::ViewerGone);
    events(&mut client);
    client.path_up(
        SECOND,
        resume.generation,
        pairing(SECOND),
        exporter(SECOND),
        START,
    );
    assert_eq!(
        (events(&mut client), names(&mut client, SECOND, START)),
        (vec![Event::PathDone { path: SECOND }], vec![])
    );
}

#[test]
fn close_waits_behind_a_frame_that_is_half_said() {
    // A notice spans two records; CLOSE comes between them and must not stand inside it.
    let notice = "x".repeat(8_000);
    let mut agent = new_agent(0, &[&notice, &notice, &notice]);
    agent.authenticated(FIRST, START);
    let mut bytes = agent.poll_transmit(FIRST, START).unwrap().parts().concat();
    agent.close(Code::Cut);
    bytes.extend(said(&mut agent, FIRST, START));
    let names: Vec<_> = frames(&bytes).iter().map(Frame::name).collect();
    assert_eq!(names, ["AUTH_DONE", "NOTICE", "NOTICE", "NOTICE", "CLOSE"]);
}

#[test]
fn a_close_in_a_busy_pair_reaches_the_other_end_at_once() {
    let mut pair = Pair::open(600);
    pair.desktop.writes = Some(64 << 20);
    pair.viewer.writes = Some(64 << 20);
    pair.run_for(std::time::Duration::from_millis(300));
    pair.agent.close(Code::Cut);
    pair.run_for(std::time::Duration::from_millis(20));
    assert_eq!(pair.both_ended(), Some(Code::Cut));
}
