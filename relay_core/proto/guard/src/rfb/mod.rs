//! The guard for RFB (RFC 6143 and its extensions; docs/GUARD.md).
//!
//! [`Guard`] joins four machines: a handshake with the viewer and one with the desktop, then what each of them may say. What both
//! directions must know of each other stands in `agreed`.
mod agreed;
mod client;
mod client_handshake;
mod desktop;
mod desktop_handshake;
mod encoding;
mod fence;
mod guard;
mod name;
mod refusal;
mod vnc_auth;

pub(crate) use fence::MARKED as MARKED_FENCE;
pub use guard::{Guard, OWN, Settings};
pub use refusal::Refusal;
pub use vnc_auth::Secret;
