//! How a load runs: both sides of all its sessions on a thread each, the processors watched from a third (data-plane.md, Measuring).
use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use crate::traffic::Sessions;
use crate::traffic::end::End;
use crate::traffic::processors::{Snapshot, Used, Watched};
use crate::traffic::reactor::Reactor;

/// How long what is under way may take to arrive once nothing new is sent: buffers hold some seconds of a slow line.
const DRAIN: Duration = Duration::from_secs(20);
/// How often a side without a schedule looks whether it is over.
const LOOK: Duration = Duration::from_millis(5);

/// One side of a load: what the offices do, or what the homes do.
pub(crate) trait Side: Send {
    /// What it waits for at each end.
    const INTEREST: EventFlags;

    /// Whether it does anything at this end.
    fn takes(&self, _number: usize) -> bool {
        true
    }

    /// Something can be read from this end, or written to it.
    fn ready(&mut self, number: usize, end: &mut End) -> io::Result<()>;

    /// The next moment of its schedule, where it has one.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Does what is due at `now`.
    fn fire(&mut self, _ends: &mut [End], _now: Instant) -> io::Result<()> {
        Ok(())
    }

    /// Whether it has nothing more to do; asked once the load was stopped.
    fn is_over(&mut self, ends: &mut [End]) -> io::Result<bool>;
}

/// What both sides know of a load.
pub(crate) struct Course {
    /// When schedules begin.
    pub(crate) begin: Instant,
    /// From here on it counts.
    pub(crate) counts: Instant,
    /// Nothing new is sent from here on.
    pub(crate) end: Instant,
    stopped: AtomicBool,
    office_over: AtomicBool,
    home_over: AtomicBool,
}

impl Course {
    /// Begins in a moment, counts after `warm`, for `lasts`.
    pub(crate) fn new(warm: Duration, lasts: Duration) -> Self {
        let begin = Instant::now() + Duration::from_millis(10);
        Self {
            begin,
            counts: begin + warm,
            end: begin + warm + lasts,
            stopped: AtomicBool::new(false),
            office_over: AtomicBool::new(false),
            home_over: AtomicBool::new(false),
        }
    }

    /// Whether nothing new is to be sent.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Whether the offices have nothing more to do.
    pub(crate) fn is_office_over(&self) -> bool {
        self.office_over.load(Ordering::Acquire)
    }

    /// Whether the homes have nothing more to do.
    pub(crate) fn is_home_over(&self) -> bool {
        self.home_over.load(Ordering::Acquire)
    }

    /// Whether what was to happen at this moment is counted.
    pub(crate) fn is_counted(&self, at: Instant) -> bool {
        (self.counts..self.end).contains(&at)
    }

    /// Runs both sides over the first `count` sessions to their end. What the processors did while it counted, and what `tally` gave
    /// where counting began and where it ended.
    pub(crate) fn run<T>(
        &self,
        sessions: &mut Sessions,
        count: usize,
        office: &mut impl Side,
        home: &mut impl Side,
        (watched, tally): (&Watched, impl Fn() -> T),
    ) -> io::Result<(Used, [T; 2])> {
        let (offices, homes) = sessions.first(count);
        thread::scope(|scope| {
            let office = scope.spawn(|| self.side(offices, office, &self.office_over));
            let home = scope.spawn(|| self.side(homes, home, &self.home_over));
            let seen = self.watch(watched, tally);
            self.stopped.store(true, Ordering::Release);
            // Whichever broke first, the other one waited in vain for.
            office.join().map_err(panicked)??;
            home.join().map_err(panicked)??;
            seen
        })
    }

    fn watch<T>(&self, watched: &Watched, tally: impl Fn() -> T) -> io::Result<(Used, [T; 2])> {
        let see = |at: Instant| {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            Ok::<_, io::Error>((Snapshot::take(watched)?, tally()))
        };
        let (before, first) = see(self.counts)?;
        let (after, second) = see(self.end)?;
        Ok((before.until(&after), [first, second]))
    }

    fn side<S: Side>(&self, ends: &mut [End], side: &mut S, over: &AtomicBool) -> io::Result<()> {
        let result = self.turns(ends, side);
        over.store(true, Ordering::Release);
        result
    }

    fn turns<S: Side>(&self, ends: &mut [End], side: &mut S) -> io::Result<()> {
        let mut reactor = Reactor::new()?;
        for (number, end) in ends.iter().enumerate() {
            if side.takes(number) {
                reactor.add(end, number, S::INTEREST)?;
            }
        }
        let mut look = self.begin;
        loop {
            let now = Instant::now();
            side.fire(ends, now)?;
            if self.is_stopped() {
                if side.is_over(ends)? {
                    return Ok(());
                }
                if now > self.end + DRAIN {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "what was sent did not arrive",
                    ));
                }
            }
            if look <= now {
                look = now + LOOK;
            }
            let until = side.due().map_or(look, |due| due.min(look));
            for number in reactor.wait(Some(until))? {
                side.ready(number, &mut ends[number])?;
            }
        }
    }
}

fn panicked(_: Box<dyn Any + Send>) -> io::Error {
    io::Error::other("a side of the load panicked")
}
