//! The way through a node, as agent and client of it: outer TLS on both legs, pairing, the inner handshake, and SWITCH, all of it real.
//!
//! Behind that the ends push whatever they like, since the node is blind: so it is measured alone, without what encrypting a session
//! costs its ends. Where SWITCH is left out, ends wrap what they push into PATH frames.
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use rustls::Connection;
use telerelay_leg::config::{Language, inner_client, inner_server};
use telerelay_leg::dial::Dialer;
use telerelay_leg::tls::{Progress, Tls};
use telerelay_leg::trust::{Anchor, Identity, Revoked};
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{
    AttemptId, ComputerId, DeviceId, Instance, NodeAddress, PathId, Role, Service,
};
use telerelay_wire::outer::{Accept, Connect, Frame, Hello, PATH_MAXIMUM, Path, Reader, Switch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use super::WayError;
use crate::LoadError;
use crate::tenant::{Device, Tenant};
use crate::traffic::Session;
use crate::traffic::end::{End, Framing};
use crate::visit::program;

/// How many sessions are on their way at once.
const AT_ONCE: usize = 16;
/// How much is read at once.
const READ: usize = 4096;
/// What a node says that answers SWITCH.
const DIRECT: &str = "direct";

/// Whether the legs put their outer TLS down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// They keep it.
    Wrapped,
    /// They put it down behind the inner handshake.
    Direct,
}

/// Pairs of an agent and a client that have sessions in turn, as many of each as are asked for.
pub(crate) struct Relay {
    runtime: Handle,
    pairs: Arc<[Pair]>,
    wrapping: Wrapping,
}

/// One agent, and the client that may reach it.
struct Pair {
    agent: Device,
    client: Device,
    /// The client's.
    device: DeviceId,
    root: Arc<Anchor>,
    agents_dialer: Dialer,
    clients_dialer: Dialer,
    agents_nodes: Vec<NodeAddress>,
    clients_nodes: Vec<NodeAddress>,
    instance: Instance,
    /// How often the agent has dialled. It has one ready connection: its sessions begin one behind the other.
    dials: Mutex<u64>,
}

impl Relay {
    /// All pairs of the tenant. Clients dial `clients_nodes`, where these are not those of the agents.
    pub(crate) fn new(
        tenant: &Tenant,
        pairs: usize,
        clients_nodes: &[NodeAddress],
        wrapping: Wrapping,
        runtime: Handle,
    ) -> Result<Self, LoadError> {
        if pairs == 0 {
            return Err(LoadError::Usage("no pair"));
        }
        let root = Arc::new(tenant.root()?);
        let agents = tenant.agents(0, pairs)?;
        let clients = tenant.clients(0, pairs)?;
        let dialer = |device: &Device| {
            let credentials = Some(&device.credentials);
            Dialer::new(tenant.cluster.pins, credentials, Language::Telerelay)
        };
        let pairs = agents.into_iter().zip(clients).map(|(agent, client)| {
            Ok(Pair {
                agents_dialer: dialer(&agent)?,
                clients_dialer: dialer(&client)?,
                device: device(&client)?,
                agent,
                client,
                root: root.clone(),
                agents_nodes: tenant.cluster.nodes.clone(),
                clients_nodes: clients_nodes.to_vec(),
                instance: Instance(random()?),
                dials: Mutex::new(0),
            })
        });
        Ok(Self {
            runtime,
            pairs: pairs.collect::<Result<_, LoadError>>()?,
            wrapping,
        })
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.wrapping {
            Wrapping::Wrapped => "wrapped",
            Wrapping::Direct => "direct",
        }
    }

    pub(crate) fn open(&mut self, numbers: Range<u64>) -> Result<Vec<Session>, WayError> {
        let made = self.runtime.block_on(self.make(numbers))?;
        // In their order, whatever order they were made in.
        Ok(made.into_values().collect())
    }

    async fn make(&self, numbers: Range<u64>) -> Result<BTreeMap<u64, Session>, WayError> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut making = JoinSet::new();
        for number in numbers {
            let (pairs, places, wrapping) = (self.pairs.clone(), places.clone(), self.wrapping);
            making.spawn(async move {
                let turn = usize::try_from(number).unwrap_or_default() % pairs.len();
                let pair = &pairs[turn];
                // Those of one pair wait for one another without taking a place.
                let mut dials = pair.dials.lock().await;
                let _place = places.acquire().await.map_err(io::Error::other)?;
                *dials += 1;
                let session = pair.session(*dials, wrapping).await?;
                Ok::<_, WayError>((number, session))
            });
        }
        let mut made = BTreeMap::new();
        while let Some(session) = making.join_next().await {
            let (number, session) = session.map_err(io::Error::other)??;
            made.insert(number, session);
        }
        Ok(made)
    }
}

impl Pair {
    async fn session(&self, dial: u64, wrapping: Wrapping) -> Result<Session, WayError> {
        let hello = |role| Hello {
            version: 1,
            role,
            features: List::default(),
            instance: self.instance,
            counter: dial,
            program: program(),
        };
        let mut office = Leg::dial(&self.agents_dialer, &self.agents_nodes).await?;
        office.send(hello(Role::Agent)).await?;
        office.welcome(wrapping).await?;
        let mut home = Leg::dial(&self.clients_dialer, &self.clients_nodes).await?;
        home.send(hello(Role::Client)).await?;
        let attempt = AttemptId(random()?);
        home.send(connect(self.agent.computer, attempt)).await?;
        let paired = async {
            home.welcome(wrapping).await?;
            home.paired().await
        };
        tokio::try_join!(office.accept(), paired)?;

        let agent = inner_server(
            &self.agent.credentials,
            self.root.clone(),
            self.device,
            Arc::new(Revoked::default()),
        )?;
        let client = inner_client(
            &self.client.credentials,
            self.root.clone(),
            self.agent.computer,
        )?;
        tokio::try_join!(
            office.shake_hands(agent.into()),
            home.shake_hands(client.into())
        )?;
        if wrapping == Wrapping::Direct {
            tokio::try_join!(office.switch(), home.switch())?;
        }
        Ok(Session {
            office: office.into_end(wrapping)?,
            home: home.into_end(wrapping)?,
        })
    }
}

fn connect(computer: ComputerId, attempt: AttemptId) -> Connect {
    Connect {
        computer,
        service: Service::Rfb,
        attempt,
        resume: None,
        early: None,
    }
}

/// A connection to the node.
struct Leg {
    socket: TcpStream,
    tls: Tls,
    frames: Reader,
}

impl Leg {
    async fn dial(dialer: &Dialer, nodes: &[NodeAddress]) -> Result<Self, WayError> {
        let (socket, tls) = dialer.connect_any(nodes).await?;
        Ok(Self {
            socket,
            tls,
            frames: Reader::new(),
        })
    }

    async fn send(&mut self, frame: impl Into<Frame<'_>>) -> Result<(), WayError> {
        let mut bytes = Vec::new();
        frame.into().encode(&mut bytes)?;
        self.tls.write(&bytes)?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), WayError> {
        self.socket.write_all(self.tls.outgoing()).await?;
        self.tls.sent(self.tls.outgoing().len());
        Ok(())
    }

    /// The first frame, and what `take` makes of it; nothing behind it is looked at.
    async fn next<T>(
        &mut self,
        expected: &'static str,
        take: impl Fn(Frame<'_>) -> Option<T>,
    ) -> Result<T, WayError> {
        loop {
            match self.frames.next()? {
                Some(Frame::Error(error)) => return Err(WayError::Refused(error.code)),
                // Documents that the agent might keep, and whether it is still there: not for whoever has a session at once.
                Some(Frame::News(_) | Frame::Keepalive(_)) => continue,
                Some(frame) => return take(frame).ok_or(WayError::Unexpected(expected)),
                None => {}
            }
            let frames = &mut self.frames;
            match self.tls.read_record(|plaintext| frames.push(plaintext))? {
                Progress::Record => {}
                Progress::Closed => return Err(WayError::Unexpected(expected)),
                Progress::Starved => {
                    let buffer = self.tls.read_buffer(READ);
                    if self.socket.read_buf(buffer).await? == 0 {
                        return Err(WayError::Unexpected(expected));
                    }
                }
            }
        }
    }

    async fn welcome(&mut self, wrapping: Wrapping) -> Result<(), WayError> {
        let features = self.next("WELCOME", |frame| match frame {
            Frame::Welcome(welcome) => Some(welcome.features),
            _ => None,
        });
        let features = features.await?;
        let mut features = features.iter();
        if wrapping == Wrapping::Direct && !features.any(|feature| feature.as_str() == DIRECT) {
            return Err(WayError::Unexpected("that it answers SWITCH"));
        }
        Ok(())
    }

    /// The agent's part of pairing.
    async fn accept(&mut self) -> Result<PathId, WayError> {
        let incoming = self.next("INCOMING", |frame| match frame {
            Frame::Incoming(incoming) => Some(incoming.path),
            _ => None,
        });
        let path = incoming.await?;
        self.send(Accept { path, early: None }).await?;
        self.paired().await
    }

    async fn paired(&mut self) -> Result<PathId, WayError> {
        let paired = self.next("PAIRED", |frame| match frame {
            Frame::Paired(paired) => Some(paired.path),
            _ => None,
        });
        paired.await
    }

    /// Runs inner TLS until both ends are authenticated, as far as this end knows.
    async fn shake_hands(&mut self, mut inner: Connection) -> Result<(), WayError> {
        loop {
            let mut said = Vec::new();
            while inner.wants_write() {
                inner.write_tls(&mut said)?;
            }
            for bytes in said.chunks(PATH_MAXIMUM.into()) {
                self.send(Path { bytes }).await?;
            }
            if !inner.is_handshaking() {
                return Ok(());
            }
            let heard = self.next("PATH", |frame| match frame {
                Frame::Path(path) => Some(path.bytes.to_vec()),
                _ => None,
            });
            let heard = heard.await?;
            let mut left = heard.as_slice();
            while !left.is_empty() {
                inner.read_tls(&mut left)?;
                inner.process_new_packets()?;
            }
        }
    }

    /// Puts outer TLS down in both directions (PROTOCOL.md §6).
    async fn switch(&mut self) -> Result<(), WayError> {
        let mut bytes = Vec::new();
        Frame::from(Switch {}).encode(&mut bytes)?;
        self.tls.write(&bytes)?;
        self.tls.freeze();
        self.flush().await?;
        let answered = self.next("SWITCH", |frame| match frame {
            Frame::Switch(_) => Some(()),
            _ => None,
        });
        answered.await
    }

    /// Nothing was said on it since the last frame that was waited for.
    fn into_end(mut self, wrapping: Wrapping) -> Result<End, WayError> {
        if !self.frames.is_between_frames() {
            return Err(WayError::Unexpected("nothing"));
        }
        let socket = self.socket.into_std()?;
        match wrapping {
            Wrapping::Wrapped => Ok(End::covered(socket, self.tls, Framing::Path)),
            Wrapping::Direct => match self.tls.take_left_over() {
                Some(rest) if rest.is_empty() => Ok(End::bare(socket)),
                _ => Err(WayError::Unexpected("nothing behind SWITCH")),
            },
        }
    }
}

fn device(of: &Device) -> Result<DeviceId, LoadError> {
    Ok(Identity::of(of.credentials.chain())?.device)
}

fn random<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
