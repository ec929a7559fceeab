//! The door of a node: its machine behind one lock, and a word for each guest (PROTOCOL.md §1.3). It looks at the node's memory too.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipnet::IpNet;
use telerelay_outer::door::{
    Bound, Census, Command, Config, Door as Machine, Guest, Look, Origin, Step, Verdict, relieve,
};
use telerelay_wire::Moment;
use telerelay_wire::limits::{GUESTS_LEAST, MEMORY_LOOK};
use tokio::sync::{Notify, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::control::{Control, due};
use crate::descriptors::Descriptors;
use crate::memory::Gauge;

struct State {
    machine: Machine,
    guests: HashMap<Guest, Words>,
    next: u64,
    armed: Option<Moment>,
}

/// How a guest is told what becomes of it.
struct Words {
    turn: Option<oneshot::Sender<bool>>,
    /// Dropped where it is evicted.
    _stay: oneshot::Sender<()>,
}

/// What the listeners, and all tasks of guests, share.
pub(crate) struct Door {
    state: Mutex<State>,
    trusted: Vec<IpNet>,
    descriptors: Descriptors,
    control: Arc<Control>,
    began: Instant,
    /// The machine's next deadline is earlier than it was.
    earlier: Notify,
}

impl Door {
    pub(crate) fn new(
        handshakes_per_s: u32,
        memory_budget: u64,
        trusted: Vec<IpNet>,
        descriptors: Descriptors,
        control: Arc<Control>,
    ) -> Self {
        let machine = Machine::new(Config {
            places: descriptors.for_guests(),
            handshakes_per_s,
            memory_budget,
        });
        Self {
            state: Mutex::new(State {
                machine,
                guests: HashMap::new(),
                next: 0,
                armed: None,
            }),
            trusted,
            descriptors,
            control,
            began: Instant::now(),
            earlier: Notify::new(),
        }
    }

    /// Whether whoever is known leaves enough descriptors that newcomers can come to anything.
    pub(crate) fn has_room(&self) -> bool {
        self.room(&self.lock()) >= GUESTS_LEAST
    }

    /// A connection was accepted. Where there are too many guests, another one goes.
    pub(crate) fn arrive(self: &Arc<Self>, address: IpAddr) -> Visit {
        let address = address.to_canonical();
        let origin = if self
            .trusted
            .iter()
            .any(|network| network.contains(&address))
        {
            Origin::Trusted
        } else {
            Origin::from(address)
        };
        let (stay, evicted) = Evicted::pair();
        let mut state = self.lock();
        let guest = Guest(state.next);
        state.next += 1;
        let room = self.room(&state);
        let words = Words {
            turn: None,
            _stay: stay,
        };
        state.guests.insert(guest, words);
        self.call(&mut state, |machine, now| {
            machine.arrive(guest, origin, room, now);
        });
        Visit {
            place: Place {
                door: self.clone(),
                guest,
            },
            evicted,
        }
    }

    pub(crate) fn census(&self) -> Census {
        self.lock().machine.census()
    }

    /// Runs the machine's timers and looks at the memory, for ever.
    pub(crate) async fn run_timers(self: Arc<Self>, memory: Arc<Gauge>) {
        let mut looks = interval(MEMORY_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = {
                let mut state = self.lock();
                self.call(&mut state, Machine::timeout);
                state.armed = state.machine.next_timeout();
                state.armed
            };
            tokio::select! {
                () = due(next, self.now()) => {}
                () = self.earlier.notified() => {}
                _ = looks.tick() => self.look(&memory),
            }
        }
    }

    /// Looks at the node's memory, and does what follows.
    fn look(&self, memory: &Gauge) {
        let counters = &self.control.counters;
        let used = match memory.used() {
            Ok(used) => used,
            Err(error) => {
                return tracing::warn!(code = "MACHINE", %error, "memory cannot be looked at");
            }
        };
        let look = Look::new(used, counters.connections.get(), counters.api_open.get());
        let verdict = self.call(&mut self.lock(), |machine, now| machine.look(look, now));
        match verdict {
            Verdict::AsBefore => {}
            Verdict::Refuse => {
                tracing::warn!(code = "BUSY", used, "memory is short: nobody new is let in");
            }
            Verdict::Shed(excess) => relieve(excess, |step, most| self.shed(step, most)),
            Verdict::Admit => tracing::info!(used, "there is memory again: newcomers are let in"),
        }
    }

    /// Closes at most so many of a step, all of whom are known or at the API: how many there were.
    fn shed(&self, step: Step, most: usize) -> usize {
        let control = &self.control;
        let gone = match step {
            // They are refused where they come in.
            Step::New => 0,
            Step::Idle => control.with(|machine, now| machine.shed_idle(most, now)),
            Step::Api => control.api.shed(most),
            Step::Ready => control.with(|machine, now| machine.shed_ready(most, now)),
        };
        if gone > 0 {
            control.counters.shed(step, gone as u64);
            let step = step.as_str();
            tracing::warn!(
                code = "BUSY",
                step,
                gone,
                "memory is short: connections are closed"
            );
        }
        gone
    }

    /// How many guests there are descriptors for.
    fn room(&self, state: &State) -> usize {
        let guests = state.machine.census().guests;
        let used = self.control.counters.descriptors();
        self.descriptors
            .for_connections()
            .saturating_sub(used.saturating_sub(guests))
    }

    /// Calls the machine and tells the guests what becomes of them.
    fn call<R>(&self, state: &mut State, call: impl FnOnce(&mut Machine, Moment) -> R) -> R {
        let counters = &self.control.counters;
        let result = call(&mut state.machine, self.now());
        while let Some(command) = state.machine.poll_command() {
            match command {
                Command::Begin(guest) => state.answer(guest, true),
                Command::Refuse(guest, bound) => {
                    if bound == Bound::Memory {
                        counters.shed(Step::New, 1);
                    }
                    state.answer(guest, false);
                }
                Command::Evict(guest, bound) => {
                    match bound {
                        Bound::Places => counters.guests_evicted.add(1),
                        Bound::Api => counters.api_evicted.add(1),
                        Bound::Line | Bound::Memory => {}
                    }
                    state.guests.remove(&guest);
                }
            }
        }
        let next = state.machine.next_timeout();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.earlier.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        let micros = self.began.elapsed().as_micros();
        Moment(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl State {
    fn answer(&mut self, guest: Guest, begins: bool) {
        if let Some(turn) = self
            .guests
            .get_mut(&guest)
            .and_then(|words| words.turn.take())
        {
            // A guest that has left meanwhile needs no answer.
            let _heard = turn.send(begins);
        }
    }
}

/// A new connection at the door.
pub(crate) struct Visit {
    pub(crate) place: Place,
    pub(crate) evicted: Evicted,
}

/// A guest's place; dropped where the guest has left or is known.
pub(crate) struct Place {
    door: Arc<Door>,
    guest: Guest,
}

impl Place {
    /// The ClientHello is whole: whether the handshake may begin, once that is known.
    pub(crate) async fn turn(&self) -> bool {
        let (turn, mut answer) = oneshot::channel();
        {
            let mut state = self.door.lock();
            if let Some(words) = state.guests.get_mut(&self.guest) {
                words.turn = Some(turn);
            }
            self.door.call(&mut state, |machine, now| {
                machine.hello(self.guest, now);
            });
        }
        if let Ok(begins) = answer.try_recv() {
            return begins;
        }
        self.door.control.counters.handshakes_delayed.add(1);
        // Without an answer it was evicted.
        answer.await.unwrap_or(false)
    }

    /// The handshake has ended and it is nobody known: the guest stays one, at the API, where whoever is known leaves `room`.
    pub(crate) fn keep(&self, room: usize) {
        let mut state = self.door.lock();
        self.door.call(&mut state, |machine, now| {
            machine.stays(self.guest, room, now);
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.door.lock();
        state.guests.remove(&self.guest);
        state.machine.leave(self.guest);
    }
}

/// Resolves when a connection has to go.
pub(crate) struct Evicted(oneshot::Receiver<()>);

impl Evicted {
    /// With what has to be dropped for it.
    pub(crate) fn pair() -> (oneshot::Sender<()>, Self) {
        let (stay, evicted) = oneshot::channel();
        (stay, Self(evicted))
    }

    pub(crate) async fn wait(&mut self) {
        // Nothing is ever sent: the other end is gone where the connection has to.
        let _gone = (&mut self.0).await;
    }
}
