//! Guests that share a number of places, and who goes when there is one too many.
use core::cmp::Reverse;
use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

use telerelay_wire::Moment;

use super::{Guest, Origin};

/// Who is there, by origin, each with the moment that puts it in order.
///
/// Who is one too many: of the two sides, trusted networks and strangers, the one that has more than half of the places; of the
/// strangers the heaviest address; there the guest with the earliest moment, never the newcomer. Every step costs a few comparisons,
/// however many there are.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    guests: BTreeMap<Origin, BTreeSet<(Moment, Guest)>>,
    /// Strangers' origins, the heaviest last.
    heaviest: BTreeSet<Weight>,
    len: usize,
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, origin: Origin, moment: Moment, guest: Guest) {
        self.change(origin, |guests| guests.insert((moment, guest)));
    }

    pub(super) fn remove(&mut self, origin: Origin, moment: Moment, guest: Guest) {
        self.change(origin, |guests| guests.remove(&(moment, guest)));
    }

    /// Who goes, now that there is one too many. `None` where only the newcomer is there.
    pub(super) fn one_too_many(&self, newcomer: Guest) -> Option<Guest> {
        let (trusted, strangers) = (self.trusted(), self.strangers());
        let others = |&guest: &Guest| guest != newcomer;
        if self.len_of(Origin::Trusted) * 2 > self.len {
            trusted.chain(strangers).find(others)
        } else {
            strangers.chain(trusted).find(others)
        }
    }

    /// The origin whose turn it is behind `last`: each side every other time, and of the strangers one after the other.
    pub(super) fn after(&self, last: Origin, last_stranger: Origin) -> Option<Origin> {
        let behind = |origin| {
            let mut range = self
                .guests
                .range((Bound::Excluded(origin), Bound::Unbounded));
            range.next().map(|(&origin, _)| origin)
        };
        let stranger = || behind(last_stranger).or_else(|| behind(Origin::Trusted));
        let trusted = || (self.len_of(Origin::Trusted) > 0).then_some(Origin::Trusted);
        match last {
            Origin::Trusted => stranger().or_else(trusted),
            Origin::V4(_) | Origin::V6(_) => trusted().or_else(stranger),
        }
    }

    /// The guest of an origin with the earliest moment.
    pub(super) fn first_of(&self, origin: Origin) -> Option<(Moment, Guest)> {
        self.guests.get(&origin)?.first().copied()
    }

    fn trusted(&self) -> impl Iterator<Item = Guest> {
        self.of(Origin::Trusted)
    }

    fn strangers(&self) -> impl Iterator<Item = Guest> {
        let origins = self.heaviest.iter().rev();
        origins.flat_map(|weight| self.of(weight.origin))
    }

    fn of(&self, origin: Origin) -> impl Iterator<Item = Guest> {
        let guests = self.guests.get(&origin).into_iter().flatten();
        guests.map(|&(_, guest)| guest)
    }

    fn len_of(&self, origin: Origin) -> usize {
        self.guests.get(&origin).map_or(0, BTreeSet::len)
    }

    fn change(
        &mut self,
        origin: Origin,
        change: impl FnOnce(&mut BTreeSet<(Moment, Guest)>) -> bool,
    ) {
        let guests = self.guests.entry(origin).or_default();
        let (before, len) = (Weight::of(origin, guests), guests.len());
        change(guests);
        self.len = self.len - len + guests.len();
        let after = Weight::of(origin, guests);
        if guests.is_empty() {
            self.guests.remove(&origin);
        }
        if let Some(before) = before {
            self.heaviest.remove(&before);
        }
        self.heaviest.extend(after);
    }
}

/// Where a stranger's origin stands among the heaviest; of several that are equal, the one with the first guest of all is last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    guests: usize,
    first: Reverse<(Moment, Guest)>,
    origin: Origin,
}

impl Weight {
    fn of(origin: Origin, guests: &BTreeSet<(Moment, Guest)>) -> Option<Self> {
        if origin == Origin::Trusted {
            return None;
        }
        Some(Self {
            guests: guests.len(),
            first: Reverse(*guests.first()?),
            origin,
        })
    }
}
