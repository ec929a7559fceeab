//! The receiving side of a stream: what the path brought, what the local socket took, what ACK said (PROTOCOL.md §8.2).
//!
//! `acked ≤ written ≤ received ≤ acked + window`: the bytes from `written` on wait for the local socket.
use telerelay_wire::limits::ACK_BYTES;

use crate::pages::Pages;
use crate::violation::Violation;

/// One direction of the session, seen from the end that writes it to its local socket.
#[derive(Debug)]
pub(crate) struct Incoming {
    waiting: Pages,
    acked: u64,
    window: u64,
    fin: Option<u64>,
    shut: bool,
}

impl Incoming {
    /// `window` in bytes.
    pub(crate) fn new(window: u64) -> Self {
        Self {
            waiting: Pages::default(),
            acked: 0,
            window,
            fin: None,
            shut: false,
        }
    }

    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        self.waiting.heap()
    }

    /// Takes what DATA brought. Bytes that are there already are dropped: a replay, or a second live path.
    pub(crate) fn data(
        &mut self,
        offset: u64,
        bytes: &[u8],
        keep_replay: bool,
    ) -> Result<(), Violation> {
        let received = self.waiting.end();
        if offset > received {
            return Err(Violation::Gap { offset, received });
        }
        // Cannot overflow: it begins within bytes that were received.
        let end = offset + bytes.len() as u64;
        if end > self.acked.saturating_add(self.window) {
            return Err(Violation::BeyondWindow {
                end,
                acked: self.acked,
            });
        }
        if self.fin.is_some_and(|fin| end > fin) {
            return Err(Violation::BeyondFin { end });
        }
        let had = usize::try_from(received - offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.waiting
            .push(if keep_replay { bytes } else { &bytes[had..] });
        Ok(())
    }

    /// The other end's stream ends at `offset`.
    pub(crate) fn fin(&mut self, offset: u64) -> Result<(), Violation> {
        let received = self.waiting.end();
        match self.fin {
            Some(fin) if fin != offset => Err(Violation::FinMoved {
                offset,
                before: fin,
            }),
            _ if offset < received => Err(Violation::FinBelowReceived { offset, received }),
            _ => {
                self.fin = Some(offset);
                Ok(())
            }
        }
    }

    /// What waits for the local socket, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &[u8]> {
        self.waiting.from(self.waiting.start())
    }

    /// The local socket took `n` bytes of what waits.
    pub(crate) fn wrote(&mut self, n: usize) {
        debug_assert!(
            n as u64 <= self.waiting.end() - self.waiting.start(),
            "more was written than was there"
        );
        self.waiting.drop_to(self.waiting.start() + n as u64);
    }

    /// Bytes that the local socket took.
    pub(crate) fn written(&self) -> u64 {
        self.waiting.start()
    }

    /// Bytes that the path brought, in order.
    pub(crate) fn received(&self) -> u64 {
        self.waiting.end()
    }

    /// What the last ACK, RESUME or RESUMED said.
    pub(crate) fn acked(&self) -> u64 {
        self.acked
    }

    /// An acknowledgement of `count` bytes is on its way.
    pub(crate) fn acknowledge(&mut self, count: u64) {
        self.acked = self.acked.max(count);
    }

    /// Whether ACK of `count` bytes must not wait for the timer.
    pub(crate) fn is_ack_pressing(&self, count: u64) -> bool {
        count - self.acked >= ACK_BYTES.min(self.window / 4)
            || (count > self.acked && self.fin == Some(count))
    }

    /// Whether the local socket's writing side is to be shut down: once, when it took the whole stream.
    pub(crate) fn take_shutdown(&mut self) -> bool {
        let now = !self.shut && self.fin == Some(self.waiting.start());
        self.shut |= now;
        now
    }

    /// Whether the other end's stream was written and acknowledged to its end.
    pub(crate) fn is_finished(&self) -> bool {
        self.fin == Some(self.waiting.start()) && self.fin == Some(self.acked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: u64 = 1_000;

    fn bytes(from: u64, to: u64) -> Vec<u8> {
        (from..to).map(|i| (i % 251) as u8).collect()
    }

    fn waiting(incoming: &Incoming) -> Vec<u8> {
        incoming.waiting().flatten().copied().collect()
    }

    #[test]
    fn every_overlap_of_a_replay_is_dropped_and_every_gap_refused() {
        for have in 0..20 {
            for from in 0..24 {
                for to in from + 1..24 {
                    let mut incoming = Incoming::new(W);
                    incoming.data(0, &bytes(0, have), false).unwrap();
                    let result = incoming.data(from, &bytes(from, to), false);
                    if from > have {
                        assert_eq!(
                            result,
                            Err(Violation::Gap {
                                offset: from,
                                received: have
                            })
                        );
                        assert_eq!(waiting(&incoming), bytes(0, have));
                    } else {
                        result.unwrap();
                        assert_eq!(
                            waiting(&incoming),
                            bytes(0, have.max(to)),
                            "{have} {from} {to}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_window_counts_from_the_last_acknowledgement_that_was_sent() {
        let mut incoming = Incoming::new(W);
        incoming.data(0, &bytes(0, W), false).unwrap();
        incoming.wrote(600);
        let refused = incoming.data(W, &[0], false);
        assert_eq!(
            refused,
            Err(Violation::BeyondWindow {
                end: W + 1,
                acked: 0
            }),
            "written, but not acknowledged"
        );
        incoming.acknowledge(600);
        incoming.data(W, &bytes(W, W + 600), false).unwrap();
        assert!(incoming.data(W + 600, &[0], false).is_err());
    }

    #[test]
    fn an_offset_at_the_end_of_numbers_is_an_error() {
        let mut incoming = Incoming::new(W);
        assert!(matches!(
            incoming.data(u64::MAX, &[0], false),
            Err(Violation::Gap { .. })
        ));
    }

    #[test]
    fn fin_is_judged_against_bytes_and_against_itself() {
        let mut incoming = Incoming::new(W);
        incoming.data(0, &bytes(0, 5), false).unwrap();
        assert_eq!(
            incoming.fin(4),
            Err(Violation::FinBelowReceived {
                offset: 4,
                received: 5
            })
        );
        // FIN says where the stream ends, not that its bytes are there.
        incoming.fin(10).unwrap();
        assert!(!incoming.take_shutdown());
        incoming.data(5, &bytes(5, 10), false).unwrap();
        incoming.fin(10).unwrap();
        assert_eq!(
            incoming.fin(12),
            Err(Violation::FinMoved {
                offset: 12,
                before: 10
            })
        );
        incoming.data(3, &bytes(3, 10), false).unwrap();
        assert_eq!(
            incoming.data(3, &bytes(3, 11), false),
            Err(Violation::BeyondFin { end: 11 })
        );
    }

    #[test]
    fn the_local_socket_is_shut_down_once_and_only_behind_the_last_byte() {
        let mut incoming = Incoming::new(W);
        incoming.data(0, &bytes(0, 10), false).unwrap();
        incoming.wrote(10);
        assert!(!incoming.take_shutdown(), "more may come");
        incoming.fin(10).unwrap();
        assert!(incoming.take_shutdown());
        assert!(!incoming.take_shutdown());
        assert!(!incoming.is_finished());
        assert!(incoming.is_ack_pressing(10));
        incoming.acknowledge(10);
        assert!(incoming.is_finished() && !incoming.is_ack_pressing(10));
    }

    #[test]
    fn an_acknowledgement_presses_after_64_kib_or_a_quarter_of_the_window() {
        for (window, pressing) in [(4_194_304, 65_536), (262_144, 65_536), (4_000, 1_000)] {
            let incoming = Incoming::new(window);
            assert!(!incoming.is_ack_pressing(pressing - 1));
            assert!(incoming.is_ack_pressing(pressing));
        }
    }
}
