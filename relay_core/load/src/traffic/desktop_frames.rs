//! Screens: each session shows so many frames a second, most of them small and some large, as a desktop does.
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use crate::measure::Times;
use crate::traffic::course::{Course, Side};
use crate::traffic::end::{End, READ, scratch};
use crate::traffic::noise;
use crate::traffic::outbox::Outbox;

/// A frame's bytes: every magnitude between these is as likely.
const LEAST: f64 = 1_400.0;
/// See [`LEAST`].
const MOST: f64 = 65_536.0;
/// Its length and, in nanoseconds since the load began, its moment.
const HEADER: usize = 12;
/// A screen that is so much behind shows no new frame.
const BEHIND: usize = 4 * 1024 * 1024;

/// The offices: they show frames.
pub(crate) struct Screens<'a> {
    course: &'a Course,
    shown: &'a AtomicU64,
    picture: &'a [u8],
    outboxes: Vec<Outbox>,
    period: Duration,
    /// When in a period which session shows its frame.
    phases: Vec<(Duration, usize)>,
    next: u32,
    frame: Vec<u8>,
    /// Frames that were not shown, since the screen was too far behind.
    pub(crate) skipped: u64,
}

impl<'a> Screens<'a> {
    /// Of `count` sessions, each with `per_s` frames a second at moments of its own. `shown` counts them.
    pub(crate) fn new(
        course: &'a Course,
        shown: &'a AtomicU64,
        picture: &'a [u8],
        count: usize,
        per_s: f64,
    ) -> Self {
        let period = Duration::from_secs_f64(1.0 / per_s);
        let mut phases: Vec<_> = (0..count)
            .map(|number| (period.mul_f64(noise(number as u64)), number))
            .collect();
        phases.sort_unstable();
        Self {
            course,
            shown,
            picture,
            outboxes: (0..count).map(|_| Outbox::default()).collect(),
            period,
            phases,
            next: 0,
            frame: Vec::new(),
            skipped: 0,
        }
    }

    fn moment(&self) -> (Instant, usize) {
        let sessions = u32::try_from(self.phases.len()).unwrap_or(u32::MAX);
        let (phase, number) = self.phases[(self.next % sessions) as usize];
        let at = self.course.begin + self.period * (self.next / sessions) + phase;
        (at, number)
    }

    fn compose(&mut self, at: Instant) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between LEAST and MOST"
        )]
        let length = (LEAST * (MOST / LEAST).powf(noise(self.next.into()))) as u32;
        let since = at.saturating_duration_since(self.course.begin).as_nanos();
        self.frame.clear();
        self.frame.extend_from_slice(&length.to_be_bytes());
        let nanoseconds = u64::try_from(since).unwrap_or(u64::MAX);
        self.frame.extend_from_slice(&nanoseconds.to_be_bytes());
        self.frame
            .extend_from_slice(&self.picture[..length as usize - HEADER]);
    }
}

impl Side for Screens<'_> {
    const INTEREST: EventFlags = EventFlags::OUT.union(EventFlags::ET);

    fn ready(&mut self, number: usize, end: &mut End) -> io::Result<()> {
        self.outboxes[number].flush(end).map(drop)
    }

    fn due(&self) -> Option<Instant> {
        let (at, _) = self.moment();
        (at < self.course.end).then_some(at)
    }

    fn fire(&mut self, ends: &mut [End], now: Instant) -> io::Result<()> {
        while let Some(due) = self.due().filter(|due| *due <= now) {
            let (_, number) = self.moment();
            if self.outboxes[number].len() > BEHIND {
                self.skipped += 1;
            } else {
                self.compose(due);
                self.outboxes[number].send(&mut ends[number], &self.frame)?;
                self.shown.fetch_add(1, Ordering::Release);
            }
            self.next += 1;
        }
        Ok(())
    }

    fn is_over(&mut self, ends: &mut [End]) -> io::Result<bool> {
        let mut is_flushed = true;
        for (outbox, end) in self.outboxes.iter_mut().zip(ends) {
            is_flushed &= outbox.flush(end)?;
        }
        Ok(is_flushed)
    }
}

/// The homes: they see frames, and count from the moment that was meant to the last byte.
pub(crate) struct Viewers<'a> {
    course: &'a Course,
    shown: &'a AtomicU64,
    seen: u64,
    views: Vec<View>,
    scratch: Box<[u8]>,
    /// Of the frames that are counted.
    pub(crate) delays: Times,
    /// What these frames have, in bytes.
    pub(crate) bytes: u64,
}

/// Of the frame that is arriving: its header as far as it is there, and how many bytes behind it are missing.
#[derive(Default)]
struct View {
    header: Vec<u8>,
    missing: usize,
}

/// A frame that is whole.
struct Seen {
    /// Its moment, since the load began.
    since: Duration,
    length: u32,
}

impl<'a> Viewers<'a> {
    /// Of `count` sessions; `shown` is what the screens count.
    pub(crate) fn new(course: &'a Course, shown: &'a AtomicU64, count: usize) -> Self {
        Self {
            course,
            shown,
            seen: 0,
            views: (0..count).map(|_| View::default()).collect(),
            scratch: scratch(),
            delays: Times::new(),
            bytes: 0,
        }
    }
}

impl View {
    /// Takes the next bytes of the stream, and tells the frames that are whole with them.
    fn take(&mut self, mut bytes: &[u8], mut whole: impl FnMut(Seen)) {
        while !bytes.is_empty() {
            let wanted = HEADER - self.header.len();
            if wanted > 0 {
                let part = bytes.len().min(wanted);
                self.header.extend_from_slice(&bytes[..part]);
                bytes = &bytes[part..];
                if let Some(seen) = self.announced() {
                    self.missing = seen.length as usize - HEADER;
                }
            } else {
                let part = bytes.len().min(self.missing);
                self.missing -= part;
                bytes = &bytes[part..];
            }
            if self.missing == 0
                && let Some(seen) = self.announced()
            {
                whole(seen);
                self.header.clear();
            }
        }
    }

    /// What the header says, once it is there.
    fn announced(&self) -> Option<Seen> {
        let (length, rest) = self.header.split_first_chunk()?;
        Some(Seen {
            since: Duration::from_nanos(u64::from_be_bytes(*rest.first_chunk()?)),
            length: u32::from_be_bytes(*length),
        })
    }
}

impl Side for Viewers<'_> {
    const INTEREST: EventFlags = EventFlags::IN.union(EventFlags::ET);

    fn ready(&mut self, number: usize, end: &mut End) -> io::Result<()> {
        let Self {
            course,
            seen,
            views,
            scratch,
            delays,
            bytes: counted,
            ..
        } = self;
        loop {
            let length = end.read(scratch, |bytes| {
                views[number].take(bytes, |frame| {
                    let at = course.begin + frame.since;
                    *seen += 1;
                    if course.is_counted(at) {
                        delays.record(at.elapsed());
                        *counted += u64::from(frame.length);
                    }
                });
                Ok(())
            })?;
            if length < READ {
                return Ok(());
            }
        }
    }

    fn is_over(&mut self, _ends: &mut [End]) -> io::Result<bool> {
        Ok(self.course.is_office_over() && self.seen == self.shown.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::scatter;

    #[test]
    fn frames_are_whole_however_they_are_cut() {
        let course = Course::new(Duration::ZERO, Duration::ZERO);
        let (shown, picture) = (AtomicU64::new(0), vec![7; 65_536]);
        let mut screens = Screens::new(&course, &shown, &picture, 1, 30.0);
        let mut stream = Vec::new();
        let mut lengths = Vec::new();
        for number in 0..50 {
            screens.next = number;
            screens.compose(course.begin + Duration::from_millis(number.into()));
            lengths.push(screens.frame.len());
            stream.extend_from_slice(&screens.frame);
        }
        assert!(
            lengths
                .iter()
                .all(|length| (1_400..=65_536).contains(length))
        );
        assert!(lengths.iter().any(|length| *length < 4_000));
        assert!(lengths.iter().any(|length| *length > 32_000));
        for piece in [1, 7, 12, 1_400, 65_536, stream.len()] {
            let (mut view, mut seen) = (View::default(), Vec::new());
            for bytes in stream.chunks(piece) {
                view.take(bytes, |frame| seen.push(frame.since.as_millis()));
            }
            assert_eq!(seen, (0..50).collect::<Vec<_>>(), "in pieces of {piece}");
        }
    }

    #[test]
    fn sessions_take_turns_in_no_order_and_none_is_left_out() {
        let mut hits = [0; 10];
        (0..10_000).for_each(|number| hits[scatter(number, 10)] += 1);
        assert!(
            hits.iter().all(|hit| (800..1_200).contains(hit)),
            "{hits:?}"
        );
    }
}
