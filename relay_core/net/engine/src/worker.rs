//! A worker: one thread, one epoll, its paths, and the order in which they have their turns.
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use telerelay_wire::limits;
use telerelay_wire::time::Moment;

use crate::counters::Counters;
use crate::end::{EVENTS, kind};
use crate::flow::Tools;
use crate::live::{Live, Next};
use crate::orders::{Order, Queue};
use crate::path::{Close, Endpoint, Path, Reason};
use crate::pipes::Pool;
use crate::slots::{Key, Slots};
use crate::wheel::Wheel;

/// Whose event it is: a leg's, or the queue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token(u64);

/// No leg: places stay below 2³¹.
const ORDERS: Token = Token(u64::MAX);

pub(crate) struct Worker {
    epoll: rustix::fd::OwnedFd,
    queue: Arc<Queue>,
    paths: Slots<Live>,
    /// Paths that have something to do, in the order of their turns.
    ready: VecDeque<Key>,
    /// Ends of lingering.
    deadlines: Wheel<Key>,
    /// Paths that are over, and why; freed after the turn.
    over: Vec<(Key, Reason)>,
    /// Messages that were copied since the last look at the events; those of tests behind those of others.
    copied: [usize; 2],
    tools: Tools,
    began: Instant,
    stopping: bool,
}

impl Worker {
    pub(crate) fn new(
        queue: Arc<Queue>,
        pipes: usize,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            queue.wake(),
            epoll::EventData::new_u64(ORDERS.0),
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        )?;
        Ok(Self {
            epoll,
            queue,
            paths: Slots::new(),
            ready: VecDeque::new(),
            deadlines: Wheel::new(limits::ENGINE_TICK),
            over: Vec::new(),
            copied: [0; 2],
            tools: Tools {
                scratch: vec![0; limits::ENGINE_READ].into_boxed_slice(),
                pipes: Pool::new(pipes, counters.clone()),
                counters,
                now: Moment::ZERO,
                copied: 0,
            },
            began: Instant::now(),
            stopping: false,
        })
    }

    /// Runs until it is stopped and its last path is over. Raises what epoll raises, which it does only where the process is broken.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(limits::ENGINE_EVENTS);
        let mut orders = Vec::new();
        while !(self.stopping && self.paths.is_empty()) {
            self.wait(&mut events)?;
            let mut ordered = false;
            for event in events.drain(..) {
                match Token(event.data.u64()) {
                    ORDERS => ordered = true,
                    token => self.note(token, event.flags),
                }
            }
            if ordered {
                self.queue.take(&mut orders);
                for order in orders.drain(..) {
                    self.obey(order);
                }
            }
            // Those that are queued again have their turn after the next look at the events.
            for _ in 0..self.ready.len() {
                if let Some(key) = self.ready.pop_front() {
                    self.turn(key);
                }
            }
            self.count_waits();
            self.expire();
            self.free();
        }
        Ok(())
    }

    /// Waits for events: not at all while paths are ready, no longer than to the next deadline.
    fn wait(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let timeout = if self.ready.is_empty() {
            self.deadlines.next().map(|next| timespec(next, self.now()))
        } else {
            Some(Timespec::default())
        };
        match epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.tools.counters.wake_ups.add(1);
        self.tools.now = self.now();
        Ok(())
    }

    fn now(&self) -> Moment {
        Moment::ZERO + self.began.elapsed()
    }

    fn note(&mut self, token: Token, events: epoll::EventFlags) {
        let (key, of) = token.parts();
        if let Some(path) = self.paths.get_mut(key) {
            path.note(of, events);
            self.make_ready(key);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Adopt(key, path) => self.adopt(key, path),
            Order::Close(key, how) => self.close(key, how),
            Order::Stop(how) => {
                self.stopping = true;
                for key in self.paths.keys() {
                    self.close(key, how);
                }
            }
        }
    }

    fn adopt(&mut self, key: Key, path: Path) {
        let path = Live::new(path);
        // What came before is tried in this turn, what comes after is an edge.
        let refused = Endpoint::BOTH.iter().find_map(|of| {
            let data = epoll::EventData::new_u64(Token::new(key, *of).0);
            let added = epoll::add(&self.epoll, path.socket(*of), data, EVENTS);
            added.err().map(|error| Reason::Failed(*of, kind(error)))
        });
        self.paths.insert(key, path);
        self.tools.counters.paths.add(1);
        match refused {
            None => self.make_ready(key),
            Some(reason) => self.over.push((key, reason)),
        }
    }

    fn close(&mut self, key: Key, how: Close) {
        let Some(path) = self.paths.get_mut(key) else {
            return;
        };
        match how {
            Close::Linger => {
                if path.lingering().is_none() {
                    path.linger(Reason::Ordered);
                    self.begin_lingering(key);
                }
                self.make_ready(key);
            }
            Close::Reset => {
                path.reset_when_closed();
                let reason = path.lingering().unwrap_or(Reason::Ordered);
                self.over.push((key, reason));
            }
        }
    }

    fn make_ready(&mut self, key: Key) {
        if let Some(path) = self.paths.get_mut(key)
            && !path.queued
        {
            path.queued = true;
            self.ready.push_back(key);
        }
    }

    fn begin_lingering(&mut self, key: Key) {
        self.tools.counters.lingering.add(1);
        self.deadlines.insert(self.tools.now + limits::LINGER, key);
    }

    fn turn(&mut self, key: Key) {
        let Some(path) = self.paths.get_mut(key) else {
            return;
        };
        path.queued = false;
        let lingered = path.lingering().is_some();
        let next = path.turn(&mut self.tools);
        self.copied[usize::from(path.test)] += std::mem::take(&mut self.tools.copied);
        if !lingered && path.lingering().is_some() {
            self.begin_lingering(key);
        }
        match next {
            Next::Event => {}
            Next::Turn => {
                self.tools.counters.turns_cut.add(1);
                self.make_ready(key);
            }
            Next::Over(reason) => self.over.push((key, reason)),
        }
    }

    /// None of the messages that were copied has waited longer than from the look at the events until now: one look at the clock
    /// serves them all.
    fn count_waits(&mut self) {
        if self.copied == [0; 2] {
            return;
        }
        let wait = self.now() - self.tools.now;
        for (waits, copied) in self.tools.counters.waits.iter().zip(&mut self.copied) {
            waits.add(wait, std::mem::take(copied));
        }
    }

    /// Those that have lingered long enough are over.
    fn expire(&mut self) {
        let Self {
            deadlines,
            paths,
            over,
            tools,
            ..
        } = self;
        deadlines.expire(tools.now, |key| {
            if let Some(reason) = paths.get_mut(key).and_then(|path| path.lingering()) {
                over.push((key, reason));
            }
        });
    }

    /// Frees what is over, and tells. Not earlier: all events of this turn have been noted, so none can be left of these.
    fn free(&mut self) {
        if self.over.is_empty() {
            return;
        }
        let mut freed = Vec::new();
        let mut told = Vec::new();
        for (key, reason) in self.over.drain(..) {
            let Some(path) = self.paths.remove(key) else {
                continue;
            };
            let counters = &self.tools.counters;
            counters.paths.subtract(1);
            if path.lingering().is_some() {
                counters.lingering.subtract(1);
            }
            freed.push(key);
            told.push(path.close(reason, &mut self.tools.pipes));
        }
        self.queue.give_back(freed);
        for (done, outcome) in told {
            done(outcome);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl Token {
    fn new(key: Key, of: Endpoint) -> Self {
        Self(u64::from(key.number) << 32 | u64::from(key.place) << 1 | of as u64)
    }

    fn parts(self) -> (Key, Endpoint) {
        let [of, place, number] = [
            self.0 & 1,
            (self.0 & u64::from(u32::MAX)) >> 1,
            self.0 >> 32,
        ];
        let key = Key {
            place: u32::try_from(place).unwrap_or(u32::MAX),
            number: u32::try_from(number).unwrap_or(u32::MAX),
        };
        (
            key,
            if of == 0 {
                Endpoint::Agent
            } else {
                Endpoint::Client
            },
        )
    }
}

/// How long it is to a deadline. Rounded up by epoll, to milliseconds.
fn timespec(deadline: Moment, now: Moment) -> Timespec {
    let left = deadline - now;
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    }
}
