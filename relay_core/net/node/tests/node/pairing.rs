//! From CONNECT to PAIRED, and every way in which it does not get there.
use telerelay_node::{Decision, Event};
use telerelay_wire::ids::{NodeAddress, Service};
use telerelay_wire::outer::{Frame, Refuse};
use telerelay_wire::{Code, Reason};
use tokio::time::Instant;

use crate::kit::{COMPUTER, Got, World, connect, session_end};

#[tokio::test]
async fn both_consents_and_the_record_make_a_path() {
    for workers in [1, 2] {
        let mut world = World::with(workers, &[telerelay_node::Side::Both]);
        let (agent, client) = (
            world.organisation.agent(COMPUTER),
            world.organisation.client(),
        );
        let mut at_agent = world.ready(&agent).await;
        let (mut at_client, request) = world.asking(&client).await;
        assert_eq!(request.client, client.device);
        assert_eq!(request.organisation, world.organisation.id());
        assert_eq!(
            (request.computer, request.service),
            (COMPUTER, Service::Rfb)
        );
        assert_eq!(request.attempt, connect().attempt);

        world
            .node
            .decide(request.ticket, Decision::Here(agent.device));
        let incoming = at_agent.incoming().await;
        assert_eq!(
            (incoming.path, incoming.client),
            (request.path, client.device)
        );
        assert_eq!(incoming.address, request.address);
        at_agent.accept(request.path).await;
        // ACCEPT alone does not pair: the next thing on either leg comes from recorded.
        world.until("attempts", 1).await;
        assert_eq!(world.statistic("paths_joined"), 0);
        world.node.recorded(&[request.ticket], Ok(()));
        assert_eq!(at_agent.paired().await, request.path);
        assert_eq!(at_client.paired().await, request.path);
        assert_eq!(world.statistic("live_paths"), 1);
        world.until("live_paths.wrapped.staff", 1).await;
        for (name, distribution) in world.node.distributions() {
            let expected = match name.split_once('.').unwrap_or((&name, "")) {
                ("handshake", "") => 2,
                ("set_up", "staff") | ("set_up_step", _) => 1,
                ("set_up", "test") | ("session" | "message_wait", _) => 0,
                other => panic!("what is {other:?}?"),
            };
            assert_eq!(distribution.counts.iter().sum::<u64>(), expected, "{name}");
            assert_eq!(distribution.counts.len(), distribution.upper.len() + 1);
        }

        at_client.send_path(b"from the client").await.unwrap();
        assert_eq!(at_agent.read_path(15).await, b"from the client");
        at_agent.send_path(b"from the agent").await.unwrap();
        assert_eq!(at_client.read_path(14).await, b"from the agent");
        drop((at_agent, at_client));
        world.until("attempts", 0).await;
        assert_eq!(world.statistic("ended.PATH_LOST"), 1);
        assert_eq!(world.statistic("live_paths.wrapped.staff"), 0);
        let ended = world.node.distributions().into_iter();
        let sessions: u64 = ended
            .filter(|(name, _)| name == "session.wrapped")
            .flat_map(|(_, distribution)| distribution.counts)
            .sum();
        assert_eq!(sessions, 1);
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_written_pairs_nobody() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let mut at_agent = world.ready(&agent).await;
    let (mut at_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Here(agent.device));
    at_agent.incoming().await;
    at_agent.accept(request.path).await;
    world
        .node
        .recorded(&[request.ticket], Err(Code::AuditUnavailable));
    assert_eq!(at_client.error().await.code, Code::AuditUnavailable);
    assert!(matches!(at_agent.got().await, Got::End | Got::Broken(_)));
    let ended = world.ended().await;
    assert_eq!(
        (ended.code, ended.asked),
        (Reason::from(Code::AuditUnavailable), None)
    );
}

#[tokio::test]
async fn a_refusal_leaves_the_leg_ready() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let mut at_agent = world.ready(&agent).await;
    let (mut at_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Here(agent.device));
    let incoming = at_agent.incoming().await;
    let (path, attempt) = (incoming.path, incoming.attempt);
    at_agent
        .send(Refuse {
            path,
            attempt,
            code: Code::Busy.into(),
        })
        .await;
    assert_eq!(at_client.error().await.code, Code::Busy);
    assert_eq!(world.ended().await.code, Code::Busy);

    let (_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Here(agent.device));
    assert_eq!(at_agent.incoming().await.path, request.path);
}

#[tokio::test]
async fn a_denial_leaves_after_200_ms_whatever_was_looked_up() {
    let mut world = World::new();
    let client = world.organisation.client();
    let began = Instant::now();
    let (mut at_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Deny(Code::Denied.into()));
    let error = at_client.error().await;
    assert!(began.elapsed().as_millis() >= 200);
    assert_eq!(
        (error.code, error.retry),
        (Reason::from(Code::Denied), None)
    );
    assert_eq!(error.attempt, Some(connect().attempt));
    let ended = world.ended().await;
    assert_eq!(
        (ended.code, ended.asked.is_some(), ended.agent),
        (Reason::from(Code::Denied), true, None)
    );
}

#[tokio::test]
async fn the_other_answers_reach_the_client() {
    let mut world = World::new();
    let client = world.organisation.client();
    let (mut at_client, request) = world.asking(&client).await;
    world.node.decide(request.ticket, Decision::Later(9));
    let error = at_client.error().await;
    assert_eq!(
        (error.code, error.retry),
        (Reason::from(Code::TryLater), Some(9))
    );
    assert_eq!(world.ended().await.code, Code::TryLater);

    let (mut at_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Here(client.device));
    assert_eq!(at_client.error().await.code, Code::Absent);
    assert_eq!(world.ended().await.code, Code::Absent);

    let (mut at_client, request) = world.asking(&client).await;
    let other = NodeAddress {
        name: "node-2".parse().unwrap(),
        addresses: vec![world.addresses[0].clone()].try_into().unwrap(),
    };
    world
        .node
        .decide(request.ticket, Decision::Redirect(other.clone()));
    let Got::Frame(Frame::Redirect(redirect)) = at_client.got().await else {
        panic!()
    };
    assert_eq!(
        (redirect.node, redirect.attempt),
        (other, Some(connect().attempt))
    );
    assert!(matches!(at_client.got().await, Got::End));
    world.until("attempts", 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_paired_frees_the_agent() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let mut at_agent = world.ready(&agent).await;
    let (at_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Here(agent.device));
    at_agent.incoming().await;
    drop(at_client);
    assert!(matches!(at_agent.got().await, Got::End | Got::Broken(_)));
    let ended = world.ended().await;
    assert_eq!(
        (ended.code, ended.asked),
        (Reason::from(Code::ClientGone), None)
    );
    // What still comes for it is ignored.
    world.node.recorded(&[request.ticket], Ok(()));
    world.until("legs", 0).await;
    world.until("connections", 0).await;
}

#[tokio::test]
async fn a_question_whose_client_has_left_is_not_worth_an_answer() {
    let mut world = World::new();
    let client = world.organisation.client();
    let (at_client, request) = world.asking(&client).await;
    assert!(world.node.is_asked(request.ticket));
    drop(at_client);
    assert_eq!(world.ended().await.code, Code::ClientGone);
    assert!(!world.node.is_asked(request.ticket));
}

#[tokio::test]
async fn an_agent_that_leaves_after_incoming_is_absent() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let mut at_agent = world.ready(&agent).await;
    let (mut at_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Here(agent.device));
    at_agent.incoming().await;
    drop(at_agent);
    assert_eq!(at_client.error().await.code, Code::Absent);
    assert_eq!(world.ended().await.code, Code::Absent);
}

#[tokio::test]
async fn a_byte_before_paired_is_a_breach() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let mut at_agent = world.ready(&agent).await;
    let (mut at_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Here(agent.device));
    at_agent.incoming().await;
    at_client.send_path(b"too early").await.unwrap();
    assert_eq!(at_client.error().await.code, Code::BadFrame);
    assert!(matches!(at_agent.got().await, Got::End | Got::Broken(_)));
    assert_eq!(world.ended().await.code, Code::BadFrame);
}

#[tokio::test]
async fn half_a_frame_before_paired_is_a_breach_too() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let mut at_agent = world.ready(&agent).await;
    let (mut at_client, request) = world.asking(&client).await;
    world
        .node
        .decide(request.ticket, Decision::Here(agent.device));
    at_agent.incoming().await;
    let sent = world.statistic("legs");
    at_client.send_record(&[0]).await.unwrap();
    assert_eq!(sent, 2);
    at_agent.accept(request.path).await;
    world.node.recorded(&[request.ticket], Ok(()));
    at_agent.paired().await;
    at_client.paired().await;
    assert!(matches!(at_agent.got().await, Got::End | Got::Broken(_)));
    let mut at_agent = world.ready(&agent).await;
    at_agent.send(session_end(request.path, Code::Done)).await;
    assert_eq!(
        world.ended().await.code,
        Code::BadFrame,
        "the node's word counts"
    );
}

#[tokio::test]
async fn a_path_of_another_device_is_none_of_ones_business() {
    let mut world = World::new();
    let (agent, client) = (
        world.organisation.agent(COMPUTER),
        world.organisation.client(),
    );
    let (_at_agent, _at_client, request) = world.path(&agent, &client).await;
    let mut other = COMPUTER;
    other.0[0] ^= 1;
    let mut stranger = world.ready(&world.organisation.agent(other)).await;
    stranger.send(session_end(request.path, Code::Done)).await;
    assert_eq!(stranger.error().await.code, Code::PathUnknown);
    assert!(matches!(world.event().await, Event::AgentGone { .. }));
    assert_eq!(world.statistic("live_paths"), 1);
}
