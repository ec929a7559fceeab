//! The machine of a node behind one lock: what happens goes in, what it wants of legs goes to their mailboxes.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use telerelay_engine::{self as engine, PathKey};
use telerelay_leg::trust::Organisations;
use telerelay_outer::node::{
    Cause, Command, Greeting, Join, Node as Machine, PathEnd, Plan, SetUp,
};
use telerelay_outer::{How, LegKey, PathKind, Purpose, Traffic};
use telerelay_wire::ids::PathId;
use telerelay_wire::limits;
use telerelay_wire::outer::Frame;
use telerelay_wire::{Entropy, FrameError, Moment};
use tokio::sync::{Notify, oneshot, watch};

use crate::api::Seats;
use crate::counters::{Counters, Ending};
use crate::event::{Event, Told};
use crate::leg::Lent;
use crate::mailbox::{Inbox, Post, mailbox};
use crate::timings::Timings;

/// What the machine wants of a leg.
pub(crate) enum Order {
    /// Send a frame.
    Send(Box<Frame<'static>>),
    /// Close it.
    Close(How),
    /// The agent's leg of a new path: give it away.
    Lend(Lend),
    /// The client's leg of a new path: take the agent's and move bytes until the path's end.
    Path(Box<PathOrder>),
}

/// To whom an agent's leg goes.
pub(crate) struct Lend {
    /// The worker of the client's task.
    pub(crate) worker: usize,
    pub(crate) to: oneshot::Sender<Lent>,
}

/// What a client's task needs to become a path.
pub(crate) struct PathOrder {
    pub(crate) agent: oneshot::Receiver<Lent>,
    pub(crate) end: PathGuard,
    pub(crate) purpose: Purpose,
    /// How long it took until both sides had consented, and when that was.
    pub(crate) set_up: SetUp,
    pub(crate) consented: Instant,
}

/// Tells the machine that a path has ended, exactly once: when it is dropped, whoever had it.
pub(crate) struct PathGuard {
    control: Option<Arc<Control>>,
    path: PathId,
    legs: Legs,
    /// What is told of it.
    pub(crate) so_far: PathEnd,
    /// How it is counted.
    pub(crate) ending: Ending,
}

/// The legs of a path.
#[derive(Clone, Copy)]
pub(crate) struct Legs {
    agent: LegKey,
    client: LegKey,
}

impl PathGuard {
    pub(crate) fn path(&self) -> PathId {
        self.path
    }

    pub(crate) fn legs(&self) -> Legs {
        self.legs
    }

    /// What it carried since it was handed over.
    pub(crate) fn carried(&mut self, more: Traffic) {
        let traffic = &mut self.so_far.traffic;
        traffic.to_client += more.to_client;
        traffic.to_agent += more.to_agent;
    }
}

impl Drop for PathGuard {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.counters.path_ended(self.ending);
            control.path_ended(self.path, self.legs, self.so_far);
        }
    }
}

/// The end of a path that never moved a byte.
const NOTHING_CARRIED: PathEnd = PathEnd {
    traffic: Traffic {
        to_client: 0,
        to_agent: 0,
    },
    kind: PathKind::Wrapped,
    cause: Cause::Leg,
};

/// How the machine reaches a leg.
enum Reach {
    /// By the mailbox of its task, or of the task of the path that it belongs to.
    Task(Mailbox),
    /// It belongs to a path of the engine. The other leg of that path is not reached on its own.
    Engine(PathKey),
}

#[derive(Clone)]
struct Mailbox {
    orders: Post<Order>,
    worker: usize,
}

struct State {
    machine: Machine,
    reach: HashMap<LegKey, Reach>,
    next_leg: u64,
    armed: Option<Moment>,
}

impl State {
    fn forget(&mut self, legs: Legs) {
        self.reach.remove(&legs.agent);
        self.reach.remove(&legs.client);
    }

    fn mailbox(&self, leg: LegKey) -> Option<Mailbox> {
        match self.reach.get(&leg)? {
            Reach::Task(mailbox) => Some(mailbox.clone()),
            Reach::Engine(_) => None,
        }
    }
}

/// What all tasks of a node share.
pub(crate) struct Control {
    state: Mutex<State>,
    began: Instant,
    pub(crate) told: Arc<dyn Told>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) timings: Timings,
    pub(crate) organisations: Arc<Organisations>,
    pub(crate) api: Seats,
    /// The machine's next deadline is earlier than it was.
    earlier: Notify,
    /// No attempt is left after a stop: everything closes.
    drained: watch::Sender<bool>,
    /// Where direct paths go, by worker; there once the node has started.
    engines: OnceLock<Vec<engine::Handle>>,
}

impl Control {
    pub(crate) fn new(greeting: Greeting, plan: Plan, told: Arc<dyn Told>) -> Self {
        let machine = Machine::new(greeting, unix_seconds(), Moment::ZERO).with_plan(plan);
        Self {
            state: Mutex::new(State {
                machine,
                reach: HashMap::new(),
                next_leg: 0,
                armed: None,
            }),
            began: Instant::now(),
            told,
            counters: Arc::default(),
            timings: Timings::new(),
            organisations: Arc::default(),
            api: Seats::default(),
            earlier: Notify::new(),
            drained: watch::Sender::new(false),
            engines: OnceLock::new(),
        }
    }

    /// Calls the machine and carries out what it wants.
    pub(crate) fn with<R>(self: &Arc<Self>, call: impl FnOnce(&mut Machine, Moment) -> R) -> R {
        let mut state = self.lock();
        let now = self.now();
        let result = call(&mut state.machine, now);
        self.carry_out(&mut state, now);
        result
    }

    /// Reads from the machine without changing it.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Machine) -> R) -> R {
        look(&self.lock().machine)
    }

    /// A handshake ended: the leg's number, and where its orders come.
    pub(crate) fn leg_up(
        self: &Arc<Self>,
        worker: usize,
        up: impl FnOnce(&mut Machine, LegKey, Moment),
    ) -> (LegGuard, Inbox<Order>) {
        let (orders, inbox) = mailbox(limits::NODE_ORDERS);
        let mut state = self.lock();
        let key = LegKey(state.next_leg);
        state.next_leg += 1;
        let mailbox = Mailbox { orders, worker };
        state.reach.insert(key, Reach::Task(mailbox));
        let now = self.now();
        up(&mut state.machine, key, now);
        self.carry_out(&mut state, now);
        let guard = LegGuard {
            control: Some(self.clone()),
            key,
        };
        (guard, inbox)
    }

    pub(crate) fn frame(self: &Arc<Self>, key: LegKey, frame: Frame<'_>) {
        self.with(|machine, now| machine.frame(key, frame, now, &mut SystemEntropy));
    }

    pub(crate) fn frame_error(self: &Arc<Self>, key: LegKey, error: FrameError) {
        self.with(|machine, now| machine.frame_error(key, error, now));
    }

    fn leg_gone(self: &Arc<Self>, key: LegKey) {
        let mut state = self.lock();
        state.reach.remove(&key);
        let now = self.now();
        state.machine.leg_gone(key, now);
        self.carry_out(&mut state, now);
    }

    fn path_ended(self: &Arc<Self>, path: PathId, legs: Legs, end: PathEnd) {
        let mut state = self.lock();
        let now = self.now();
        state.forget(legs);
        state.machine.path_ended(path, end, now);
        self.carry_out(&mut state, now);
    }

    /// Where direct paths go from here on, by worker.
    pub(crate) fn set_engines(&self, engines: Vec<engine::Handle>) {
        self.engines.get_or_init(|| engines);
    }

    /// Gives a path to the engine of a worker; gives it back where there is no room. It is to be dropped then.
    pub(crate) fn to_engine(
        &self,
        worker: usize,
        legs: Legs,
        path: engine::Path,
    ) -> Result<(), engine::Path> {
        // Orders come under this lock: none is lost between the path's task and the engine.
        let mut state = self.lock();
        let key = match self.engines.get() {
            Some(engines) => engines[worker].adopt(path)?,
            None => return Err(path),
        };
        state.reach.remove(&legs.client);
        match state.reach.get_mut(&legs.agent) {
            Some(reach) => *reach = Reach::Engine(key),
            // It was ordered to close while it was on its way.
            None => key.close(engine::Close::Linger),
        }
        Ok(())
    }

    /// Runs the machine's timers until the node has drained.
    pub(crate) async fn run_timers(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.lock();
                let now = self.now();
                state.machine.set_clock(unix_seconds(), now);
                state.machine.timeout(now);
                self.carry_out(&mut state, now);
                state.armed = state.machine.next_timeout();
                state.armed
            };
            tokio::select! {
                () = due(next, self.now()) => {}
                () = self.earlier.notified() => {}
                () = self.drained() => return,
            }
        }
    }

    /// Resolves once no attempt is left after a stop.
    pub(crate) async fn drained(&self) {
        let mut drained = self.drained.subscribe();
        // The sender lives as long as this, so it cannot be gone.
        let _drained = drained.wait_for(|drained| *drained).await;
    }

    /// Everything that the machine wants now. The lock is held throughout, so that orders reach a mailbox in the order in which
    /// the machine gave them.
    fn carry_out(self: &Arc<Self>, state: &mut State, now: Moment) {
        while let Some(command) = state.machine.poll_command() {
            match command {
                // The path's task sends it once it has both legs: whoever reads PAIRED answers it, and until then the legs' own
                // tasks would take that answer for a frame to the machine.
                Command::Send(_, Frame::Paired(_)) => {}
                Command::Send(key, frame) => self.send(state, key, frame, now),
                Command::Close(key, how) => {
                    match state.reach.remove(&key) {
                        // Full or gone: the task ends with its mailbox.
                        Some(Reach::Task(mailbox)) => drop(mailbox.orders.post(Order::Close(how))),
                        Some(Reach::Engine(path)) => path.close(match how {
                            How::Flushed => engine::Close::Linger,
                            How::AtOnce => engine::Close::Reset,
                        }),
                        None => {}
                    }
                }
                Command::Join(join) => self.join(state, join, now),
                Command::Ask(request) => self.told.tell(Event::RouteAsked(request)),
                Command::AgentReady(ready) => self.told.tell(Event::AgentReady(ready)),
                Command::AgentGone {
                    organisation,
                    device,
                } => self.told.tell(Event::AgentGone {
                    organisation,
                    device,
                }),
                Command::Flagged {
                    organisation,
                    device,
                    code,
                } => self.told.tell(Event::Flagged {
                    organisation,
                    device,
                    code,
                }),
                Command::Terminal(terminal) => {
                    self.counters.ended(&terminal);
                    if let Some(kind) = terminal.path_kind {
                        self.timings.session(kind, terminal.duration);
                    }
                    tracing::debug!(
                        attempt = %terminal.attempt,
                        path = %terminal.path,
                        code = %terminal.code,
                        stage = %terminal.stage,
                        "attempt ended"
                    );
                    self.told.tell(Event::AttemptEnded(terminal));
                }
                Command::Drained => {
                    // Tasks end with their mailboxes.
                    state.reach.clear();
                    self.drained.send_replace(true);
                }
            }
        }
        let next = state.machine.next_timeout();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.earlier.notify_one();
        }
    }

    fn send(self: &Arc<Self>, state: &mut State, key: LegKey, frame: Frame<'static>, now: Moment) {
        if let Frame::Error(error) = &frame {
            self.counters.refused(&error.code);
        }
        let Some(mailbox) = state.mailbox(key) else {
            return;
        };
        if mailbox.orders.post(Order::Send(Box::new(frame))).is_err() {
            // It does not take what is sent to it, or it is ending: either way it is as good as gone.
            self.counters.mailbox_overflows.add(1);
            state.reach.remove(&key);
            state.machine.leg_gone(key, now);
        }
    }

    fn join(self: &Arc<Self>, state: &mut State, join: Join, now: Moment) {
        self.counters.paired(&join);
        let (to, agent) = oneshot::channel();
        let legs = Legs {
            agent: join.agent,
            client: join.client,
        };
        let (Some(lender), Some(taker)) = (state.mailbox(join.agent), state.mailbox(join.client))
        else {
            state.forget(legs);
            return state.machine.path_ended(join.path, NOTHING_CARRIED, now);
        };
        let end = PathGuard {
            control: Some(self.clone()),
            path: join.path,
            legs,
            so_far: NOTHING_CARRIED,
            ending: Ending::Failed(None),
        };
        let order = Order::Path(Box::new(PathOrder {
            agent,
            end,
            purpose: join.purpose,
            set_up: join.set_up,
            consented: Instant::now(),
        }));
        if let Err(refused) = taker.orders.post(order) {
            if let Order::Path(mut order) = refused {
                // It would take the lock that is held here.
                order.end.control = None;
            }
            state.forget(legs);
            return state.machine.path_ended(join.path, NOTHING_CARRIED, now);
        }
        self.counters.paths_joined.add(1);
        let worker = taker.worker;
        // From here on the client's task has both legs. If the agent's does not give its own, the client's finds out.
        state.reach.insert(join.agent, Reach::Task(taker));
        let _given = lender.orders.post(Order::Lend(Lend { worker, to }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        let micros = self.began.elapsed().as_micros();
        Moment(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// Waits for a machine's next deadline; where there is none, for ever.
pub(crate) async fn due(next: Option<Moment>, now: Moment) {
    match next {
        Some(at) => tokio::time::sleep(at.since(now)).await,
        None => std::future::pending().await,
    }
}

/// A leg of the machine: it learns that the leg is gone when its task ends, however that ends.
pub(crate) struct LegGuard {
    control: Option<Arc<Control>>,
    pub(crate) key: LegKey,
}

impl LegGuard {
    /// The leg goes on as part of a path.
    pub(crate) fn release(mut self) {
        self.control = None;
    }
}

impl Drop for LegGuard {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.leg_gone(self.key);
        }
    }
}

/// The operating system's randomness.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        // aws-lc seeds itself from the operating system and ends the process where that has no randomness; it has no other error.
        let filled = aws_lc_rs::rand::fill(out);
        debug_assert!(filled.is_ok());
    }
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
