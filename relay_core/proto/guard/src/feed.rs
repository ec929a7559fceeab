//! The bytes that came from one side in one call, cut into what goes on and what does not (docs/GUARD.md §2).
//!
//! A machine peeks at the fixed part of what comes next, decides, and lets bytes pass or drops them. What passes in a row is
//! handed on as one slice of the input; only a fixed part that came in pieces is copied, into `Held`.
use crate::rfb::Refusal;

/// The two ends that a guard stands between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client, with the viewer behind it.
    Client,
    /// The office desktop.
    Desktop,
}

/// Where a guard's output goes.
pub trait Sink {
    /// Takes all of `bytes`, behind what that side was put before. They live for the call only.
    fn put(&mut self, to: Side, bytes: &[u8]);
}

/// The longest fixed part: the head of a fence and the guard's own payload (§8). `ServerInit` has 24.
const LONGEST: usize = crate::rfb::MARKED_FENCE.len();

/// A fixed part whose end has not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Held {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; LONGEST],
            length: 0,
        }
    }
}

/// Why a machine stops reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The input is used up.
    Starved,
    /// Nothing more may pass.
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Input, and where it goes. `held`, then `input[at..]`, is what is still to be read.
pub(crate) struct Feed<'a> {
    held: Held,
    input: &'a [u8],
    /// `input[from..at]` goes on, and was not put yet.
    from: usize,
    at: usize,
    sink: &'a mut dyn Sink,
    /// The side that the input goes on to.
    onward: Side,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(held: Held, input: &'a [u8], sink: &'a mut dyn Sink, onward: Side) -> Self {
        Self {
            held,
            input,
            from: 0,
            at: 0,
            sink,
            onward,
        }
    }

    /// The next `N` bytes, which stay where they are; held until all of them have come.
    pub(crate) fn peek<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        if self.held.length == 0
            && let Some(whole) = self.input[self.at..].first_chunk()
        {
            return Ok(*whole);
        }
        let missing = N.saturating_sub(self.held.length);
        let taken = missing.min(self.input.len() - self.at);
        self.flush();
        self.held.bytes[self.held.length..][..taken]
            .copy_from_slice(&self.input[self.at..][..taken]);
        self.held.length += taken;
        self.at += taken;
        self.from = self.at;
        self.held.bytes[..self.held.length]
            .first_chunk()
            .copied()
            .ok_or(Stop::Starved)
    }

    /// The next `left` bytes go on, as far as they have come: what is missing is left.
    pub(crate) fn pass(&mut self, left: &mut u64) -> Result<(), Stop> {
        let held = self.release(*left, true);
        let now = within(*left - held as u64, self.input.len() - self.at);
        self.at += now;
        settle(left, held + now)
    }

    /// The next `left` bytes go nowhere, as far as they have come: what is missing is left.
    pub(crate) fn drop(&mut self, left: &mut u64) -> Result<(), Stop> {
        let held = self.release(*left, false);
        let now = within(*left - held as u64, self.input.len() - self.at);
        self.flush();
        self.at += now;
        self.from = self.at;
        settle(left, held + now)
    }

    /// Drops `N` bytes that were peeked.
    pub(crate) fn skip<const N: usize>(&mut self) -> Result<(), Stop> {
        self.drop(&mut (N as u64))
    }

    /// Moves bytes into `buffer`, as many as have come and fit: their number.
    pub(crate) fn take(&mut self, buffer: &mut [u8]) -> usize {
        debug_assert_eq!(self.held.length, 0, "a text is not peeked at");
        self.flush();
        let taken = buffer.len().min(self.input.len() - self.at);
        buffer[..taken].copy_from_slice(&self.input[self.at..][..taken]);
        self.at += taken;
        self.from = self.at;
        taken
    }

    /// Puts own bytes behind what has gone on so far.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.flush();
        self.sink.put(self.onward, bytes);
    }

    /// Puts own bytes for the side that the input came from.
    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        let back = match self.onward {
            Side::Client => Side::Desktop,
            Side::Desktop => Side::Client,
        };
        self.sink.put(back, bytes);
    }

    /// Puts the last of what goes on, and gives what is held for the next call.
    pub(crate) fn finish(mut self) -> Held {
        self.flush();
        self.held
    }

    /// Puts what has gone on and was not put yet.
    fn flush(&mut self) {
        if self.from < self.at {
            self.sink.put(self.onward, &self.input[self.from..self.at]);
            self.from = self.at;
        }
    }

    /// Lets go of up to `most` of the bytes held: their number.
    fn release(&mut self, most: u64, onward: bool) -> usize {
        let Held { bytes, length } = &mut self.held;
        let released = within(most, *length);
        if released > 0 {
            if onward {
                // Holding it has put what stood before it.
                self.sink.put(self.onward, &bytes[..released]);
            }
            bytes.copy_within(released..*length, 0);
            *length -= released;
        }
        released
    }
}

/// The lesser of both.
fn within(most: u64, length: usize) -> usize {
    usize::try_from(most).map_or(length, |most| most.min(length))
}

fn settle(left: &mut u64, done: usize) -> Result<(), Stop> {
    *left -= done as u64;
    if *left == 0 {
        Ok(())
    } else {
        Err(Stop::Starved)
    }
}
