//! A relay node for tests: the machine of PROTOCOL.md §5 over real sockets, honest, and able to break a path.
use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use socket2::SockRef;
use telerelay_leg::accept::{accept, linger};
use telerelay_leg::config::NodeConfigs;
use telerelay_leg::socket::listen;
use telerelay_leg::tls::{Progress, Tls};
use telerelay_leg::trust::Certified;
use telerelay_outer::node::{
    Cause, Command, Decision, Greeting, Holder, Identity, Join, Node, PathEnd, Side, Snapshot,
    Standing, Terminal,
};
use telerelay_outer::{How, LegKey, PathKind, Traffic};
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{ClientAddress, DeviceId, OrganisationId};
use telerelay_wire::outer::{Frame, Reader};
use telerelay_wire::{Entropy, Moment};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Duration, sleep, timeout};

use crate::world::{PATIENCE, node_name};

const LINGER: Duration = Duration::from_secs(2);
const UNSENT: usize = 64 * 1024;

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
    terminals: mpsc::UnboundedSender<Terminal>,
}

enum Order {
    Send(Frame<'static>),
    Close(How),
    Give(oneshot::Sender<Leg>),
}

struct Leg {
    socket: TcpStream,
    tls: Tls,
}

impl Relay {
    /// Listens on the loopback interface; `agent` is where every CONNECT leads.
    pub(crate) fn start(
        configs: NodeConfigs,
        organisation: OrganisationId,
        agent: DeviceId,
    ) -> Self {
        let greeting = Greeting {
            node: node_name(),
            features: List::default(),
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
                tokio::spawn(async move {
                    let traffic = match (agent.await, client.await) {
                        (Ok(agent), Ok(client)) => move_bytes(agent, client, ordered, faults).await,
                        _ => Traffic::default(),
                    };
                    shared.path_ended(join, traffic);
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

    fn path_ended(self: &Arc<Self>, join: Join, traffic: Traffic) {
        self.drive(|state, now| {
            state.legs.remove(&join.agent);
            state.legs.remove(&join.client);
            let end = PathEnd {
                traffic,
                kind: PathKind::Wrapped,
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
        let Ok(accepted) = accept(&mut socket, &self.configs, ready(true)).await else {
            return;
        };
        let identity = accepted.identity.expect("a certificate is mandatory");
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
        let leg = Leg {
            socket,
            tls: accepted.tls,
        };
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
                        self.tls.write(&bytes).map_err(io::Error::other)?;
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
            match progress.map_err(io::Error::other)? {
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
        self.tls.close_notify();
        if let Ok(Ok(())) = timeout(LINGER, self.flush()).await {
            linger(&mut self.socket, LINGER).await;
        }
    }

    async fn ready(&self, read: bool) {
        let write = !self.tls.outgoing().is_empty();
        let interest = match (read, write) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => return std::future::pending().await,
        };
        // What is wrong shows when it is read or written.
        drop(self.socket.ready(interest).await);
    }
}

/// Moves records both ways until both directions have ended, a leg breaks, or it is told otherwise.
async fn move_bytes(
    mut agent: Leg,
    mut client: Leg,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut faults: mpsc::UnboundedReceiver<Fault>,
) -> Traffic {
    let mut traffic = Traffic::default();
    let (mut up, mut down) = (Direction::default(), Direction::default());
    while let (Ok(moved_up), Ok(moved_down)) = (
        up.shift(&mut client, &mut agent, &mut traffic.to_agent),
        down.shift(&mut agent, &mut client, &mut traffic.to_client),
    ) {
        if up.is_over && down.is_over && !client.try_flush().is_ok_and(|left| left) {
            break;
        }
        if moved_up || moved_down {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = agent.ready(down.wants(&client)) => {}
            () = client.ready(up.wants(&agent)) => {}
            fault = faults.recv() => match fault {
                Some(Fault::BitToAgent) => up.spoiled = true,
                Some(Fault::BitToClient) => down.spoiled = true,
                Some(Fault::Reset) => {
                    agent.socket.set_zero_linger().unwrap();
                    client.socket.set_zero_linger().unwrap();
                    return traffic;
                }
                None => return traffic,
            },
            // Close is all that a path is told.
            _ = orders.recv() => break,
        }
    }
    tokio::join!(agent.leave(), client.leave());
    traffic
}

#[derive(Default)]
struct Direction {
    is_over: bool,
    /// The next record is to be spoiled.
    spoiled: bool,
}

impl Direction {
    fn wants(&self, dst: &Leg) -> bool {
        !self.is_over && dst.tls.outgoing().len() < UNSENT
    }

    fn shift(&mut self, src: &mut Leg, dst: &mut Leg, carried: &mut u64) -> io::Result<bool> {
        let mut moved = false;
        while self.wants(dst) {
            let mut record = Vec::new();
            match src
                .tls
                .read_record(|plaintext| record.extend_from_slice(plaintext))
                .map_err(io::Error::other)?
            {
                Progress::Record if record.is_empty() => {}
                Progress::Record => {
                    if let Some(last) = record.last_mut()
                        && std::mem::take(&mut self.spoiled)
                    {
                        *last ^= 1;
                    }
                    *carried += record.len() as u64;
                    dst.tls.write(&record).map_err(io::Error::other)?;
                    moved = true;
                }
                Progress::Closed => self.end(dst),
                Progress::Starved => {
                    match src.socket.try_read_buf(src.tls.read_buffer(64 * 1024)) {
                        Ok(0) => self.end(dst),
                        Ok(_) => moved = true,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        if !dst.try_flush()? && self.is_over {
            SockRef::from(&dst.socket).shutdown(Shutdown::Write)?;
        }
        Ok(moved)
    }

    fn end(&mut self, dst: &mut Leg) {
        self.is_over = true;
        dst.tls.close_notify();
    }
}

struct Random;

impl Entropy for Random {
    fn fill(&mut self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).unwrap();
    }
}
