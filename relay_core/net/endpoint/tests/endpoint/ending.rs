//! How sessions end, and what ends with them (PROTOCOL.md §8.1, §13; ARCHITECTURE.md, decisions 7 and 17).
use std::time::Duration;

use telerelay_wire::Code;
use telerelay_wire::ids::Stage;
use telerelay_wire::inner::{AuthDone, Close, Frame as InnerFrame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::relay::Fault;
use crate::stranger::{Stranger, opened};
use crate::world::{World, exchange, gone, known, pattern, read, time_passes, within};

/// A writer that did not get a mebibyte away in this time is held.
const STILL: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_desktop_that_is_not_there_is_absent() {
    let mut world = World::new().await;
    // Bound and not listening: who connects is refused.
    let desktop = tokio::net::TcpSocket::new_v4().unwrap();
    desktop.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut office = world.office_of(desktop.local_addr().unwrap());
    world.relay.until_ready(1).await;
    assert_eq!(world.home().finished().await, Code::DesktopAbsent);
    let ended = office.ended().await;
    let expected = (Code::DesktopAbsent, Stage::Open);
    assert_eq!((known(&ended.code), ended.stage), expected);
    let terminal = world.relay.terminal().await;
    assert_eq!((known(&terminal.code), terminal.stage), expected);
}

#[tokio::test]
async fn a_session_lasts_as_long_as_the_rules_allow() {
    let mut world = World::new().await;
    world.rules.ends = Some((HOUR, Code::PolicyDuration));
    let (mut office, home, mut desk, mut viewer) = world.session().await;
    world.relay.until_ready(1).await;
    time_passes(Duration::from_mins(59)).await;
    exchange(&mut desk, &mut viewer).await;
    time_passes(Duration::from_mins(1)).await;
    gone(&mut desk).await;
    assert_eq!(home.finished().await, Code::PolicyDuration);
    let expected = (Code::PolicyDuration, Stage::Session);
    let ended = office.ended().await;
    assert_eq!((known(&ended.code), ended.stage), expected);
    let terminal = world.relay.terminal().await;
    assert_eq!((known(&terminal.code), terminal.stage), expected);
}

#[tokio::test]
async fn a_viewer_that_breaks_is_gone() {
    let mut world = World::new().await;
    let (mut office, home, mut desk, mut viewer) = world.session().await;
    exchange(&mut desk, &mut viewer).await;
    viewer.set_zero_linger().unwrap();
    drop(viewer);
    gone(&mut desk).await;
    assert_eq!(home.finished().await, Code::ViewerGone);
    assert_eq!(known(&office.ended().await.code), Code::ViewerGone);
    assert_eq!(known(&world.relay.terminal().await.code), Code::ViewerGone);
}

#[tokio::test]
async fn a_viewer_that_is_reset_behind_a_full_window_is_gone() {
    let world = World::new().await;
    let (mut office, home, mut desk, mut viewer) = world.session().await;
    exchange(&mut desk, &mut viewer).await;
    // The desktop reads nothing: the window and the buffers at both ends are full, and the client reads no more.
    let keys = pattern(1 << 20, 6);
    while timeout(STILL, viewer.write_all(&keys)).await.is_ok() {}
    viewer.set_zero_linger().unwrap();
    drop(viewer);
    assert_eq!(home.finished().await, Code::ViewerGone);
    assert_eq!(known(&office.ended().await.code), Code::ViewerGone);
}

#[tokio::test]
async fn a_viewer_that_comes_while_the_last_words_leave_gets_a_session_of_its_own() {
    let world = World::new().await;
    let mut agent = Stranger::agent(&world).await;
    let mut home = world.home();
    let client = agent.accept().await;
    let mut inside = agent.inside_agent(&world, client).await.unwrap();
    inside.say(&[AuthDone {}.into()]).await.unwrap();
    inside
        .frame(|frame| matches!(frame, InnerFrame::Open(_)).then_some(()))
        .await
        .expect("OPEN");
    inside.say(&[opened(0)]).await.unwrap();
    let door = home.door().await;
    let _office = world.office(8);
    world.relay.until_ready(1).await;
    let close = Close {
        code: Code::DesktopLost.into(),
        stage: Stage::Session,
    };
    inside.say(&[close.into()]).await.unwrap();
    // Its path is over, and outlasts the other end, which goes on.
    assert_eq!(inside.closed().await, None);
    let mut viewer = TcpStream::connect(door).await.unwrap();
    let mut desk = world.desk().await;
    exchange(&mut desk, &mut viewer).await;
    drop(inside);
    assert_eq!(known(&home.ended().await.code), Code::DesktopLost);
    exchange(&mut desk, &mut viewer).await;
}

#[tokio::test]
async fn a_probe_ends_its_own_session_and_the_door_stays_open() {
    let world = World::new().await;
    let (_office, mut home, mut desk, mut probe) = world.session().await;
    // It is let in, and says nothing.
    desk.write_all(b"RFB").await.unwrap();
    assert_eq!(read(&mut probe, 3).await, b"RFB");
    drop(probe);
    gone(&mut desk).await;
    drop(desk);
    assert_eq!(known(&home.ended().await.code), Code::Done);
    let (mut viewer, mut desk) = (home.viewer().await, world.desk().await);
    exchange(&mut desk, &mut viewer).await;
    drop(viewer);
    gone(&mut desk).await;
    drop(desk);
    assert_eq!(home.finished().await, Code::Done);
}

#[tokio::test]
async fn sessions_run_side_by_side_up_to_the_limit() {
    let world = World::new().await;
    let mut office = world.office(2);
    world.relay.until_ready(1).await;
    let mut home = world.home();
    let mut ends = Vec::new();
    for _ in 0..2 {
        ends.push((home.viewer().await, world.desk().await));
        world.relay.until_ready(1).await;
    }
    for (viewer, desk) in &mut ends {
        exchange(desk, viewer).await;
    }
    let mut third = home.viewer().await;
    gone(&mut third).await;
    let refused = home.ended().await;
    assert_eq!(
        (known(&refused.code), refused.stage),
        (Code::Sessions, Stage::Open)
    );
    assert_eq!(known(&office.ended().await.code), Code::Sessions);
    // The others go on, one ends, and there is a place again.
    for (viewer, desk) in &mut ends {
        exchange(desk, viewer).await;
    }
    drop(ends.pop());
    home.ended().await;
    office.ended().await;
    world.relay.until_ready(1).await;
    let mut again = (home.viewer().await, world.desk().await);
    exchange(&mut again.1, &mut again.0).await;
    drop((ends, again));
    assert_eq!(home.finished().await, Code::Sessions, "the first failure");
}

#[tokio::test]
async fn the_same_device_takes_over_and_another_one_finds_it_busy() {
    let world = World::new().await;
    let (_office, older, mut old_desk, mut old_viewer) = world.session().await;
    exchange(&mut old_desk, &mut old_viewer).await;
    world.relay.until_ready(1).await;
    let mut newer = world.home();
    let (mut viewer, mut desk) = (newer.viewer().await, world.desk().await);
    gone(&mut old_viewer).await;
    gone(&mut old_desk).await;
    assert_eq!(older.finished().await, Code::Superseded);
    exchange(&mut desk, &mut viewer).await;
    world.relay.until_ready(1).await;
    let other = world.organisation.client();
    let other = world.home_of(&other, world.relay.address).unwrap();
    assert_eq!(other.finished().await, Code::Busy);
    exchange(&mut desk, &mut viewer).await;
}

#[tokio::test]
async fn a_revoked_device_loses_its_session_and_gets_no_other() {
    let mut world = World::new().await;
    let (mut office, home, mut desk, mut viewer) = world.session().await;
    exchange(&mut desk, &mut viewer).await;
    office.agent.set_revoked(vec![world.client.device]);
    gone(&mut viewer).await;
    gone(&mut desk).await;
    assert_eq!(home.finished().await, Code::Revoked);
    let ended = office.ended().await;
    assert_eq!(
        (known(&ended.code), ended.stage),
        (Code::Revoked, Stage::Session)
    );
    assert_eq!(known(&world.relay.terminal().await.code), Code::Revoked);
    world.relay.until_ready(1).await;
    // Refused by inner TLS: its certificate is not believed.
    assert_eq!(world.home().finished().await, Code::Identity);
    let ended = office.ended().await;
    assert_eq!(
        (known(&ended.code), ended.stage),
        (Code::Revoked, Stage::Inner)
    );
    assert_eq!(known(&world.relay.terminal().await.code), Code::Revoked);
}

#[tokio::test]
async fn a_path_that_breaks_is_asked_for_once_more_and_told_at_both_ends() {
    let mut world = World::new().await;
    let (mut office, mut home, mut desk, mut viewer) = world.session().await;
    exchange(&mut desk, &mut viewer).await;
    world.relay.until_ready(1).await;
    world.relay.spoil_next(Fault::Reset);
    gone(&mut viewer).await;
    gone(&mut desk).await;
    let ended = office.ended().await;
    assert_eq!(
        (known(&ended.code), ended.stage),
        (Code::PathLost, Stage::Session)
    );
    let resumed = home.ended().await;
    assert_eq!(known(&resumed.code), Code::SessionGone);
    assert_eq!(resumed.session, ended.session);
    assert_ne!(resumed.attempt, ended.attempt, "an attempt of its own");
    assert_eq!(home.finished().await, Code::SessionGone);
    let mut codes = [
        known(&world.relay.terminal().await.code),
        known(&world.relay.terminal().await.code),
    ];
    codes.sort_by_key(|code| code.as_str());
    assert_eq!(codes, [Code::PathLost, Code::SessionGone]);
}

#[tokio::test]
async fn one_wrong_bit_costs_the_path_in_either_direction() {
    for fault in [Fault::BitToAgent, Fault::BitToClient] {
        let world = World::new().await;
        let (mut office, mut home, mut desk, mut viewer) = world.session().await;
        exchange(&mut desk, &mut viewer).await;
        world.relay.until_ready(1).await;
        world.relay.spoil_next(fault);
        // What comes behind it is not believed.
        drop(viewer.write_all(b"keys").await);
        drop(desk.write_all(b"screen").await);
        let mut got = Vec::new();
        drop(within(viewer.read_to_end(&mut got)).await);
        if fault == Fault::BitToClient {
            assert_eq!(got, b"");
        }
        gone(&mut desk).await;
        let ended = office.ended().await;
        assert_eq!(
            (known(&ended.code), ended.stage),
            (Code::PathLost, Stage::Session),
            "{fault:?}"
        );
        assert_eq!(known(&home.ended().await.code), Code::SessionGone);
    }
}

#[tokio::test]
async fn a_viewer_that_comes_while_another_session_ends_is_not_dropped() {
    let world = World::new().await;
    let (_office, mut home, mut desk, mut viewer) = world.session().await;
    let door = home.door().await;
    exchange(&mut desk, &mut viewer).await;
    for _ in 0..8 {
        world.relay.until_ready(1).await;
        let mut ending = (home.viewer().await, world.desk().await);
        exchange(&mut ending.1, &mut ending.0).await;
        world.relay.until_ready(1).await;
        // Whose it is is looked up while the other session's end is told.
        ending.0.set_zero_linger().unwrap();
        drop(ending);
        let mut coming = TcpStream::connect(door).await.unwrap();
        let mut desk = world.desk().await;
        exchange(&mut desk, &mut coming).await;
        drop(coming);
        gone(&mut desk).await;
    }
    exchange(&mut desk, &mut viewer).await;
}
