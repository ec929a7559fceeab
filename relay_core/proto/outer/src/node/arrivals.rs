//! CONNECTs at the pace that the node bears: beyond it they wait in a room, beyond that they are told when to come back
//! (PROTOCOL.md §5.10).
use core::time::Duration;
use std::collections::BTreeSet;

use telerelay_wire::{Code, Moment, limits};

use super::Node;
use super::command::{AttemptTicket, Command};
use super::table::{Phase, Timer};
use super::usage::Rule;
use crate::deadlines::Due;
use crate::pace::Pace;
use crate::refusal::{Refusal, seconds_up};

/// Who comes, who waits, and who was sent away.
#[derive(Debug)]
pub(super) struct Arrivals {
    every: Duration,
    pace: Pace,
    due: Moment,
    /// In the order of arrival, which is that of the tickets.
    room: BTreeSet<AttemptTicket>,
    /// When the last one would be served who was told to come back, if all of them did.
    booked: Moment,
    turn: Due<Timer>,
}

impl Arrivals {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            every: Duration::from_secs(1) / per_second.max(1),
            pace: Pace::per_second(per_second, limits::ARRIVALS_BURST),
            due: Moment::ZERO,
            room: BTreeSet::new(),
            booked: Moment::ZERO,
            turn: None,
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.room.len()
    }

    pub(super) fn leave(&mut self, ticket: AttemptTicket) {
        self.room.remove(&ticket);
    }

    /// As many as are served within `arrivals_wait_ms`.
    fn is_full(&self) -> bool {
        self.every * u32::try_from(self.room.len()).unwrap_or(u32::MAX) >= limits::ARRIVALS_WAIT
    }

    /// A place behind everybody who waits and everybody who was sent away before, and the time until its turn. Nobody is sent
    /// further than `return_window_cap_s`.
    fn book(&mut self, now: Moment) -> Refusal {
        let first = now + limits::ARRIVALS_WAIT;
        let last = now + limits::RETURN_WINDOW_CAP;
        self.booked = (self.booked.max(first) + self.every).min(last);
        let wait = self.booked.since(now);
        let place = wait.as_nanos() / self.every.as_nanos();
        Refusal::in_line(
            Code::Busy,
            seconds_up(wait),
            u32::try_from(place).unwrap_or(u32::MAX),
        )
    }
}

impl Node {
    /// A CONNECT that nothing speaks against: `route` is asked, now or in its turn, or it is told when to come back.
    pub(super) fn arrives(&mut self, ticket: AttemptTicket, now: Moment) {
        if self.arrivals.is_full() {
            self.usage.one_too_many(Rule::Arrivals);
            let refusal = self.arrivals.book(now);
            return self.abort(ticket, refusal, now);
        }
        self.arrivals.room.insert(ticket);
        self.next_arrivals(now);
    }

    /// Whoever's turn it is.
    pub(super) fn next_arrivals(&mut self, now: Moment) {
        while let Some(&ticket) = self.arrivals.room.first() {
            let arrivals = &mut self.arrivals;
            if !arrivals.pace.step(&mut arrivals.due, now) {
                break;
            }
            arrivals.room.remove(&ticket);
            self.ask(ticket, now);
        }
        let arrivals = &mut self.arrivals;
        self.deadlines.disarm(&mut arrivals.turn);
        if !arrivals.room.is_empty() {
            let next = arrivals.pace.ready_at(arrivals.due);
            self.deadlines
                .arm(&mut arrivals.turn, next, Timer::Arrivals);
        }
    }

    /// Asks `route`.
    fn ask(&mut self, ticket: AttemptTicket, now: Moment) {
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        attempt.phase = Phase::Asked { since: now };
        self.deadlines
            .arm(&mut attempt.due, now + limits::ROUTE, Timer::Route(ticket));
        let request = Box::new(attempt.request.clone());
        self.commands.push_back(Command::Ask(request));
    }
}
