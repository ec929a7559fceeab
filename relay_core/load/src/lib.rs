//! Many agents and clients at once, spread over processes and source addresses, and what they measure.
//!
//! The endpoints are the real ones (`telerelay_endpoint`), each by its own machine; only the desktop behind an agent and the
//! viewer in front of a client are stand-ins. Who they are lies in a folder ([`tenant`]) that several processes may share.
//!
//! Whatever is measured is open-loop where a rate is given: it counts from the moment at which it was to begin ([`pace`]), however
//! late the driver was, and how late it was is told beside it. Each command tells JSON lines ([`output`]).
pub mod commands;
mod desktop;
mod error;
mod exchange;
pub mod machine;
pub mod measure;
pub mod output;
mod pace;
pub mod sources;
pub mod stop;
pub mod tenant;
mod traffic;
mod visit;

pub use error::LoadError;
pub use traffic::way::WayError;
