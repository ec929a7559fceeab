//! The deadlines of one machine: an ordered set, so that the next one is its first and 10,000 legs cost a few
//! comparisons each.
use std::collections::BTreeSet;

use telerelay_wire::Moment;

/// The one deadline that an owner has at a time: each state of a machine waits for one thing.
pub(crate) type Due<T> = Option<(Moment, T)>;

/// Every deadline that is armed. `T` names the timer and its owner; timers of one moment come in the order of `T`.
#[derive(Debug)]
pub(crate) struct Deadlines<T> {
    set: BTreeSet<(Moment, T)>,
}

impl<T: Copy + Ord> Deadlines<T> {
    pub(crate) const fn new() -> Self {
        Self {
            set: BTreeSet::new(),
        }
    }

    /// Arms `timer` at `at` in place of whatever its owner waited for.
    pub(crate) fn arm(&mut self, due: &mut Due<T>, at: Moment, timer: T) {
        self.disarm(due);
        self.set.insert((at, timer));
        *due = Some((at, timer));
    }

    /// The owner waits for nothing any more.
    pub(crate) fn disarm(&mut self, due: &mut Due<T>) {
        if let Some(entry) = due.take() {
            self.set.remove(&entry);
        }
    }

    /// When to call `timeout` next.
    pub(crate) fn next(&self) -> Option<Moment> {
        self.set.first().map(|&(at, _)| at)
    }

    /// Takes the first timer whose moment has come.
    pub(crate) fn expired(&mut self, now: Moment) -> Option<T> {
        let &(at, timer) = self.set.first()?;
        if at > now {
            return None;
        }
        self.set.pop_first();
        Some(timer)
    }

    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_deadline_is_the_earliest_and_each_fires_once() {
        let mut deadlines = Deadlines::new();
        let (mut a, mut b) = (None, None);
        deadlines.arm(&mut a, Moment(30), 'a');
        deadlines.arm(&mut b, Moment(20), 'b');
        assert_eq!(deadlines.next(), Some(Moment(20)));
        assert_eq!(deadlines.expired(Moment(19)), None);
        assert_eq!(deadlines.expired(Moment(40)), Some('b'));
        assert_eq!(deadlines.expired(Moment(40)), Some('a'));
        assert_eq!(deadlines.expired(Moment(40)), None);
    }

    #[test]
    fn an_owner_has_one_deadline_at_a_time() {
        let mut deadlines = Deadlines::new();
        let mut due = None;
        deadlines.arm(&mut due, Moment(10), 'x');
        deadlines.arm(&mut due, Moment(50), 'y');
        assert_eq!((deadlines.len(), deadlines.next()), (1, Some(Moment(50))));
        deadlines.disarm(&mut due);
        assert_eq!((deadlines.len(), due), (0, None));
    }
}
