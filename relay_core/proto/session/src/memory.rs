//! What a session weighs while nothing happens, and that a burst leaves nothing behind (tests only).
use telerelay_wire::Moment;
use telerelay_wire::ids::{AttemptId, DeviceId, Instance, PathId, Service};

use crate::path::Path;
use crate::role::Role;
use crate::{
    AgentSession, ClientSession, Event, Offer, Pairing, PathKey, Request, ResumeSecret, Session,
};

const PATH: PathKey = PathKey(0);
const START: Moment = Moment(0);

/// Bytes of memory behind a session.
fn heap<R>(session: &Session<R>) -> usize {
    let paths: usize = session
        .paths
        .iter()
        .map(|path| path.out.heap() + path.frames.heap())
        .sum();
    let claims = session
        .paths
        .iter()
        .filter(|path| path.claims.is_some())
        .count();
    assert_eq!(claims, 0, "a path that carries knows enough");
    paths
        + session.paths.capacity() * size_of::<Path>()
        + session.events.capacity() * size_of::<Event>()
        + session.outgoing.heap()
        + session.incoming.heap()
}

struct Zero;

impl telerelay_wire::Entropy for Zero {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
    }
}

fn pair() -> (AgentSession, ClientSession) {
    let pairing = Pairing {
        attempt: AttemptId([0; 5]),
        path: PathId([0; 16]),
    };
    let offer = Offer {
        service: Service::Rfb,
        client: DeviceId([0; 32]),
        notices: Vec::new().try_into().unwrap(),
        resume_limit: 600,
        idle_timeout: 0,
        rules: Vec::new().try_into().unwrap(),
        nodes: Vec::new().try_into().unwrap(),
    };
    let (service, instance, program) = (
        Service::Rfb,
        Instance([0; 16]),
        "test/1".try_into().unwrap(),
    );
    let request = Request {
        service,
        instance,
        program,
        posture: None,
    };
    let secret = || ResumeSecret::new([0; 32]);
    let mut agent = AgentSession::new(offer, secret(), PATH, pairing, START).unwrap();
    let mut client = ClientSession::new(request, secret(), PATH, pairing, START);
    agent.authenticated(PATH, START);
    settle(&mut agent, &mut client);
    agent.desktop_connected(&mut Zero);
    settle(&mut agent, &mut client);
    (agent, client)
}

/// Carries everything both ways until nobody has anything to say, and writes all of it.
fn settle(agent: &mut AgentSession, client: &mut ClientSession) {
    while carry(agent, client) | carry(client, agent) {}
}

fn carry<A: Role, B: Role>(from: &mut Session<A>, to: &mut Session<B>) -> bool {
    let mut moved = false;
    while let Some(record) = from.poll_transmit(PATH, START) {
        to.received(PATH, &record.parts().concat(), START);
        let waiting = to.poll_deliver().map(<[u8]>::len).sum();
        to.written(waiting, START);
        moved = true;
    }
    while from.poll_event().is_some() {}
    while to.poll_event().is_some() {}
    if moved {
        // The time of ACK comes.
        to.timeout(START + telerelay_wire::limits::ACK);
    }
    moved
}

#[test]
fn an_idle_session_weighs_little() {
    let (agent, client) = pair();
    assert!(agent.id().is_some() && agent.id() == client.id());
    let sizes = [
        size_of::<AgentSession>(),
        size_of::<ClientSession>(),
        heap(&agent),
        heap(&client),
    ];
    assert!(sizes[0] <= 512 && sizes[1] <= 448, "the structs: {sizes:?}");
    // One path, and what its output keeps at most.
    assert!(
        sizes[2].max(sizes[3]) <= size_of::<Path>() + 256,
        "behind them: {sizes:?}"
    );
    assert!(size_of::<Path>() <= 160);
}

#[test]
fn a_burst_leaves_nothing_behind() {
    let (mut agent, mut client) = pair();
    let before = (heap(&agent), heap(&client));
    for _ in 0..100 {
        while agent.local_bytes(&[7; 10_000]) > 0 {}
        client.local_bytes(&[7; 10_000]);
        // A frame that is cut, too.
        let mut bytes = Vec::new();
        while let Some(record) = agent.poll_transmit(PATH, START) {
            record.append_to(&mut bytes);
        }
        for piece in bytes.chunks(9_999) {
            client.received(PATH, piece, START);
        }
    }
    assert!(
        heap(&agent) > 3 << 20,
        "the window is full of what the viewer has not taken"
    );
    assert!(heap(&client) > 3 << 20);
    let waiting = client.poll_deliver().map(<[u8]>::len).sum();
    client.written(waiting, START);
    settle(&mut agent, &mut client);
    let slots = 2 * 8 * size_of::<Vec<u8>>();
    assert_eq!(agent.offsets().acked, agent.offsets().read);
    assert!(
        heap(&agent) <= before.0 + slots,
        "{} before, {} after",
        before.0,
        heap(&agent)
    );
    assert!(
        heap(&client) <= before.1 + slots,
        "{} before, {} after",
        before.1,
        heap(&client)
    );
}
