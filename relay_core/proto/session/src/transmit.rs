//! What goes by a path: frames packed into the plaintext of one record of inner TLS at a time (PROTOCOL.md §7, §8).
use telerelay_wire::inner::{Ack, DATA_HEADER, DATA_MAXIMUM, Fin, Ping, Pong, data_header};
use telerelay_wire::{Code, Moment, limits};

use crate::event::Cause;
use crate::path::{PathKey, Progress};
use crate::role::Role;
use crate::session::Session;
use crate::timer::Timer;

/// Plaintext of one record of inner TLS at most: a full record is then one PATH frame.
pub const RECORD: usize = 16_358;

/// Bytes of the longest ACK frame.
const ACK_FRAME: usize = 15;

/// The plaintext of one record: at most [`RECORD`] bytes, of which those of the screen or input still stand in the
/// replay buffer. It must travel as a whole, or the path counts as lost.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    parts: [&'a [u8]; 3],
}

impl<'a> Record<'a> {
    /// The parts in order, for a vectored write into the TLS library.
    pub fn parts(&self) -> [&'a [u8]; 3] {
        self.parts
    }

    /// Bytes in all.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a record without a byte is never given"
    )]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Appends the whole record.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        self.parts
            .iter()
            .for_each(|part| out.extend_from_slice(part));
    }
}

impl<R: Role> Session<R> {
    /// The next record for this path, `None` while there is nothing to send. Ask only when the path takes it: what is
    /// given counts as sent.
    pub fn poll_transmit(&mut self, path: PathKey, now: Moment) -> Option<Record<'_>> {
        let index = self.index(path)?;
        self.paths[index].out.settle();
        if let Some(token) = self.paths[index].pong.take() {
            self.paths[index].out.put(Pong { token });
        }
        let mut data = None;
        if self.sending == Some(path) && !self.ended {
            if std::mem::take(&mut self.ping_due) {
                self.ping_token += 1;
                self.paths[index].out.put(Ping {
                    token: self.ping_token,
                });
            }
            if self.paths[index].progress == Progress::Carrying {
                data = self.put_streams(index, now);
            }
        }
        let out = &mut self.paths[index].out;
        out.give(RECORD);
        let head = self.paths[index].out.given();
        let [first, second] = data.map_or_else(Default::default, |(at, length)| {
            self.outgoing.slices(at, length)
        });
        (!head.is_empty()).then_some(Record {
            parts: [head, first, second],
        })
    }

    /// Puts ACK, FIN, CLOSE(`DONE`) and the head of DATA; says which bytes follow that head.
    fn put_streams(&mut self, index: usize, now: Moment) -> Option<(u64, usize)> {
        let out = &mut self.paths[index].out;
        self.role.put(out);
        let used = out.len();
        let written = self.count_written();
        if written > self.incoming.acked() && (self.ack_due || self.rides_along(used)) {
            self.paths[index].out.put(Ack { offset: written });
            self.incoming.acknowledge(written);
            self.timers.clear(Timer::Ack);
        }
        self.ack_due = false;
        if let Some(offset) = self.outgoing.take_fin() {
            self.paths[index].out.put(Fin { offset });
        }
        if self.outgoing.is_finished() && self.incoming.is_finished() {
            self.end(Code::Done.into(), Cause::Finished);
            return None;
        }
        let room = RECORD.checked_sub(self.paths[index].out.len() + DATA_HEADER)?;
        let was_outstanding = self.outgoing.is_outstanding();
        let (offset, length) = self.outgoing.take(room.min(DATA_MAXIMUM.into()));
        if length == 0 {
            return None;
        }
        if !was_outstanding {
            self.note_outstanding(now);
        }
        let frame_length = u16::try_from(length).expect("a record is shorter than 64 KiB");
        self.paths[index]
            .out
            .put_bytes(&data_header(offset, frame_length));
        Some((offset, length))
    }

    /// Whether an ACK that nobody waits for yet fits beside the last DATA of a record that goes anyway. It saves the
    /// record, and the wake-up, that the timer would cost.
    fn rides_along(&self, used: usize) -> bool {
        let data = self.outgoing.unsent();
        data > 0 && data.saturating_add((used + DATA_HEADER + ACK_FRAME) as u64) <= RECORD as u64
    }

    /// Own bytes are outstanding from now on: silence is doubtful sooner.
    fn note_outstanding(&mut self, now: Moment) {
        let lost = self.timers.get(Timer::Lost);
        if !self.timers.is_set(Timer::Lost) {
            let ping = self.timers.get(Timer::Ping).min(now + limits::PING_BUSY);
            self.timers.set(Timer::Ping, ping);
        } else if R::DIALS && !self.timers.is_set(Timer::Parallel) {
            let asked = lost - limits::PING_LOST;
            self.timers
                .set(Timer::Parallel, (asked + limits::PING_PARALLEL).max(now));
        }
    }
}
