//! What a worker is told to do: a queue with a bound, and an eventfd that wakes the worker.
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::ioctl_fionbio;
use telerelay_wire::limits;

use crate::path::{Close, Path};
use crate::slots::{Key, Places};

/// Gives orders to one worker. Clones give orders to the same one.
#[derive(Clone)]
pub struct Handle(Arc<Queue>);

/// The name of a path that was adopted. Dropping it does nothing.
pub struct PathKey {
    queue: Arc<Queue>,
    key: Key,
}

/// An order.
pub(crate) enum Order {
    Adopt(Key, Path),
    Close(Key, Close),
    /// Closes every path and takes no more.
    Stop(Close),
}

/// The orders of one worker, and the names of its paths.
///
/// Adoptions have a bound; a path is closed by an order at most once, because that consumes its name, so that the closes have the
/// bound that the paths have.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    wake: OwnedFd,
}

struct Waiting {
    orders: Vec<Order>,
    adoptions: usize,
    places: Places,
    /// Paths are taken.
    open: bool,
}

impl Handle {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self(queue)
    }

    /// Hands a path over, and never waits. It is carried from the worker's next turn on; nothing that arrives meanwhile is lost.
    ///
    /// Gives the path back, and tells nobody, where the engine has been stopped, too many wait to be taken (`engine_orders`), or a
    /// socket is none.
    pub fn adopt(&self, path: Path) -> Result<PathKey, Path> {
        // One socket that blocks would stop all paths of the worker: a splice waits for its target.
        let both = [&path.agent.socket, &path.client.socket];
        if both
            .iter()
            .any(|socket| ioctl_fionbio(socket, true).is_err())
        {
            return Err(path);
        }
        self.0.adopt(path).map(|key| PathKey {
            queue: self.0.clone(),
            key,
        })
    }
}

impl PathKey {
    /// Closes the path, unless it has ended. Never waits; the end is told as every other one.
    pub fn close(self, how: Close) {
        self.queue.post(Order::Close(self.key, how));
    }
}

impl Queue {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            waiting: Mutex::new(Waiting {
                orders: Vec::new(),
                adoptions: 0,
                places: Places::default(),
                open: true,
            }),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    fn adopt(&self, path: Path) -> Result<Key, Path> {
        let mut waiting = self.lock();
        if !waiting.open || waiting.adoptions >= limits::ENGINE_ORDERS {
            return Err(path);
        }
        waiting.adoptions += 1;
        let key = waiting.places.take();
        self.push(waiting, Order::Adopt(key, path));
        Ok(key)
    }

    /// Stops the worker. What was ordered before is done before.
    pub(crate) fn stop(&self, how: Close) {
        let mut waiting = self.lock();
        waiting.open = false;
        self.push(waiting, Order::Stop(how));
    }

    /// The worker is gone: nobody takes what waits.
    pub(crate) fn abandon(&self) {
        let orders = {
            let mut waiting = self.lock();
            waiting.open = false;
            std::mem::take(&mut waiting.orders)
        };
        // Without the lock: a path that is dropped may have something to say.
        drop(orders);
    }

    /// What the worker waits for.
    pub(crate) fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Takes all orders in their order; `orders` is empty before.
    pub(crate) fn take(&self, orders: &mut Vec<Order>) {
        let mut waiting = self.lock();
        waiting.adoptions = 0;
        std::mem::swap(&mut waiting.orders, orders);
    }

    /// Gives back the places of paths that are gone.
    pub(crate) fn give_back(&self, keys: impl IntoIterator<Item = Key>) {
        let mut waiting = self.lock();
        keys.into_iter()
            .for_each(|key| waiting.places.give_back(key));
    }

    fn post(&self, order: Order) {
        self.push(self.lock(), order);
    }

    fn push(&self, mut waiting: MutexGuard<'_, Waiting>, order: Order) {
        let sleeps = waiting.orders.is_empty();
        waiting.orders.push(order);
        drop(waiting);
        if sleeps {
            // The counter of an eventfd is full after 2⁶⁴ writes; an edge-triggered worker never needs to read it.
            let _never_full = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
