//! What happens when nothing happens: silence, deadlines, the resume limit (PROTOCOL.md §8.1, §8.3, §8.4).
use telerelay_wire::{Code, Moment, limits};

use crate::event::{Cause, Event};
use crate::role::Role;
use crate::session::Session;
use crate::timer::Timer;

impl<R: Role> Session<R> {
    /// When [`Self::timeout`] is to be called; `None` while nothing is waited for.
    pub fn next_timeout(&self) -> Option<Moment> {
        let paths = self
            .paths
            .iter()
            .map(|path| path.deadline)
            .min()
            .unwrap_or(Moment::NEVER);
        let next = self.timers.next().min(paths);
        (next != Moment::NEVER).then_some(next)
    }

    /// Does what is due. Calling it early does nothing.
    pub fn timeout(&mut self, now: Moment) {
        while let Some(timer) = self.timers.expire(now) {
            self.expired(timer, now);
        }
        while let Some(index) = self
            .paths
            .iter()
            .position(|path| path.deadline != Moment::NEVER && path.deadline <= now)
        {
            self.path_expired(index);
        }
    }

    fn expired(&mut self, timer: Timer, now: Moment) {
        match timer {
            Timer::Ack => self.ack_due = true,
            Timer::Ping => {
                self.ping_due = true;
                self.timers.set(Timer::Lost, now + limits::PING_LOST);
                if R::DIALS {
                    self.timers
                        .set(Timer::Parallel, now + limits::PING_PARALLEL);
                }
            }
            // Without own bytes in doubt a second path would save nobody any time.
            Timer::Parallel if self.outgoing.is_outstanding() => {
                self.events.push_back(Event::DialParallel);
            }
            Timer::Parallel => {}
            Timer::Lost => {
                if let Some(index) = self.sending.and_then(|key| self.index(key)) {
                    self.drop_path(index);
                }
                self.sending = None;
                self.disconnected(now);
            }
            Timer::Desktop => self.end(Code::DesktopAbsent.into(), Cause::Timeout(timer)),
            Timer::Limit => self.end(Code::PathLost.into(), Cause::Timeout(timer)),
            Timer::Opening | Timer::Resuming | Timer::Older => {
                unreachable!("the deadlines of paths stand in the paths")
            }
        }
    }

    fn path_expired(&mut self, index: usize) {
        match self.paths[index].timer() {
            Timer::Opening => self.end(Code::PathLost.into(), Cause::Timeout(Timer::Opening)),
            _ => self.drop_path(index),
        }
    }
}
