//! The door of a node: its machine behind one lock, and a word for each guest (PROTOCOL.md §1.3).
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipnet::IpNet;
use telerelay_outer::door::{Bound, Census, Command, Config, Door as Machine, Guest, Origin};
use telerelay_wire::Moment;
use telerelay_wire::limits::GUESTS_LEAST;
use tokio::sync::{Notify, oneshot};

use crate::control::due;
use crate::counters::Counters;
use crate::descriptors::Descriptors;

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
    counters: Arc<Counters>,
    began: Instant,
    /// The machine's next deadline is earlier than it was.
    earlier: Notify,
}

impl Door {
    pub(crate) fn new(
        handshakes_per_s: u32,
        trusted: Vec<IpNet>,
        descriptors: Descriptors,
        counters: Arc<Counters>,
    ) -> Self {
        let machine = Machine::new(Config {
            places: descriptors.for_guests(),
            handshakes_per_s,
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
            counters,
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
        let (stay, evicted) = oneshot::channel();
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
            evicted: Evicted(evicted),
        }
    }

    pub(crate) fn census(&self) -> Census {
        self.lock().machine.census()
    }

    /// Runs the machine's timers, for ever.
    pub(crate) async fn run_timers(self: Arc<Self>) {
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
            }
        }
    }

    /// How many guests there are descriptors for.
    fn room(&self, state: &State) -> usize {
        let guests = state.machine.census().guests;
        self.descriptors
            .for_connections()
            .saturating_sub(self.counters.descriptors().saturating_sub(guests))
    }

    /// Calls the machine and tells the guests what becomes of them.
    fn call(&self, state: &mut State, call: impl FnOnce(&mut Machine, Moment)) {
        call(&mut state.machine, self.now());
        while let Some(command) = state.machine.poll_command() {
            match command {
                Command::Begin(guest) => state.answer(guest, true),
                Command::Refuse(guest) => state.answer(guest, false),
                Command::Evict(guest, bound) => {
                    match bound {
                        Bound::Places => &self.counters.guests_evicted,
                        Bound::Api => &self.counters.api_evicted,
                    }
                    .add(1);
                    state.guests.remove(&guest);
                }
            }
        }
        let next = state.machine.next_timeout();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.earlier.notify_one();
        }
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
        self.door.counters.handshakes_delayed.add(1);
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

/// Resolves when the guest has to go.
pub(crate) struct Evicted(oneshot::Receiver<()>);

impl Evicted {
    pub(crate) async fn wait(&mut self) {
        // Nothing is ever sent: the other end is gone where the guest has to.
        let _gone = (&mut self.0).await;
    }
}
