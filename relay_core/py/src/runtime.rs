//! The thread on which endpoints and API connections run: one for the process, started at first use.
use std::io;
use std::sync::Mutex;

use telerelay_wire::Code;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::failure::Failure;

/// The runtime, and the process whose thread it has.
static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

/// The runtime. A process that was forked after the first call has none: threads are not forked, and what waited for one would wait
/// for ever.
pub(crate) fn handle() -> Result<Handle, Failure> {
    let mut runtime = RUNTIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, runtime)) = &*runtime {
        return if *owner == process {
            Ok(runtime.handle().clone())
        } else {
            let why =
                "the core was used before this process was forked: use it in a process of its own";
            Err(Failure::new(Code::Usage, why))
        };
    }
    let started: io::Result<Runtime> = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("telerelay-core")
        .enable_all()
        .build();
    let started = started.map_err(|error| Failure::new(Code::Machine, error))?;
    let (_, runtime) = runtime.insert((process, started));
    Ok(runtime.handle().clone())
}
