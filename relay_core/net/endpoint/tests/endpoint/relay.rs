//! A relay node for tests: the machine of PROTOCOL.md §5 over real sockets, honest, and able to break a path.
mod outer;
mod path;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use outer::Outer;
use path::Half;
use telerelay_leg::accept::linger;
use telerelay_leg::config::{Language, NodeConfigs};
use telerelay_leg::socket::listen;
use telerelay_leg::tls::Progress;
use telerelay_leg::trust::Certified;
use telerelay_outer::node::{
    Cause, Command, Decision, Greeting, Holder, Identity, Join, Node, PathEnd, Side, Snapshot,
    Standing, Terminal,
};
use telerelay_outer::{How, LegKey, PathKind, Traffic};
use telerelay_wire::ids::{ClientAddress, DeviceId, OrganisationId};
use telerelay_wire::outer::{Frame, Reader};
use telerelay_wire::{Entropy, Moment};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Duration, sleep, timeout};

use crate::world::{PATIENCE, node_name};

const LINGER: Duration = Duration::from_secs(2);

/// What a path is made to suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Both legs are reset.
    Reset,
    /// One bit of the next record towards the agent is another one.
    BitToAgent,
    /// One bit of the next record towards the client is another one.
    BitToClient,
}

/// What the node does with a leg that says SWITCH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Switching {
    /// What an honest one does.
    #[default]
    Answered,
    /// It does not answer, and goes on in outer TLS towards that leg.
    Withheld,
    /// It answers, and goes on in outer TLS nevertheless.
    Forged,
    /// It answers, and garbage comes behind.
    Garbage,
    /// It answers, and the first raw record has a wrong bit.
    Spoilt,
    /// What lies between does not let raw records through, in either direction.
    Swallowed,
    /// What lies between resets the connection.
    Reset,
    /// It answers twice.
    Twice,
}

pub(crate) struct Relay {
    shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
    terminals: mpsc::UnboundedReceiver<Terminal>,
}

struct Shared {
    state: Mutex<State>,
    configs: NodeConfigs,
    began: Instant,
    changed: Notify,
}

struct State {
    machine: Node,
    legs: BTreeMap<LegKey, mpsc::UnboundedSender<Order>>,
    next_leg: u64,
    /// Where every CONNECT leads.
    agent: DeviceId,
    /// CONNECT is not answered.
    silent: bool,
    faults: VecDeque<mpsc::UnboundedSender<Fault>>,
    /// What is done with the agent's and the client's leg of paths that begin.
    switching: [Switching; 2],
    /// Sockets of paths that begin are written in random pieces.
    chops: bool,
    /// Paths that begin ask their ends for new keys before everything that they say to them in outer TLS.
    updates: bool,
    terminals: mpsc::UnboundedSender<Terminal>,
}

pub(super) enum Order {
    Send(Frame<'static>),
    Close(How),
    Give(oneshot::Sender<Leg>),
}

pub(super) struct Leg {
    pub(super) socket: TcpStream,
    pub(super) tls: Outer,
}

impl Relay {
    /// Listens on the loopback interface; `agent` is where every CONNECT leads.
    pub(crate) fn start(
        configs: NodeConfigs,
        organisation: OrganisationId,
        agent: DeviceId,
        features: &[&str],
    ) -> Self {
        let features: Vec<_> = features
            .iter()
            .map(|&feature| feature.try_into().unwrap())
            .collect();
        let greeting = Greeting {
            node: node_name(),
            features: features.try_into().unwrap(),
            return_window: 1,
            banner: None,
        };
        let mut machine = Node::new(greeting, 0, Moment::ZERO);
        let snapshot = Snapshot {
            organisations: [(organisation, Standing::Admitted)].into(),
            ..Snapshot::default()
        };
        machine.set_snapshot(Arc::new(snapshot), Moment::ZERO);
        let (told, terminals) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                machine,
                legs: BTreeMap::new(),
                next_leg: 0,
                agent,
                silent: false,
                faults: VecDeque::new(),
                switching: [Switching::Answered; 2],
                chops: false,
                updates: false,
                terminals: told,
            }),
            configs,
            began: Instant::now(),
            changed: Notify::new(),
        });
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(shared.clone().take_in(listener));
        tokio::spawn(shared.clone().keep_time());
        Self {
            shared,
            address,
            terminals,
        }
    }

    /// Whether CONNECT stays without an answer from now on.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.shared.state.lock().unwrap().silent = silent;
    }

    /// Every CONNECT leads to this device from now on.
    pub(crate) fn lead_to(&self, agent: DeviceId) {
        self.shared.state.lock().unwrap().agent = agent;
    }

    /// What is done with the agent's and the client's SWITCH from now on.
    pub(crate) fn treat_switch(&self, agent: Switching, client: Switching) {
        self.shared.state.lock().unwrap().switching = [agent, client];
    }

    /// Writes to the sockets of paths in random pieces from now on.
    pub(crate) fn chop(&self) {
        self.shared.state.lock().unwrap().chops = true;
    }

    /// Asks the ends of paths for new keys from now on, as often as it says anything.
    pub(crate) fn update_keys(&self) {
        self.shared.state.lock().unwrap().updates = true;
    }

    /// Does something to the oldest path that nothing was done to.
    pub(crate) fn spoil_next(&self, fault: Fault) {
        let faults = self.shared.state.lock().unwrap().faults.pop_front();
        faults
            .expect("a path")
            .send(fault)
            .expect("a path that lives");
    }

    /// The next end of an attempt, as the node records it.
    pub(crate) async fn terminal(&mut self) -> Terminal {
        let terminal = timeout(PATIENCE, self.terminals.recv()).await;
        terminal.expect("a terminal event in time").expect("a node")
    }

    /// Waits until so many agents are ready.
    pub(crate) async fn until_ready(&self, count: usize) {
        let reached = async {
            loop {
                let changed = self.shared.changed.notified();
                if self.shared.state.lock().unwrap().machine.census().ready == count {
                    return;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, reached).await.expect("an agent in time");
    }
}

impl Shared {
    fn now(&self) -> Moment {
        Moment::ZERO + self.began.elapsed()
    }

    fn drive(self: &Arc<Self>, act: impl FnOnce(&mut State, Moment)) {
        let mut state = self.state.lock().unwrap();
        let now = self.now();
        act(&mut state, now);
        while let Some(command) = state.machine.poll_command() {
            self.obey(&mut state, command, now);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn obey(self: &Arc<Self>, state: &mut State, command: Command, now: Moment) {
        let order = |state: &State, key: LegKey, order: Order| {
            if let Some(leg) = state.legs.get(&key) {
                // A leg that is gone says so itself.
                drop(leg.send(order));
            }
        };
        match command {
            Command::Send(key, frame) => order(state, key, Order::Send(frame)),
            Command::Close(key, how) => {
                order(state, key, Order::Close(how));
                state.legs.remove(&key);
            }
            Command::Ask(request) if !state.silent => {
                let agent = state.agent;
                state
                    .machine
                    .decide(request.ticket, Decision::Here(agent), now);
                state.machine.recorded(request.ticket, Ok(()), now);
            }
            Command::Join(join) => {
                let (give_agent, agent) = oneshot::channel();
                let (give_client, client) = oneshot::channel();
                order(state, join.agent, Order::Give(give_agent));
                order(state, join.client, Order::Give(give_client));
                let (orders, ordered) = mpsc::unbounded_channel();
                state.legs.insert(join.agent, orders.clone());
                state.legs.insert(join.client, orders);
                let (spoil, faults) = mpsc::unbounded_channel();
                state.faults.push_back(spoil);
                let shared = self.clone();
                let State {
                    switching,
                    chops,
                    updates,
                    ..
                } = *state;
                tokio::spawn(async move {
                    let (traffic, kind) = match (agent.await, client.await) {
                        (Ok(agent), Ok(client)) => {
                            let [agent, client] = [(agent, switching[0]), (client, switching[1])]
                                .map(|(mut leg, switching)| {
                                    leg.tls.update_keys(updates);
                                    Half::new(leg, switching, chops)
                                });
                            path::move_bytes(agent, client, ordered, faults).await
                        }
                        _ => (Traffic::default(), PathKind::Wrapped),
                    };
                    shared.path_ended(join, traffic, kind);
                });
            }
            Command::Terminal(terminal) => drop(state.terminals.send(*terminal)),
            Command::Ask(_)
            | Command::AgentReady(_)
            | Command::AgentGone { .. }
            | Command::Flagged { .. }
            | Command::Drained => {}
        }
    }

    fn path_ended(self: &Arc<Self>, join: Join, traffic: Traffic, kind: PathKind) {
        self.drive(|state, now| {
            state.legs.remove(&join.agent);
            state.legs.remove(&join.client);
            let end = PathEnd {
                traffic,
                kind,
                cause: Cause::Leg,
            };
            state.machine.path_ended(join.path, end, now);
        });
    }

    async fn keep_time(self: Arc<Self>) {
        loop {
            let changed = self.changed.notified();
            let next = self.state.lock().unwrap().machine.next_timeout();
            let wait = next.map_or(Duration::from_mins(1), |next| next.since(self.now()));
            tokio::select! {
                () = sleep(wait) => self.drive(|state, now| state.machine.timeout(now)),
                () = changed => {}
            }
        }
    }

    async fn take_in(self: Arc<Self>, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            let (socket, address) = listener.accept().await.unwrap();
            tokio::spawn(self.clone().serve(socket, address));
        }
    }

    async fn serve(self: Arc<Self>, mut socket: TcpStream, address: SocketAddr) {
        let config = self.configs.of(Language::Telerelay);
        let Ok((tls, identity)) = Outer::accept(&mut socket, config).await else {
            return linger(&mut socket, LINGER).await;
        };
        let identity = Identity {
            organisation: identity.organisation,
            device: identity.device,
            holder: match (identity.role, identity.computer) {
                (Certified::Agent, Some(computer)) => Holder::Agent(computer),
                (Certified::Client, _) => Holder::Client,
                _ => Holder::Other,
            },
        };
        let (orders, ordered) = mpsc::unbounded_channel();
        let mut key = LegKey(0);
        self.drive(|state, now| {
            key = LegKey(state.next_leg);
            state.next_leg += 1;
            state.legs.insert(key, orders);
            let address = ClientAddress::try_from(address.to_string()).unwrap();
            state
                .machine
                .leg_up(key, identity, Side::Both, address, now);
        });
        let leg = Leg { socket, tls };
        if leg.speak(&self, key, ordered).await.is_err() {
            self.drive(|state, now| {
                state.legs.remove(&key);
                state.machine.leg_gone(key, now);
            });
        }
    }
}

impl Leg {
    /// Carries frames until the leg is closed or given to a path. An error: it is gone.
    async fn speak(
        mut self,
        relay: &Arc<Shared>,
        key: LegKey,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) -> io::Result<()> {
        let mut frames = Reader::new();
        let mut next = None;
        loop {
            // What a frame was answered comes before the next one.
            while let Some(order) = next.take().or_else(|| orders.try_recv().ok()) {
                match order {
                    Order::Send(frame) => {
                        let mut bytes = Vec::new();
                        frame.encode(&mut bytes).map_err(io::Error::other)?;
                        self.tls.write(&bytes)?;
                    }
                    Order::Close(How::AtOnce) => return Ok(()),
                    Order::Close(How::Flushed) => {
                        self.leave().await;
                        return Ok(());
                    }
                    Order::Give(to) => {
                        self.flush().await?;
                        // Dropped where the other leg of the path is gone.
                        drop(to.send(self));
                        return Ok(());
                    }
                }
            }
            self.flush().await?;
            if let Some(frame) = frames.next().map_err(io::Error::other)? {
                relay.drive(|state, now| state.machine.frame(key, frame, now, &mut Random));
                continue;
            }
            let Self { socket, tls } = &mut self;
            let progress = tls.read_record(|plaintext| frames.push(plaintext));
            match progress? {
                Progress::Record => continue,
                Progress::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
                Progress::Starved => {}
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => next = Some(order),
                    None => return Ok(()),
                },
                read = socket.read_buf(tls.read_buffer(8 * 1024)) => if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                },
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        while self.try_flush()? {
            self.socket.writable().await?;
        }
        Ok(())
    }

    /// Writes what the socket takes; whether something is left.
    fn try_flush(&mut self) -> io::Result<bool> {
        while !self.tls.outgoing().is_empty() {
            match self.socket.try_write(self.tls.outgoing()) {
                Ok(length) => self.tls.sent(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    async fn leave(mut self) {
        if self.tls.close_notify().is_err() {
            return;
        }
        if let Ok(Ok(())) = timeout(LINGER, self.flush()).await {
            linger(&mut self.socket, LINGER).await;
        }
    }
}

struct Random;

impl Entropy for Random {
    fn fill(&mut self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).unwrap();
    }
}
