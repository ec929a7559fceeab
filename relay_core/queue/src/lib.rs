//! The way from the core's threads to Python: a bounded queue, and an eventfd that says that it is not empty.
//!
//! Python may stand still for seconds. What begins something new is refused when the queue is full; what ends something that Python
//! knows always fits, since each of those was let in by a place of its own: the queue never holds more than `capacity` beginnings and an
//! end for each.
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

/// The queue was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A queue with one reader, Python's event loop.
pub struct Queue<E> {
    items: Mutex<VecDeque<E>>,
    capacity: usize,
    readable: OwnedFd,
}

impl<E> Queue<E> {
    /// `capacity` counts events.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let readable = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self {
            items: Mutex::default(),
            capacity,
            readable,
        })
    }

    /// The descriptor that is readable while the queue is not empty.
    pub fn descriptor(&self) -> RawFd {
        self.readable.as_raw_fd()
    }

    /// Puts something new in, where there is a place.
    pub fn offer(&self, event: E) -> Result<(), Full> {
        let items = self.lock();
        if items.len() >= self.capacity {
            return Err(Full);
        }
        self.place(items, event);
        Ok(())
    }

    /// Puts the end of something in, whose beginning was let in.
    pub fn close(&self, event: E) {
        self.place(self.lock(), event);
    }

    /// Events that wait.
    pub fn waiting(&self) -> usize {
        self.lock().len()
    }

    /// Takes up to `limit` events.
    pub fn take(&self, limit: usize) -> Vec<E> {
        let mut items = self.lock();
        let count = limit.min(items.len());
        let taken = items.drain(..count).collect();
        if items.is_empty() {
            // Under the lock, so that the signal of an event that comes now is not taken with it. EAGAIN: nothing was signalled.
            let _ = rustix::io::read(&self.readable, &mut [0; 8]);
        }
        taken
    }

    fn place(&self, mut items: MutexGuard<'_, VecDeque<E>>, event: E) {
        if items.is_empty() {
            // EAGAIN: the counter is at its top, so the descriptor is readable anyway.
            let _ = rustix::io::write(&self.readable, &1_u64.to_ne_bytes());
        }
        items.push_back(event);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<E>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
