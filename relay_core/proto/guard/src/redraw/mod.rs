//! The guard that draws the desktop's screen anew, with a mark over it (docs/GUARD.md §12, §13).
//!
//! To the desktop it is a viewer that asks for Raw; what it hears goes into [`screen`], clean. To the viewer it is a desktop whose
//! pictures [`outgoing`] draws with the mark, one rectangle at a time, for whoever has asked ([`viewer`]). No byte of the desktop passes.
mod colours;
mod desktop;
mod drawing;
mod mark;
mod outgoing;
mod screen;
mod viewer;
mod zrle;

pub use drawing::{Draw, Drawing, Redraw};
pub use mark::{Mark, MarkError};

/// A number that is less than 256 by where it comes from.
fn byte(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
