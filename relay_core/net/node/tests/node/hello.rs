//! HELLO at a node: WELCOME, presence, and each reason to be turned away.
use telerelay_node::{Event, Side, Standing};
use telerelay_wire::Code;
use telerelay_wire::ids::Role;
use telerelay_wire::outer::{Frame, Keepalive};

use crate::kit::{COMPUTER, Got, World, hello};

#[tokio::test]
async fn an_agent_is_welcomed_and_told_out_and_its_keepalive_answered() {
    let mut world = World::new();
    let minted = world.organisation.agent(COMPUTER);
    let mut agent = world.dial(&minted).await;
    agent.hello(Role::Agent).await;
    let welcome = agent.welcome().await;
    assert_eq!(welcome.node, crate::kit::node_name());
    let features: Vec<_> = welcome
        .features
        .iter()
        .map(telerelay_wire::bounded::Text::as_str)
        .collect();
    assert_eq!(features, ["direct"]);
    assert_eq!((welcome.return_window, welcome.nodes_version), (7, 3));
    let Event::AgentReady(ready) = world.event().await else {
        panic!()
    };
    assert_eq!(
        (ready.organisation, ready.device),
        (world.organisation.id(), minted.device)
    );
    assert_eq!(ready.computer, COMPUTER);
    assert_eq!(&*ready.program, "test/1");
    assert_eq!(
        ready.address.as_str(),
        agent.socket.local_addr().unwrap().to_string()
    );

    agent
        .send(Keepalive {
            ask: true,
            return_window: None,
        })
        .await;
    let Got::Frame(Frame::Keepalive(answer)) = agent.got().await else {
        panic!()
    };
    assert_eq!(
        answer,
        Keepalive {
            ask: false,
            return_window: Some(7)
        }
    );

    assert_eq!(world.statistic("ready_agents"), 1);
    drop(agent);
    let Event::AgentGone { device, .. } = world.event().await else {
        panic!()
    };
    assert_eq!(device, minted.device);
    world.until("connections", 0).await;
    assert_eq!(world.statistic("ready_agents"), 0);
}

#[tokio::test]
async fn hello_is_refused_with_its_code() {
    let world = World::with(1, &[Side::Both, Side::Inside, Side::Outside]);
    let agent = world.organisation.agent(COMPUTER);
    let client = world.organisation.client();
    let admin = world.organisation.role("admin");
    let cases = [
        (
            "a client that poses as an agent",
            0,
            &client,
            Role::Agent,
            Code::WrongRole,
        ),
        (
            "an agent that poses as a client",
            0,
            &agent,
            Role::Client,
            Code::WrongRole,
        ),
        ("an administrator", 0, &admin, Role::Client, Code::WrongRole),
        ("a bridge", 0, &agent, Role::Bridge, Code::Unsupported),
        ("a client inside", 1, &client, Role::Client, Code::WrongSide),
        ("an agent outside", 2, &agent, Role::Agent, Code::WrongSide),
    ];
    for (what, listener, minted, role, code) in cases {
        let mut endpoint = world.dial_at(listener, minted).await;
        endpoint.hello(role).await;
        assert_eq!(endpoint.error().await.code, code, "{what}");
    }
    let mut endpoint = world.dial(&agent).await;
    let mut later = hello(Role::Agent);
    later.version = 2;
    endpoint.send(later).await;
    let error = endpoint.error().await;
    assert_eq!(error.code, Code::Version);
    assert_eq!(error.supported.as_deref(), Some(&[1][..]));
    assert_eq!(world.statistic("refused.WRONG_ROLE"), 3);
}

#[tokio::test]
async fn the_snapshot_admits_and_takes_away() {
    let mut world = World::new();
    let minted = world.organisation.agent(COMPUTER);
    world.admit(Standing::Suspended, &[]);
    let mut agent = world.dial(&minted).await;
    agent.hello(Role::Agent).await;
    assert_eq!(agent.error().await.code, Code::Suspended);

    world.admit(Standing::Admitted, &[minted.device]);
    let mut agent = world.dial(&minted).await;
    agent.hello(Role::Agent).await;
    assert_eq!(agent.error().await.code, Code::Revoked);

    world.admit(Standing::Admitted, &[]);
    let mut agent = world.ready(&minted).await;
    world.admit(Standing::Admitted, &[minted.device]);
    assert_eq!(agent.error().await.code, Code::Revoked);
    assert!(matches!(world.event().await, Event::AgentGone { .. }));
}

#[tokio::test]
async fn a_leg_that_breaks_the_protocol_reads_bad_frame() {
    let world = World::new();
    let minted = world.organisation.agent(COMPUTER);
    let breaches: [(&str, &[u8]); 5] = [
        ("an unknown critical frame", &[0, 0, 0x7f, 1]),
        ("longer than its type allows", &[0xff, 0xff, 0x01, 1]),
        ("a flag without meaning", &[0, 1, 0x10, 0x81, 0xa0]),
        ("a body that is no map", &[0, 1, 0x01, 1, 0x00]),
        ("KEEPALIVE before HELLO", &[0, 3, 0x10, 1, 0xa1, 0, 0xf5]),
    ];
    for (what, bytes) in breaches {
        let mut endpoint = world.dial(&minted).await;
        endpoint.send_record(bytes).await.unwrap();
        assert_eq!(endpoint.error().await.code, Code::BadFrame, "{what}");
    }
    // A frame that is not critical and not known is skipped.
    let mut endpoint = world.dial(&minted).await;
    endpoint.send_record(&[0, 2, 0x7f, 0, 1, 2]).await.unwrap();
    endpoint.hello(Role::Agent).await;
    endpoint.welcome().await;
}
