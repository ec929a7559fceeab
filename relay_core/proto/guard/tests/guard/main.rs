//! The guard from outside: conversations that say of each piece what becomes of it, given to it at every cut.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod desktop;
mod desktops;
mod handshakes;
mod pixels;
mod random;
mod talk;
