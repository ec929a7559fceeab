//! The end of a node, and what it survives (PROTOCOL.md §5.6).
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use telerelay_node::{Event, Side, StartError, Told};
use telerelay_wire::Code;
use telerelay_wire::ids::Role;
use telerelay_wire::outer::{Frame, Keepalive};
use tokio::sync::mpsc;

use crate::kit::{COMPUTER, Got, World, session_end};

#[tokio::test]
async fn a_stop_lets_sessions_go_on_and_cuts_them_when_the_grace_is_over() {
    let mut world = World::with(2, &[Side::Both]);
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, request) = world.path(&agent, &client).await;
    let mut ready = world.ready(&agent).await;
    world.node.stop(Duration::from_millis(500));
    let Got::Frame(Frame::Goaway(goaway)) = ready.got().await else {
        panic!()
    };
    assert_eq!(goaway.spread, 7);
    // Nothing new …
    let mut late = world.dial(&client).await;
    late.hello(Role::Client).await;
    assert_eq!(late.error().await.code, Code::TryLater);
    // … but what runs goes on.
    at_agent.send_path(b"still here").await.unwrap();
    assert_eq!(at_client.read_path(10).await, b"still here");
    let Got::Frame(Frame::Cut(cut)) = ready.got().await else {
        panic!()
    };
    assert_eq!(cut.code, Code::Drained);
    ready.send(session_end(request.path, Code::Done)).await;
    for end in [&mut at_client, &mut at_agent] {
        assert!(matches!(end.got().await, Got::End | Got::Broken(_)));
    }
    drop((at_agent, at_client));
    let ended = world.ended().await;
    assert_eq!(ended.code, Code::Drained);
    assert!(matches!(ready.got().await, Got::End | Got::Broken(_)));
    loop {
        match world.event().await {
            Event::AgentGone { .. } => {}
            Event::Stopped => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        tokio::net::TcpStream::connect(world.addresses[0].as_str())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_drained_node_answers_and_takes_everybody_again_when_that_is_taken_back() {
    let mut world = World::with(2, &[Side::Both]);
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, _) = world.path(&agent, &client).await;
    let mut ready = world.ready(&agent).await;
    world.node.drain();
    let Got::Frame(Frame::Goaway(_)) = ready.got().await else {
        panic!()
    };
    for _ in 0..2 {
        let mut late = world.dial(&client).await;
        late.hello(Role::Client).await;
        assert_eq!(late.error().await.code, Code::TryLater);
    }
    at_agent.send_path(b"still here").await.unwrap();
    assert_eq!(at_client.read_path(10).await, b"still here");
    world.node.resume();
    let (_asking, request) = world.asking(&client).await;
    assert_eq!(world.node.cut_named(request.attempt, Code::Cut), 2);
    let Got::Frame(Frame::Cut(cut)) = ready.got().await else {
        panic!()
    };
    assert_eq!(cut.code, Code::Cut);
}

#[tokio::test]
async fn a_node_without_sessions_stops_at_once() {
    let mut world = World::new();
    world.node.stop(Duration::from_hours(1));
    assert!(matches!(world.event().await, Event::Stopped));
}

#[tokio::test]
async fn a_node_that_is_dropped_ends_its_sessions_and_its_threads() {
    let mut world = World::with(2, &[Side::Both]);
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (mut at_agent, mut at_client, request) = world.path(&agent, &client).await;
    let mut ready = world.ready(&agent).await;
    // An hour of grace ends with the handle.
    world.node.stop(Duration::from_hours(1));
    world.drop_node();
    for expected in ["GOAWAY", "CUT"] {
        let Got::Frame(frame) = ready.got().await else {
            panic!("{expected}")
        };
        assert_eq!(frame.name(), expected);
    }
    ready.send(session_end(request.path, Code::Done)).await;
    for end in [&mut at_client, &mut at_agent] {
        assert!(matches!(end.got().await, Got::End | Got::Broken(_)));
    }
    drop((at_agent, at_client, ready));
    assert_eq!(world.ended().await.code, Code::Drained);
    world.stopped_once().await;
    assert!(
        tokio::net::TcpStream::connect(world.addresses[0].as_str())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_node_that_is_dropped_idle_ends_its_threads() {
    let mut world = World::with(2, &[Side::Both]);
    world.drop_node();
    world.stopped_once().await;
}

#[tokio::test]
async fn a_node_that_was_stopped_is_not_started_and_tells_its_end_once() {
    let mut world = World::unstarted(1, &[Side::Both]);
    world.node.stop(Duration::ZERO);
    assert!(matches!(world.node.start(), Err(StartError::Twice)));
    world.node.stop(Duration::ZERO);
    world.drop_node();
    world.stopped_once().await;
}

/// Told things, it panics at an agent's program of this name and at attempts that end with `BUSY`.
struct Fragile(mpsc::UnboundedSender<Event>);

impl Told for Fragile {
    fn tell(&self, event: Event) {
        if let Event::AgentReady(ready) = &event {
            assert_ne!(&*ready.program, "bomb", "on purpose");
        }
        if let Event::AttemptEnded(ended) = &event {
            assert_ne!(ended.code, Code::Busy, "on purpose");
        }
        drop(self.0.send(event));
    }

    fn waiting(&self) -> usize {
        0
    }
}

fn fragile() -> World {
    let (sender, events) = mpsc::unbounded_channel();
    let told = Arc::new(Fragile(sender));
    let waiting = Arc::new(AtomicUsize::new(1 << 20));
    World::told(1, &[Side::Both], told, events, waiting, |_| {})
}

#[tokio::test]
async fn a_panic_in_a_timer_does_not_stop_the_timers() {
    let mut world = fragile();
    let client = world.organisation.client();
    // A denial leaves by a timer, and so does the event that follows it.
    for code in [Code::Busy, Code::Denied] {
        let (mut at_client, request) = world.asking(&client).await;
        world
            .node
            .decide(request.ticket, telerelay_node::Decision::Deny(code.into()));
        assert_eq!(at_client.error().await.code, code);
    }
    assert_eq!(world.ended().await.code, Code::Denied);
    assert_eq!(world.statistic("panics"), 1);
}

#[tokio::test]
async fn a_panic_stays_in_its_connection() {
    let mut world = fragile();
    let mut other = COMPUTER;
    other.0[0] ^= 1;
    let (agent, client) = (world.organisation.agent(other), world.organisation.client());
    let (mut at_agent, mut at_client, _) = world.path(&agent, &client).await;
    let mut healthy = world.ready(&agent).await;
    let mut bomb = world.dial(&world.organisation.agent(COMPUTER)).await;
    let mut hello = crate::kit::hello(Role::Agent);
    hello.program = "bomb".try_into().unwrap();
    bomb.send(hello).await;
    loop {
        match bomb.got().await {
            Got::End | Got::Broken(_) => break,
            Got::Frame(Frame::Welcome(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    healthy
        .send(Keepalive {
            ask: true,
            return_window: None,
        })
        .await;
    assert!(matches!(
        healthy.got().await,
        Got::Frame(Frame::Keepalive(_))
    ));
    at_agent.send_path(b"still here").await.unwrap();
    assert_eq!(at_client.read_path(10).await, b"still here");
    at_client.send_path(b"typed").await.unwrap();
    assert_eq!(at_agent.read_path(5).await, b"typed");
    assert_eq!(world.statistic("panics"), 1);
    world.until("connections", 3).await;
    assert_eq!(world.statistic("legs"), 3);
}
