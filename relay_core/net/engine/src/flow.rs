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
}

/// A direction.
pub(crate) struct Flow {
    held: Held,
    moved: Moved,
    /// Reads in a row that filled the buffer.
    full: u8,
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
            full: 0,
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
        if self.full < limits::ENGINE_SPLICE_AFTER {
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
                    self.full = 0;
                }
                self.moved.spliced += bytes as u64;
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

    /// Reads one buffer and sends it; what is not taken is held.
    fn copy(&mut self, source: &mut End, target: &mut End, tools: &mut Tools) -> Result<(), Fault> {
        let Read::Bytes(length) = source.read(&mut tools.scratch).map_err(Fault::Source)? else {
            return Ok(());
        };
        let bytes = &tools.scratch[..length];
        self.full = if length == tools.scratch.len() {
            self.full.saturating_add(1)
        } else {
            0
        };
        self.moved.copied += length as u64;
        tools.counters.bytes_copied.add(length);
        let sent = target.send(bytes).map_err(Fault::Target)?;
        if sent < length {
            self.held = Held::Bytes {
                bytes: bytes[sent..].into(),
                sent: 0,
            };
        }
        Ok(())
    }
}
