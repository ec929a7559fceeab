//! One direction of a path: reads one leg, sends to the other, and holds what was read and not taken.
use std::sync::Arc;

use rustix::io::Errno;
use telerelay_wire::limits;
use telerelay_wire::time::Moment;

use crate::counters::{Count, Counters};
use crate::end::{End, Read};
use crate::path::Moved;
use crate::pipes::{Drained, Filled, Loaded, Pipe, Pool};

/// What the paths of a worker use one after the other.
pub(crate) struct Tools {
    pub(crate) scratch: Box<[u8]>,
    pub(crate) pipes: Pool,
    pub(crate) counters: Arc<Counters>,
    /// The time of this turn.
    pub(crate) now: Moment,
    /// Messages that the path whose turn it is has copied and its other leg has taken.
    pub(crate) copied: usize,
}

/// A direction.
pub(crate) struct Flow {
    held: Held,
    moved: Moved,
    /// How sure it is that this direction carries bulk: it splices from `ENGINE_SPLICE_AFTER` on.
    bulk: u8,
}

/// What was read and not taken yet. Nothing is read before it is gone.
enum Held {
    Nothing,
    Bytes { bytes: Box<[u8]>, sent: usize },
    Pipe(Loaded),
}

/// How far a turn came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// As far as it goes before the next event.
    Waiting,
    /// As far as one turn may: there may be more.
    Cut,
}

/// An error, and which leg of the direction it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Source(Errno),
    Target(Errno),
}

impl Flow {
    /// A direction whose target gets these bytes first.
    pub(crate) fn new(outgoing: Vec<u8>) -> Self {
        let held = if outgoing.is_empty() {
            Held::Nothing
        } else {
            Held::Bytes {
                bytes: outgoing.into_boxed_slice(),
                sent: 0,
            }
        };
        Self {
            held,
            moved: Moved::default(),
            bulk: 0,
        }
    }

    pub(crate) const fn moved(&self) -> Moved {
        self.moved
    }

    /// Moves what can be moved, a turn's bytes at most, and the end behind it. `read` counts the bytes of this direction.
    pub(crate) fn turn(
        &mut self,
        source: &mut End,
        target: &mut End,
        tools: &mut Tools,
        read: impl Fn(&Counters) -> &Count,
    ) -> Result<Progress, Fault> {
        let mut left = limits::ENGINE_TURN;
        while self.flush(target, tools).map_err(Fault::Target)? {
            if source.has_ended() && !target.is_shut() {
                target.shut().map_err(Fault::Target)?;
            }
            if target.is_shut() || !source.is_readable() {
                return Ok(Progress::Waiting);
            }
            if left == 0 {
                return Ok(Progress::Cut);
            }
            let before = self.moved.total();
            match self.pipe(tools) {
                Some(pipe) => self.splice(source, pipe, left, tools)?,
                None => self.copy(source, target, tools)?,
            }
            let bytes = usize::try_from(self.moved.total() - before).unwrap_or(usize::MAX);
            read(&tools.counters).add(bytes);
            left = left.saturating_sub(bytes);
        }
        Ok(Progress::Waiting)
    }

    /// Sends what is held; whether nothing is left.
    pub(crate) fn flush(&mut self, target: &mut End, tools: &mut Tools) -> Result<bool, Errno> {
        if matches!(self.held, Held::Nothing) {
            return Ok(true);
        }
        if !target.is_writable() {
            return Ok(false);
        }
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {}
            Held::Bytes { bytes, mut sent } => {
                sent += target.send(&bytes[sent..])?;
                if sent < bytes.len() {
                    self.held = Held::Bytes { bytes, sent };
                }
            }
            Held::Pipe(loaded) => match loaded.drain(&*target) {
                Ok(Drained::All(pipe)) => tools.pipes.give_back(pipe),
                Ok(Drained::Part(loaded)) => {
                    target.stop_sending();
                    self.held = Held::Pipe(loaded);
                }
                Err((loaded, error)) => {
                    self.held = Held::Pipe(loaded);
                    return Err(error);
                }
            },
        }
        Ok(matches!(self.held, Held::Nothing))
    }

    /// Drops what is held. A pipe does not go back with bytes in it.
    pub(crate) fn drop_held(&mut self, pipes: &mut Pool) {
        if let Held::Pipe(loaded) = std::mem::replace(&mut self.held, Held::Nothing) {
            pipes.destroy(loaded);
        }
    }

    /// A pipe, where this direction carries bulk and there is one.
    fn pipe(&self, tools: &mut Tools) -> Option<Pipe> {
        if self.bulk < limits::ENGINE_SPLICE_AFTER {
            return None;
        }
        tools.pipes.borrow(tools.now)
    }

    /// Fills the pipe once; the next flush empties it.
    fn splice(
        &mut self,
        source: &mut End,
        pipe: Pipe,
        most: usize,
        tools: &mut Tools,
    ) -> Result<(), Fault> {
        match pipe.fill(&*source, most) {
            Ok(Filled::Bytes(loaded)) => {
                let bytes = loaded.bytes();
                if bytes < limits::ENGINE_SPLICE_LEAST {
                    self.bulk -= 1;
                } else {
                    self.become_surer();
                }
                self.moved.spliced += bytes as u64;
                tools.counters.splices.add(1);
                tools.counters.bytes_spliced.add(bytes);
                self.held = Held::Pipe(loaded);
            }
            Ok(Filled::Nothing(pipe)) => {
                source.stop_reading();
                tools.pipes.give_back(pipe);
            }
            Ok(Filled::End(pipe)) => {
                source.end_reading();
                tools.pipes.give_back(pipe);
            }
            Err((pipe, error)) => {
                tools.pipes.give_back(pipe);
                return Err(Fault::Source(error));
            }
        }
        Ok(())
    }

    /// This direction carried much at once. The surer it is, the more short splices it takes to change its mind.
    fn become_surer(&mut self) {
        self.bulk = (self.bulk + 1).min(limits::ENGINE_SPLICE_AFTER + limits::ENGINE_SPLICE_SHORT);
    }

    /// Reads one buffer and sends it; what is not taken is held.
    fn copy(&mut self, source: &mut End, target: &mut End, tools: &mut Tools) -> Result<(), Fault> {
        let Read::Bytes(length) = source.read(&mut tools.scratch).map_err(Fault::Source)? else {
            return Ok(());
        };
        let bytes = &tools.scratch[..length];
        if length >= limits::ENGINE_BULK {
            self.become_surer();
        } else {
            self.bulk = 0;
        }
        self.moved.copied += length as u64;
        tools.counters.copies.add(1);
        tools.counters.bytes_copied.add(length);
        let sent = target.send(bytes).map_err(Fault::Target)?;
        if sent == length {
            tools.copied += 1;
        } else {
            tools.counters.held.add(1);
            self.held = Held::Bytes {
                bytes: bytes[sent..].into(),
                sent: 0,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write};
    use std::net::{TcpListener, TcpStream};

    use socket2::SockRef;

    use super::*;
    use crate::end::EVENTS;

    /// An end, and the socket at the other end.
    fn end(buffers: usize) -> (End, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener)
            .set_recv_buffer_size(buffers)
            .unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        SockRef::from(&here).set_send_buffer_size(buffers).unwrap();
        here.set_nonblocking(true).unwrap();
        there.set_nonblocking(true).unwrap();
        (End::new(here.into(), false, false), there)
    }

    fn tools(pipes: usize) -> Tools {
        let counters = Arc::new(Counters::default());
        Tools {
            scratch: vec![0; limits::ENGINE_READ].into(),
            pipes: Pool::new(pipes, counters.clone()),
            counters,
            now: Moment::ZERO,
            copied: 0,
        }
    }

    /// Sends as much as the other end has room for.
    fn fill(mut socket: &TcpStream) {
        let piece = vec![7; 65_536];
        let error = loop {
            if let Err(error) = socket.write(&piece) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }

    #[test]
    fn a_direction_that_has_more_is_cut_off_after_its_share() {
        for pipes in [0, 1] {
            let (mut source, sender) = end(4 << 20);
            let (mut target, _receiver) = end(4 << 20);
            let mut tools = tools(pipes);
            let mut flow = Flow::new(Vec::new());
            fill(&sender);
            let turn = flow.turn(&mut source, &mut target, &mut tools, |all| {
                &all.bytes_to_client
            });
            assert_eq!(turn, Ok(Progress::Cut));
            let moved = flow.moved();
            let share = limits::ENGINE_TURN as u64;
            assert!(
                (share..share + limits::ENGINE_READ as u64).contains(&moved.total()),
                "{moved:?}"
            );
            assert_eq!(moved.spliced > 0, pipes > 0);
            assert_eq!(tools.counters.bytes_to_client.get(), moved.total());
        }
    }

    #[test]
    fn bulk_is_spliced_until_it_has_been_small_for_a_while() {
        let (mut source, mut sender) = end(4 << 20);
        let (mut target, receiver) = end(4 << 20);
        let mut tools = tools(1);
        let mut flow = Flow::new(Vec::new());
        let mut turn = |flow: &mut Flow| {
            // What epoll would tell.
            source.note(EVENTS);
            target.note(EVENTS);
            let turn = flow.turn(&mut source, &mut target, &mut tools, |all| {
                &all.bytes_to_client
            });
            while (&receiver).read(&mut vec![0; 65_536]).is_ok() {}
            turn.unwrap();
            flow.moved()
        };
        for _ in 0..limits::ENGINE_SPLICE_SHORT {
            sender.write_all(&vec![7; 4 * limits::ENGINE_READ]).unwrap();
            turn(&mut flow);
        }
        let mut before = turn(&mut flow);
        assert!(before.spliced > 0);
        let mut small = |flow: &mut Flow| {
            sender.write_all(b"a key, and what it drew").unwrap();
            turn(flow)
        };
        for _ in 0..limits::ENGINE_SPLICE_SHORT {
            let after = small(&mut flow);
            assert!(after.spliced > before.spliced, "{before:?} {after:?}");
            assert_eq!(after.copied, before.copied);
            before = after;
        }
        while flow.bulk >= limits::ENGINE_SPLICE_AFTER {
            before = small(&mut flow);
        }
        let after = small(&mut flow);
        assert_eq!(after.spliced, before.spliced);
        assert!(after.copied > before.copied);
    }

    #[test]
    fn nothing_is_read_for_a_target_that_takes_nothing() {
        for pipes in [0, 1] {
            let (mut source, sender) = end(4 << 20);
            let (mut target, _receiver) = end(16 << 10);
            let mut tools = tools(pipes);
            let mut flow = Flow::new(Vec::new());
            fill(&sender);
            let mut turn = || {
                let turn = flow.turn(&mut source, &mut target, &mut tools, |all| {
                    &all.bytes_to_client
                });
                (turn, flow.moved().total())
            };
            while turn().0 == Ok(Progress::Cut) {}
            let (_, before) = turn();
            assert_eq!(turn(), (Ok(Progress::Waiting), before));
            let counters = tools.counters.clone();
            assert_eq!(
                counters.copies.get(),
                tools.copied as u64 + counters.held.get()
            );
            assert_eq!(
                counters.held.get() + counters.pipes_used.get(),
                1,
                "what was read last waits"
            );
            assert_eq!(
                tools.counters.pipes_used.get() > 0,
                flow.moved().spliced > 0
            );
        }
    }
}
