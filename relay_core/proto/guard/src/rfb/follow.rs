//! The guard that follows: what the tables name goes on as it came (docs/GUARD.md §5 to §8).
use telerelay_wire::Moment;

use super::agreed::Agreed;
use super::desktop::Desktop;
use super::desktop_handshake::Begun;
use super::guard::{Between, Mode, OWN, Running, Settings};
use super::refusal::Refusal;
use crate::feed::{Feed, Sink, Stop};

/// A guard that follows.
pub type Guard = Between<Follow, Following>;

/// To follow.
#[derive(Debug)]
pub struct Follow;

/// What is followed.
#[derive(Debug)]
pub struct Following {
    agreed: Agreed,
    desktop: Desktop,
}

impl Guard {
    /// Begins a session with a desktop that is connected, and greets the viewer.
    pub fn begin(settings: Settings, now: Moment, sink: &mut dyn Sink) -> Self {
        Self::greet(Follow, settings, now, sink)
    }
}

impl Mode<Following> for Follow {
    fn begin(&mut self, begun: &Begun, feed: &mut Feed<'_>) -> Result<Following, Refusal> {
        begun.tell(&begun.format, feed);
        Ok(Following {
            agreed: Agreed::new(begun.pixels),
            desktop: Desktop::behind_name(begun.name_left),
        })
    }
}

impl Running for Following {
    type Picture = Agreed;

    fn picture(&mut self) -> &mut Agreed {
        &mut self.agreed
    }

    fn desktop_step(&mut self, feed: &mut Feed<'_>) -> Result<(), Stop> {
        self.desktop.step(feed, &mut self.agreed)
    }

    /// What the guard itself says to the viewer has room beside what passes.
    fn desktop_room(&self, room: usize) -> usize {
        room.saturating_sub(OWN)
    }

    fn draw(&mut self, _: usize, _: &mut dyn Sink) -> usize {
        0
    }

    fn ask(&mut self, _: &mut dyn Sink) {}
}
