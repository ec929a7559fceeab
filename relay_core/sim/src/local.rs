//! The program behind a local socket: a desktop in the office, a viewer at home. It reads, writes, freezes, shuts and closes as its
//! plan says. Its socket's buffers are bounded; a byte counts as written when it is in them.
use std::time::Duration;

use telerelay_wire::Moment;

use crate::dice::Dice;
use crate::scenario::{Ends, Produces, ProgramPlan};

/// Bytes that a socket buffers in each direction, and that an echo holds at most before it stops reading.
const SOCKET: u64 = 65_536;

/// A desktop or a viewer.
#[derive(Debug)]
pub(crate) struct Program {
    plan: ProgramPlan,
    since: Moment,
    /// Given to its socket, all in all.
    pub(crate) given: u64,
    /// Of these, read by the program.
    consumed: u64,
    /// Written by the program.
    produced: u64,
    /// Of these, read by the session.
    pub(crate) read: u64,
    /// The session shut its side: no byte will come.
    is_input_over: bool,
    /// The program shut its side.
    is_output_over: bool,
    /// The program has closed its socket, or died.
    pub(crate) is_closed: bool,
    /// When its next turn is.
    pub(crate) awake: Moment,
}

impl Program {
    pub(crate) fn new(plan: ProgramPlan, now: Moment) -> Self {
        Self {
            plan,
            since: now,
            given: 0,
            consumed: 0,
            produced: 0,
            read: 0,
            is_input_over: false,
            is_output_over: false,
            is_closed: false,
            awake: Moment::NEVER,
        }
    }

    /// What it sends is what it got.
    pub(crate) fn is_echo(&self) -> bool {
        self.plan.produces == Produces::Echo
    }

    /// Bytes that the session can read.
    pub(crate) fn available(&self) -> u64 {
        self.produced - self.read
    }

    /// The session has read everything that will come.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_output_over && self.available() == 0
    }

    /// Bytes that the session can write.
    pub(crate) fn room(&self) -> u64 {
        if self.is_closed || self.is_input_over {
            0
        } else {
            SOCKET - (self.given - self.consumed)
        }
    }

    /// Whether it was told that no byte will come.
    pub(crate) fn is_shut(&self) -> bool {
        self.is_input_over
    }

    /// No byte will come.
    pub(crate) fn shut(&mut self) {
        self.is_input_over = true;
    }

    /// When it does something next, where that is sooner than it said before.
    pub(crate) fn next_turn(&mut self, now: Moment, dice: &mut Dice) -> Option<Moment> {
        if self.is_closed {
            return None;
        }
        let (low, high) = self.plan.pause;
        let soon = now + dice.time(low, high);
        let soon = match self.thaw(soon) {
            Some(thaw) => thaw,
            None => soon,
        };
        let closes = match self.plan.ends {
            Ends::Abruptly(after) => Some((self.since + after).max(now)),
            _ => None,
        };
        let soon = self.has_something_to_do().then_some(soon);
        let next = [soon, closes].into_iter().flatten().min()?;
        if next >= self.awake {
            return None;
        }
        self.awake = next;
        Some(next)
    }

    fn thaw(&self, at: Moment) -> Option<Moment> {
        let (after, time) = self.plan.freezes?;
        let (from, to) = (self.since + after, self.since + after + time);
        (from <= at && at < to).then_some(to)
    }

    fn has_something_to_do(&self) -> bool {
        self.readable() > 0 || self.wants_to_write() || self.wants_to_shut()
    }

    /// Bytes that it would read now.
    fn readable(&self) -> u64 {
        let unread = self.given - self.consumed;
        match self.plan.produces {
            Produces::Bytes(_) => unread,
            Produces::Echo => unread.min(SOCKET - (self.consumed - self.produced)),
        }
    }

    fn wants_to_write(&self) -> bool {
        !self.is_output_over && self.produced < self.goal() && self.available() < SOCKET
    }

    fn goal(&self) -> u64 {
        match self.plan.produces {
            Produces::Bytes(bytes) => bytes,
            Produces::Echo => self.consumed,
        }
    }

    fn wants_to_shut(&self) -> bool {
        let has_said_all = match self.plan.produces {
            Produces::Bytes(bytes) => self.produced == bytes,
            Produces::Echo => self.is_input_over && self.produced == self.given,
        };
        !self.is_output_over
            && match self.plan.ends {
                Ends::WhenDone => has_said_all,
                Ends::BehindTheOther => {
                    has_said_all && self.is_input_over && self.consumed == self.given
                }
                Ends::Abruptly(_) | Ends::Never => false,
            }
    }

    /// Reads and writes a piece.
    pub(crate) fn turn(&mut self, now: Moment, dice: &mut Dice) {
        if now >= self.awake {
            self.awake = Moment::NEVER;
        }
        if let Ends::Abruptly(after) = self.plan.ends
            && self.since + after <= now
        {
            self.is_closed = true;
        }
        if self.is_closed || self.thaw(now).is_some() {
            return;
        }
        let (reads, writes) = (self.plan.reads.max(1), self.plan.writes.max(1));
        self.consumed += dice.between(1, reads).min(self.readable());
        if self.wants_to_write() {
            let left = (self.goal() - self.produced).min(SOCKET - self.available());
            self.produced += dice.between(1, writes).min(left);
        }
        if self.wants_to_shut() {
            self.is_output_over = true;
        }
    }
}

/// A plan's pause for a program that is as fast as it can be.
pub(crate) const EAGER: (Duration, Duration) =
    (Duration::from_micros(50), Duration::from_micros(400));
