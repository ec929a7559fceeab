//! A coarse timer wheel: pure, its clock comes in.
//!
//! Time is cut into ticks, and a deadline waits in the slot of the tick in which it is over. Setting one costs a push, whatever
//! their number; nothing is ever taken out before its time, since items are names that may be looked up in vain.
use std::time::Duration;

use telerelay_wire::time::Moment;

/// Slots of a wheel: one word says which of them hold something.
const SLOTS: usize = u64::BITS as usize;

/// Items that wait for their deadlines.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: [Vec<(Moment, T)>; SLOTS],
    /// One bit for each slot with something in it.
    occupied: u64,
    /// The length of a tick, in microseconds.
    tick: u64,
    /// The first tick that is not over.
    current: u64,
}

impl<T> Wheel<T> {
    /// An empty wheel, with ticks of this length (a microsecond at least). Deadlines of up to 63 ticks ahead wait in a slot of
    /// their own; later ones share a slot with earlier ones, which costs a look at them in every round.
    pub fn new(tick: Duration) -> Self {
        Self {
            slots: std::array::from_fn(|_| Vec::new()),
            occupied: 0,
            tick: u64::try_from(tick.as_micros()).unwrap_or(u64::MAX).max(1),
            current: 0,
        }
    }

    /// Sets a deadline. One that is over already comes up with the next tick.
    pub fn insert(&mut self, deadline: Moment, item: T) {
        let slot = slot(self.tick_of(deadline).max(self.current));
        self.slots[slot].push((deadline, item));
        self.occupied |= 1 << slot;
    }

    /// Gives out everything whose deadline lies in a tick that is over now: no item early, none later than a tick.
    /// `now` never goes back; where it does, nothing is given out.
    pub fn expire(&mut self, now: Moment, mut due: impl FnMut(T)) {
        let over = now.micros() / self.tick;
        // After a long sleep one round looks at every slot.
        let slots = over.saturating_sub(self.current).min(SLOTS as u64);
        for tick in self.current..self.current + slots {
            let slot = slot(tick);
            if self.occupied & (1 << slot) != 0 {
                let waiting = &mut self.slots[slot];
                for (_, item) in
                    waiting.extract_if(.., |(deadline, _)| deadline.micros() / self.tick < over)
                {
                    due(item);
                }
                if waiting.is_empty() {
                    self.occupied &= !(1 << slot);
                }
            }
        }
        self.current = self.current.max(over);
    }

    /// When to look again: the end of the first tick whose slot holds something; `None` for an empty wheel. Where a deadline lies
    /// beyond a round, that may be too early, never too late.
    pub fn next(&self) -> Option<Moment> {
        if self.occupied == 0 {
            return None;
        }
        let ahead = self
            .occupied
            .rotate_right(u32::try_from(slot(self.current)).unwrap_or(0))
            .trailing_zeros();
        let tick = self.current.saturating_add(u64::from(ahead));
        Some(Moment(tick.saturating_add(1).saturating_mul(self.tick)))
    }

    const fn tick_of(&self, deadline: Moment) -> u64 {
        deadline.micros() / self.tick
    }
}

/// The slot of a tick.
fn slot(tick: u64) -> usize {
    usize::try_from(tick % SLOTS as u64).unwrap_or(0)
}
