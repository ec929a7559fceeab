//! `stop` in every state: everything that began is told its end, `Stopped` comes once, and nothing lives on behind it.
use std::time::Duration;

use telerelay_endpoint::{AgentEvent, ClientEvent};
use telerelay_wire::Code;
use telerelay_wire::ids::Stage;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::stranger::Stranger;
use crate::world::{Home, Office, World, exchange, gone, known, within};

/// Below any timer of the protocol: what stops does not wait for one, but lets last words leave.
const PROMPTLY: Duration = Duration::from_millis(3_500);

async fn stop_office(office: Office) -> Vec<AgentEvent> {
    timeout(PROMPTLY, office.stop()).await.expect("it stops")
}

async fn stop_home(home: Home) -> Code {
    timeout(PROMPTLY, home.stop()).await.expect("it stops")
}

/// The ends that were told.
fn ends(events: &[AgentEvent]) -> Vec<(Code, Stage)> {
    events
        .iter()
        .filter_map(|event| match event {
            AgentEvent::Ended(ended) => Some((known(&ended.code), ended.stage)),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn an_agent_that_dials_in_vain() {
    let world = World::new().await;
    // Connections are taken by the kernel and nobody says a word.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let office = world.office_at(listener.local_addr().unwrap(), Some(8));
    let _accepted = within(listener.accept()).await.unwrap();
    assert!(stop_office(office).await.is_empty());
}

#[tokio::test]
async fn an_agent_that_waits_to_dial_again() {
    let world = World::new().await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut office = world.office_at(nobody, Some(8));
    office
        .events
        .until(|event| matches!(event, AgentEvent::Offline { .. }).then_some(()))
        .await;
    stop_office(office).await;
}

#[tokio::test]
async fn an_agent_that_is_ready() {
    let world = World::new().await;
    let office = world.office(8);
    world.relay.until_ready(1).await;
    stop_office(office).await;
    world.relay.until_ready(0).await;
}

#[tokio::test]
async fn an_agent_that_is_asked() {
    let mut world = World::new().await;
    let mut office = world.office_at(world.relay.address, None);
    world.relay.until_ready(1).await;
    let home = world.home();
    let path = office
        .events
        .until(|event| match event {
            AgentEvent::Incoming(incoming) => Some(incoming.path),
            _ => None,
        })
        .await;
    office.agent.stop();
    // Too late.
    office.agent.allow(path, crate::world::rules(8));
    assert!(ends(&stop_office(office).await).is_empty());
    assert_eq!(home.finished().await, Code::Absent);
    assert_eq!(known(&world.relay.terminal().await.code), Code::Absent);
}

#[tokio::test]
async fn an_agent_in_an_inner_handshake() {
    let mut world = World::new().await;
    let office = world.office(8);
    world.relay.until_ready(1).await;
    // The client says nothing inside.
    let (leg, _) = Stranger::client(&world, &world.client).await;
    world.relay.until_ready(1).await;
    let ends = ends(&stop_office(office).await);
    assert_eq!(ends, [(Code::Absent, Stage::Inner)]);
    drop(leg);
    assert_eq!(known(&world.relay.terminal().await.code), Code::Absent);
}

#[tokio::test]
async fn an_agent_with_sessions() {
    let mut world = World::new().await;
    let (office, mut home, desk, viewer) = world.session().await;
    let mut sessions = vec![(viewer, desk)];
    world.relay.until_ready(1).await;
    sessions.push((home.viewer().await, world.desk().await));
    for (viewer, desk) in &mut sessions {
        exchange(desk, viewer).await;
    }
    let ends = ends(&stop_office(office).await);
    assert_eq!(ends, [(Code::Absent, Stage::Session); 2]);
    for (mut viewer, mut desk) in sessions {
        gone(&mut viewer).await;
        gone(&mut desk).await;
        assert_eq!(known(&world.relay.terminal().await.code), Code::Absent);
    }
    assert_eq!(home.finished().await, Code::Absent);
}

#[tokio::test]
async fn an_agent_whose_client_hangs() {
    let world = World::new().await;
    let office = world.office(8);
    world.relay.until_ready(1).await;
    let (leg, path) = Stranger::client(&world, &world.client).await;
    let mut inside = leg.inside_client(&world, &world.client).await;
    inside.say(&[crate::stranger::open(path)]).await.unwrap();
    let mut desk = world.desk().await;
    // The client reads nothing; the window and the buffers on the way are full.
    let block = vec![0; 1 << 20];
    while timeout(Duration::from_secs(1), desk.write_all(&block))
        .await
        .is_ok()
    {}
    // Its CLOSE does not get through, and is not waited for longer than it may take.
    let events = timeout(2 * PROMPTLY, office.stop())
        .await
        .expect("it stops");
    assert_eq!(ends(&events), [(Code::Absent, Stage::Session)]);
    drop(inside);
}

#[tokio::test]
async fn a_client_that_dials_in_vain() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = world.home_of(&world.client, listener.local_addr().unwrap());
    let _accepted = within(listener.accept()).await.unwrap();
    assert_eq!(stop_home(home.unwrap()).await, Code::Interrupted);
}

#[tokio::test]
async fn a_client_that_waits_for_an_answer() {
    let world = World::new().await;
    let _office = world.office(8);
    world.relay.until_ready(1).await;
    world.relay.be_silent(true);
    let mut home = world.home();
    reached(&mut home, Stage::Hello).await;
    assert_eq!(stop_home(home).await, Code::Interrupted);
}

#[tokio::test]
async fn a_client_in_an_inner_handshake() {
    let world = World::new().await;
    let mut agent = Stranger::agent(&world).await;
    let mut home = world.home();
    agent.accept().await;
    reached(&mut home, Stage::Accept).await;
    assert_eq!(stop_home(home).await, Code::Interrupted);
}

#[tokio::test]
async fn a_client_that_waits_for_its_viewer() {
    let world = World::new().await;
    let mut office = world.office(8);
    world.relay.until_ready(1).await;
    let mut home = world.home();
    home.door().await;
    assert_eq!(stop_home(home).await, Code::Done);
    assert_eq!(known(&office.ended().await.code), Code::Done);
}

#[tokio::test]
async fn a_client_with_sessions() {
    let world = World::new().await;
    let (mut office, mut home, desk, viewer) = world.session().await;
    let mut sessions = vec![(viewer, desk)];
    world.relay.until_ready(1).await;
    sessions.push((home.viewer().await, world.desk().await));
    for (viewer, desk) in &mut sessions {
        exchange(desk, viewer).await;
    }
    assert_eq!(stop_home(home).await, Code::Done);
    for (mut viewer, mut desk) in sessions {
        gone(&mut viewer).await;
        gone(&mut desk).await;
        assert_eq!(known(&office.ended().await.code), Code::Done);
    }
}

#[tokio::test]
async fn a_client_that_asks_for_its_path_again() {
    let world = World::new().await;
    let (_office, mut home, mut desk, mut viewer) = world.session().await;
    exchange(&mut desk, &mut viewer).await;
    world.relay.until_ready(1).await;
    world.relay.be_silent(true);
    world.relay.spoil_next(crate::relay::Fault::Reset);
    // Of the second attempt: those of the first came before the door was open.
    reached(&mut home, Stage::Hello).await;
    assert_eq!(stop_home(home).await, Code::Interrupted);
}

async fn reached(home: &mut Home, stage: Stage) {
    home.events
        .until(|event| match event {
            ClientEvent::Reached { stage: now, .. } => (*now == stage).then_some(()),
            _ => None,
        })
        .await;
}
