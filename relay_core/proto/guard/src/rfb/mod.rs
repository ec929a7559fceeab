//! The guard for RFB (RFC 6143 and its extensions; docs/GUARD.md).
//!
//! [`Between`] joins a handshake with the viewer and one with the desktop, then what each of them may say. Behind the handshakes
//! [`Guard`] follows the desktop; what both directions must know of each other for that stands in `agreed`. `redraw` is the other way.
mod agreed;
pub(crate) mod client;
mod client_handshake;
mod desktop;
pub(crate) mod desktop_handshake;
pub(crate) mod encoding;
mod fence;
mod follow;
pub(crate) mod guard;
pub(crate) mod head;
pub(crate) mod name;
mod refusal;
mod vnc_auth;

pub(crate) use fence::MARKED as MARKED_FENCE;
pub use follow::{Follow, Following, Guard};
pub use guard::{Between, OWN, Settings};
pub use refusal::Refusal;
pub use vnc_auth::Secret;
