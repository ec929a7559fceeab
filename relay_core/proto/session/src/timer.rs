//! All timers of a session (PROTOCOL.md §8.1–§8.4, §12).
use telerelay_wire::Moment;

/// What a session waits for. The first six belong to the session, the last three to one path each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Bytes were written to the local socket and ACK says so now, together with what was written since.
    Ack,
    /// Nothing came by the sending path for a while: PING asks whether it lives.
    Ping,
    /// PING is unanswered and own bytes are outstanding: the client should dial a second path.
    Parallel,
    /// PING is unanswered for so long that the sending path counts as lost.
    Lost,
    /// The desktop has not answered the agent.
    Desktop,
    /// The session had no path for as long as it may live without one.
    Limit,
    /// The opening on the session's first path takes too long.
    Opening,
    /// RESUME or RESUMED does not come by a new path.
    Resuming,
    /// An older path has brought nothing since it was replaced and is given up.
    Older,
}

/// The deadlines of the session itself; those of a path stand in the path.
#[derive(Debug)]
pub(crate) struct Timers([Moment; Self::COUNT]);

impl Timers {
    const ALL: [Timer; 6] = [
        Timer::Ack,
        Timer::Ping,
        Timer::Parallel,
        Timer::Lost,
        Timer::Desktop,
        Timer::Limit,
    ];
    const COUNT: usize = Self::ALL.len();

    pub(crate) fn new() -> Self {
        Self([Moment::NEVER; Self::COUNT])
    }

    pub(crate) fn set(&mut self, timer: Timer, at: Moment) {
        self.0[timer as usize] = at;
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        self.set(timer, Moment::NEVER);
    }

    pub(crate) fn get(&self, timer: Timer) -> Moment {
        self.0[timer as usize]
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.get(timer) != Moment::NEVER
    }

    /// The earliest deadline, [`Moment::NEVER`] where none is set.
    pub(crate) fn next(&self) -> Moment {
        self.0.into_iter().min().unwrap_or(Moment::NEVER)
    }

    /// Clears and returns one timer whose time has come.
    pub(crate) fn expire(&mut self, now: Moment) -> Option<Timer> {
        let timer = Self::ALL
            .into_iter()
            .find(|timer| self.is_set(*timer) && self.get(*timer) <= now)?;
        self.clear(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_deadline_is_the_minimum_and_each_expires_once() {
        let mut timers = Timers::new();
        assert_eq!(timers.next(), Moment::NEVER);
        for (index, timer) in Timers::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, index, "the table is indexed by the enum");
            timers.set(timer, Moment(100 - index as u64));
        }
        assert_eq!(timers.next(), Moment(95));
        assert_eq!(timers.expire(Moment(94)), None);
        assert_eq!(timers.expire(Moment(95)), Some(Timer::Limit));
        assert_eq!(timers.expire(Moment(95)), None);
        assert_eq!(timers.expire(Moment(100)), Some(Timer::Ack));
        timers.clear(Timer::Desktop);
        assert_eq!(timers.next(), Moment(97));
    }

    #[test]
    fn a_moment_that_never_comes_never_expires() {
        assert_eq!(Timers::new().expire(Moment::NEVER), None);
    }
}
