//! How many handshakes begin in a time, and whose is next: a pace for the whole node, shared by origin where it is not enough.
use std::collections::BTreeSet;

use telerelay_wire::{Moment, limits};

use super::crowd::Crowd;
use super::{Guest, Origin, share};
use crate::pace::Pace;

/// The line for handshakes.
#[derive(Debug)]
pub(super) struct Gate {
    pace: Pace,
    due: Moment,
    /// More could not be served within [`limits::HANDSHAKE_WAIT`].
    places: usize,
    /// By the moment at which each lined up.
    line: Crowd,
    oldest: BTreeSet<(Moment, Guest, Origin)>,
    last: Origin,
    last_stranger: Origin,
}

impl Gate {
    pub(super) fn new(handshakes_per_s: u32) -> Self {
        Self {
            pace: Pace::per_second(handshakes_per_s, limits::HANDSHAKE_BURST),
            due: Moment::ZERO,
            places: share(handshakes_per_s, limits::HANDSHAKE_WAIT),
            line: Crowd::default(),
            oldest: BTreeSet::new(),
            last: Origin::Trusted,
            last_stranger: Origin::Trusted,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    pub(super) fn line_up(&mut self, origin: Origin, guest: Guest, now: Moment) {
        self.line.insert(origin, now, guest);
        self.oldest.insert((now, guest, origin));
    }

    pub(super) fn leave(&mut self, origin: Origin, since: Moment, guest: Guest) {
        self.line.remove(origin, since, guest);
        self.oldest.remove(&(since, guest, origin));
    }

    /// Takes the guest whose handshake begins now, if one may.
    pub(super) fn next(&mut self, now: Moment) -> Option<Guest> {
        let origin = self.line.after(self.last, self.last_stranger)?;
        let (since, guest) = self.line.first_of(origin)?;
        if !self.pace.step(&mut self.due, now) {
            return None;
        }
        self.last = origin;
        if origin != Origin::Trusted {
            self.last_stranger = origin;
        }
        self.leave(origin, since, guest);
        Some(guest)
    }

    /// Who goes where the line is longer than can be served in time.
    pub(super) fn one_too_many(&self, newcomer: Guest) -> Option<Guest> {
        (self.line.len() > self.places)
            .then(|| self.line.one_too_many(newcomer))
            .flatten()
    }

    /// The guest that has waited longest.
    pub(super) fn oldest(&self) -> Option<Guest> {
        let &(_, guest, _) = self.oldest.first()?;
        Some(guest)
    }

    /// A guest that has waited too long.
    pub(super) fn late(&self, now: Moment) -> Option<Guest> {
        let &(since, guest, _) = self.oldest.first()?;
        (since + limits::HANDSHAKE_WAIT <= now).then_some(guest)
    }

    pub(super) fn next_timeout(&self) -> Option<Moment> {
        let &(since, _, _) = self.oldest.first()?;
        Some((since + limits::HANDSHAKE_WAIT).min(self.pace.ready_at(self.due)))
    }
}
