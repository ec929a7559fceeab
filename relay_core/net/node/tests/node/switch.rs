//! How legs put their outer TLS down, one by one, and what a direct path is from then on (PROTOCOL.md §6).
use telerelay_node::{Event, Scope, Side, Standing};
use telerelay_outer::PathKind;
use telerelay_wire::Code;
use telerelay_wire::outer::Frame;

use crate::kit::{COMPUTER, Got, World, pattern, session_end};
use crate::peer::{Came, Peer, SWITCH};

const LARGE: usize = 3_000_000;

/// What one end does while it puts its outer TLS down: a PATH frame, a KeyUpdate, SWITCH, and raw bytes behind it.
fn flight(end: &mut Peer, before: &[u8], behind: &[u8]) -> Vec<u8> {
    let mut flight = end.bytes(before);
    flight.extend(end.key_update());
    flight.extend(end.switch());
    flight.extend(end.bytes(behind));
    flight
}

async fn exchange_much(at_agent: &mut Peer, at_client: &mut Peer) {
    let (screen, input) = (pattern(LARGE, 1), pattern(LARGE, 2));
    let ((), got) = tokio::join!(at_agent.say(&screen), at_client.hears(LARGE));
    assert!(got == screen, "the client got other bytes");
    let ((), got) = tokio::join!(at_client.say(&input), at_agent.hears(LARGE));
    assert!(got == input, "the agent got other bytes");
}

async fn both_end(at_agent: &mut Peer, at_client: &mut Peer) {
    at_client.end().await;
    at_agent.end().await;
    at_client.is_over().await;
}

/// The rest of a path whose ends have both put their outer TLS down.
async fn talk_and_part(mut at_agent: Peer, mut at_client: Peer) {
    for round in [b"a frame", b"another"] {
        at_agent.say(round).await;
        assert_eq!(at_client.hears(7).await, round);
        at_client.say(round).await;
        assert_eq!(at_agent.hears(7).await, round);
    }
    assert!(
        at_agent.reads_raw && at_client.reads_raw,
        "both are answered"
    );
    at_client.end().await;
    assert_eq!(at_agent.came().await, Came::End);
    at_agent.say(b"the last").await;
    at_agent.end().await;
    assert_eq!(
        at_client.hears(8).await,
        b"the last",
        "one half goes on without the other"
    );
    assert_eq!(at_client.came().await, Came::End);
}

/// Every place at which the client's flight can be cut, against the agent's coming before, between and behind.
#[tokio::test]
async fn wherever_the_flights_are_cut_and_whoever_is_first_nothing_is_lost_or_repeated() {
    let mut world = World::new();
    let mut cut = 0;
    loop {
        let mut whole = 0;
        for agents_turn in 0..3 {
            // Each asks once: nobody is throttled.
            let (agent, client) = (
                world.organisation.agent(COMPUTER),
                world.organisation.client(),
            );
            let (mut at_agent, mut at_client, _) = world.peers(&agent, &client).await;
            let mine = flight(&mut at_client, b"client, wrapped", b"client, raw");
            let its = flight(&mut at_agent, b"agent, wrapped", b"agent, raw");
            whole = mine.len();
            for turn in 0..3 {
                if turn == agents_turn {
                    at_agent.send(&its).await;
                    let hears_alone = at_client.hears(14).await;
                    assert_eq!(hears_alone, b"agent, wrapped", "cut at {cut}");
                }
                match turn {
                    0 => at_client.send(&mine[..cut]).await,
                    1 => at_client.send(&mine[cut..]).await,
                    _ => {}
                }
            }
            assert_eq!(
                at_agent.hears(26).await,
                b"client, wrappedclient, raw",
                "cut at {cut}"
            );
            assert_eq!(at_client.hears(10).await, b"agent, raw", "cut at {cut}");
            talk_and_part(at_agent, at_client).await;
        }
        if cut == whole {
            break;
        }
        cut += 1;
    }
    world.until("live_paths", 0).await;
}

#[tokio::test]
async fn a_direct_path_carries_much_both_ways_and_ends_as_such() {
    for workers in [1, 2] {
        let mut world = World::with(workers, &[Side::Both]);
        let (agent, client) = (
            world.organisation.agent(COMPUTER),
            world.organisation.client(),
        );
        let (mut at_agent, mut at_client, request) = world.peers(&agent, &client).await;
        // What passed in outer TLS counts too.
        at_agent.say(b"wrapped").await;
        assert_eq!(at_client.hears(7).await, b"wrapped");
        at_client.put_down().await;
        at_agent.put_down().await;
        at_client.is_answered().await;
        at_agent.is_answered().await;
        world.until("live_paths.direct.staff", 1).await;
        world.until("engine.paths", 1).await;
        exchange_much(&mut at_agent, &mut at_client).await;
        world.until("bytes_to_client", LARGE as u64 + 7).await;
        let mut ready = world.ready(&agent).await;
        both_end(&mut at_agent, &mut at_client).await;
        ready.send(session_end(request.path, Code::Done)).await;
        let ended = world.ended().await;
        assert_eq!(
            (ended.code, ended.path_kind),
            (Code::Done.into(), Some(PathKind::Direct))
        );
        let carried = (ended.traffic.to_client, ended.traffic.to_agent);
        assert_eq!(carried, (LARGE as u64 + 7, LARGE as u64));
        world.until("engine.paths", 0).await;
        world.until("live_paths.direct.staff", 0).await;
        assert_eq!(world.statistic("set_ups.PAIRED.staff"), 1);
        assert_eq!(world.statistic("paths_ended.done.none"), 1);
        let moved = [
            "bytes_wrapped",
            "engine.bytes_copied",
            "engine.bytes_spliced",
        ];
        let moved: u64 = moved.iter().map(|name| world.statistic(name)).sum();
        assert_eq!(moved, carried.0 + carried.1);
    }
}

#[tokio::test]
async fn whose_leg_was_reset_is_counted() {
    for by_agent in [false, true] {
        let mut world = World::new();
        let (agent, client) = (
            world.organisation.agent(COMPUTER),
            world.organisation.client(),
        );
        let (mut at_agent, mut at_client, _) = world.peers(&agent, &client).await;
        at_client.put_down().await;
        at_agent.put_down().await;
        world.until("engine.paths", 1).await;
        let (resets, stays, name) = if by_agent {
            (at_agent, at_client, "paths_ended.reset.agent")
        } else {
            (at_client, at_agent, "paths_ended.reset.client")
        };
        resets.socket.set_zero_linger().unwrap();
        drop(resets);
        world.until(name, 1).await;
        drop(stays);
    }
}

/// The client, which reads nothing, puts its outer TLS down while its leg is full, and the agent before that is answered: what
/// stands behind the agent's SWITCH waits in the node when both legs become direct.
#[tokio::test]
async fn what_stands_behind_switch_waits_for_a_full_leg() {
    let mut world = World::new();
    // More than the kernel holds for a client whose window is small; which of them leaves the leg just full differs.
    for before in (150_000..600_000).step_by(12_345) {
        let (agent, client) = (
            world.organisation.agent(COMPUTER),
            world.organisation.client(),
        );
        let (mut at_agent, mut at_client, _) = world.peers(&agent, &client).await;
        at_client.narrow();
        let (before, behind) = (pattern(before, 1), pattern(5_000, 2));
        let sent = world.statistic("bytes_to_client");
        at_agent.say(&before).await;
        world.until_in("bytes_to_client", sent + 100_000..).await;
        at_client.put_down().await;
        let flight = flight(&mut at_agent, b"", &behind);
        at_agent.send(&flight).await;
        assert!(at_client.hears(before.len()).await == before);
        assert!(at_client.hears(behind.len()).await == behind);
    }
}

#[tokio::test]
async fn where_one_end_stays_wrapped_the_path_is_mixed() {
    for agent_switches in [true, false] {
        let mut world = World::new();
        let (agent, client) = (
            world.organisation.agent(COMPUTER),
            world.organisation.client(),
        );
        let (mut at_agent, mut at_client, request) = world.peers(&agent, &client).await;
        let switching = if agent_switches {
            &mut at_agent
        } else {
            &mut at_client
        };
        switching.put_down().await;
        switching.is_answered().await;
        world.until("live_paths.mixed.staff", 1).await;
        exchange_much(&mut at_agent, &mut at_client).await;
        let mut ready = world.ready(&agent).await;
        both_end(&mut at_agent, &mut at_client).await;
        ready.send(session_end(request.path, Code::Done)).await;
        let ended = world.ended().await;
        assert_eq!(
            (ended.code, ended.path_kind),
            (Code::Done.into(), Some(PathKind::Mixed))
        );
    }
}

#[tokio::test]
async fn a_cut_and_a_revocation_reach_a_direct_path() {
    for code in [Code::Cut, Code::Revoked] {
        let mut world = World::new();
        let (agent, client) = (
            world.organisation.agent(COMPUTER),
            world.organisation.client(),
        );
        let (mut at_agent, mut at_client, request) = world.peers(&agent, &client).await;
        at_client.put_down().await;
        at_agent.put_down().await;
        world.until("engine.paths", 1).await;
        let mut ready = world.ready(&agent).await;
        if code == Code::Cut {
            let scope = Scope::Device(world.organisation.id(), client.device);
            assert_eq!(world.node.cut(scope, code), 1);
        } else {
            world.admit(Standing::Admitted, &[client.device]);
        }
        let Got::Frame(Frame::Cut(cut)) = ready.got().await else {
            panic!("the agent is told why")
        };
        assert_eq!((cut.path, cut.code), (request.path, code.into()));
        at_client.is_over().await;
        at_agent.is_over().await;
        drop((at_client, at_agent));
        ready.send(session_end(request.path, Code::Done)).await;
        let ended = world.ended().await;
        assert_eq!(
            (ended.code, ended.path_kind),
            (code.into(), Some(PathKind::Direct))
        );
        world.until("paths_ended.ordered.none", 1).await;
        world.until("engine.paths", 0).await;
    }
}

#[tokio::test]
async fn switch_before_paired_is_refused() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (_at_agent, mut at_client, _) = world.path(&agent, &client).await;
    let mut ready = world.ready(&agent).await;
    ready.send_record(SWITCH).await.unwrap();
    assert!(matches!(
        ready.got().await,
        Got::Frame(Frame::Error(_)) | Got::End | Got::Broken(_)
    ));
    // The path beside it is not concerned.
    at_client.send_path(b"input").await.unwrap();
    drop(at_client);
    while !matches!(world.event().await, Event::AgentGone { .. }) {}
}
