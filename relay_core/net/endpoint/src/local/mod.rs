//! The local side of a session: the desktop behind an agent, the viewer in front of a client.
mod address;
mod door;
mod socket;

pub use address::{InvalidLocal, LocalAddress};
pub(crate) use door::{Arrival, Reserved};
pub(crate) use socket::Local;
