//! What a path carries, at which pace, and how it ends (PROTOCOL.md §5.6, §6).
use std::time::Duration;

use telerelay_node::Event;
use telerelay_outer::PathKind;
use telerelay_wire::ids::Stage;
use telerelay_wire::outer::{Frame, PATH_MAXIMUM, path_header};
use telerelay_wire::{Code, Reason};
use tokio::time::timeout;

use crate::kit::{COMPUTER, Endpoint, Got, World, pattern, session_end};

const LARGE: usize = 6_000_000;

/// Sends in frames of every size, the largest among them.
async fn send_all(endpoint: &mut Endpoint, bytes: &[u8]) {
    let mut rest = bytes;
    let mut length = 1;
    while !rest.is_empty() {
        let (frame, behind) = rest.split_at(length.min(rest.len()));
        endpoint.send_path(frame).await.unwrap();
        rest = behind;
        length = (length * 3).min(PATH_MAXIMUM.into());
    }
}

fn is_over(got: &Got) -> bool {
    matches!(got, Got::End | Got::Broken(_))
}

#[tokio::test]
async fn large_streams_pass_both_ways_in_turn() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, request) = world.path(&agent, &client).await;
    let (screen, input) = (pattern(LARGE, 1), pattern(LARGE / 2, 2));
    // Each end only sends or only reads at a time: whatever it does not read is held back, never dropped.
    let ((), got) = tokio::join!(send_all(&mut at_agent, &screen), at_client.read_path(LARGE));
    assert!(
        got == screen,
        "the client got other bytes than the agent sent"
    );
    let ((), got) = tokio::join!(
        send_all(&mut at_client, &input),
        at_agent.read_path(LARGE / 2)
    );
    assert!(
        got == input,
        "the agent got other bytes than the client sent"
    );
    // A turn counts what it moved when it is over; the last one's bytes may be read before that.
    world.until("bytes_to_client", LARGE as u64).await;
    world.until("bytes_to_agent", (LARGE / 2) as u64).await;

    // The agent's next ready connection reports how it ended.
    let mut ready = world.ready(&agent).await;
    ready.send(session_end(request.path, Code::Done)).await;
    at_client.close_writing().await;
    at_agent.close_writing().await;
    let ended = world.ended().await;
    assert_eq!(
        (ended.code, ended.stage),
        (Reason::from(Code::Done), Stage::Session)
    );
    assert_eq!(ended.path_kind, Some(PathKind::Wrapped));
    assert_eq!(ended.traffic.to_client, LARGE as u64);
    assert_eq!(ended.traffic.to_agent, (LARGE / 2) as u64);
    assert_eq!(
        (ended.path, ended.agent),
        (request.path, Some(agent.device))
    );
    drop((at_agent, at_client, ready));
    world.until("connections", 0).await;
}

#[tokio::test]
async fn both_directions_flow_at_once_past_slow_readers() {
    let mut world = World::with(2, &[telerelay_node::Side::Both]);
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, _) = world.path(&agent, &client).await;
    let (screen, input) = (pattern(LARGE, 8), pattern(LARGE, 9));
    // Reading 700 bytes at a time cuts records and frames everywhere, and is slower than the other end writes.
    let (got_input, got_screen) = tokio::join!(
        at_agent.exchange(&screen, LARGE, 64 * 1024),
        at_client.exchange(&input, LARGE, 700),
    );
    assert!(got_screen == screen);
    assert!(got_input == input);
}

#[tokio::test]
async fn a_reader_that_stands_still_holds_the_writer_and_nobody_else() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, _) = world.path(&agent, &client).await;
    let frame = pattern(PATH_MAXIMUM.into(), 3);
    let mut sent = 0;
    // The writer is held once the buffers between are full: both kernels', and at most 64 KiB and a record at the node.
    while let Ok(written) = timeout(Duration::from_millis(300), at_agent.send_path(&frame)).await {
        written.unwrap();
        sent += frame.len();
        assert!(sent < 64_000_000, "nothing holds the writer");
    }
    // The input goes on meanwhile.
    at_client.send_path(b"input").await.unwrap();
    assert_eq!(at_agent.read_path(5).await, b"input");
    // So do others.
    let mut other = COMPUTER;
    other.0[0] ^= 1;
    let _other = world.ready(&world.organisation.agent(other)).await;
    // The frame whose sending was given up is in TLS already, and follows when there is room.
    let rest = async { at_agent.send_path(b"last").await.unwrap() };
    let (got, ()) = tokio::join!(at_client.read_path(sent + frame.len() + 4), rest);
    let frames = sent / frame.len() + 1;
    assert!(
        got[..frames * frame.len()]
            .chunks(frame.len())
            .all(|chunk| chunk == frame)
    );
    assert!(got.ends_with(b"last"));
}

#[tokio::test]
async fn one_direction_may_end_before_the_other() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, request) = world.path(&agent, &client).await;
    at_client.send_path(b"last input").await.unwrap();
    at_client.close_writing().await;
    assert_eq!(at_agent.read_path(10).await, b"last input");
    assert!(matches!(at_agent.got().await, Got::End));
    let screen = pattern(300_000, 4);
    let ((), got) = tokio::join!(
        send_all(&mut at_agent, &screen),
        at_client.read_path(300_000)
    );
    assert!(got == screen);
    at_agent.close_writing().await;
    assert!(matches!(at_client.got().await, Got::End));
    let mut ready = world.ready(&agent).await;
    ready
        .send(session_end(request.path, Code::ViewerGone))
        .await;
    assert_eq!(world.ended().await.code, Code::ViewerGone);
}

#[tokio::test]
async fn the_death_of_either_leg_ends_the_other() {
    for agent_dies in [true, false] {
        let mut world = World::new();
        let (agent, client) = (
            world.organisation.agent(COMPUTER),
            world.organisation.client(),
        );
        let (mut at_agent, mut at_client, request) = world.path(&agent, &client).await;
        at_agent.send_path(b"on its way").await.unwrap();
        at_client.read_path(10).await;
        let (dead, mut other) = if agent_dies {
            (at_agent, at_client)
        } else {
            (at_client, at_agent)
        };
        // A reset, as a process that was killed with bytes unread makes it.
        dead.socket.set_zero_linger().unwrap();
        drop(dead);
        assert!(is_over(&other.got().await));
        drop(other);
        if agent_dies {
            // Nobody reports; the node waits for it as long as §5.6 says.
            let ended = world.ended().await;
            assert_eq!(
                (ended.code, ended.stage),
                (Reason::from(Code::PathLost), Stage::Inner)
            );
        } else {
            let mut ready = world.ready(&agent).await;
            ready.send(session_end(request.path, Code::PathLost)).await;
            let ended = world.ended().await;
            assert_eq!(
                (ended.code, ended.stage),
                (Reason::from(Code::PathLost), Stage::Session)
            );
        }
    }
}

#[tokio::test]
async fn a_record_that_is_not_one_path_frame_ends_both_legs() {
    let path =
        |bytes: &[u8]| [&path_header(u16::try_from(bytes.len()).unwrap())[..], bytes].concat();
    let mut longer = vec![0x3f, 0xfd, 0x30, 1];
    longer.resize(16_384, 0);
    let cases: [(&str, Vec<u8>, Code); 5] = [
        ("longer than PATH may be", longer, Code::BadFrame),
        (
            "two frames in a record",
            [path(b"one"), path(b"two")].concat(),
            Code::BadFrame,
        ),
        ("half a frame", path(b"whole")[..6].to_vec(), Code::BadFrame),
        (
            "a frame of another kind",
            vec![0, 3, 0x10, 1, 0xa1, 0, 0xf5],
            Code::BadFrame,
        ),
        (
            "SWITCH, and more behind it",
            [&[0, 1, 0x31, 1, 0xa0][..], &path(b"one")].concat(),
            Code::BadFrame,
        ),
    ];
    for (what, record, code) in cases {
        let mut world = World::new();
        let (agent, client) = (
            world.organisation.agent(COMPUTER),
            world.organisation.client(),
        );
        let (mut at_agent, mut at_client, request) = world.path(&agent, &client).await;
        at_client.send_record(&record).await.unwrap();
        assert!(is_over(&at_client.got().await), "{what}");
        assert!(is_over(&at_agent.got().await), "{what}");
        drop((at_client, at_agent));
        let mut ready = world.ready(&agent).await;
        ready.send(session_end(request.path, Code::Done)).await;
        assert_eq!(world.ended().await.code, code, "{what}");
    }
}

#[tokio::test]
async fn a_cut_is_told_to_the_agent_and_then_carried_out() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, request) = world.path(&agent, &client).await;
    let mut ready = world.ready(&agent).await;
    let scope = telerelay_node::Scope::Device(world.organisation.id(), client.device);
    assert_eq!(world.node.cut(scope, Code::Cut), 1);
    let Got::Frame(Frame::Cut(cut)) = ready.got().await else {
        panic!()
    };
    assert_eq!((cut.path, cut.code), (request.path, Code::Cut.into()));
    // The agent's CLOSE crosses before both legs end.
    at_agent.send_path(b"inner CLOSE").await.unwrap();
    assert_eq!(at_client.read_path(11).await, b"inner CLOSE");
    assert!(is_over(&at_client.got().await));
    assert!(is_over(&at_agent.got().await));
    drop((at_agent, at_client));
    ready.send(session_end(request.path, Code::Done)).await;
    assert_eq!(
        world.ended().await.code,
        Code::Cut,
        "the node's word counts"
    );
}

#[tokio::test]
async fn a_revoked_device_loses_its_path() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (_at_agent, mut at_client, _) = world.path(&agent, &client).await;
    let mut ready = world.ready(&agent).await;
    world.admit(telerelay_node::Standing::Admitted, &[client.device]);
    let Got::Frame(Frame::Cut(cut)) = ready.got().await else {
        panic!()
    };
    assert_eq!(cut.code, Code::Revoked);
    assert!(is_over(&at_client.got().await));
}

#[tokio::test]
async fn news_reaches_the_ready_connection() {
    use telerelay_wire::ids::NewsKind;
    use telerelay_wire::outer::News;

    let mut world = World::new();
    let agent = world.organisation.agent(COMPUTER);
    let mut ready = world.ready(&agent).await;
    let news = News {
        kind: NewsKind::Stamp,
        version: 8,
        document: Some(vec![1; 1984].try_into().unwrap()),
    };
    world.node.news(
        telerelay_node::Scope::Device(world.organisation.id(), agent.device),
        &news,
    );
    let Got::Frame(Frame::News(got)) = ready.got().await else {
        panic!()
    };
    assert_eq!(got, news);
    drop(ready);
    assert!(matches!(world.event().await, Event::AgentGone { .. }));
}
