//! Who may wait at a node's door, and whose handshake begins next (PROTOCOL.md §1.3).
//!
//! A **guest** is a connection of nobody known: before the end of its handshake, or one of the API without a certificate. Whoever is
//! known is no guest, and nothing here concerns them. Guests are bounded three times, and each time by the same rule (`crowd`):
//! places at the node, places in the line for handshakes, places at the API. While there is room nobody is limited by address;
//! where there is none, the newcomer comes in and somebody of the heaviest address goes.
//!
//! A node that is short of memory (`memory`) lets nobody new in, and whoever is known may have to go too: that is for its driver.
mod crowd;
mod gate;
mod memory;
mod origin;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use telerelay_wire::{Moment, limits};

use crowd::Crowd;
use gate::Gate;
use memory::Memory;
pub use memory::{Look, Step, Verdict, relieve};
pub use origin::Origin;

/// A guest's number at this door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guest(pub u64);

/// What a door is made with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Guests at once.
    pub places: usize,
    /// Handshakes that begin each second, one at least.
    pub handshakes_per_s: u32,
    /// Bytes of memory.
    pub memory_budget: u64,
}

/// What becomes of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Its handshake begins.
    Begin(Guest),
    /// Its handshake does not begin: it is told that the node is busy.
    Refuse(Guest, Bound),
    /// It goes without a word, and is a guest no more.
    Evict(Guest, Bound),
}

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Guests.
    Places,
    /// Guests that wait for their handshake.
    Line,
    /// Guests of the API.
    Api,
    /// Memory.
    Memory,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Guests.
    pub guests: usize,
    /// Guests that wait for their handshake.
    pub waiting: usize,
    /// Guests of the API.
    pub api: usize,
    /// Bytes of memory, as they were seen last.
    pub memory: u64,
    /// Whether there is too little memory for anybody new.
    pub short: bool,
}

/// The door of one node.
#[derive(Debug)]
pub struct Door {
    places: usize,
    guests: BTreeMap<Guest, Standing>,
    /// By the moment at which each would have to be through, or gone.
    crowd: Crowd,
    gate: Gate,
    /// By the moment at which each came to the API.
    api: Crowd,
    memory: Memory,
    commands: VecDeque<Command>,
}

#[derive(Debug)]
struct Standing {
    origin: Origin,
    until: Moment,
    step: Progress,
}

/// How far a guest has come.
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// Its `ClientHello` is not whole.
    Hello,
    /// It waits for its handshake, since then.
    Waiting(Moment),
    /// Its handshake has begun, or was refused.
    Answered,
    /// It is at the API, since then.
    Api(Moment),
}

impl Door {
    /// A door with nobody at it.
    pub fn new(config: Config) -> Self {
        Self {
            places: config.places,
            guests: BTreeMap::new(),
            crowd: Crowd::default(),
            gate: Gate::new(config.handshakes_per_s),
            api: Crowd::default(),
            memory: Memory::new(config.memory_budget),
            commands: VecDeque::new(),
        }
    }

    /// A connection was accepted. `room` is how many guests the node has descriptors for just now.
    pub fn arrive(&mut self, guest: Guest, origin: Origin, room: usize, now: Moment) {
        let until = now + limits::CLIENT_HELLO;
        let step = Progress::Hello;
        self.crowd.insert(origin, until, guest);
        self.guests.insert(
            guest,
            Standing {
                origin,
                until,
                step,
            },
        );
        while self.crowd.len() > self.places.min(room).max(1) {
            let Some(out) = self.crowd.one_too_many(guest) else {
                break;
            };
            self.evict(out, Bound::Places);
        }
    }

    /// The guest's `ClientHello` is whole: [`Command::Begin`] or [`Command::Refuse`] follows, at once or later.
    pub fn hello(&mut self, guest: Guest, now: Moment) {
        let Some(origin) = self.step(
            guest,
            |step| matches!(step, Progress::Hello),
            Progress::Waiting(now),
        ) else {
            return;
        };
        self.stay(guest, now + limits::HANDSHAKE);
        self.gate.line_up(origin, guest, now);
        if self.memory.is_short() {
            return self.refuse(guest, Bound::Memory, now);
        }
        self.begin(now);
        if let Some(out) = self.gate.one_too_many(guest) {
            self.refuse(out, Bound::Line, now);
        }
    }

    /// The guest's handshake has ended, and it is nobody known: a guest of the API. `room` is how many whoever is known leaves there.
    pub fn stays(&mut self, guest: Guest, room: usize, now: Moment) {
        let Some(origin) = self.step(
            guest,
            |step| matches!(step, Progress::Answered),
            Progress::Api(now),
        ) else {
            return;
        };
        self.api.insert(origin, now, guest);
        self.stay(guest, now + limits::API_ANSWER_ANONYMOUS);
        while self.api.len() > limits::API_ANONYMOUS.min(room).max(1) {
            let Some(out) = self.api.one_too_many(guest) else {
                break;
            };
            self.evict(out, Bound::Api);
        }
    }

    /// The guest is known by now, or gone. Without effect on one that was evicted.
    pub fn leave(&mut self, guest: Guest) {
        let Some(standing) = self.guests.remove(&guest) else {
            return;
        };
        self.crowd.remove(standing.origin, standing.until, guest);
        match standing.step {
            Progress::Waiting(since) => self.gate.leave(standing.origin, since, guest),
            Progress::Api(since) => self.api.remove(standing.origin, since, guest),
            Progress::Hello | Progress::Answered => {}
        }
    }

    /// The node's memory was looked at; every [`limits::MEMORY_LOOK`]. While it is short, no handshake begins.
    pub fn look(&mut self, look: Look, now: Moment) -> Verdict {
        let verdict = self.memory.look(look, now);
        if verdict == Verdict::Refuse {
            while let Some(waiting) = self.gate.oldest() {
                self.refuse(waiting, Bound::Memory, now);
            }
        }
        verdict
    }

    /// Time has come to `now`.
    pub fn timeout(&mut self, now: Moment) {
        self.begin(now);
        while let Some(late) = self.gate.late(now) {
            self.refuse(late, Bound::Line, now);
        }
    }

    /// When to call [`timeout`](Self::timeout) next.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.gate.next_timeout()
    }

    /// The next thing to do.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// How many there are now.
    pub fn census(&self) -> Census {
        Census {
            guests: self.crowd.len(),
            waiting: self.gate.waiting(),
            api: self.api.len(),
            memory: self.memory.last().used,
            short: self.memory.is_short(),
        }
    }

    /// One step further, for a guest that stands where this step begins; its origin.
    fn step(
        &mut self,
        guest: Guest,
        from: impl Fn(Progress) -> bool,
        to: Progress,
    ) -> Option<Origin> {
        let standing = self.guests.get_mut(&guest)?;
        if !from(standing.step) {
            return None;
        }
        standing.step = to;
        Some(standing.origin)
    }

    /// Begins as many handshakes as may begin now.
    fn begin(&mut self, now: Moment) {
        while let Some(guest) = self.gate.next(now) {
            self.answered(guest);
            self.commands.push_back(Command::Begin(guest));
        }
    }

    /// Out of the line. It still reads why, but is the first of its address to go.
    fn refuse(&mut self, guest: Guest, bound: Bound, now: Moment) {
        if let Some(&Standing {
            origin,
            step: Progress::Waiting(since),
            ..
        }) = self.guests.get(&guest)
        {
            self.gate.leave(origin, since, guest);
        }
        self.answered(guest);
        self.stay(guest, now);
        self.commands.push_back(Command::Refuse(guest, bound));
    }

    fn answered(&mut self, guest: Guest) {
        if let Some(standing) = self.guests.get_mut(&guest) {
            standing.step = Progress::Answered;
        }
    }

    fn evict(&mut self, guest: Guest, bound: Bound) {
        self.leave(guest);
        self.commands.push_back(Command::Evict(guest, bound));
    }

    /// The guest has until then.
    fn stay(&mut self, guest: Guest, until: Moment) {
        if let Some(standing) = self.guests.get_mut(&guest) {
            self.crowd.remove(standing.origin, standing.until, guest);
            standing.until = until;
            self.crowd.insert(standing.origin, until, guest);
        }
    }
}

/// What a second's handshakes come to in `time`, one at least.
fn share(per_second: u32, time: Duration) -> usize {
    let number = u128::from(per_second) * time.as_millis() / 1_000;
    usize::try_from(number).unwrap_or(usize::MAX).max(1)
}
