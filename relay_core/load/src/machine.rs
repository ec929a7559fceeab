//! What the driver has and takes of this machine.
use std::io;

use procfs::process::Process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::LoadError;

/// Beside the endpoints' sockets: standard streams, the runtime, the desktop's listener.
const OWN_DESCRIPTORS: usize = 64;

/// How many things of so many descriptors each this process may have at once.
pub fn room_for(each: usize) -> usize {
    descriptors().saturating_sub(OWN_DESCRIPTORS) / each
}

/// Fails where this process may not have so many descriptors beside its own.
pub(crate) fn require(endpoints: usize) -> Result<(), LoadError> {
    let (needed, most) = (endpoints.saturating_add(OWN_DESCRIPTORS), descriptors());
    if needed <= most {
        Ok(())
    } else {
        Err(LoadError::Descriptors { needed, most })
    }
}

/// Takes as many descriptors as the process may have.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // One that may not be raised stays what it is.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    })
}

/// What the driver has used by now.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    /// Processor time of all threads, user and system, seconds.
    pub cpu_s: f64,
    /// Resident memory, bytes.
    pub memory_bytes: u64,
}

impl Usage {
    /// Until now, of this process.
    pub fn now() -> io::Result<Self> {
        let stat = Process::myself()
            .and_then(|process| process.stat())
            .map_err(io::Error::other)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "ticks of a process that ran for days are below 2^52"
        )]
        let cpu_s = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        Ok(Self {
            cpu_s,
            memory_bytes: stat.rss * procfs::page_size(),
        })
    }
}
