//! The guard that draws anew, from outside: between a desktop and a viewer that share no code with it (docs/GUARD.md §12, §13).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod desk;
mod home;
mod hostile;
mod pace;
mod pictures;
mod play;
mod told;
