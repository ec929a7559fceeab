//! What distance does to packets: each of a queue waits its time, in the order in which they came.
//!
//! The kernel asks here about each packet that a rule sends to the queue (NFQUEUE), and this one lets it go on when it has waited: the
//! delay of netem, for kernels without it. Packets themselves stay in the kernel.
use std::collections::VecDeque;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use nfq::{Message, Queue};

/// How many packets may wait: 100 Mbit/s of the shortest for 20 ms are fewer. The kernel drops what is more.
const MOST: u32 = 8_192;
/// How often new packets are looked for while others wait: the most by which one is late, with the kernel's own 50 µs.
const LOOK: Duration = Duration::from_micros(50);

/// Packets that wait, the next one to go first.
pub(crate) struct Distance {
    queue: Queue,
    delay: Duration,
    held: VecDeque<(Instant, Message)>,
}

impl Distance {
    /// Of this network's queue `number`. Needs the right to configure the network.
    pub(crate) fn new(number: u16, delay: Duration) -> io::Result<Self> {
        let mut queue = Queue::open()?;
        queue.bind(number)?;
        // Nothing of a packet is looked at.
        queue.set_copy_range(number, 0)?;
        queue.set_queue_max_len(number, MOST)?;
        Ok(Self {
            queue,
            delay,
            held: VecDeque::new(),
        })
    }

    /// Holds and lets go, until the queue cannot be asked any more.
    pub(crate) fn hold(mut self) -> io::Result<()> {
        loop {
            let came = self.next()?;
            let (now, is_quiet) = (Instant::now(), came.is_none());
            self.held
                .extend(came.map(|packet| (now + self.delay, packet)));
            self.let_go(now)?;
            if let Some((due, _)) = self.held.front().filter(|_| is_quiet) {
                thread::sleep(due.saturating_duration_since(now).min(LOOK));
            }
        }
    }

    /// The packet that came next; where others wait, only if it is there already.
    fn next(&mut self) -> io::Result<Option<Message>> {
        self.queue.set_nonblocking(!self.held.is_empty());
        match self.queue.recv() {
            Ok(packet) => Ok(Some(packet)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn let_go(&mut self, now: Instant) -> io::Result<()> {
        while let Some((_, packet)) = self.held.pop_front_if(|(due, _)| *due <= now) {
            // Accepted, which is what a verdict is unless it is changed.
            self.queue.verdict(packet)?;
        }
        Ok(())
    }
}
