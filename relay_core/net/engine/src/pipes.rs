//! Pipes for splicing, and the pool that lends them.
//!
//! What a pipe holds belongs to one path, and whoever borrows it next would send it to somebody else. So the types tell the two
//! apart: a [`Pipe`] is empty and is what the pool lends and takes back, a [`Loaded`] one holds bytes and becomes a [`Pipe`] again
//! only by having given out the last of them. It cannot be given back otherwise, only destroyed.
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use telerelay_wire::limits;
use telerelay_wire::time::Moment;

use crate::counters::Counters;

/// Never `MORE`: it would hold a last small segment back for 200 ms.
const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

/// An empty pipe.
pub(crate) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

/// A pipe with bytes in it.
pub(crate) struct Loaded {
    pipe: Pipe,
    bytes: usize,
}

/// What became of a pipe that was to be filled.
pub(crate) enum Filled {
    /// Bytes are in it.
    Bytes(Loaded),
    /// The source has none now.
    Nothing(Pipe),
    /// The source has ended.
    End(Pipe),
}

/// What became of a pipe that was to be emptied.
pub(crate) enum Drained {
    /// Nothing is left.
    All(Pipe),
    /// The target takes no more now.
    Part(Loaded),
}

impl Pipe {
    /// Moves up to `most` bytes of a socket into the pipe. It is empty before, so "would block" can only mean that the source is:
    /// with bytes in it, it might as well mean that the pipe is full. On an error the pipe comes back with it.
    pub(crate) fn fill(self, source: impl AsFd, most: usize) -> Result<Filled, (Self, Errno)> {
        match splice(source, None, &self.into, None, most, FLAGS) {
            Ok(0) => Ok(Filled::End(self)),
            Ok(bytes) => Ok(Filled::Bytes(Loaded { pipe: self, bytes })),
            Err(Errno::AGAIN) => Ok(Filled::Nothing(self)),
            Err(error) => Err((self, error)),
        }
    }
}

impl Loaded {
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves to a socket what it takes. On an error the bytes stay in the pipe.
    pub(crate) fn drain(mut self, target: impl AsFd) -> Result<Drained, (Self, Errno)> {
        while self.bytes > 0 {
            match splice(&self.pipe.out, None, &target, None, self.bytes, FLAGS) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(Drained::Part(self)),
                Ok(moved) => self.bytes -= moved,
                Err(error) => return Err((self, error)),
            }
        }
        Ok(Drained::All(self.pipe))
    }
}

/// The pipes of a worker: made when they are first wanted, `most` of them at once.
pub(crate) struct Pool {
    free: Vec<Pipe>,
    lent: usize,
    most: usize,
    /// Bytes that a new pipe is to hold.
    size: usize,
    /// The kernel gave none, or a small one: it is not asked before this.
    refused_until: Moment,
    counters: Arc<Counters>,
}

impl Pool {
    pub(crate) fn new(most: usize, counters: Arc<Counters>) -> Self {
        Self::of_size(limits::ENGINE_PIPE, most, counters)
    }

    fn of_size(size: usize, most: usize, counters: Arc<Counters>) -> Self {
        Self {
            free: Vec::new(),
            lent: 0,
            most,
            size,
            refused_until: Moment::ZERO,
            counters,
        }
    }

    /// Lends a pipe; `None` where all are lent or the kernel has none to give.
    pub(crate) fn borrow(&mut self, now: Moment) -> Option<Pipe> {
        let pipe = self.free.pop().or_else(|| self.make(now));
        match pipe {
            Some(_) => self.lent += 1,
            None => self.counters.pipes_missed.add(1),
        }
        self.show();
        pipe
    }

    /// Takes a pipe back.
    pub(crate) fn give_back(&mut self, pipe: Pipe) {
        self.lent -= 1;
        self.free.push(pipe);
        self.show();
    }

    /// Destroys a pipe with what is in it.
    pub(crate) fn destroy(&mut self, loaded: Loaded) {
        drop(loaded);
        self.lent -= 1;
        self.counters.pipes_destroyed.add(1);
        self.show();
    }

    fn make(&mut self, now: Moment) -> Option<Pipe> {
        if self.free.len() + self.lent >= self.most || now < self.refused_until {
            return None;
        }
        let made = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK);
        let pipe = made.ok().map(|(out, into)| Pipe { out, into });
        let size = pipe.as_ref().map_or(0, |pipe| self.grow(pipe));
        if size < self.size {
            // Past the user's budget (pipe-user-pages-soft), or no descriptor is left. Others may give theirs back.
            self.counters.pipes_small.add(1);
            self.refused_until = now + limits::ENGINE_PIPE_RETRY;
        }
        pipe.filter(|_| size >= limits::ENGINE_PIPE_LEAST)
    }

    /// Makes a new pipe as large as it shall be, or learns how large it is.
    fn grow(&self, pipe: &Pipe) -> usize {
        fcntl_setpipe_size(&pipe.into, self.size)
            .or_else(|_refused| rustix::pipe::fcntl_getpipe_size(&pipe.into))
            .unwrap_or(0)
    }

    fn show(&self) {
        self.counters.pipes_used.set(self.lent as u64);
        self.counters.pipes_free.set(self.free.len() as u64);
    }
}
