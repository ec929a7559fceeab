//! The engine: its workers, and how they are started and stopped.
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use telerelay_wire::limits;

use crate::counters::{Counters, Counts, Waits};
use crate::orders::{Handle, Queue};
use crate::path::Close;
use crate::worker::Worker;

/// How an engine is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Threads, one at least; as many as there are cores for them.
    pub workers: usize,
    /// Pipes of a worker, two descriptors each; none: everything is copied.
    pub pipes: usize,
}

impl Config {
    /// So many workers, with the pipes of `engine_pipes` each.
    pub const fn new(workers: usize) -> Self {
        Self {
            workers,
            pipes: limits::ENGINE_PIPES,
        }
    }
}

/// Threads that carry direct paths.
///
/// SIGPIPE must be ignored in the process, as Rust's and Python's runtimes do: a splice cannot be told not to raise it.
pub struct Engine {
    workers: Vec<Running>,
}

struct Running {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Engine {
    /// Starts the workers. Raises what making an epoll, an eventfd or a thread raises; those that run already are stopped then.
    pub fn start(config: Config) -> io::Result<Self> {
        let mut engine = Self {
            workers: Vec::new(),
        };
        for number in 0..config.workers.max(1) {
            engine.workers.push(Running::start(number, config.pipes)?);
        }
        Ok(engine)
    }

    /// How many workers there are.
    pub const fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Gives orders to a worker; behind the last one comes the first again.
    pub fn worker(&self, number: usize) -> Handle {
        Handle::new(self.workers[number % self.workers.len()].queue.clone())
    }

    /// What all workers have counted.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for worker in &self.workers {
            counts.add(&worker.counters);
        }
        counts
    }

    /// How long the messages of all workers have waited, from the event that told of them until the other leg had taken them: those
    /// of tests, or those of others. Counted are those that were copied and taken at once.
    pub fn waits(&self, test: bool) -> Waits {
        let mut waits = Waits::default();
        for worker in &self.workers {
            waits.add(&worker.counters.waits[usize::from(test)]);
        }
        waits
    }

    /// Closes every path; those that are handed over from now on are given back. Does not wait: a worker's thread ends with its
    /// last path, within `linger_s`.
    pub fn stop(&self, how: Close) {
        for worker in &self.workers {
            worker.queue.stop(how);
        }
    }

    /// Waits for the threads to end; without [`Self::stop`] that may be for ever. Raises why a worker failed; a panic of one, or of a
    /// [`Done`](crate::Done) that it called, goes on here.
    pub fn join(mut self) -> io::Result<()> {
        self.workers.iter_mut().try_for_each(Running::join)
    }
}

impl Drop for Engine {
    /// Resets every path that there still is.
    fn drop(&mut self) {
        self.stop(Close::Reset);
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // Who wants to know calls `join`.
                let _unasked = thread.join();
            }
        }
    }
}

impl Running {
    fn start(number: usize, pipes: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue::new()?);
        let counters = Arc::new(Counters::default());
        let worker = Worker::new(queue.clone(), pipes, counters.clone())?;
        let thread = thread::Builder::new()
            .name(format!("telerelay-eng-{number}"))
            .spawn(move || worker.run())?;
        Ok(Self {
            queue,
            counters,
            thread: Some(thread),
        })
    }

    fn join(&mut self) -> io::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}
