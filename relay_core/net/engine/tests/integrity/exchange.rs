//! Many paths side by side, in one thread: all their endpoints have their turns, and some paths are broken on the way.
use std::time::Instant;

use rustix::event::{Timespec, poll};

use super::endpoint::{Endpoint, buffer};
use super::kit::{LATE, Numbers};

/// Paths side by side in a thread.
const AT_ONCE: usize = 32;

/// A path with both its endpoints.
pub(crate) struct Exchange {
    pub(crate) agent: Endpoint,
    pub(crate) client: Endpoint,
    pub(crate) fault: Option<Fault>,
    /// Told how many bytes client and agent have got, once both are through.
    pub(crate) through: Box<dyn FnOnce([u64; 2]) + Send>,
}

/// Done to the agent and the client of a path.
type Happen = Box<dyn FnOnce(&mut Endpoint, &mut Endpoint) + Send>;

/// What happens to a path on its way.
pub(crate) struct Fault {
    /// Bytes that the client has got by then.
    pub(crate) at: u64,
    pub(crate) happen: Happen,
}

/// Runs all of them to their ends.
pub(crate) fn run(mut begin: impl Iterator<Item = Exchange>, numbers: &mut Numbers) {
    let mut buffer = buffer();
    let mut running: Vec<Exchange> = Vec::new();
    let mut moved = Instant::now();
    loop {
        running.extend(begin.by_ref().take(AT_ONCE - running.len()));
        if running.is_empty() {
            return;
        }
        let mut progress = false;
        for exchange in &mut running {
            progress |= exchange.step(numbers, &mut buffer);
        }
        for exchange in running.extract_if(.., |exchange| exchange.is_through()) {
            (exchange.through)([exchange.client.got(), exchange.agent.got()]);
        }
        if progress {
            moved = Instant::now();
        } else {
            assert!(
                moved.elapsed() < LATE,
                "{} paths stand still",
                running.len()
            );
            wait(&running);
        }
    }
}

/// Waits until one of them can go on.
fn wait(running: &[Exchange]) {
    let ends = running
        .iter()
        .flat_map(|exchange| [&exchange.agent, &exchange.client]);
    let mut waiting: Vec<_> = ends.filter_map(Endpoint::waits).collect();
    let most = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    poll(&mut waiting, Some(&most)).unwrap();
}

impl Exchange {
    /// Whether anything was done.
    fn step(&mut self, numbers: &mut Numbers, buffer: &mut [u8]) -> bool {
        let got = self.client.got();
        if let Some(fault) = self.fault.take_if(|fault| got >= fault.at) {
            (fault.happen)(&mut self.agent, &mut self.client);
        }
        self.agent.step(numbers, buffer) | self.client.step(numbers, buffer)
    }

    fn is_through(&self) -> bool {
        self.agent.is_through() && self.client.is_through()
    }
}
