//! What the other end of a path, and the node, may do to an endpoint (PROTOCOL.md §5.4, §7, §8).
use std::future::ready;
use std::time::Duration;

use telerelay_endpoint::AgentEvent;
use telerelay_leg::accept::{Accepted, accept};
use telerelay_wire::Code;
use telerelay_wire::bounded::List;
use telerelay_wire::ids::Stage;
use telerelay_wire::inner::{AuthDone, Close, Data, Frame as InnerFrame, Ping};
use telerelay_wire::outer::{Frame, Keepalive, Reader, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::stranger::{Stranger, open, opened};
use crate::world::{World, exchange, gone, known, node_name, within};

/// The agent still serves an honest client.
async fn serves(world: &World) {
    world.relay.until_ready(1).await;
    let mut home = world.home();
    let (mut viewer, mut desk) = (home.viewer().await, world.desk().await);
    exchange(&mut desk, &mut viewer).await;
    drop(viewer);
    gone(&mut desk).await;
}

#[tokio::test]
async fn garbage_inside_costs_a_client_its_session_and_nobody_else_anything() {
    let mut world = World::new().await;
    let mut office = world.office(8);
    let big = vec![0xff; 16_000];
    let cases: [(&str, &[u8], Code); 4] = [
        ("no frame", b"\x00\x00\x99\x01\x02\x03", Code::BadFrame),
        ("a length that nothing has", &big, Code::BadFrame),
        (
            "a frame of the outer layer",
            b"\x00\x03\x10\x01\xa1\x00\xf5",
            Code::BadFrame,
        ),
        (
            "DATA before OPEN",
            b"\x00\x09\x90\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00",
            Code::SessionProtocol,
        ),
    ];
    for (what, bytes, code) in cases {
        world.relay.until_ready(1).await;
        let client = world.organisation.client();
        let (leg, _) = Stranger::client(&world, &client).await;
        let mut inside = leg.inside_client(&world, &client).await;
        inside.say_bytes(bytes).await.unwrap();
        assert_eq!(inside.closed().await, Some(code), "{what}");
        drop(inside);
        assert_eq!(known(&office.ended().await.code), code, "{what}");
        assert_eq!(known(&world.relay.terminal().await.code), code, "{what}");
    }
    serves(&world).await;
}

#[tokio::test]
async fn data_beyond_the_window_ends_the_session() {
    let world = World::new().await;
    let mut office = world.office(8);
    world.relay.until_ready(1).await;
    let (leg, path) = Stranger::client(&world, &world.client).await;
    let mut inside = leg.inside_client(&world, &world.client).await;
    inside.say(&[open(path)]).await.unwrap();
    let desk = world.desk().await;
    inside
        .frame(|frame| matches!(frame, InnerFrame::Opened(_)).then_some(()))
        .await
        .expect("OPENED");
    // The desktop does not read, so nothing is acknowledged; 256 KiB and what its socket takes is all that fits.
    let bytes = [7; 8_000];
    let mut offset = 0;
    let code = loop {
        if let Some(code) = inside.closed_by_now().await {
            break code;
        }
        let data = Data {
            offset,
            bytes: &bytes,
        };
        inside.say(&[data.into()]).await.unwrap();
        offset += bytes.len() as u64;
    };
    assert_eq!(code, Code::SessionProtocol);
    drop(inside);
    assert_eq!(known(&office.ended().await.code), Code::SessionProtocol);
    drop(desk);
}

#[tokio::test]
async fn a_path_that_ends_inside_without_close_is_lost_at_once() {
    let world = World::new().await;
    let mut office = world.office(8);
    world.relay.until_ready(1).await;
    let (leg, path) = Stranger::client(&world, &world.client).await;
    let mut inside = leg.inside_client(&world, &world.client).await;
    inside.say(&[open(path)]).await.unwrap();
    let _desk = world.desk().await;
    inside.inner.send_close_notify();
    inside.flush().await.unwrap();
    let ended = timeout(Duration::from_secs(5), office.ended()).await;
    assert_eq!(known(&ended.expect("at once").code), Code::PathLost);
}

/// A node that an agent has dialled and is welcome at.
async fn node(world: &World, listener: &TcpListener) -> Stranger {
    let (mut socket, _) = within(listener.accept()).await.unwrap();
    let Accepted { tls, .. } = accept(&mut socket, &world.configs(), ready(true))
        .await
        .ok()
        .unwrap();
    let mut node = Stranger {
        socket,
        tls,
        frames: Reader::new(),
    };
    node.frame(|frame| matches!(frame, Frame::Hello(_)).then_some(()))
        .await;
    let welcome = Welcome {
        version: 1,
        features: List::default(),
        node: node_name(),
        keepalive: 45,
        nodes_version: 0,
        return_window: 1,
        banner: None,
    };
    node.send(welcome).await;
    node
}

/// One thread runs the agent and this test, another one sees that the agent always finds something in its socket.
#[tokio::test]
async fn a_client_that_never_stops_sending_is_revoked_all_the_same() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut office = world.office_at(listener.local_addr().unwrap(), Some(8));
    let leg = node(&world, &listener).await;
    let (leg, path) = leg.pair_with_client(&world.client).await;
    let mut inside = leg.inside_client(&world, &world.client).await;
    inside.say(&[open(path)]).await.unwrap();
    let _desk = world.desk().await;
    inside
        .frame(|frame| matches!(frame, InnerFrame::Opened(_)).then_some(()))
        .await
        .expect("OPENED");
    // Megabytes, encrypted beforehand: nobody decrypts as fast as they are sent.
    let asked = 800_000;
    for first in (0..asked).step_by(1_000) {
        let pings: Vec<_> = (first..first + 1_000)
            .map(|token| Ping { token }.into())
            .collect();
        inside.prepare(&pings).unwrap();
    }
    let flooding = inside.flood();
    let pong = |frame: InnerFrame<'_>| matches!(frame, InnerFrame::Pong(_)).then_some(());
    inside.frame(pong).await.expect("the flood has begun");
    office.agent.set_revoked(vec![world.client.device]);
    let mut answered = 0;
    let code = inside
        .frame(|frame| match frame {
            InnerFrame::Pong(pong) => {
                answered = pong.token;
                None
            }
            InnerFrame::Close(close) => Some(known(&close.code)),
            _ => None,
        })
        .await;
    assert_eq!(code, Some(Code::Revoked));
    assert!(
        answered < asked / 2,
        "it heard the order behind {answered} of {asked} questions"
    );
    drop(inside);
    assert_eq!(known(&office.ended().await.code), Code::Revoked);
    flooding.join().unwrap();
}

#[tokio::test]
async fn a_session_that_could_live_without_its_path_ends_with_it() {
    let world = World::new().await;
    let mut agent = Stranger::agent(&world).await;
    let home = world.home();
    let client = agent.accept().await;
    let mut inside = agent.inside_agent(&world, client).await.unwrap();
    inside.say(&[AuthDone {}.into()]).await.unwrap();
    inside
        .frame(|frame| matches!(frame, InnerFrame::Open(_)).then_some(()))
        .await
        .expect("OPEN");
    inside.say(&[opened(600)]).await.unwrap();
    drop(inside);
    // No agent is there any more: the path is asked for once more, in vain.
    assert_eq!(home.finished().await, Code::Absent);
}

#[tokio::test]
async fn an_agents_close_is_the_end_that_is_told() {
    let world = World::new().await;
    let mut agent = Stranger::agent(&world).await;
    let home = world.home();
    let client = agent.accept().await;
    let mut inside = agent.inside_agent(&world, client).await.unwrap();
    let close = Close {
        code: Code::PolicyStale.into(),
        stage: Stage::Auth,
    };
    // The path breaks right behind it.
    inside.say(&[close.into()]).await.unwrap();
    drop(inside);
    assert_eq!(home.finished().await, Code::PolicyStale);
}

#[tokio::test]
async fn an_alert_behind_auth_done_is_a_lost_path() {
    for (believes_first, expected) in [(false, Code::Identity), (true, Code::PathLost)] {
        let world = World::new().await;
        let mut agent = Stranger::agent(&world).await;
        let home = world.home();
        let client = agent.accept().await;
        let mut inside = agent.inside_agent(&world, client).await.unwrap();
        if believes_first {
            inside.say(&[AuthDone {}.into()]).await.unwrap();
            inside
                .frame(|frame| matches!(frame, InnerFrame::Open(_)).then_some(()))
                .await
                .expect("OPEN");
        }
        inside.say_alert().await;
        assert_eq!(home.finished().await, expected, "{believes_first}");
    }
}

#[tokio::test]
async fn another_computer_is_not_believed() {
    let mut world = World::new().await;
    // Of the same organisation, with a certificate that is in order.
    let mut other = crate::world::COMPUTER;
    other.0[0] ^= 1;
    let impostor = world.organisation.agent(other);
    world.relay.lead_to(impostor.device);
    world.agent = impostor;
    let mut agent = Stranger::agent(&world).await;
    let home = world.home();
    let client = agent.accept().await;
    assert!(
        agent.inside_agent(&world, client).await.is_none(),
        "the client ends it"
    );
    assert_eq!(home.finished().await, Code::Identity);
}

#[tokio::test]
async fn a_node_that_asks_and_does_not_read_is_left() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut office = world.office_at(listener.local_addr().unwrap(), Some(8));
    let Stranger {
        mut socket,
        mut tls,
        ..
    } = node(&world, &listener).await;
    let mut flood = Vec::new();
    for _ in 0..1_000 {
        ask().encode(&mut flood).unwrap();
    }
    let flooding = async {
        loop {
            while !tls.outgoing().is_empty() {
                let Ok(length) = socket.write(tls.outgoing()).await else {
                    return;
                };
                tls.sent(length);
            }
            tls.write(&flood).unwrap();
        }
    };
    let left = office.events.until(|event| match event {
        AgentEvent::Offline { reason, .. } => Some(known(reason)),
        _ => None,
    });
    tokio::select! {
        code = left => assert_eq!(code, Code::BadFrame),
        () = flooding => panic!("the agent tells before the leg is gone"),
    }
    // It comes back, and is not impressed.
    let (mut again, _) = within(listener.accept()).await.unwrap();
    assert!(
        accept(&mut again, &world.configs(), ready(true))
            .await
            .is_ok()
    );
    drop(again);
    office.stop().await;
}

#[tokio::test]
async fn a_last_error_reaches_a_node_that_still_speaks() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // The node's window is full of answers: ERROR stays in the agent's socket, and a reset would take it away.
    let small = socket2::SockRef::from(&listener).set_recv_buffer_size(2_048);
    small.unwrap();
    let _office = world.office_at(listener.local_addr().unwrap(), Some(8));
    let Stranger {
        mut socket,
        mut tls,
        mut frames,
    } = node(&world, &listener).await;
    let mut bytes = Vec::new();
    for _ in 0..110 {
        ask().encode(&mut bytes).unwrap();
    }
    // Critical and unknown, and more behind it that nobody reads.
    bytes.extend(b"\x00\x00\x77\x01");
    bytes.resize(bytes.len() + 200_000, 0);
    tls.write(&bytes).unwrap();
    while !tls.outgoing().is_empty() {
        let length = within(socket.write(tls.outgoing())).await.unwrap();
        tls.sent(length);
    }
    let mut answers = 0;
    let code = within(async {
        loop {
            while let Some(frame) = frames.next().unwrap() {
                match frame {
                    Frame::Keepalive(_) => answers += 1,
                    Frame::Error(error) => return known(&error.code),
                    other => panic!("{}", other.name()),
                }
            }
            let progress = tls.read_record(|plaintext| frames.push(plaintext)).unwrap();
            if progress == telerelay_leg::tls::Progress::Starved {
                let read = socket.read_buf(tls.read_buffer(4096)).await;
                assert!(read.expect("no reset") > 0, "ERROR comes before the end");
            }
        }
    })
    .await;
    assert_eq!((code, answers), (Code::BadFrame, 110));
}

fn ask() -> Frame<'static> {
    let ask = Keepalive {
        ask: true,
        return_window: None,
    };
    ask.into()
}
