//! What the driver does: one module a command.
pub mod agents;
pub mod connect;
pub mod handshakes;
pub mod hold;
pub mod reference;
pub mod strangers;
pub mod traffic;
