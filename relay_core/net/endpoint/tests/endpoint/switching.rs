//! Legs that put their outer TLS down, and nodes and networks that do not let them (PROTOCOL.md §6).
use telerelay_endpoint::{AgentEvent, ClientEvent, PathChoice, PathKind};
use telerelay_wire::Code;
use telerelay_wire::ids::{AttemptId, Stage};
use telerelay_wire::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::relay::Switching;
use crate::world::{Home, Office, World, exchange, gone, known, pattern, within};

const CHOICES: [PathChoice; 2] = [PathChoice::Auto, PathChoice::Wrapped];

/// How an agent says that its next session travels.
async fn opened_there(office: &mut Office) -> PathKind {
    office
        .events
        .until(|event| match event {
            AgentEvent::Opened(opened) => Some(opened.path_kind),
            _ => None,
        })
        .await
}

/// The same of a client, and as which attempt. The attempts before it were given up.
async fn opened_here(home: &mut Home) -> (PathKind, AttemptId, Vec<AttemptId>) {
    let mut again = Vec::new();
    let (kind, attempt) = home
        .events
        .until(|event| match event {
            ClientEvent::Again { attempt } => {
                again.push(*attempt);
                None
            }
            ClientEvent::Opened(opened) => Some((opened.path_kind, opened.attempt)),
            ClientEvent::Ended(ended) => panic!("{ended:?}"),
            _ => None,
        })
        .await;
    (kind, attempt, again)
}

fn kind(choice: PathChoice) -> PathKind {
    match choice {
        PathChoice::Auto => PathKind::Direct,
        PathChoice::Wrapped => PathKind::Wrapped,
    }
}

/// Bytes both ways at once, more than every buffer on the way holds, and their ends one after the other.
async fn carry(desk: TcpStream, viewer: TcpStream) {
    const LENGTH: usize = 8 << 20;
    let (screen, keys) = (pattern(LENGTH, 3), pattern(LENGTH / 8, 4));
    let (mut from_desk, mut to_desk) = desk.into_split();
    let (mut from_viewer, mut to_viewer) = viewer.into_split();
    let says = screen.clone();
    let desk = tokio::spawn(async move {
        to_desk.write_all(&says).await.unwrap();
        let mut heard = Vec::new();
        from_desk.read_to_end(&mut heard).await.unwrap();
        // The viewer has closed its side; this one is still open.
        to_desk.write_all(b"last words").await.unwrap();
        to_desk.shutdown().await.unwrap();
        heard
    });
    let says = keys.clone();
    let viewer = tokio::spawn(async move {
        to_viewer.write_all(&says).await.unwrap();
        to_viewer.shutdown().await.unwrap();
        let mut heard = Vec::new();
        from_viewer.read_to_end(&mut heard).await.unwrap();
        heard
    });
    let (at_desk, at_viewer) = within(async { tokio::join!(desk, viewer) }).await;
    assert!(at_desk.unwrap() == keys, "the keys arrived otherwise");
    let expected = [&screen[..], b"last words"].concat();
    assert!(
        at_viewer.unwrap() == expected,
        "the screen arrived otherwise"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_leg_is_direct_unless_its_own_end_is_set_otherwise() {
    for agent in CHOICES {
        for client in CHOICES {
            let mut world = World::direct().await;
            (world.agent_path, world.client_path) = (agent, client);
            let mut office = world.office(8);
            world.relay.until_ready(1).await;
            let mut home = world.home();
            let (at_home, attempt, again) = opened_here(&mut home).await;
            assert_eq!((at_home, again), (kind(client), Vec::new()));
            assert_eq!(opened_there(&mut office).await, kind(agent));
            let viewer = home.viewer().await;
            carry(world.desk().await, viewer).await;
            let ended = home.ended().await;
            assert_eq!(known(&ended.code), Code::Done);
            assert_eq!(ended.path_kind, Some(kind(client)));
            let ended = office.ended().await;
            assert_eq!(known(&ended.code), Code::Done);
            assert_eq!(ended.path_kind, Some(kind(agent)));
            let terminal = world.relay.terminal().await;
            assert_eq!(
                (known(&terminal.code), terminal.attempt),
                (Code::Done, attempt)
            );
            let expected = match (agent, client) {
                (PathChoice::Auto, PathChoice::Auto) => PathKind::Direct,
                (PathChoice::Wrapped, PathChoice::Wrapped) => PathKind::Wrapped,
                _ => PathKind::Mixed,
            };
            assert_eq!(terminal.path_kind, Some(expected));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_come_in_random_pieces_arrive_whole_on_either_side_of_switch() {
    for (agent, client) in [(0, 0), (0, 1), (1, 0)] {
        let mut world = World::direct().await;
        (world.agent_path, world.client_path) = (CHOICES[agent], CHOICES[client]);
        world.relay.chop();
        let (_office, mut home, desk, viewer) = world.session().await;
        carry(desk, viewer).await;
        assert_eq!(known(&home.ended().await.code), Code::Done);
    }
}

/// Each end is asked for new keys, and answers, right before and behind its own SWITCH and right before the node's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_before_switch_disturb_neither_leg() {
    for agent in CHOICES {
        for client in CHOICES {
            let mut world = World::direct().await;
            (world.agent_path, world.client_path) = (agent, client);
            world.relay.update_keys();
            let mut office = world.office(8);
            world.relay.until_ready(1).await;
            let mut home = world.home();
            let (at_home, _, again) = opened_here(&mut home).await;
            assert_eq!((at_home, again), (kind(client), Vec::new()));
            assert_eq!(opened_there(&mut office).await, kind(agent));
            let viewer = home.viewer().await;
            carry(world.desk().await, viewer).await;
            assert_eq!(known(&home.ended().await.code), Code::Done);
            assert_eq!(known(&office.ended().await.code), Code::Done);
        }
    }
}

#[tokio::test]
async fn a_node_that_does_no_switch_gets_none() {
    let mut world = World::new().await;
    let (mut office, mut home, mut desk, mut viewer) = world.session().await;
    assert_eq!(opened_there(&mut office).await, PathKind::Wrapped);
    exchange(&mut desk, &mut viewer).await;
    drop(viewer);
    gone(&mut desk).await;
    assert_eq!(home.ended().await.path_kind, Some(PathKind::Wrapped));
    assert_eq!(known(&world.relay.terminal().await.code), Code::ViewerGone);
}

/// What keeps the client's leg from proving itself, and how soon it asks again.
const AT_THE_CLIENT: [(Switching, bool); 7] = [
    (Switching::Withheld, true),
    (Switching::Forged, true),
    (Switching::Garbage, true),
    (Switching::Spoilt, true),
    (Switching::Twice, true),
    (Switching::Reset, true),
    (Switching::Swallowed, false),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_direct_leg_does_not_prove_itself_asks_again_wrapped_and_remembers() {
    for (switching, at_once) in AT_THE_CLIENT {
        let mut world = World::direct().await;
        world.relay.treat_switch(Switching::Answered, switching);
        let mut office = world.office(8);
        world.relay.until_ready(1).await;
        let began = std::time::Instant::now();
        let mut home = world.home();
        let (kind, attempt, again) = opened_here(&mut home).await;
        assert_eq!(
            (kind, again),
            (PathKind::Wrapped, vec![attempt]),
            "{switching:?}"
        );
        let took = began.elapsed();
        assert_eq!(took < limits::SWITCH, at_once, "{switching:?} {took:?}");
        // The attempt that was given up has its end, and the session is that of the other one.
        let first = world.relay.terminal().await;
        assert_eq!(known(&first.code), Code::PathLost, "{switching:?}");
        // Only where OPEN got through can the agent have sent an OPENED that was not believed.
        assert!(
            first.stage != Stage::Session || switching == Switching::Withheld,
            "{switching:?}"
        );
        assert_ne!(first.attempt, attempt);
        assert_eq!(known(&office.ended().await.code), Code::PathLost);
        let mut viewer = home.viewer().await;
        let mut desk = world.desk().await;
        if switching == Switching::Withheld {
            // OPEN got through, so that the desktop was reached for the path that was given up; nothing of it was shown.
            gone(&mut desk).await;
            desk = world.desk().await;
        }
        exchange(&mut desk, &mut viewer).await;
        // The next session of this program run does not try again.
        let mut second = home.viewer().await;
        let (kind, _, again) = opened_here(&mut home).await;
        assert_eq!(
            (kind, again),
            (PathKind::Wrapped, Vec::new()),
            "{switching:?}"
        );
        let mut desk_of_second = world.desk().await;
        exchange(&mut desk_of_second, &mut second).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_direct_leg_does_not_prove_itself_stays_wrapped_when_it_is_asked_again() {
    for switching in [
        Switching::Withheld,
        Switching::Forged,
        Switching::Garbage,
        Switching::Spoilt,
        Switching::Reset,
        Switching::Swallowed,
    ] {
        let mut world = World::direct().await;
        world.relay.treat_switch(switching, Switching::Answered);
        let mut office = world.office(8);
        world.relay.until_ready(1).await;
        let mut home = world.home();
        let (_, attempt, again) = opened_here(&mut home).await;
        assert_eq!(again, [attempt], "{switching:?}");
        assert_eq!(
            opened_there(&mut office).await,
            PathKind::Wrapped,
            "{switching:?}"
        );
        assert_eq!(known(&world.relay.terminal().await.code), Code::PathLost);
        let mut viewer = home.viewer().await;
        let mut desk = world.desk().await;
        exchange(&mut desk, &mut viewer).await;
    }
}

#[tokio::test]
async fn a_refusal_of_the_other_end_is_no_reason_to_ask_again() {
    let mut world = World::direct().await;
    let mut office = world.office(8);
    world.relay.until_ready(1).await;
    office.agent.set_revoked(vec![world.client.device]);
    let home = world.home();
    assert_eq!(home.finished().await, Code::Identity);
    assert_eq!(known(&office.ended().await.code), Code::Revoked);
    assert_eq!(known(&world.relay.terminal().await.code), Code::Revoked);
}

#[tokio::test]
async fn a_session_that_is_refused_over_a_direct_leg_is_asked_for_once() {
    let mut world = World::direct().await;
    let mut office = world.office(0);
    world.relay.until_ready(1).await;
    let home = world.home();
    assert_eq!(home.finished().await, Code::Sessions);
    assert_eq!(known(&office.ended().await.code), Code::Sessions);
    assert_eq!(known(&world.relay.terminal().await.code), Code::Sessions);
}

#[tokio::test]
async fn a_client_that_stops_while_its_leg_is_on_trial_asks_for_nothing_more() {
    let world = World::direct().await;
    world
        .relay
        .treat_switch(Switching::Answered, Switching::Swallowed);
    let _office = world.office(8);
    world.relay.until_ready(1).await;
    let mut home = world.home();
    home.events
        .until(|event| match event {
            ClientEvent::Reached { stage, .. } => (*stage == Stage::Inner).then_some(()),
            _ => None,
        })
        .await;
    assert_eq!(home.stop().await, Code::Done);
}

#[tokio::test]
async fn a_direct_path_that_breaks_later_is_lost_as_any_other() {
    let mut world = World::direct().await;
    let (mut office, mut home, mut desk, mut viewer) = world.session().await;
    exchange(&mut desk, &mut viewer).await;
    world.relay.until_ready(1).await;
    world.relay.spoil_next(crate::relay::Fault::BitToClient);
    drop(desk.write_all(b"screen").await);
    gone(&mut viewer).await;
    let ended = office.ended().await;
    assert_eq!(
        (known(&ended.code), ended.path_kind),
        (Code::PathLost, Some(PathKind::Direct))
    );
    assert_eq!(known(&home.ended().await.code), Code::SessionGone);
    assert_eq!(known(&world.relay.terminal().await.code), Code::PathLost);
}
