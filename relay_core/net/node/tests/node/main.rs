//! A relay node on real sockets: who is let in, how legs are paired, what a path carries and how it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod credulous;
mod hello;
mod kit;
mod pairing;
mod path;
mod peer;
mod stop;
mod strangers;
mod switch;
