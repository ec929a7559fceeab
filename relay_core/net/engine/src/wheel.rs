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

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 4;

    fn wheel<T>() -> Wheel<T> {
        Wheel::new(Duration::from_micros(TICK))
    }

    /// When an item comes up: with the tick of its deadline, or with the tick in which it was set where that is later.
    fn due(deadline: u64, set: u64) -> u64 {
        ((deadline.max(set)) / TICK + 1) * TICK
    }

    #[test]
    fn each_item_comes_up_once_neither_early_nor_later_than_a_tick() {
        let a_round = SLOTS as u64 * TICK;
        for set in 0..3 * TICK {
            for deadline in 0..2 * a_round + TICK {
                for step in [
                    1,
                    TICK - 1,
                    TICK,
                    TICK + 1,
                    a_round - 1,
                    a_round,
                    3 * a_round,
                ] {
                    let mut wheel = wheel();
                    wheel.expire(Moment(set), |()| panic!("nothing was set"));
                    wheel.insert(Moment(deadline), ());
                    let mut at = None;
                    for now in (set..=set + 4 * a_round).step_by(usize::try_from(step).unwrap()) {
                        wheel.expire(Moment(now), |()| assert_eq!(at.replace(now), None));
                        let over = now >= due(deadline, set);
                        assert_eq!(
                            at.is_some(),
                            over,
                            "{deadline} set at {set}, at {now} by {step}"
                        );
                        assert_eq!(wheel.next().is_none(), over);
                    }
                }
            }
        }
    }

    #[test]
    fn who_sleeps_until_the_next_look_misses_nothing() {
        let most = 2 * SLOTS as u64 + 3;
        for first in 0..most {
            for second in first..most {
                let mut wheel = wheel();
                let deadlines = [first * TICK, second * TICK];
                for deadline in deadlines {
                    wheel.insert(Moment(deadline), deadline);
                }
                let mut looks = 0;
                let mut given = Vec::new();
                while let Some(next) = wheel.next() {
                    wheel.expire(next, |deadline| {
                        assert_eq!(next.micros(), due(deadline, 0));
                        given.push(deadline);
                    });
                    looks += 1;
                }
                assert_eq!(given, deadlines);
                // One for each item, and one for each round that it waits longer.
                assert!(looks <= 2 + 2 * 2, "{looks} looks for {deadlines:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_out() {
        let mut wheel = wheel();
        wheel.expire(Moment(1_000), |()| panic!("nothing was set"));
        wheel.insert(Moment(1_100), ());
        wheel.expire(Moment(10), |()| panic!("too early"));
        let mut given = 0;
        wheel.expire(Moment(1_104), |()| given += 1);
        assert_eq!(given, 1);
    }

    #[test]
    fn a_wheel_that_stood_still_for_long_goes_on() {
        let mut wheel = wheel();
        let now = 1_000_003 * TICK;
        wheel.insert(Moment(now + 5 * TICK), ());
        let mut at = Vec::new();
        let mut looks = 0;
        while let Some(next) = wheel.next() {
            // Nobody looked meanwhile: the first look may be for nothing.
            let look = next.max(Moment(now));
            wheel.expire(look, |()| at.push(look));
            looks += 1;
        }
        assert_eq!(at, [Moment(now + 6 * TICK)]);
        assert!(looks <= 2);
    }
}
