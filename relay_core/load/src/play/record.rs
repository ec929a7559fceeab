//! What a play came to so far: its counts and its durations.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use telerelay_wire::Reason;

use crate::measure::Times;
use crate::visit::{Failed, STAGES, Session, Tally};

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Agents that were started.
    pub agents: usize,
    /// Of them, those that have their ready connection.
    pub online: usize,
    /// Visits whose client has begun.
    pub begun: u64,
    /// Sessions that are open.
    pub live: u64,
    /// Sessions that were open and have ended, by code.
    pub ended: BTreeMap<String, u64>,
    /// Visits that did not get to the desktop's first byte, by stage and code.
    pub failed: BTreeMap<(&'static str, String), u64>,
    /// Messages that viewers sent and desktops were to answer.
    pub asked: u64,
    /// Of them, those whose whole answer came.
    pub answered: u64,
    /// Messages of both ends.
    pub messages: u64,
    /// What viewers sent.
    pub sent_bytes: u64,
    /// What viewers were sent.
    pub received_bytes: u64,
    /// Events that found no place, since nobody took the others.
    pub lost_events: u64,
}

/// Durations: rows of [`Times::rows`] by what they are of.
pub type Histograms = BTreeMap<&'static str, Vec<(u64, u64)>>;

/// Where all visits of a play are told of.
#[derive(Debug, Default)]
pub(super) struct Record {
    set_ups: Tally,
    delay: Times,
    late: Times,
    message_late: Times,
    /// But what the fleets know, and the set-ups.
    counts: Counts,
}

impl Record {
    /// A visit begins now, which was meant for that moment.
    pub(super) fn begun(&mut self, at: Instant) {
        self.counts.begun += 1;
        self.late.record(at.elapsed());
    }

    /// Its set-up is over.
    pub(super) fn set_up(&mut self, at: Instant, visit: Result<&Session, &Failed>) {
        self.set_ups.count(at, visit);
        self.counts.live += u64::from(visit.is_ok());
    }

    /// Its session is over.
    pub(super) fn ended(&mut self, code: &Reason) {
        self.counts.live -= 1;
        *self.counts.ended.entry(code.to_string()).or_default() += 1;
    }

    /// Visits that have begun and are not over.
    pub(super) fn running(&self) -> u64 {
        let failed: u64 = self.set_ups.failed.values().sum();
        let ended: u64 = self.counts.ended.values().sum();
        self.counts.begun - failed - ended
    }

    /// A viewer sends a message; `late`: it was free to send it before, and was woken so much later.
    pub(super) fn sends(&mut self, bytes: u32, asks: bool, late: Option<Duration>) {
        self.counts.messages += 1;
        self.counts.asked += u64::from(asks);
        self.counts.sent_bytes += u64::from(bytes);
        if let Some(late) = late {
            self.message_late.record(late);
        }
    }

    /// A viewer has a whole picture; `delay`: of the message that it answers.
    pub(super) fn received(&mut self, bytes: u32, delay: Option<Duration>) {
        self.counts.messages += 1;
        self.counts.received_bytes += u64::from(bytes);
        if let Some(delay) = delay {
            self.counts.answered += 1;
            self.delay.record(delay);
        }
    }

    /// A session is over whose viewer still waits. A screen that froze would else leave no delay behind.
    pub(super) fn unanswered(&mut self, waiting: &[Duration]) {
        for delay in waiting {
            self.delay.record(*delay);
        }
    }

    /// An event found no place.
    pub(super) fn lost(&mut self) {
        self.counts.lost_events += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        let failed = self.set_ups.failed.iter();
        Counts {
            failed: failed
                .map(|((stage, code), count)| ((STAGES[*stage], code.clone()), *count))
                .collect(),
            ..self.counts.clone()
        }
    }

    pub(super) fn histograms(&self) -> Histograms {
        let stages = self.set_ups.stages.iter().map(Times::rows);
        let mut histograms: Histograms = STAGES.into_iter().zip(stages).collect();
        histograms.extend([
            ("set_up", self.set_ups.total.rows()),
            ("delay", self.delay.rows()),
            ("late", self.late.rows()),
            ("message_late", self.message_late.rows()),
        ]);
        histograms
    }
}
