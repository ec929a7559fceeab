//! A node with an organisation around it, and endpoints that say what a test wants them to say.
use std::collections::BTreeSet;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use telerelay_leg::config::Language;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::dial::Dialer;
use telerelay_leg::tls::{Progress, Tls, TlsError};
use telerelay_leg::trust::{Anchor, Pins};
use telerelay_mint::{Cluster, Minted, Organisation};
use telerelay_node::{Config, Event, Node, Side, Standing, Told};
use telerelay_outer::node::RouteRequest;
use telerelay_wire::Reason;
use telerelay_wire::bounded::List;
use telerelay_wire::ids::{
    Address, AttemptId, ComputerId, DeviceId, Instance, NodeName, PathId, Program, Role, Service,
    Stage,
};
use telerelay_wire::outer::{
    Accept, Connect, Error, Frame, Hello, Incoming, Paired, Reader, SessionEnd, Welcome,
    path_header,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longer than any timer of the protocol that a test waits for: a condition that has not come by then never comes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const COMPUTER: ComputerId = ComputerId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);

/// Takes a node's events as Python does.
struct Taker {
    events: mpsc::UnboundedSender<Event>,
    waiting: Arc<AtomicUsize>,
}

impl Told for Taker {
    fn tell(&self, event: Event) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // A test that has seen enough takes no more.
        drop(self.events.send(event));
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// A node that runs, and the people around it.
pub(crate) struct World {
    pub(crate) node: Arc<Node>,
    pub(crate) cluster: Cluster,
    pub(crate) organisation: Organisation,
    pub(crate) addresses: Vec<Address>,
    events: mpsc::UnboundedReceiver<Event>,
    waiting: Arc<AtomicUsize>,
}

impl World {
    /// One listener for both sides, one organisation that is admitted.
    pub(crate) fn new() -> Self {
        Self::with(1, &[Side::Both])
    }

    pub(crate) fn with(workers: usize, sides: &[Side]) -> Self {
        Self::shaped(workers, sides, |_| {})
    }

    /// A node whose configuration is not the usual one.
    pub(crate) fn shaped(workers: usize, sides: &[Side], shape: impl FnOnce(&mut Config)) -> Self {
        Self::new_with(workers, sides, shape).started()
    }

    /// With a node that nobody has started.
    pub(crate) fn unstarted(workers: usize, sides: &[Side]) -> Self {
        Self::new_with(workers, sides, |_| {})
    }

    fn new_with(workers: usize, sides: &[Side], shape: impl FnOnce(&mut Config)) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let taker = Taker {
            events: sender,
            waiting: waiting.clone(),
        };
        Self::around(workers, sides, Arc::new(taker), events, waiting, shape)
    }

    pub(crate) fn told(
        workers: usize,
        sides: &[Side],
        told: Arc<dyn Told>,
        events: mpsc::UnboundedReceiver<Event>,
        waiting: Arc<AtomicUsize>,
        shape: impl FnOnce(&mut Config),
    ) -> Self {
        Self::around(workers, sides, told, events, waiting, shape).started()
    }

    fn started(mut self) -> Self {
        let bound = self.node.start().unwrap();
        self.addresses = bound
            .iter()
            .map(|address| Address::try_from(address.to_string()).unwrap())
            .collect();
        self.admit(Standing::Admitted, &[]);
        self
    }

    fn around(
        workers: usize,
        sides: &[Side],
        told: Arc<dyn Told>,
        events: mpsc::UnboundedReceiver<Event>,
        waiting: Arc<AtomicUsize>,
        shape: impl FnOnce(&mut Config),
    ) -> Self {
        let cluster = Cluster::new();
        let organisation = Organisation::new("organisation");
        let any = "127.0.0.1:0".parse().unwrap();
        let mut config = Config {
            name: node_name(),
            listeners: sides.iter().map(|&side| (any, side)).collect(),
            credentials: credentials(&cluster.node(&node_name())),
            workers,
            return_window: 7,
            banner: None,
            trusted_networks: Vec::new(),
            handshakes_per_s: None,
            arrivals_per_s: None,
            memory_budget: u64::MAX,
        };
        shape(&mut config);
        Self {
            node: Arc::new(Node::new(config, told).unwrap()),
            cluster,
            organisation,
            addresses: Vec::new(),
            events,
            waiting,
        }
    }

    pub(crate) fn admit(&self, standing: Standing, revoked: &[DeviceId]) {
        let anchor = Anchor::from_der(self.organisation.root_der()).unwrap();
        let organisation = self.organisation.id();
        let revoked: BTreeSet<_> = revoked
            .iter()
            .map(|device| (organisation, *device))
            .collect();
        self.node
            .set_snapshot(vec![(anchor, standing)], revoked, [].into(), [].into(), 3);
    }

    pub(crate) fn pins(&self) -> Pins {
        Pins([[0; 32], self.cluster.pin()])
    }

    /// Drops the last handle of the node; another one, of a node that nobody starts, takes its place.
    pub(crate) fn drop_node(&mut self) {
        self.node = Self::unstarted(1, &[]).node;
    }

    /// The node's end, told once and last.
    pub(crate) async fn stopped_once(&mut self) {
        while !matches!(self.event().await, Event::Stopped) {}
        // Whoever tells lives as long as something of the node does.
        let after = timeout(PATIENCE, self.events.recv()).await;
        let after = after.expect("nothing of the node lives on");
        assert!(after.is_none(), "{after:?}");
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Event {
        let event = timeout(PATIENCE, self.events.recv()).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        event.expect("an event in time").expect("a node that lives")
    }

    /// The next question; presence that is told before it is not looked at.
    pub(crate) async fn asked(&mut self) -> RouteRequest {
        loop {
            match self.event().await {
                Event::RouteAsked(request) => return *request,
                Event::AgentReady(_) | Event::AgentGone { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next end of an attempt.
    pub(crate) async fn ended(&mut self) -> telerelay_outer::node::Terminal {
        loop {
            match self.event().await {
                Event::AttemptEnded(terminal) => return *terminal,
                Event::AgentReady(_) | Event::AgentGone { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn statistic(&self, name: &str) -> u64 {
        let all = self.node.statistics();
        all.into_iter()
            .find(|(other, _)| other == name)
            .map_or(0, |(_, value)| value)
    }

    /// Waits until a number of the node is what it must be.
    pub(crate) async fn until(&self, name: &str, value: u64) {
        self.until_in(name, value..=value).await;
    }

    /// Waits until a number of the node is in a range.
    pub(crate) async fn until_in(&self, name: &str, values: impl RangeBounds<u64>) {
        let reached = async {
            while !values.contains(&self.statistic(name)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(PATIENCE, reached).await.is_ok();
        assert!(in_time, "{name} is {}", self.statistic(name));
    }

    pub(crate) async fn dial(&self, minted: &Minted) -> Endpoint {
        self.dial_at(0, minted).await
    }

    pub(crate) async fn dial_at(&self, listener: usize, minted: &Minted) -> Endpoint {
        let credentials = credentials(minted);
        let dialer = Dialer::new(self.pins(), Some(&credentials), Language::Telerelay).unwrap();
        let dialled = dialer
            .connect(&node_name(), &self.addresses[listener])
            .await;
        let (socket, tls) = dialled.unwrap();
        Endpoint {
            socket,
            tls,
            frames: Reader::new(),
        }
    }

    /// An agent whose ready connection stands; its event is taken, and that an older leg of it is gone.
    pub(crate) async fn ready(&mut self, minted: &Minted) -> Endpoint {
        let mut agent = self.dial(minted).await;
        agent.hello(Role::Agent).await;
        agent.welcome().await;
        loop {
            match self.event().await {
                Event::AgentReady(ready) => {
                    assert_eq!(ready.device, minted.device);
                    return agent;
                }
                Event::AgentGone { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// A client that has asked, and the question.
    pub(crate) async fn asking(&mut self, minted: &Minted) -> (Endpoint, RouteRequest) {
        let mut client = self.dial(minted).await;
        client.connect().await;
        client.welcome().await;
        let request = self.asked().await;
        (client, request)
    }

    /// A path: the agent's leg, the client's, and the question that led to it.
    pub(crate) async fn path(
        &mut self,
        agent: &Minted,
        client: &Minted,
    ) -> (Endpoint, Endpoint, RouteRequest) {
        let mut at_agent = self.ready(agent).await;
        let (mut at_client, request) = self.asking(client).await;
        self.node
            .decide(request.ticket, telerelay_node::Decision::Here(agent.device));
        assert_eq!(at_agent.incoming().await.path, request.path);
        at_agent.accept(request.path).await;
        self.node.recorded(&[request.ticket], Ok(()));
        for end in [&mut at_agent, &mut at_client] {
            assert_eq!(end.paired().await, request.path);
        }
        (at_agent, at_client, request)
    }
}

/// One end of a leg, without a machine behind it.
pub(crate) struct Endpoint {
    pub(crate) socket: TcpStream,
    pub(crate) tls: Tls,
    frames: Reader,
}

/// What comes from the node.
#[derive(Debug)]
pub(crate) enum Got {
    Frame(Frame<'static>),
    Path(Vec<u8>),
    /// `close_notify`, or FIN.
    End,
    /// A reset, or an alert.
    Broken(#[expect(dead_code, reason = "shown where a test fails")] String),
}

impl Endpoint {
    pub(crate) async fn send(&mut self, frame: impl Into<Frame<'static>>) {
        let mut bytes = Vec::new();
        frame.into().encode(&mut bytes).unwrap();
        self.send_record(&bytes).await.unwrap();
    }

    /// Sends plaintext of one record.
    pub(crate) async fn send_record(&mut self, plaintext: &[u8]) -> io::Result<()> {
        self.tls.write(plaintext).map_err(io::Error::other)?;
        self.flush().await
    }

    pub(crate) async fn send_path(&mut self, bytes: &[u8]) -> io::Result<()> {
        let header = path_header(u16::try_from(bytes.len()).unwrap());
        self.send_record(&[&header[..], bytes].concat()).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.tls.outgoing().is_empty() {
            let length = self.socket.write(self.tls.outgoing()).await?;
            self.tls.sent(length);
        }
        Ok(())
    }

    /// Says that nothing follows, and sends FIN.
    pub(crate) async fn close_writing(&mut self) {
        self.tls.close_notify();
        self.flush().await.unwrap();
        self.socket.shutdown().await.unwrap();
    }

    pub(crate) async fn got(&mut self) -> Got {
        timeout(PATIENCE, self.receive())
            .await
            .expect("something in time")
    }

    async fn receive(&mut self) -> Got {
        loop {
            match self.frames.next().unwrap() {
                Some(Frame::Path(path)) => return Got::Path(path.bytes.to_vec()),
                Some(frame) => return Got::Frame(owned(frame)),
                None => {}
            }
            let frames = &mut self.frames;
            match self.tls.read_record(|plaintext| frames.push(plaintext)) {
                Ok(Progress::Record) => {}
                Ok(Progress::Closed) => return Got::End,
                Err(error) => return Got::Broken(error.to_string()),
                Ok(Progress::Starved) => {
                    match self.socket.read_buf(self.tls.read_buffer(16 * 1024)).await {
                        Ok(0) => return Got::End,
                        Ok(_) => {}
                        Err(error) => return Got::Broken(error.to_string()),
                    }
                }
            }
        }
    }

    /// The alert or the error that the leg ends with.
    pub(crate) async fn refused_by_tls(&mut self) -> TlsError {
        loop {
            match self.tls.read_record(|_| {}) {
                Err(error) => return error,
                Ok(Progress::Starved) => {
                    let read = self.socket.read_buf(self.tls.read_buffer(4096)).await;
                    assert!(read.unwrap() > 0, "an alert comes before the end");
                }
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn hello(&mut self, role: Role) {
        self.send(hello(role)).await;
    }

    /// HELLO and CONNECT in one flight.
    pub(crate) async fn connect(&mut self) {
        let mut flight = Vec::new();
        Frame::from(hello(Role::Client))
            .encode(&mut flight)
            .unwrap();
        Frame::from(connect()).encode(&mut flight).unwrap();
        self.send_record(&flight).await.unwrap();
    }

    pub(crate) async fn accept(&mut self, path: PathId) {
        self.send(Accept { path, early: None }).await;
    }

    pub(crate) async fn welcome(&mut self) -> Welcome {
        match self.got().await {
            Got::Frame(Frame::Welcome(welcome)) => welcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn incoming(&mut self) -> Incoming {
        match self.got().await {
            Got::Frame(Frame::Incoming(incoming)) => incoming,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn paired(&mut self) -> PathId {
        match self.got().await {
            Got::Frame(Frame::Paired(Paired { path })) => path,
            other => panic!("{other:?}"),
        }
    }

    /// The ERROR that ends the leg.
    pub(crate) async fn error(&mut self) -> Error {
        let error = match self.got().await {
            Got::Frame(Frame::Error(error)) => error,
            other => panic!("{other:?}"),
        };
        assert!(
            matches!(self.got().await, Got::End),
            "ERROR is the last frame"
        );
        error
    }

    /// Sends all of `bytes` and reads `total` bytes at the same time, `room` bytes of ciphertext at once.
    pub(crate) async fn exchange(&mut self, bytes: &[u8], total: usize, room: usize) -> Vec<u8> {
        let mut got = Vec::with_capacity(total);
        let mut rest = bytes.chunks(9_000);
        let mut ciphertext = vec![0; room];
        loop {
            if self.tls.outgoing().is_empty()
                && let Some(bytes) = rest.next()
            {
                let header = path_header(u16::try_from(bytes.len()).unwrap());
                self.tls.write(&[&header[..], bytes].concat()).unwrap();
            }
            let sending = !self.tls.outgoing().is_empty();
            if !sending && got.len() >= total {
                return got;
            }
            let interest = if sending {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            let ready = timeout(PATIENCE, self.socket.ready(interest)).await;
            let ready = ready.expect("progress in time").unwrap();
            if ready.is_writable()
                && let Ok(length) = self.socket.try_write(self.tls.outgoing())
            {
                self.tls.sent(length);
            }
            if ready.is_readable()
                && let Ok(length) = self.socket.try_read(&mut ciphertext)
            {
                assert!(length > 0, "the path ended after {} bytes", got.len());
                let buffer = self.tls.read_buffer(length);
                buffer.extend_from_slice(&ciphertext[..length]);
                let taken = &mut got;
                while self
                    .tls
                    .read_record(|record| taken.extend_from_slice(&record[4..]))
                    .unwrap()
                    == Progress::Record
                {}
            }
        }
    }

    /// Reads `total` bytes of PATH.
    pub(crate) async fn read_path(&mut self, total: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(total);
        while bytes.len() < total {
            match self.got().await {
                Got::Path(more) => bytes.extend(more),
                other => panic!("after {} of {total} bytes: {other:?}", bytes.len()),
            }
        }
        bytes
    }
}

pub(crate) fn hello(role: Role) -> Hello {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    Hello {
        version: 1,
        role,
        features: List::default(),
        instance: Instance([role as u8; 16]),
        counter: COUNTER.fetch_add(1, Ordering::Relaxed),
        program: Program::try_from("test/1").unwrap(),
    }
}

pub(crate) fn connect() -> Connect {
    Connect {
        computer: COMPUTER,
        service: Service::Rfb,
        attempt: AttemptId([1, 2, 3, 4, 5]),
        resume: None,
        early: None,
    }
}

pub(crate) fn session_end(path: PathId, code: telerelay_wire::Code) -> SessionEnd {
    SessionEnd {
        path,
        code: Reason::Known(code),
        stage: Stage::Session,
        session: None,
        notices: List::default(),
    }
}

pub(crate) fn node_name() -> NodeName {
    "node-1".parse().unwrap()
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

/// A frame that borrows nothing.
fn owned(frame: Frame<'_>) -> Frame<'static> {
    match frame {
        Frame::Welcome(frame) => frame.into(),
        Frame::Error(frame) => frame.into(),
        Frame::Keepalive(frame) => frame.into(),
        Frame::Goaway(frame) => frame.into(),
        Frame::Cut(frame) => frame.into(),
        Frame::News(frame) => frame.into(),
        Frame::Incoming(frame) => frame.into(),
        Frame::Redirect(frame) => frame.into(),
        Frame::Paired(frame) => frame.into(),
        other => panic!("a node does not send {}", other.name()),
    }
}
