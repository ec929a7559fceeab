//! Streams as fast as they go, from the offices to the homes: a full picture that never ends.
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::epoll::EventFlags;

use crate::traffic::course::{Course, Side};
use crate::traffic::end::End;

/// How much a stream may move before the others have their turn, in pieces.
const TURN: usize = 16;

/// What has passed of each stream, since the load began.
pub(crate) struct Streams {
    sent: Vec<AtomicU64>,
    received: Vec<AtomicU64>,
}

impl Streams {
    /// So many of them.
    pub(crate) fn new(count: usize) -> Self {
        let zeros = || (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            sent: zeros(),
            received: zeros(),
        }
    }

    /// How many bytes of each stream have arrived by now.
    pub(crate) fn arrived(&self) -> Vec<u64> {
        self.received.iter().map(load).collect()
    }

    fn have_all_arrived(&self) -> bool {
        let pairs = self.sent.iter().zip(&self.received);
        pairs
            .into_iter()
            .all(|(sent, received)| load(sent) == load(received))
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Acquire)
}

/// The offices: they send.
pub(crate) struct Sources<'a> {
    pub(crate) course: &'a Course,
    pub(crate) streams: &'a Streams,
    pub(crate) picture: &'a [u8],
}

impl Side for Sources<'_> {
    const INTEREST: EventFlags = EventFlags::OUT;

    fn ready(&mut self, number: usize, end: &mut End) -> io::Result<()> {
        for _ in 0..TURN {
            if self.course.is_stopped() {
                break;
            }
            let length = end.send(self.picture)?;
            self.streams.sent[number].fetch_add(length as u64, Ordering::Release);
            if length < self.picture.len() {
                break;
            }
        }
        Ok(())
    }

    fn is_over(&mut self, ends: &mut [End]) -> io::Result<bool> {
        let mut is_flushed = true;
        for end in ends {
            is_flushed &= end.flush()?;
        }
        Ok(is_flushed)
    }
}

/// The homes: they take what comes, the first `stalled` of them nothing at all.
pub(crate) struct Sinks<'a> {
    pub(crate) course: &'a Course,
    pub(crate) streams: &'a Streams,
    pub(crate) stalled: usize,
    pub(crate) scratch: Box<[u8]>,
}

impl Side for Sinks<'_> {
    const INTEREST: EventFlags = EventFlags::IN;

    fn takes(&self, number: usize) -> bool {
        number >= self.stalled
    }

    fn ready(&mut self, number: usize, end: &mut End) -> io::Result<()> {
        for _ in 0..TURN {
            let (length, is_more) = end.discard(&mut self.scratch)?;
            self.streams.received[number].fetch_add(length as u64, Ordering::Release);
            if !is_more {
                break;
            }
        }
        Ok(())
    }

    fn is_over(&mut self, _ends: &mut [End]) -> io::Result<bool> {
        // What nobody reads never arrives.
        Ok(self.stalled > 0 || self.course.is_office_over() && self.streams.have_all_arrived())
    }
}
