//! Many agents and clients at once, spread over processes and source addresses, and what they measure.
//!
//! The endpoints are the real ones (`telerelay_endpoint`), each by its own machine; only the desktop behind an agent and the
//! viewer in front of a client are stand-ins. Who they are lies in a folder ([`tenant`]) that several processes may share.
//!
//! Whatever is measured is open-loop where a rate is given: it counts from the moment at which it was to begin ([`pace`]), however
//! late the driver was, and how late it was is told beside it. Each command tells JSON lines ([`output`]).
pub mod commands;
mod conversation;
mod desktop;
mod error;
mod exchange;
pub mod fleet;
pub mod machine;
pub mod measure;
pub mod output;
mod pace;
pub mod play;
pub mod sources;
pub mod stop;
pub mod tenant;
mod traffic;
mod visit;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use error::LoadError;
pub use traffic::way::WayError;

/// Counters are whole also where somebody who held them panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
