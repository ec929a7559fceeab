//! The home PC's endpoint: a local door, and one request for each connection that comes in (PROTOCOL.md §5.5).
mod request;
mod serve;

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telerelay_leg::config::Language;
use telerelay_leg::credentials::Credentials;
use telerelay_leg::dial::Dialer;
use telerelay_leg::trust::{Anchor, Pins};
use telerelay_outer::{Networks, PathChoice};
use telerelay_wire::ids::{AttemptId, ComputerId, Instance, NodeAddress, Program, Service};
use telerelay_wire::limits;
use telerelay_wire::{Code, Reason};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::clock::{Clock, OsEntropy};
use crate::event::{ClientEvent, Ended, Sink};
use crate::local::{Arrival, Local, LocalAddress, Reserved};
use request::Viewer;

/// What a client is and asks for.
pub struct ClientConfig {
    /// What it proves who it is with, to nodes and to agents.
    pub credentials: Credentials,
    /// The keys of its cluster.
    pub pins: Pins,
    /// The nodes that it knows.
    pub nodes: Vec<NodeAddress>,
    /// The address that it dials from; `None`: the one that the kernel chooses.
    pub source: Option<IpAddr>,
    /// Its organisation.
    pub root: Anchor,
    /// The computer that it asks for.
    pub computer: ComputerId,
    /// What for.
    pub service: Service,
    /// Where the viewer connects.
    pub door: LocalAddress,
    /// Its program and version.
    pub program: Program,
    /// Whether its legs may put their outer TLS down.
    pub path: PathChoice,
}

/// A running client.
#[derive(Clone)]
pub struct Client(Arc<Home>);

/// Everything that the client's requests share.
struct Home {
    runtime: Handle,
    credentials: Credentials,
    dialer: Dialer,
    nodes: Vec<NodeAddress>,
    root: Arc<Anchor>,
    computer: ComputerId,
    service: Service,
    program: Program,
    path: PathChoice,
    /// What its requests learnt.
    networks: Mutex<Networks>,
    instance: Instance,
    clock: Clock,
    sink: Sink<ClientEvent>,
    /// True once every session is to end.
    stopping: watch::Sender<bool>,
    requests: Mutex<Requests>,
    /// A request has ended.
    changed: Notify,
}

#[derive(Default)]
struct Requests {
    live: usize,
    /// What `connect` exits with: the first failure, else the end of the last session that somebody looked at.
    outcome: Option<(Reason, AttemptId)>,
    /// What broke here, and ended sessions that nothing was wrong with.
    broken: Option<Code>,
}

impl Client {
    /// Opens the first session at once, on tasks of `runtime`; the door listens when it is open. Errors are those of the door.
    pub fn start(
        config: ClientConfig,
        runtime: &Handle,
        sink: Sink<ClientEvent>,
    ) -> io::Result<Self> {
        let ClientConfig {
            credentials,
            pins,
            nodes,
            source,
            root,
            computer,
            service,
            door,
            program,
            path,
        } = config;
        let dialer = Dialer::new(pins, Some(&credentials), Language::Telerelay)
            .map_err(io::Error::other)?
            .from_source(source);
        let home = Arc::new(Home {
            runtime: runtime.clone(),
            credentials,
            dialer,
            nodes,
            root: Arc::new(root),
            computer,
            service,
            program,
            path,
            networks: Mutex::default(),
            instance: Instance::random(&mut OsEntropy),
            clock: Clock::start(),
            sink,
            stopping: watch::Sender::new(false),
            requests: Mutex::default(),
            changed: Notify::new(),
        });
        let _entered = runtime.enter();
        // Bound before anything is dialled, so that a port that is taken is told at once.
        let door = Reserved::new(&door)?;
        runtime.spawn(home.clone().run(door));
        Ok(Self(home))
    }

    /// Ends every session and closes the door. `Stopped` follows.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
    }
}

impl Home {
    async fn run(self: Arc<Self>, reserved: Reserved) {
        let (opened, is_open) = oneshot::channel();
        let (viewer, first) = mpsc::channel(1);
        self.begin(Viewer::Expected { first, opened });
        // An error is the end of the request before it was open: there is nothing to open a door for.
        if is_open.await.is_ok()
            && let Err(error) = self.clone().keep_door(reserved, viewer).await
        {
            tracing::error!(code = "MACHINE", %error, "the local door broke");
            self.lock().broken = Some(Code::Machine);
            self.stopping.send_replace(true);
        }
        self.until_none_lives().await;
        let (outcome, broken) = {
            let mut requests = self.lock();
            (requests.outcome.take(), requests.broken)
        };
        if let Some((code, attempt)) = outcome {
            let code = broken.map_or(code, Reason::from);
            (self.sink)(ClientEvent::Finished { code, attempt });
        }
        (self.sink)(ClientEvent::Stopped);
    }

    /// Lets viewers in until no session is left that somebody looked at. The first one gets the session that is open already.
    async fn keep_door(
        self: Arc<Self>,
        reserved: Reserved,
        first: mpsc::Sender<Local>,
    ) -> io::Result<()> {
        let door = reserved.listen()?;
        (self.sink)(ClientEvent::DoorOpen(door.address()?));
        let mut first = Some(first);
        let mut stopping = self.stopping.subscribe();
        // Kept over the turns: somebody who has been accepted and is looked up must not be dropped because a request ends.
        let mut arriving = pin!(door.accept());
        loop {
            let changed = self.changed.notified();
            if self.is_finished() {
                return Ok(());
            }
            tokio::select! {
                arrival = &mut arriving => {
                    arriving.set(door.accept());
                    self.admit(arrival, &mut first);
                }
                () = changed => {}
                // An error: the client itself is gone, and with it whoever could want a session.
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            }
        }
    }

    /// Somebody came to the door.
    fn admit(self: &Arc<Self>, arrival: Arrival, first: &mut Option<mpsc::Sender<Local>>) {
        let Arrival::Own(local) = arrival else {
            return (self.sink)(ClientEvent::DoorRefused);
        };
        // The session that waited may have ended in the meantime; the viewer then gets one of its own.
        let unserved = match first.take() {
            Some(first) => first
                .try_send(local)
                .err()
                .map(mpsc::error::TrySendError::into_inner),
            None => Some(local),
        };
        if let Some(local) = unserved {
            self.serve(local);
        }
    }

    /// Begins a session for somebody who is here.
    fn serve(self: &Arc<Self>, local: Local) {
        // A client that stops asks for nothing more.
        if *self.stopping.borrow() {
            return;
        }
        if self.lock().live >= limits::CLIENT_REQUESTS {
            return tracing::warn!(
                requests = limits::CLIENT_REQUESTS,
                "a local connection is closed: too many at once"
            );
        }
        self.begin(Viewer::Here(local));
    }

    fn begin(self: &Arc<Self>, viewer: Viewer) {
        self.lock().live += 1;
        request::spawn(self.clone(), viewer);
    }

    /// A request has ended. `was_probe`: whoever came to the door left without having sent a byte.
    fn ended(&self, ended: Ended, was_probe: bool) {
        if !was_probe {
            self.note(ended.code.clone(), ended.attempt);
        }
        (self.sink)(ClientEvent::Ended(Box::new(ended)));
        self.lock().live -= 1;
        self.changed.notify_waiters();
    }

    fn note(&self, code: Reason, attempt: AttemptId) {
        let failed = |code: &Reason| !matches!(code, Reason::Known(known) if known.exit() == 0);
        let outcome = &mut self.lock().outcome;
        if !outcome.as_ref().is_some_and(|(first, _)| failed(first)) {
            *outcome = Some((code, attempt));
        }
    }

    fn is_finished(&self) -> bool {
        let requests = self.lock();
        requests.live == 0 && requests.outcome.is_some()
    }

    async fn until_none_lives(&self) {
        loop {
            let changed = self.changed.notified();
            if self.lock().live == 0 {
                return;
            }
            changed.await;
        }
    }

    /// What the requests have learnt of the networks.
    fn networks(&self) -> MutexGuard<'_, Networks> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
