//! One request of the client: from the first dial, over the session, to its one end (PROTOCOL.md §5.5).
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telerelay_leg::dial::Dialer;
use telerelay_outer::client::{self as machine, Command};
use telerelay_outer::{LegKey, PathKind};
use telerelay_session::Offsets;
use telerelay_wire::Code;
use telerelay_wire::frame::FrameError;
use telerelay_wire::ids::{AttemptId, PathId, SessionId, Stage};
use telerelay_wire::outer::{Features, Frame};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};

use super::Home;
use super::serve::{self, Served};
use crate::clock::{Clock, OsEntropy};
use crate::connection::{Leg, Legs, Order, Owner};
use crate::event::{ClientEvent, Ended};
use crate::local::Local;

/// Who the session is for.
pub(super) enum Viewer {
    /// A viewer that is here already.
    Here(Local),
    /// The first that will come to the door.
    Expected {
        /// Where it comes from.
        first: mpsc::Receiver<Local>,
        /// Told when the session is open.
        opened: oneshot::Sender<()>,
    },
}

/// A request that runs.
pub(super) struct Request {
    pub(super) home: Arc<Home>,
    state: Mutex<State>,
    /// The machine's next timeout has changed, or it has ended.
    changed: Notify,
}

struct State {
    machine: machine::Client,
    legs: Legs<PathStart>,
    viewer: Option<Viewer>,
    /// The address that was dialled last, for a person.
    dialled: String,
    carried: Carried,
    /// The leg that is a path whose end the machine was not told.
    path: Option<LegKey>,
    is_over: bool,
}

/// What a path needs to begin.
pub(super) struct PathStart {
    pub(super) path: PathId,
    pub(super) attempt: AttemptId,
    /// `None` on a path that was asked for to resume a session.
    pub(super) viewer: Option<Viewer>,
    pub(super) direct: bool,
}

/// What the session carried, once there was one.
#[derive(Clone, Debug, Default)]
pub(super) struct Carried {
    pub(super) path_kind: Option<PathKind>,
    pub(super) session: Option<SessionId>,
    pub(super) offsets: Option<Offsets>,
    /// The viewer closed its side before the session ended.
    pub(super) viewer_left: bool,
    /// What broke on this side.
    pub(super) detail: String,
}

/// Begins a request.
pub(super) fn spawn(home: Arc<Home>, viewer: Viewer) {
    let config = machine::Config {
        nodes: home.nodes.clone(),
        instance: home.instance,
        features: Features::default(),
        program: home.program.clone(),
        computer: home.computer,
        service: home.service,
        path: home.path,
        networks: home.networks().clone(),
    };
    let machine = machine::Client::new(config, Clock::unix(), home.clock.now(), &mut OsEntropy);
    let state = State {
        machine,
        legs: Legs::default(),
        viewer: Some(viewer),
        dialled: String::new(),
        carried: Carried::default(),
        path: None,
        is_over: false,
    };
    let runtime = home.runtime.clone();
    let request = Arc::new(Request {
        home,
        state: Mutex::new(state),
        changed: Notify::new(),
    });
    request.drive(|_, _| {});
    runtime.spawn(request.keep_time());
}

impl Request {
    /// Lets something happen to the machine, and does what it asks for.
    fn drive(self: &Arc<Self>, act: impl FnOnce(&mut State, telerelay_wire::Moment)) {
        let mut state = self.lock();
        act(&mut state, self.home.clock.now());
        while let Some(command) = state.machine.poll_command() {
            self.obey(&mut state, command);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn obey(self: &Arc<Self>, state: &mut State, command: Command) {
        match command {
            Command::Dial(key, hop) => {
                state.dialled = format!("{} ({})", hop.node, hop.address);
                state.legs.dial(self, key, hop);
            }
            Command::Send(key, frame) => state.legs.order(key, Order::Send(frame)),
            Command::Close(key, how) => state.legs.order(key, Order::Close(how)),
            Command::StartPath {
                leg,
                path,
                attempt,
                resume: _,
                direct,
            } => {
                state.path = Some(leg);
                let viewer = state.viewer.take();
                state.legs.order(
                    leg,
                    Order::Start(PathStart {
                        path,
                        attempt,
                        viewer,
                        direct,
                    }),
                );
            }
            Command::Reached {
                attempt,
                stage,
                elapsed,
            } => {
                let detail = if stage == Stage::Dial {
                    state.dialled.clone()
                } else {
                    state.carried.detail.clone()
                };
                (self.home.sink)(ClientEvent::Reached {
                    attempt,
                    stage,
                    elapsed,
                    detail,
                });
            }
            Command::Again(attempt) => {
                tracing::info!(%attempt, "the path is lost and is asked for again");
                (self.home.sink)(ClientEvent::Again { attempt });
            }
            Command::Learnt(network, lesson) => {
                tracing::debug!(%network, ?lesson, "a direct leg");
                let now = self.home.clock.now();
                self.home.networks().learn(&network, lesson, now);
            }
            Command::Ended(ended) => self.end(state, ended),
        }
    }

    /// The request's one end.
    fn end(&self, state: &mut State, ended: machine::Ended) {
        if std::mem::replace(&mut state.is_over, true) {
            return;
        }
        // Nobody comes for it any more, whatever a leg still has to say.
        state.viewer = None;
        self.home.ended(state.ended(ended), state.was_probe());
    }

    /// Calls the machine when its time has come, and gives up when the client stops.
    async fn keep_time(self: Arc<Self>) {
        let _watch = Watch(&self);
        let mut stopping = self.home.stopping.subscribe();
        loop {
            let changed = self.changed.notified();
            let next = {
                let state = self.lock();
                if state.is_over {
                    return;
                }
                state.machine.next_timeout()
            };
            let due = async {
                match next {
                    Some(moment) => tokio::time::sleep_until(self.home.clock.instant(moment)).await,
                    None => std::future::pending().await,
                }
            };
            let stopped = async {
                // An error: the client itself is gone. Its guard is not kept.
                let _gone = stopping.wait_for(|stopping| *stopping).await.map(drop);
            };
            tokio::select! {
                () = due => self.drive(|state, now| state.machine.timeout(now)),
                () = changed => {}
                // A path ends by its session; what is not a path yet, here.
                () = stopped => {
                    self.drive(|state, now| state.machine.cancel(now));
                    return self.outlast().await;
                }
            }
        }
    }

    /// The client stops: what is left to wait for is the end of the path.
    async fn outlast(&self) {
        loop {
            let changed = self.changed.notified();
            if self.lock().is_over {
                return;
            }
            changed.await;
        }
    }

    /// The path got this far.
    pub(super) fn reached(self: &Arc<Self>, stage: Stage, detail: String) {
        self.drive(|state, now| {
            state.carried.detail = detail;
            state.machine.reached(stage, now);
            // What was said at one stage is not said again at the next.
        });
        self.lock().carried.detail.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ended(&self, ended: machine::Ended) -> Ended {
        let Carried {
            path_kind,
            session,
            offsets,
            detail,
            ..
        } = &self.carried;
        Ended {
            attempt: ended.attempt,
            path: None,
            session: *session,
            client: None,
            path_kind: *path_kind,
            code: ended.code,
            stage: ended.stage,
            duration: ended.elapsed,
            sent: offsets.map_or(0, |offsets| offsets.read),
            received: offsets.map_or(0, |offsets| offsets.written),
            retry: ended.retry,
            place: ended.place,
            detail: if detail.is_empty() {
                self.dialled.clone()
            } else {
                detail.clone()
            },
        }
    }

    /// Somebody came to the door, and left without having sent a byte: a port scan, a readiness check.
    fn was_probe(&self) -> bool {
        self.carried.viewer_left
            && self
                .carried
                .offsets
                .is_some_and(|offsets| offsets.read == 0)
    }
}

impl Owner for Request {
    type Start = PathStart;

    fn dialer(&self) -> &Dialer {
        &self.home.dialer
    }

    fn runtime(&self) -> &Handle {
        &self.home.runtime
    }

    fn leg_up(self: &Arc<Self>, leg: LegKey, local: IpAddr) {
        self.drive(|state, now| state.machine.leg_up(leg, local, now));
    }

    fn frame(self: &Arc<Self>, leg: LegKey, frame: Frame<'_>) {
        self.drive(|state, now| state.machine.frame(leg, frame, now));
    }

    fn frame_error(self: &Arc<Self>, leg: LegKey, error: FrameError) {
        self.drive(|state, now| state.machine.frame_error(leg, error, now));
    }

    fn leg_gone(self: &Arc<Self>, leg: LegKey, code: Code) {
        self.drive(|state, now| state.machine.leg_gone(leg, code, now));
    }

    fn leg_over(self: &Arc<Self>, leg: LegKey) {
        self.drive(|state, now| {
            state.legs.remove(leg);
            if state.path.take_if(|path| *path == leg).is_some() {
                let end = machine::PathEnd::Closed {
                    code: Code::Internal.into(),
                    stage: Stage::Inner,
                };
                state.machine.path_ended(end, now, &mut OsEntropy);
            }
        });
    }

    async fn path(self: &Arc<Self>, key: LegKey, leg: Leg, start: PathStart) {
        let Served {
            end,
            carried,
            unserved,
        } = serve::run(self, leg, start).await;
        self.drive(|state, now| {
            if state.path.take_if(|path| *path == key).is_none() {
                return;
            }
            state.viewer = unserved;
            // A path that was asked for in vain to resume carried nothing; what the one before it carried stands.
            if carried.session.is_some() || state.carried.session.is_none() {
                state.carried = carried;
            }
            state.machine.path_ended(end, now, &mut OsEntropy);
            // Nobody waits for a session any more that the machine would take up again.
            if *self.home.stopping.borrow() {
                state.machine.cancel(now);
            }
        });
    }
}

/// A request without its time would never end.
struct Watch<'a>(&'a Arc<Request>);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        tracing::error!(code = "INTERNAL", "the time of a request panicked");
        let request = self.0;
        let mut state = request.lock();
        let ended = machine::Ended {
            attempt: state.machine.attempt(),
            code: Code::Internal.into(),
            stage: Stage::Dial,
            retry: None,
            place: None,
            server_time: None,
            elapsed: std::time::Duration::ZERO,
        };
        request.end(&mut state, ended);
    }
}
