//! A path while it is carried: two ends, two directions, and how it comes to its end.
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use telerelay_wire::limits;

use crate::counters::{Count, Counters};
use crate::end::{End, Read, kind};
use crate::flow::{Fault, Flow, Progress, Tools};
use crate::path::{Done, Endpoint, Leg, Outcome, Path, Reason};
use crate::pipes::Pool;

/// A path. Both arrays have the agent first: its end, and the direction that reads it.
pub(crate) struct Live {
    ends: [End; 2],
    flows: [Flow; 2],
    /// Why it ends, once it lingers: nothing is carried any more, and what was sent last is still to be read.
    lingering: Option<Reason>,
    /// It stands in the run queue.
    pub(crate) queued: bool,
    /// It is a test's.
    pub(crate) test: bool,
    done: Done,
}

/// What a path wants after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// An event.
    Event,
    /// Another turn, after the others.
    Turn,
    /// Nothing any more.
    Over(Reason),
}

impl Live {
    pub(crate) fn new(path: Path) -> Self {
        let (agent, to_agent) = taken(path.agent);
        let (client, to_client) = taken(path.client);
        Self {
            ends: [agent, client],
            flows: [to_client, to_agent],
            lingering: None,
            queued: false,
            test: path.test,
            done: path.done,
        }
    }

    pub(crate) fn socket(&self, of: Endpoint) -> BorrowedFd<'_> {
        self.ends[of as usize].as_fd()
    }

    /// Notes what epoll said of a leg.
    pub(crate) fn note(&mut self, of: Endpoint, events: EventFlags) {
        self.ends[of as usize].note(events);
    }

    /// Why it ends, if it lingers.
    pub(crate) const fn lingering(&self) -> Option<Reason> {
        self.lingering
    }

    /// Carries nothing any more; the next turn says farewell. A path that lingers already keeps its reason.
    pub(crate) fn linger(&mut self, reason: Reason) {
        self.lingering.get_or_insert(reason);
    }

    /// Makes its end a reset of both legs.
    pub(crate) fn reset_when_closed(&self) {
        self.ends.iter().for_each(End::reset_when_closed);
    }

    /// Does what can be done now.
    pub(crate) fn turn(&mut self, tools: &mut Tools) -> Next {
        if self.lingering.is_none() {
            match self.carry(tools) {
                Ok(Progress::Cut) => return Next::Turn,
                Ok(Progress::Waiting) if self.ends.iter().all(End::is_shut) => {
                    return Next::Over(Reason::Done);
                }
                Ok(Progress::Waiting) => return Next::Event,
                Err((of, error)) => {
                    self.give_up(of, &mut tools.pipes);
                    self.lingering = Some(Reason::of(of, kind(error)));
                }
            }
        }
        let progress = self.say_farewell(tools);
        match self.lingering {
            Some(reason) if self.ends.iter().all(|end| end.has_ended() && end.is_shut()) => {
                Next::Over(reason)
            }
            _ if progress == Progress::Cut => Next::Turn,
            _ => Next::Event,
        }
    }

    /// Closes both sockets; who is to be told what.
    pub(crate) fn close(mut self, reason: Reason, pipes: &mut Pool) -> (Done, Outcome) {
        self.flows.iter_mut().for_each(|flow| flow.drop_held(pipes));
        let [to_client, to_agent] = &self.flows;
        let outcome = Outcome {
            to_client: to_client.moved(),
            to_agent: to_agent.moved(),
            reason,
        };
        (self.done, outcome)
    }

    fn carry(&mut self, tools: &mut Tools) -> Result<Progress, (Endpoint, Errno)> {
        // What a leg said before it broke is read before its error is met.
        let first = if self.ends[Endpoint::Client as usize].has_failed() {
            Endpoint::Client
        } else {
            Endpoint::Agent
        };
        let mut progress = Progress::Waiting;
        for source in [first, first.other()] {
            if self.flow(source, tools)? == Progress::Cut {
                progress = Progress::Cut;
            }
        }
        // Nobody may want to read the broken leg, or to send to it: then no call has met the error.
        if progress == Progress::Waiting && !self.ends.iter().all(End::is_shut) {
            for of in Endpoint::BOTH {
                let end = &mut self.ends[of as usize];
                if end.has_failed()
                    && let Some(error) = end.take_error()
                {
                    return Err((of, error));
                }
            }
        }
        Ok(progress)
    }

    /// Moves one direction.
    fn flow(&mut self, from: Endpoint, tools: &mut Tools) -> Result<Progress, (Endpoint, Errno)> {
        let [agent, client] = &mut self.ends;
        let (source, target) = match from {
            Endpoint::Agent => (agent, client),
            Endpoint::Client => (client, agent),
        };
        self.flows[from as usize]
            .turn(source, target, tools, bytes_from(from))
            .map_err(|fault| match fault {
                Fault::Source(error) => (from, error),
                Fault::Target(error) => (from.other(), error),
            })
    }

    /// Sends each leg what is held for it, then FIN, and drops what it still sends until its own FIN.
    fn say_farewell(&mut self, tools: &mut Tools) -> Progress {
        let mut progress = Progress::Waiting;
        for of in Endpoint::BOTH {
            let end = &mut self.ends[of as usize];
            let toward = &mut self.flows[of.other() as usize];
            match farewell(end, toward, tools) {
                Ok(Progress::Waiting) => {}
                Ok(Progress::Cut) => progress = Progress::Cut,
                // There is nobody left to be kind to.
                Err(_broken) => self.give_up(of, &mut tools.pipes),
            }
        }
        progress
    }

    /// This leg is broken: nothing can be read from it or sent to it.
    fn give_up(&mut self, of: Endpoint, pipes: &mut Pool) {
        self.ends[of as usize].give_up();
        self.flows[of.other() as usize].drop_held(pipes);
    }
}

/// A leg's end, and the direction that sends to it.
fn taken(leg: Leg) -> (End, Flow) {
    let end = End::new(leg.socket, leg.read_ended, leg.write_ended);
    (end, Flow::new(leg.outgoing))
}

/// What counts the bytes that an endpoint sends.
const fn bytes_from(source: Endpoint) -> fn(&Counters) -> &Count {
    match source {
        Endpoint::Agent => |counters| &counters.bytes_to_client,
        Endpoint::Client => |counters| &counters.bytes_to_agent,
    }
}

fn farewell(end: &mut End, toward: &mut Flow, tools: &mut Tools) -> Result<Progress, Errno> {
    if !end.is_shut() && toward.flush(end, tools)? {
        end.shut()?;
    }
    let mut left = limits::ENGINE_TURN;
    while end.is_readable() {
        if left == 0 {
            return Ok(Progress::Cut);
        }
        if let Read::Bytes(length) = end.discard(&mut tools.scratch)? {
            left = left.saturating_sub(length);
        }
    }
    Ok(Progress::Waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_path_has_two_hundred_bytes_at_most() {
        // With its place in the slab; what is held is allocated while something is.
        assert!(size_of::<Option<(u32, Live)>>() <= 200);
    }
}
