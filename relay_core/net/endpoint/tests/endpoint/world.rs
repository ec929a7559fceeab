//! One organisation with a relay node, an office PC with a desktop, and home PCs; and what they tell.
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telerelay_endpoint::{
    Agent, AgentConfig, AgentEvent, Client, ClientConfig, ClientEvent, Ended, LocalAddress,
    PathChoice, SessionRules,
};
use telerelay_leg::config::NodeConfigs;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::trust::{Anchor, Organisations, Pins};
use telerelay_mint::{Cluster, Minted, Organisation};
use telerelay_outer::DIRECT;
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{Address, ComputerId, NodeAddress, NodeName, Program, Service};
use telerelay_wire::{Code, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::relay::Relay;

/// Longer than any timer of the protocol that a test waits for: a condition that has not come by then never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const COMPUTER: ComputerId = ComputerId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);

pub(crate) struct World {
    cluster: Cluster,
    pub(crate) organisation: Organisation,
    pub(crate) agent: Minted,
    pub(crate) client: Minted,
    pub(crate) relay: Relay,
    pub(crate) desktop: TcpListener,
    /// What its endpoints are set to.
    pub(crate) agent_path: PathChoice,
    pub(crate) client_path: PathChoice,
    /// Its agents have a guard, and its desktops speak RFB.
    pub(crate) guarded: bool,
    /// What its agents allow, but for the number of sessions.
    pub(crate) rules: SessionRules,
}

impl World {
    /// A node that runs and does no SWITCH, a desktop that listens.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// The same with a node that does SWITCH.
    pub(crate) async fn direct() -> Self {
        Self::with(&[DIRECT]).await
    }

    async fn with(features: &[&str]) -> Self {
        let cluster = Cluster::new();
        let organisation = Organisation::new("organisation");
        let organisations = Arc::new(Organisations::default());
        organisations.replace([Arc::new(anchor(&organisation))]);
        let node = credentials(&cluster.node(&node_name()));
        let configs = NodeConfigs::new(&node, &organisations).unwrap();
        let agent = organisation.agent(COMPUTER);
        Self {
            relay: Relay::start(configs, organisation.id(), agent.device, features),
            client: organisation.client(),
            agent,
            organisation,
            cluster,
            desktop: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            agent_path: PathChoice::Auto,
            client_path: PathChoice::Auto,
            guarded: false,
            rules: rules(8),
        }
    }

    pub(crate) fn configs(&self) -> NodeConfigs {
        let organisations = Arc::new(Organisations::default());
        organisations.replace([Arc::new(self.anchor())]);
        NodeConfigs::new(
            &credentials(&self.cluster.node(&node_name())),
            &organisations,
        )
        .unwrap()
    }

    pub(crate) fn anchor(&self) -> Anchor {
        anchor(&self.organisation)
    }

    pub(crate) fn pins(&self) -> Pins {
        Pins([[0; 32], self.cluster.pin()])
    }

    /// An agent that lets everybody in, up to `sessions` side by side.
    pub(crate) fn office(&self, sessions: u16) -> Office {
        self.office_with(
            self.relay.address,
            self.desktop.local_addr().unwrap(),
            Some(sessions),
        )
    }

    /// An agent with another desktop.
    pub(crate) fn office_of(&self, desktop: SocketAddr) -> Office {
        self.office_with(self.relay.address, desktop, Some(8))
    }

    /// An agent of the node at this address. Without `sessions` nobody answers what it is asked.
    pub(crate) fn office_at(&self, node: SocketAddr, sessions: Option<u16>) -> Office {
        self.office_with(node, self.desktop.local_addr().unwrap(), sessions)
    }

    fn office_with(&self, node: SocketAddr, desktop: SocketAddr, sessions: Option<u16>) -> Office {
        let config = AgentConfig {
            credentials: credentials(&self.agent),
            pins: self.pins(),
            nodes: vec![node_at(node)],
            source: None,
            root: self.anchor(),
            revoked: Vec::new(),
            desktop: LocalAddress::Tcp(desktop),
            service: Service::Rfb,
            secret: None,
            program: Program::try_from("agent/1").unwrap(),
            path: self.agent_path,
        };
        let (told, mut tells) = mpsc::unbounded_channel();
        // Whoever has seen enough takes no more.
        let sink = Arc::new(move |event| drop(told.send(event)));
        let start = if self.guarded {
            Agent::start
        } else {
            Agent::start_open
        };
        let agent = start(config, Handle::current(), sink).unwrap();
        let (forward, events) = mpsc::unbounded_channel();
        let answering = agent.clone();
        let rules = self.rules.clone();
        tokio::spawn(async move {
            let mut answering = Some(answering);
            while let Some(event) = tells.recv().await {
                match (&event, &answering, sessions) {
                    (AgentEvent::Incoming(incoming), Some(agent), Some(sessions)) => {
                        let rules = SessionRules {
                            sessions,
                            ..rules.clone()
                        };
                        agent.allow(incoming.path, rules);
                    }
                    (AgentEvent::Stopped, ..) => answering = None,
                    _ => {}
                }
                drop(forward.send(event));
            }
        });
        Office {
            agent,
            events: Events(events),
        }
    }

    /// A client of this world's client device.
    pub(crate) fn home(&self) -> Home {
        self.home_of(&self.client, self.relay.address).unwrap()
    }

    pub(crate) fn home_of(&self, device: &Minted, node: SocketAddr) -> io::Result<Home> {
        let config = ClientConfig {
            credentials: credentials(device),
            pins: self.pins(),
            nodes: vec![node_at(node)],
            source: None,
            root: self.anchor(),
            computer: COMPUTER,
            service: Service::Rfb,
            door: "127.0.0.1:0".parse().unwrap(),
            program: Program::try_from("client/1").unwrap(),
            path: self.client_path,
        };
        let (told, events) = mpsc::unbounded_channel();
        let sink = Arc::new(move |event| drop(told.send(event)));
        Ok(Home {
            client: Client::start(config, &Handle::current(), sink)?,
            events: Events(events),
            door: None,
        })
    }

    /// The desktop's end of the next session.
    pub(crate) async fn desk(&self) -> TcpStream {
        within(self.desktop.accept()).await.unwrap().0
    }

    /// A session with an agent and a client around it: the desktop's end and the viewer's.
    pub(crate) async fn session(&self) -> (Office, Home, TcpStream, TcpStream) {
        let office = self.office(8);
        self.relay.until_ready(1).await;
        let mut home = self.home();
        let viewer = home.viewer().await;
        (office, home, self.desk().await, viewer)
    }
}

/// What an endpoint told and nobody took.
pub(crate) struct Events<E>(mpsc::UnboundedReceiver<E>);

impl<E: std::fmt::Debug> Events<E> {
    /// Takes events until one is what is looked for.
    pub(crate) async fn until<T>(&mut self, mut pick: impl FnMut(&E) -> Option<T>) -> T {
        loop {
            let event = timeout(PATIENCE, self.0.recv()).await;
            let event = event
                .expect("an event in time")
                .expect("an endpoint that lives");
            if let Some(picked) = pick(&event) {
                return picked;
            }
        }
    }

    /// Everything that is still to come. It comes to its end when nothing of the endpoint is left.
    async fn rest(mut self) -> Vec<E> {
        let mut rest = Vec::new();
        while let Some(event) = timeout(PATIENCE, self.0.recv())
            .await
            .unwrap_or_else(|_| panic!("something of the endpoint lives on behind {rest:?}"))
        {
            rest.push(event);
        }
        rest
    }
}

pub(crate) struct Office {
    pub(crate) agent: Agent,
    pub(crate) events: Events<AgentEvent>,
}

impl Office {
    /// How the next session or attempt ended.
    pub(crate) async fn ended(&mut self) -> Ended {
        self.events
            .until(|event| match event {
                AgentEvent::Ended(ended) => Some((**ended).clone()),
                _ => None,
            })
            .await
    }

    /// Tells it to stop, twice: it says so once, and nothing behind it. What it told before.
    pub(crate) async fn stop(self) -> Vec<AgentEvent> {
        self.agent.stop();
        self.agent.stop();
        drop(self.agent);
        let mut events = self.events.rest().await;
        assert!(
            matches!(events.pop(), Some(AgentEvent::Stopped)),
            "Stopped is the last event"
        );
        let again = events
            .iter()
            .any(|event| matches!(event, AgentEvent::Stopped));
        assert!(!again, "Stopped is told once");
        events
    }
}

pub(crate) struct Home {
    pub(crate) client: Client,
    pub(crate) events: Events<ClientEvent>,
    door: Option<SocketAddr>,
}

impl Home {
    /// Where the door is, once it is open.
    pub(crate) async fn door(&mut self) -> SocketAddr {
        if let Some(door) = self.door {
            return door;
        }
        let door = self
            .events
            .until(|event| match event {
                ClientEvent::DoorOpen(LocalAddress::Tcp(address)) => Some(*address),
                _ => None,
            })
            .await;
        self.door = Some(door);
        door
    }

    /// Another viewer.
    pub(crate) async fn viewer(&mut self) -> TcpStream {
        TcpStream::connect(self.door().await).await.unwrap()
    }

    pub(crate) async fn ended(&mut self) -> Ended {
        self.events
            .until(|event| match event {
                ClientEvent::Ended(ended) => Some((**ended).clone()),
                _ => None,
            })
            .await
    }

    /// What it exits with, by itself. Everything is told once.
    pub(crate) async fn finished(self) -> Code {
        drop(self.client);
        let mut events = self.events.rest().await;
        assert!(
            matches!(events.pop(), Some(ClientEvent::Stopped)),
            "Stopped is the last event: {events:?}"
        );
        let Some(ClientEvent::Finished { code, .. }) = events.pop() else {
            panic!("Finished comes before it")
        };
        let again = events
            .iter()
            .any(|event| matches!(event, ClientEvent::Stopped | ClientEvent::Finished { .. }));
        assert!(!again, "Stopped and Finished are told once");
        known(&code)
    }

    /// Tells it to stop, twice. What it exits with.
    pub(crate) async fn stop(self) -> Code {
        self.client.stop();
        self.client.stop();
        self.finished().await
    }
}

/// A code of this version.
pub(crate) fn known(reason: &Reason) -> Code {
    reason.code().unwrap_or_else(|| panic!("{reason} is known"))
}

/// Waits for something that comes, or never.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it comes in time")
}

/// Reads so many bytes.
pub(crate) async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Reads to the end of the stream.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    within(stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// Shows that a session carries bytes both ways.
pub(crate) async fn exchange(desk: &mut TcpStream, viewer: &mut TcpStream) {
    viewer.write_all(b"a key").await.unwrap();
    assert_eq!(read(desk, 5).await, b"a key");
    desk.write_all(b"a screen").await.unwrap();
    assert_eq!(read(viewer, 8).await, b"a screen");
}

/// Waits for the end of a stream whatever it is.
pub(crate) async fn gone(stream: &mut TcpStream) {
    let mut scratch = vec![0; 64 * 1024];
    while matches!(within(stream.read(&mut scratch)).await, Ok(length) if length > 0) {}
}

/// Sets the endpoints' clock forward; from there it runs on, since sockets need time of their own. What waits for an answer of the other
/// end meanwhile has waited for so long: let both hear something before.
pub(crate) async fn time_passes(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

pub(crate) fn rules(sessions: u16) -> SessionRules {
    SessionRules {
        sessions,
        resume_limit: 0,
        idle_timeout: 0,
        view_only: false,
        watermark: None,
        ends: None,
        notices: List::default(),
        shown: vec![format!("sessions={sessions}")],
    }
}

pub(crate) fn node_name() -> NodeName {
    "node-1".parse().unwrap()
}

pub(crate) fn node_at(address: SocketAddr) -> NodeAddress {
    NodeAddress {
        name: node_name(),
        addresses: vec![Address::try_from(address.to_string()).unwrap()]
            .try_into()
            .unwrap(),
    }
}

fn anchor(organisation: &Organisation) -> Anchor {
    Anchor::from_der(organisation.root_der()).unwrap()
}

pub(crate) fn credentials(minted: &Minted) -> Credentials {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = minted.write(folder.path(), "device");
    Credentials::read(&chain, &key).unwrap()
}

/// Bytes that differ everywhere, so that a swap or a loss shows.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
