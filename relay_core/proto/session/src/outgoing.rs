//! The sending side of a stream: what was read locally, what the path carries, what the other end wrote (PROTOCOL.md §8.2).
//!
//! `acked ≤ sent ≤ end` and `end − acked ≤ window`: the bytes from `acked` on are kept for replay.
use crate::pages::Pages;
use crate::violation::Violation;

/// One direction of the session, seen from the end that reads it from its local socket.
#[derive(Debug)]
pub(crate) struct Outgoing {
    kept: Pages,
    sent: u64,
    /// The highest offset that ever travelled: after a resume `sent` steps back, and an ACK may still come for all of it.
    reached: u64,
    window: u64,
    unsent_limit: u64,
    closed: bool,
    fin_sent: bool,
}

impl Outgoing {
    /// `window` and `unsent_limit` in bytes.
    pub(crate) fn new(window: u64, unsent_limit: u64) -> Self {
        let (closed, fin_sent) = (false, false);
        Self {
            kept: Pages::default(),
            sent: 0,
            reached: 0,
            window,
            unsent_limit,
            closed,
            fin_sent,
        }
    }

    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        self.kept.heap()
    }

    /// How many bytes the local socket may give now.
    pub(crate) fn room(&self) -> usize {
        if self.closed {
            return 0;
        }
        let window = self.window - (self.kept.end() - self.kept.start());
        let unsent = self.unsent_limit.saturating_sub(self.unsent());
        usize::try_from(window.min(unsent)).unwrap_or(usize::MAX)
    }

    /// Takes as many of the bytes as there is room for, and says how many.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.kept.push(&bytes[..taken]);
        taken
    }

    /// The local socket has given its last byte.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Bytes that wait for the path.
    pub(crate) fn unsent(&self) -> u64 {
        self.kept.end() - self.sent
    }

    /// Whether the path carries bytes that are not acknowledged.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.sent > self.kept.start()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn acked(&self) -> u64 {
        self.kept.start()
    }

    pub(crate) fn read(&self) -> u64 {
        self.kept.end()
    }

    /// Marks the next bytes, at most `limit`, as sent: offset and length.
    pub(crate) fn take(&mut self, limit: usize) -> (u64, usize) {
        let length = usize::try_from(self.unsent())
            .unwrap_or(usize::MAX)
            .min(limit);
        let offset = self.sent;
        self.sent += length as u64;
        self.reached = self.reached.max(self.sent);
        (offset, length)
    }

    /// The bytes that [`Self::take`] marked.
    pub(crate) fn slices(&self, offset: u64, length: usize) -> [&[u8]; 2] {
        self.kept.slices(offset, length)
    }

    /// The offset for FIN, once, when every byte before it was sent.
    pub(crate) fn take_fin(&mut self) -> Option<u64> {
        if !self.closed || self.fin_sent || self.unsent() > 0 {
            return None;
        }
        self.fin_sent = true;
        Some(self.kept.end())
    }

    /// Whether FIN travelled and everything before it is acknowledged.
    pub(crate) fn is_finished(&self) -> bool {
        self.fin_sent && self.kept.is_empty()
    }

    /// The other end wrote everything below `offset`. An ACK that an older path delivers late says nothing new.
    pub(crate) fn acknowledged(&mut self, offset: u64) -> Result<(), Violation> {
        if offset > self.reached {
            return Err(Violation::AckBeyondSent {
                offset,
                sent: self.reached,
            });
        }
        self.sent = self.sent.max(offset);
        self.kept.drop_to(offset);
        Ok(())
    }

    /// A new path carries on from what the other end wrote (PROTOCOL.md §8.4).
    pub(crate) fn replay_from(&mut self, offset: u64) -> Result<(), Violation> {
        self.acknowledged(offset)?;
        self.sent = self.kept.start();
        self.fin_sent = false;
        Ok(())
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the offsets of these tests are small"
)]
mod tests {
    use super::*;

    const W: u64 = 1_000;

    fn drained(out: &mut Outgoing, limit: usize) -> Vec<u8> {
        let (offset, length) = out.take(limit);
        out.slices(offset, length).concat()
    }

    #[test]
    fn the_window_bounds_what_is_taken_from_the_local_socket() {
        let mut out = Outgoing::new(W, u64::MAX);
        assert_eq!(out.push(&[1; 700]), 700);
        assert_eq!(out.push(&[2; 700]), 300);
        assert_eq!((out.room(), out.push(&[3; 1])), (0, 0));
        drained(&mut out, 600);
        assert_eq!(out.room(), 0, "sent is not written");
        out.acknowledged(600).unwrap();
        assert_eq!(out.room(), 600);
    }

    #[test]
    fn the_unsent_limit_bounds_what_grows_old() {
        let mut out = Outgoing::new(W, 100);
        assert_eq!(out.push(&[1; 700]), 100);
        drained(&mut out, 40);
        assert_eq!(out.room(), 40);
        drained(&mut out, 60);
        assert_eq!(out.room(), 100);
    }

    #[test]
    fn every_replay_offset_gives_the_same_bytes() {
        let bytes: Vec<u8> = (0..200).collect();
        for written in 0..=150 {
            let mut out = Outgoing::new(W, u64::MAX);
            out.push(&bytes);
            drained(&mut out, 150);
            out.replay_from(written).unwrap();
            assert_eq!(out.sent(), written);
            let mut again = Vec::new();
            while out.unsent() > 0 {
                again.extend(drained(&mut out, 7));
            }
            assert_eq!(again, bytes[written as usize..]);
        }
    }

    #[test]
    fn an_acknowledgement_cannot_pass_what_ever_travelled_and_may_pass_what_was_replayed() {
        let mut out = Outgoing::new(W, u64::MAX);
        out.push(&[9; 500]);
        drained(&mut out, 300);
        let refused = out.acknowledged(301);
        assert_eq!(
            refused,
            Err(Violation::AckBeyondSent {
                offset: 301,
                sent: 300
            })
        );
        out.replay_from(100).unwrap();
        drained(&mut out, 50);
        // The other end goes on writing what the older path brought.
        out.acknowledged(280).unwrap();
        assert_eq!((out.sent(), out.acked()), (280, 280));
        out.acknowledged(120).unwrap();
        assert_eq!(
            (out.sent(), out.acked()),
            (280, 280),
            "a late ACK takes nothing back"
        );
        assert!(out.acknowledged(301).is_err());
    }

    #[test]
    fn fin_follows_the_last_byte_once_a_path() {
        let mut out = Outgoing::new(W, u64::MAX);
        out.push(&[1; 10]);
        assert_eq!(out.take_fin(), None, "the local socket is open");
        out.close();
        assert_eq!((out.room(), out.push(&[1])), (0, 0));
        assert_eq!(out.take_fin(), None, "bytes wait");
        drained(&mut out, 100);
        assert_eq!((out.take_fin(), out.take_fin()), (Some(10), None));
        assert!(!out.is_finished());
        out.replay_from(4).unwrap();
        assert_eq!(out.take_fin(), None);
        drained(&mut out, 100);
        assert_eq!(out.take_fin(), Some(10));
        out.acknowledged(10).unwrap();
        assert!(out.is_finished());
    }
}
