//! The guard: what passes between a viewer and the office desktop, as pure state machines (docs/GUARD.md).
//!
//! A protocol break in the agent, above the session layer: bytes and time come in, bytes go out to two sinks. It knows no
//! socket, no clock, no session. [`rfb::Guard`] follows the desktop and allocates nothing; its outputs do not depend on how its inputs
//! are cut. [`redraw::Redraw`] draws the screen anew, with a mark over it, and asks the desktop for it in turns with what the client says.
//!
//! # How an owner drives it
//!
//! | what happened | call |
//! |---|---|
//! | the desktop is connected | [`rfb::Guard::begin`], or [`redraw::Redraw::begin`] |
//! | the session delivers bytes of the client | [`Machine::client_bytes`] |
//! | the desktop's socket gave bytes | [`Machine::desktop_bytes`], at most [`Machine::desktop_room`] |
//! | there is room for the viewer | [`Machine::draw`], until it gives nothing |
//! | [`Machine::next_timeout`] has come | [`Machine::timeout`] |
//! | a call gives a [`rfb::Refusal`] | close the session with its code; what was put before it is still to be sent |
//!
//! [`Machine::last_input`] is where the idle timeout counts from.
#![forbid(unsafe_code)]

mod feed;
pub mod redraw;
pub mod rfb;

use core::fmt::Debug;

pub use feed::{Side, Sink};
use telerelay_wire::Moment;

/// A guard of one session, whatever it does with the screen.
pub trait Machine: Debug + Send {
    /// Takes all of what the client said.
    fn client_bytes(
        &mut self,
        bytes: &[u8],
        now: Moment,
        sink: &mut dyn Sink,
    ) -> Result<(), rfb::Refusal>;

    /// How many bytes of the desktop may be taken while there is room for `room` for the viewer.
    fn desktop_room(&self, room: usize) -> usize;

    /// Takes all of what the desktop said.
    fn desktop_bytes(
        &mut self,
        bytes: &[u8],
        now: Moment,
        sink: &mut dyn Sink,
    ) -> Result<(), rfb::Refusal>;

    /// Puts what it has drawn for the viewer, at most `room` bytes: how many.
    fn draw(&mut self, room: usize, sink: &mut dyn Sink) -> usize;

    /// When [`timeout`](Self::timeout) is to be called, unless bytes come before.
    fn next_timeout(&self) -> Option<Moment>;

    /// Time has passed.
    fn timeout(&mut self, now: Moment) -> Result<(), rfb::Refusal>;

    /// Whether both handshakes are done: the viewer shows the desktop.
    fn is_ready(&self) -> bool;

    /// When the client's last key or pointer event came (§9).
    fn last_input(&self) -> Option<Moment>;
}
