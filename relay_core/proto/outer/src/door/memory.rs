//! When a node is short of memory, and who gives some back (PROTOCOL.md §1.3, step 5).
//!
//! A process may keep what was freed. What connections explained that have left is `kept` until it is given back or newcomers
//! use it, and is not held against whoever stayed: otherwise all would go, one after the other, for memory that none of them has.
use telerelay_wire::{Moment, limits};

/// Whom a shortage of memory concerns, in this order. A path is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Newcomers: their handshake does not begin.
    New,
    /// Legs that have asked for nothing yet.
    Idle,
    /// Connections of the API.
    Api,
    /// Ready connections over which no session's end will be told, the newest first.
    Ready,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 4] = [Self::New, Self::Idle, Self::Api, Self::Ready];

    /// The word of counters and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Idle => "idle",
            Self::Api => "api",
            Self::Ready => "ready",
        }
    }

    /// Bytes that one of them explains.
    const fn bytes(self) -> u64 {
        match self {
            Self::Api => limits::MEMORY_PER_API,
            Self::New | Self::Idle | Self::Ready => limits::MEMORY_PER_LEG,
        }
    }
}

/// What a node's memory is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What it uses.
    pub used: u64,
    /// What its connections explain of that.
    pub explained: u64,
}

impl Look {
    /// A node that uses so many bytes and has so many connections, those of the API among them.
    pub const fn new(used: u64, connections: u64, api: u64) -> Self {
        let legs = connections.saturating_sub(api);
        Self {
            used,
            explained: legs * Step::Ready.bytes() + api * Step::Api.bytes(),
        }
    }
}

/// What follows from a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    AsBefore,
    /// Nobody new comes in from here on.
    Refuse,
    /// So many bytes are to be given back: [`relieve`].
    Shed(u64),
    /// Newcomers come in again.
    Admit,
}

/// Closes connections in the order of the steps, no more than `excess` bytes explain. `shed` closes as many of a step as there are,
/// at most so many, and says how many that were.
pub fn relieve(mut excess: u64, mut shed: impl FnMut(Step, usize) -> usize) {
    for step in [Step::Idle, Step::Api, Step::Ready] {
        let most = excess.div_ceil(step.bytes());
        if most == 0 {
            return;
        }
        let gone = shed(step, usize::try_from(most).unwrap_or(usize::MAX));
        excess = excess.saturating_sub(step.bytes().saturating_mul(gone as u64));
    }
}

/// The memory of one node, look by look.
#[derive(Debug)]
pub(super) struct Memory {
    budget: u64,
    low: u64,
    last: Look,
    kept: u64,
    state: State,
}

/// Whether memory is short. Moments: when what was done last shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Enough,
    /// Newcomers are refused, and nobody else is concerned.
    Refusing(Moment),
    /// Others have given memory back too.
    Shedding(Moment),
}

impl Memory {
    pub(super) fn new(budget: u64) -> Self {
        Self {
            budget,
            low: budget / 100 * limits::MEMORY_LOW_PERCENT,
            last: Look::default(),
            kept: 0,
            state: State::Enough,
        }
    }

    pub(super) fn last(&self) -> Look {
        self.last
    }

    /// Whether nobody new comes in.
    pub(super) fn is_short(&self) -> bool {
        self.state != State::Enough
    }

    /// It begins above the budget and ends at the low mark. Newcomers are refused at once; others give memory back where the next
    /// look still finds more than the budget, or where the low mark is not reached by itself.
    pub(super) fn look(&mut self, look: Look, now: Moment) -> Verdict {
        self.keep(look);
        let used = look.used - self.kept;
        let soon = now + limits::MEMORY_PAUSE;
        let waits = match self.state {
            State::Enough if used > self.budget => {
                self.state = State::Refusing(soon);
                return Verdict::Refuse;
            }
            State::Enough => true,
            State::Refusing(until) => now < until && used <= self.budget,
            State::Shedding(until) => now < until,
        };
        if waits {
            Verdict::AsBefore
        } else if used > self.low {
            self.state = State::Shedding(soon);
            Verdict::Shed(used - self.low)
        } else {
            self.state = State::Enough;
            Verdict::Admit
        }
    }

    /// What left and was not given back is kept; what came and shows in no more memory came out of that. Nothing is below the low
    /// mark, where it does not matter.
    fn keep(&mut self, look: Look) {
        let left = self.last.explained.saturating_sub(look.explained);
        let given_back = self.last.used.saturating_sub(look.used);
        let came = look.explained.saturating_sub(self.last.explained);
        let taken = look.used.saturating_sub(self.last.used);
        self.kept = (self.kept + left.saturating_sub(given_back))
            .saturating_sub(came.saturating_sub(taken))
            .min(look.used.saturating_sub(self.low));
        self.last = look;
    }
}
