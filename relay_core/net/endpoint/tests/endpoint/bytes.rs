//! What a session carries, at which pace, and how its streams end (PROTOCOL.md §8.2).
use std::time::Duration;

use telerelay_wire::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{World, exchange, gone, known, pattern, read, read_to_end, within};

const MIB: usize = 1 << 20;

/// A writer that did not get a mebibyte away in this time is held.
const STILL: Duration = Duration::from_secs(1);

/// Gives back what it gets, until the end.
async fn echo(mut desk: TcpStream) {
    let (mut from, mut to) = desk.split();
    tokio::io::copy(&mut from, &mut to).await.unwrap();
    to.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_of_more_than_all_buffers_comes_back_whole() {
    const LENGTH: usize = 32 * MIB;
    let mut world = World::new().await;
    let (mut office, home, desk, mut viewer) = world.session().await;
    tokio::spawn(echo(desk));
    let sent = pattern(LENGTH, 1);
    let mut got = vec![0; LENGTH];
    let (mut from, mut to) = viewer.split();
    let send = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let receive = async {
        from.read_exact(&mut got).await.unwrap();
        assert_eq!(from.read(&mut [0]).await.unwrap(), 0, "and then the end");
    };
    within(async { tokio::join!(send, receive) }).await;
    assert!(got == sent, "other bytes came back");
    assert_eq!(home.finished().await, Code::Done);
    let ended = office.ended().await;
    assert_eq!(known(&ended.code), Code::Done);
    assert_eq!((ended.sent, ended.received), (LENGTH as u64, LENGTH as u64));
    let terminal = world.relay.terminal().await;
    assert_eq!(known(&terminal.code), Code::Done);
    assert_eq!(terminal.session, ended.session);
    office.stop().await;
}

#[tokio::test]
async fn a_viewer_that_stands_still_holds_the_desktop_and_nothing_else() {
    let world = World::new().await;
    let (_office, _home, mut desk, mut viewer) = world.session().await;
    let block = pattern(MIB, 2);
    let mut blocks = 0;
    // 4 MiB of window, the buffers of the sockets at both ends, and then no more.
    while let Ok(written) = timeout(STILL, desk.write_all(&block)).await {
        written.unwrap();
        blocks += 1;
        assert!(blocks < 32, "nothing holds the desktop");
    }
    assert!(blocks >= 4, "the window is open");
    viewer.write_all(b"a key").await.unwrap();
    assert_eq!(read(&mut desk, 5).await, b"a key");
    for _ in 0..blocks {
        assert!(read(&mut viewer, MIB).await == block);
    }
}

#[tokio::test]
async fn a_viewer_that_closes_its_sending_side_reads_on() {
    let world = World::new().await;
    let (mut office, home, mut desk, mut viewer) = world.session().await;
    exchange(&mut desk, &mut viewer).await;
    viewer.write_all(b"the last key").await.unwrap();
    viewer.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut desk).await, b"the last key");
    let screen = pattern(MIB, 3);
    let (written, got) = tokio::join!(desk.write_all(&screen), read(&mut viewer, MIB));
    written.unwrap();
    assert!(got == screen);
    drop(desk);
    assert_eq!(read_to_end(&mut viewer).await, b"");
    assert_eq!(home.finished().await, Code::Done);
    assert_eq!(known(&office.ended().await.code), Code::Done);
}

#[tokio::test]
async fn a_desktop_that_is_reset_behind_the_viewers_end_is_no_loss() {
    let world = World::new().await;
    let (mut office, home, mut desk, mut viewer) = world.session().await;
    exchange(&mut desk, &mut viewer).await;
    viewer.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut desk).await, b"");
    desk.set_zero_linger().unwrap();
    drop(desk);
    assert_eq!(home.finished().await, Code::Done);
    assert_eq!(known(&office.ended().await.code), Code::Done);
}

#[tokio::test]
async fn a_desktop_that_ends_by_itself_is_lost_behind_its_last_screen() {
    let world = World::new().await;
    let (mut office, home, mut desk, mut viewer) = world.session().await;
    let screen = pattern(MIB, 4);
    let (written, got) = tokio::join!(
        async {
            desk.write_all(&screen).await.unwrap();
            desk.shutdown().await.unwrap();
        },
        read(&mut viewer, MIB)
    );
    let () = written;
    assert!(got == screen);
    gone(&mut viewer).await;
    assert_eq!(home.finished().await, Code::DesktopLost);
    assert_eq!(known(&office.ended().await.code), Code::DesktopLost);
}
