//! Pipes for splicing, and the pool that lends them.
//!
//! What a pipe holds belongs to one path, and whoever borrows it next would send it to somebody else. So the types tell the two
//! apart: a [`Pipe`] is empty and is what the pool lends and takes back, a [`Loaded`] one holds bytes and becomes a [`Pipe`] again
//! only by having given out the last of them. It cannot be given back otherwise, only destroyed.
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use telerelay_wire::limits;
use telerelay_wire::time::Moment;

use crate::counters::Counters;

/// Never `MORE`: it would hold a last small segment back for 200 ms.
const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

/// The last pipe that was asked for was refused or small. The budget is the user's, so that one worker tells it for all.
static SCARCE: AtomicBool = AtomicBool::new(false);

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
        let made = made.map(|(out, into)| Pipe { out, into });
        let size = made
            .as_ref()
            .map(|pipe| self.grow(pipe))
            .map_err(|error| *error);
        if size.is_ok_and(|size| size >= self.size) {
            if SCARCE.swap(false, Ordering::Relaxed) {
                tracing::info!("pipes are as large as they should be again");
            }
        } else {
            // Past the user's budget (pipe-user-pages-soft), or no descriptor is left. Others may give theirs back.
            self.counters.pipes_small.add(1);
            self.refused_until = now + limits::ENGINE_PIPE_RETRY;
            if !SCARCE.swap(true, Ordering::Relaxed) {
                self.warn(size);
            }
        }
        made.ok()
            .filter(|_| size.is_ok_and(|size| size >= limits::ENGINE_PIPE_LEAST))
    }

    /// Tells the operator what became of a pipe, and what to do.
    fn warn(&self, size: Result<usize, Errno>) {
        match size {
            Ok(size) => tracing::warn!(
                code = "MACHINE",
                size,
                wanted = self.size,
                "pipes are small, so that bulk costs more: raise fs.pipe-user-pages-soft, telerelay doctor says to what"
            ),
            Err(error) => tracing::warn!(
                code = "MACHINE",
                %error,
                "there are no pipes, so that bulk costs more: raise the number of descriptors, telerelay doctor says to what"
            ),
        }
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        here.set_nonblocking(true).unwrap();
        (here, there)
    }

    fn pool(size: usize, most: usize) -> (Pool, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        (Pool::of_size(size, most, counters.clone()), counters)
    }

    /// More than any pipe can have: the kernel refuses, as it refuses users past their budget, and the pipe keeps its first size.
    const REFUSED: usize = 1 << 40;

    #[test]
    fn as_many_are_lent_as_there_are_and_no_more() {
        let (mut pool, counters) = pool(limits::ENGINE_PIPE, 2);
        let first = pool.borrow(Moment::ZERO).unwrap();
        let _second = pool.borrow(Moment::ZERO).unwrap();
        assert!(pool.borrow(Moment::ZERO).is_none());
        assert_eq!(counters.pipes_missed.get(), 1);
        assert_eq!(counters.pipes_used.get(), 2);
        pool.give_back(first);
        assert_eq!(
            (counters.pipes_used.get(), counters.pipes_free.get()),
            (1, 1)
        );
        assert!(pool.borrow(Moment::ZERO).is_some());
        assert_eq!(counters.pipes_small.get(), 0);
    }

    #[test]
    fn a_small_pipe_is_noticed_used_and_not_asked_for_again_at_once() {
        let (mut pool, counters) = pool(REFUSED, 3);
        assert!(
            pool.borrow(Moment::ZERO).is_some(),
            "64 KiB, the kernel's own size"
        );
        assert_eq!(counters.pipes_small.get(), 1);
        assert!(pool.borrow(Moment::ZERO).is_none(), "copied meanwhile");
        assert_eq!(counters.pipes_small.get(), 1, "nobody was asked");
        let later = Moment::ZERO + limits::ENGINE_PIPE_RETRY;
        assert!(pool.borrow(later).is_some());
        assert_eq!(counters.pipes_small.get(), 2);
    }

    #[test]
    fn a_pipe_that_moves_less_than_copying_is_not_used() {
        let (mut pool, counters) = pool(4_096, 3);
        assert!(pool.borrow(Moment::ZERO).is_none());
        assert_eq!(
            (counters.pipes_used.get(), counters.pipes_free.get()),
            (0, 0)
        );
    }

    #[test]
    fn a_pipe_is_empty_again_only_when_all_was_given_out() {
        let (mut pool, counters) = pool(limits::ENGINE_PIPE, 1);
        let (source, mut sender) = pair();
        let (target, mut receiver) = pair();
        let pipe = pool.borrow(Moment::ZERO).unwrap();
        let Ok(Filled::Nothing(pipe)) = pipe.fill(&source, 100) else {
            panic!("there is nothing to read")
        };
        sender.write_all(b"0123456789").unwrap();
        sender.shutdown(std::net::Shutdown::Write).unwrap();
        let Filled::Bytes(loaded) = filled(pipe, &source, 4) else {
            panic!("there is something to read")
        };
        assert_eq!(loaded.bytes(), 4);
        let Ok(Drained::All(pipe)) = loaded.drain(&target) else {
            panic!("the target takes it")
        };
        let mut got = [0; 4];
        receiver.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"0123");
        let Filled::Bytes(loaded) = filled(pipe, &source, 100) else {
            panic!("there is something to read")
        };
        assert_eq!(loaded.bytes(), 6);
        // With bytes in it, it does not go back.
        pool.destroy(loaded);
        assert_eq!(
            (counters.pipes_used.get(), counters.pipes_free.get()),
            (0, 0)
        );
        assert_eq!(counters.pipes_destroyed.get(), 1);
        let pipe = pool.borrow(Moment::ZERO).unwrap();
        assert!(matches!(filled(pipe, &source, 100), Filled::End(_)));
    }

    /// Fills a pipe as soon as there is something.
    fn filled(mut pipe: Pipe, source: &TcpStream, most: usize) -> Filled {
        loop {
            match pipe.fill(source, most) {
                Ok(Filled::Nothing(empty)) => pipe = empty,
                Ok(filled) => return filled,
                Err((_, error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_target_that_is_gone_is_an_error_and_no_signal() {
        let (mut pool, _) = pool(limits::ENGINE_PIPE, 1);
        let (source, mut sender) = pair();
        let (target, receiver) = pair();
        sender.write_all(&[7; 1_000]).unwrap();
        socket2::SockRef::from(&receiver)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(receiver);
        let Filled::Bytes(mut loaded) = filled(pool.borrow(Moment::ZERO).unwrap(), &source, 1_000)
        else {
            panic!("there is something to read")
        };
        // The reset is told once, then it is a broken pipe.
        for expected in [Errno::CONNRESET, Errno::PIPE] {
            let Err((left, error)) = loaded.drain(&target) else {
                panic!("nobody takes it")
            };
            assert_eq!(error, expected);
            assert_eq!(left.bytes(), 1_000);
            loaded = left;
        }
        pool.destroy(loaded);
    }
}
