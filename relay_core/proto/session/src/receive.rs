//! What comes by a path: the frames of the two streams, of silence and of the end (PROTOCOL.md §8.2–§8.4).
use telerelay_wire::inner::{Close, Frame};
use telerelay_wire::{Moment, limits};

use crate::event::{Cause, Event};
use crate::mutant::Mutant;
use crate::path::{Path, PathKey, Progress};
use crate::role::Role;
use crate::session::Session;
use crate::timer::Timer;
use crate::violation::Violation;

impl<R: Role> Session<R> {
    /// Takes what inner TLS of a path decrypted, in pieces of any size. Never refuses: an endpoint always reads its
    /// path, and what it must keep is bounded by the window that the other end obeys.
    pub fn received(&mut self, path: PathKey, plaintext: &[u8], now: Moment) {
        let Some(index) = self.index(path) else {
            return;
        };
        // A frame borrows what holds it, so the reader steps out of the path meanwhile. No frame removes a path.
        let mut frames = std::mem::take(&mut self.paths[index].frames);
        let mut input = plaintext;
        let mut heard = false;
        while !self.ended && self.paths[index].progress != Progress::Closing {
            let outcome = match frames.next(&mut input) {
                Ok(None) => {
                    self.paths[index].frames = frames;
                    break;
                }
                Ok(Some(frame)) => self.frame(index, frame, now),
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(()) => heard = true,
                Err(violation) => return self.broken(index, violation),
            }
        }
        if heard {
            self.heard(index, now);
        }
    }

    fn frame(&mut self, index: usize, frame: Frame<'_>, now: Moment) -> Result<(), Violation> {
        let carries = matches!(
            self.paths[index].progress,
            Progress::Carrying | Progress::Older
        );
        match frame {
            Frame::Data(data) if carries => {
                let keep_replay = self.breaks(Mutant::ReplayKept);
                self.incoming.data(data.offset, data.bytes, keep_replay)
            }
            Frame::Ack(ack) if carries => self.outgoing.acknowledged(ack.offset),
            Frame::Fin(fin) if carries => {
                self.incoming.fin(fin.offset)?;
                self.note_written(now);
                Ok(())
            }
            Frame::Ping(ping) => {
                self.answer_ping(index, ping.token);
                Ok(())
            }
            Frame::Pong(_) => Ok(()),
            Frame::Close(close) => {
                self.closed(index, close);
                Ok(())
            }
            frame => R::frame(self, index, frame, now),
        }
    }

    /// PONG goes where everything goes; a path that has not carried the session yet answers for itself.
    fn answer_ping(&mut self, index: usize, token: u64) {
        let older = self.paths[index].progress == Progress::Older;
        let newest = self.sending.and_then(|key| self.index(key));
        let answers = if older { newest } else { Some(index) };
        if let Some(index) = answers {
            self.paths[index].pong = Some(token);
        }
    }

    fn closed(&mut self, index: usize, close: Close) {
        if !self.paths[index].is_unproven() {
            return self.ended_by_peer(close);
        }
        let path = &mut self.paths[index];
        path.close();
        self.events.push_back(Event::PathDone { path: path.key });
        let hope = self.sending.is_some() || self.paths.iter().any(Path::is_unproven);
        if R::DIALS && !hope {
            self.ended_by_peer(close);
        }
    }

    /// A stranger's mistake costs its path, a partner's the session.
    fn broken(&mut self, index: usize, violation: Violation) {
        if self.paths[index].is_unproven() {
            self.refuse(index, violation.code());
        } else {
            self.end(violation.code().into(), Cause::Violation(violation));
        }
    }

    /// A whole frame came by this path: it lives.
    fn heard(&mut self, index: usize, now: Moment) {
        if self.ended {
            return;
        }
        let path = &mut self.paths[index];
        if path.progress == Progress::Older {
            path.deadline = now + limits::PING_LOST;
        }
        if self.sending == Some(path.key) {
            let busy = self.outgoing.is_outstanding();
            self.timers.set(
                Timer::Ping,
                now + if busy {
                    limits::PING_BUSY
                } else {
                    limits::PING_IDLE
                },
            );
            self.timers.clear(Timer::Parallel);
            self.timers.clear(Timer::Lost);
            self.ping_due = false;
        }
    }
}
