//! Waits for the ends of one side, or for a moment: to the microsecond, which a runtime's timers are not.
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// How many events are taken at once.
const EVENTS: usize = 128;
/// What the timer is known by.
const TIMER: u64 = u64::MAX;

/// The ends of one side, and a timer.
pub(crate) struct Reactor {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// What the timer is set to.
    until: Option<Instant>,
    events: Vec<epoll::Event>,
}

impl Reactor {
    /// Nothing but the timer.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        // On the edge: setting it anew is all that it needs.
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), flags)?;
        Ok(Self {
            epoll,
            timer,
            until: None,
            events: Vec::with_capacity(EVENTS),
        })
    }

    /// Watches an end.
    pub(crate) fn add(
        &self,
        end: impl AsFd,
        number: usize,
        interest: EventFlags,
    ) -> io::Result<()> {
        epoll::add(
            &self.epoll,
            end,
            EventData::new_u64(number as u64),
            interest,
        )?;
        Ok(())
    }

    /// Waits until an end is ready, or until this moment, where there is one. The numbers of the ends that are.
    pub(crate) fn wait(
        &mut self,
        until: Option<Instant>,
    ) -> io::Result<impl Iterator<Item = usize> + use<'_>> {
        if let Some(until) = until.filter(|until| self.until != Some(*until)) {
            self.set(until)?;
        }
        self.events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), None)?;
        let numbers = self.events.iter().map(|event| event.data.u64());
        Ok(numbers
            .filter(|number| *number != TIMER)
            .filter_map(|number| usize::try_from(number).ok()))
    }

    fn set(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                // Zero would put it out of action.
                tv_nsec: i64::from(left.subsec_nanos().max(1)),
            },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.until = Some(until);
        Ok(())
    }
}
