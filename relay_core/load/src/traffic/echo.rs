//! Small messages that come back, over many sessions: keys, and what they change on a screen.
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use crate::measure::Times;
use crate::traffic::course::{Course, Side};
use crate::traffic::end::{End, READ, scratch};
use crate::traffic::outbox::Outbox;
use crate::traffic::scatter;

/// The homes: they send at a rate, whatever comes back, and count from the moment that was meant.
pub(crate) struct Askers<'a> {
    course: &'a Course,
    message: &'a [u8],
    every: Duration,
    sent: u32,
    talks: Vec<Talk>,
    scratch: Box<[u8]>,
    /// From the moment at which a message was due until it was back.
    pub(crate) delays: Times,
}

/// What one session has under way.
#[derive(Default)]
struct Talk {
    asked: VecDeque<Instant>,
    /// How much of the oldest is back.
    back: usize,
    outbox: Outbox,
}

impl<'a> Askers<'a> {
    /// Over `count` sessions, `per_s` messages a second in all.
    pub(crate) fn new(course: &'a Course, message: &'a [u8], count: usize, per_s: f64) -> Self {
        Self {
            course,
            message,
            every: Duration::from_secs_f64(1.0 / per_s),
            sent: 0,
            talks: (0..count).map(|_| Talk::default()).collect(),
            scratch: scratch(),
            delays: Times::new(),
        }
    }
}

impl Side for Askers<'_> {
    const INTEREST: EventFlags = EventFlags::IN.union(EventFlags::OUT).union(EventFlags::ET);

    fn ready(&mut self, number: usize, end: &mut End) -> io::Result<()> {
        let Self {
            course,
            message,
            talks,
            scratch,
            delays,
            ..
        } = self;
        let talk = &mut talks[number];
        talk.outbox.flush(end)?;
        loop {
            let length = end.read(scratch, |bytes| {
                talk.back += bytes.len();
                while talk.back >= message.len() {
                    talk.back -= message.len();
                    let at = talk.asked.pop_front();
                    let at =
                        at.ok_or_else(|| io::Error::other("an answer that nobody asked for"))?;
                    if course.is_counted(at) {
                        delays.record(at.elapsed());
                    }
                }
                Ok(())
            })?;
            if length < READ {
                return Ok(());
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        let due = self.course.begin + self.every * self.sent;
        (due < self.course.end).then_some(due)
    }

    fn fire(&mut self, ends: &mut [End], now: Instant) -> io::Result<()> {
        while let Some(due) = self.due().filter(|due| *due <= now) {
            let number = scatter(self.sent.into(), ends.len());
            let talk = &mut self.talks[number];
            talk.asked.push_back(due);
            talk.outbox.send(&mut ends[number], self.message)?;
            self.sent += 1;
        }
        Ok(())
    }

    fn is_over(&mut self, _ends: &mut [End]) -> io::Result<bool> {
        Ok(self.talks.iter().all(|talk| talk.asked.is_empty()))
    }
}

/// The offices: whatever they hear they say.
pub(crate) struct Echoes<'a> {
    course: &'a Course,
    outboxes: Vec<Outbox>,
    scratch: Box<[u8]>,
}

impl<'a> Echoes<'a> {
    /// Of `count` sessions.
    pub(crate) fn new(course: &'a Course, count: usize) -> Self {
        Self {
            course,
            outboxes: (0..count).map(|_| Outbox::default()).collect(),
            scratch: scratch(),
        }
    }
}

impl Side for Echoes<'_> {
    const INTEREST: EventFlags = EventFlags::IN.union(EventFlags::OUT).union(EventFlags::ET);

    fn ready(&mut self, number: usize, end: &mut End) -> io::Result<()> {
        let outbox = &mut self.outboxes[number];
        outbox.flush(end)?;
        let mut heard = Vec::new();
        loop {
            heard.clear();
            let length = end.read(&mut self.scratch, |bytes| {
                heard.extend_from_slice(bytes);
                Ok(())
            })?;
            outbox.send(end, &heard)?;
            if length < READ {
                return Ok(());
            }
        }
    }

    fn is_over(&mut self, _ends: &mut [End]) -> io::Result<bool> {
        Ok(self.course.is_home_over())
    }
}
