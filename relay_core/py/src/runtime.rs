//! The thread on which endpoints and API connections run: one for the process, started at first use.
use std::io;
use std::sync::Mutex;

use telerelay_wire::Code;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::failure::Failure;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// The runtime. Never fork after the first call.
pub(crate) fn handle() -> Result<Handle, Failure> {
    let mut runtime = RUNTIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(runtime) = &*runtime {
        return Ok(runtime.handle().clone());
    }
    let started: io::Result<Runtime> = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("telerelay-core")
        .enable_all()
        .build();
    let started = started.map_err(|error| Failure::new(Code::Machine, error))?;
    Ok(runtime.insert(started).handle().clone())
}
