//! A session whose agent has its guard: what the two streams keep of each other (docs/GUARD.md).
use std::time::Duration;

use telerelay_wire::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{
    Home, Office, World, gone, known, pattern, read, read_to_end, time_passes, within,
};

const MIB: usize = 1 << 20;
const GREETING: &[u8; 12] = b"RFB 003.008\n";
const KEY: &[u8] = b"\x04\x01\0\0\0\0\0a";
const POINTER: &[u8] = b"\x05\0\0\x01\0\x01";
const BELL: &[u8] = b"\x02";
const CUT_TEXT: &[u8] = b"\x06\0\0\0\0\0\0\x04text";
const REQUEST: &[u8] = &[3, 0, 0, 0, 0, 0, 4, 0, 8, 0];
/// One rectangle of 1024 × 2048 pixels of 4 bytes, Raw: 8 MiB, twice the window.
const UPDATE: &[u8] = &[0, 0, 0, 1, 0, 0, 0, 0, 4, 0, 8, 0, 0, 0, 0, 0];
const PICTURE: usize = 8 * MIB;
const SERVER_INIT: &[u8] = &[
    4, 0, 8, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// A session behind both handshakes.
async fn session(world: &mut World) -> (Office, Home, TcpStream, TcpStream) {
    world.guarded = true;
    let (office, home, mut desk, mut viewer) = world.session().await;
    let desktop = async {
        desk.write_all(GREETING).await.unwrap();
        assert_eq!(read(&mut desk, 12).await, GREETING);
        desk.write_all(&[1, 1]).await.unwrap();
        assert_eq!(read(&mut desk, 1).await, [1]);
        desk.write_all(&[0; 4]).await.unwrap();
        assert_eq!(read(&mut desk, 1).await, [1]);
        desk.write_all(SERVER_INIT).await.unwrap();
    };
    let person = async {
        assert_eq!(read(&mut viewer, 12).await, GREETING);
        viewer.write_all(GREETING).await.unwrap();
        assert_eq!(read(&mut viewer, 2).await, [1, 1]);
        viewer.write_all(&[1]).await.unwrap();
        assert_eq!(read(&mut viewer, 4).await, [0; 4]);
        viewer.write_all(&[1]).await.unwrap();
        assert_eq!(read(&mut viewer, SERVER_INIT.len()).await, SERVER_INIT);
    };
    within(async { tokio::join!(desktop, person) }).await;
    (office, home, desk, viewer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_arrive_while_a_picture_waits_for_the_viewer() {
    let mut world = World::new().await;
    let (_office, _home, desk, mut viewer) = session(&mut world).await;
    let (mut from_agent, mut to_agent) = desk.into_split();
    viewer.write_all(REQUEST).await.unwrap();
    let mut request = [0; REQUEST.len()];
    within(from_agent.read_exact(&mut request)).await.unwrap();
    assert_eq!(request, REQUEST);
    let picture = pattern(PICTURE, 1);
    let sent = picture.clone();
    let painting = tokio::spawn(async move {
        to_agent.write_all(UPDATE).await.unwrap();
        to_agent.write_all(&sent).await.unwrap();
        to_agent
    });
    // The viewer reads nothing: window and sockets fill up, and its keys have their way all the same.
    for _ in 0..100 {
        viewer.write_all(CUT_TEXT).await.unwrap();
        viewer.write_all(KEY).await.unwrap();
        let mut key = [0; KEY.len()];
        within(from_agent.read_exact(&mut key)).await.unwrap();
        assert_eq!(key, KEY);
    }
    assert_eq!(read(&mut viewer, UPDATE.len()).await, UPDATE);
    assert!(
        read(&mut viewer, PICTURE).await == picture,
        "other pixels came"
    );
    within(painting).await.unwrap();
}

#[tokio::test]
async fn what_was_typed_last_still_arrives_and_then_the_end() {
    let mut world = World::new().await;
    let (mut office, home, mut desk, mut viewer) = session(&mut world).await;
    let typed = KEY.repeat(20_000);
    let send = async {
        viewer.write_all(&typed).await.unwrap();
        viewer.shutdown().await.unwrap();
    };
    let ((), arrived) = within(async { tokio::join!(send, read_to_end(&mut desk)) }).await;
    assert!(arrived == typed, "other keys came");
    drop(desk);
    assert_eq!(home.finished().await, Code::Done);
    assert_eq!(known(&office.ended().await.code), Code::Done);
}

#[tokio::test]
async fn behind_a_refusal_nothing_passes() {
    let mut world = World::new().await;
    let (mut office, home, mut desk, mut viewer) = session(&mut world).await;
    viewer.write_all(KEY).await.unwrap();
    assert_eq!(read(&mut desk, KEY.len()).await, KEY);
    viewer.write_all(&[&[7], KEY, KEY].concat()).await.unwrap();
    let ended = office.ended().await;
    assert_eq!(known(&ended.code), Code::PolicyFile);
    assert_eq!(
        ended.detail,
        "the client began a file transfer with a message of type 7"
    );
    assert_eq!(read_to_end(&mut desk).await, b"");
    assert_eq!(home.finished().await, Code::PolicyFile);
}

#[tokio::test]
async fn a_session_without_input_ends_however_much_its_viewer_asks() {
    let mut world = World::new().await;
    world.rules.idle_timeout = 300;
    let (mut office, home, mut desk, mut viewer) = session(&mut world).await;
    world.relay.until_ready(1).await;
    for message in [REQUEST, KEY, POINTER, REQUEST, CUT_TEXT] {
        time_passes(Duration::from_secs(140)).await;
        passes(&mut viewer, &mut desk, message).await;
    }
    // 280 s behind the pointer.
    time_passes(Duration::from_secs(20)).await;
    gone(&mut desk).await;
    let ended = office.ended().await;
    assert_eq!(known(&ended.code), Code::PolicyIdle);
    assert_eq!(home.finished().await, Code::PolicyIdle);
    assert_eq!(known(&world.relay.terminal().await.code), Code::PolicyIdle);
}

/// What the viewer says reaches the desktop, unless it is a cut text; the desktop is heard too.
async fn passes(viewer: &mut TcpStream, desk: &mut TcpStream, message: &[u8]) {
    viewer.write_all(message).await.unwrap();
    if message != CUT_TEXT {
        assert_eq!(read(desk, message.len()).await, message);
    }
    desk.write_all(BELL).await.unwrap();
    assert_eq!(read(viewer, BELL.len()).await, BELL);
}
