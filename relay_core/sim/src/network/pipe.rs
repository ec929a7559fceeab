//! One direction of a TCP connection: bytes in flight, in order, at most so many.
use std::collections::VecDeque;

use telerelay_wire::Moment;

/// What is on its way.
#[derive(Debug)]
enum Item {
    Bytes(Vec<u8>),
    Fin,
}

/// Bytes between two kernels and in their buffers.
#[derive(Debug)]
pub(super) struct Pipe {
    flight: VecDeque<(Moment, Item)>,
    /// How much of the first item was read.
    taken: usize,
    /// Written and not read.
    held: usize,
    capacity: usize,
    /// The last arrival: nothing overtakes.
    last: Moment,
    pub(super) fin: bool,
    /// The writer found no room and wants to hear of it.
    pub(super) blocked: bool,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// FIN.
    End,
    /// The connection is broken.
    Reset,
}

impl Pipe {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            flight: VecDeque::new(),
            taken: 0,
            held: 0,
            capacity,
            last: Moment::ZERO,
            fin: false,
            blocked: false,
        }
    }

    pub(super) fn room(&self) -> usize {
        self.capacity - self.held
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Nothing that is written from now on arrives before this.
    pub(super) fn delay(&mut self, until: Moment) {
        self.last = self.last.max(until);
    }

    /// Puts bytes on their way and says when they arrive.
    pub(super) fn put(&mut self, bytes: &[u8], at: Moment) -> Moment {
        self.last = self.last.max(at);
        self.held += bytes.len();
        self.flight
            .push_back((self.last, Item::Bytes(bytes.to_vec())));
        self.last
    }

    /// Takes up room for bytes that will never arrive.
    pub(super) fn swallow(&mut self, length: usize) {
        self.held += length;
    }

    pub(super) fn put_fin(&mut self, at: Moment) -> Moment {
        self.fin = true;
        self.last = self.last.max(at);
        self.flight.push_back((self.last, Item::Fin));
        self.last
    }

    /// Loses what has not arrived; the writer is not told.
    pub(super) fn lose(&mut self, now: Moment) {
        self.flight.retain(|&(at, _)| at <= now);
    }

    /// Everything is gone.
    pub(super) fn clear(&mut self) {
        self.flight.clear();
        self.taken = 0;
        self.held = 0;
    }

    /// Moves what has arrived, at most `limit` bytes.
    pub(super) fn read(&mut self, into: &mut Vec<u8>, limit: usize, now: Moment) -> Read {
        let mut moved = 0;
        while moved < limit {
            match self.flight.front() {
                Some((at, Item::Bytes(bytes))) if *at <= now => {
                    let rest = &bytes[self.taken..];
                    let length = rest.len().min(limit - moved);
                    into.extend_from_slice(&rest[..length]);
                    moved += length;
                    if length == rest.len() {
                        self.flight.pop_front();
                        self.taken = 0;
                    } else {
                        self.taken += length;
                    }
                }
                Some((at, Item::Fin)) if *at <= now && moved == 0 => return Read::End,
                _ => break,
            }
        }
        self.held -= moved;
        if moved > 0 {
            Read::Bytes(moved)
        } else {
            Read::Nothing
        }
    }
}
