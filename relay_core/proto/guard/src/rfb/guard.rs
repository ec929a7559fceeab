//! The guard of one session: the viewer on one side, the desktop on the other (docs/GUARD.md §2).
use core::convert::Infallible;
use core::fmt::Debug;

use telerelay_wire::{Moment, limits};

use super::client::{Client, Picture};
use super::client_handshake::ClientHandshake;
use super::desktop_handshake::{Begun, DesktopHandshake};
use super::refusal::Refusal;
use super::vnc_auth::Secret;
use crate::Machine;
use crate::feed::{Feed, Held, Side, Sink, Stop};

/// The most that a call gives to one side beyond the bytes that came in, where the guard follows: a name, and the fixed parts around it.
pub const OWN: usize = limits::GUARD_NAME + 64;

/// What the rules and the agent's configuration say about a session.
#[derive(Debug, Default)]
pub struct Settings {
    /// Keys, pointer and sizes of the client are dropped (§9).
    pub view_only: bool,
    /// What the desktop asks for where it wants `VncAuth` (§4).
    pub secret: Option<Secret>,
}

/// What a guard is to do with the screen: follow the desktop's, or draw its own.
pub(crate) trait Mode<R>: Debug + Send {
    /// The desktop has said what it is: tells the viewer of it, and begins.
    fn begin(&mut self, begun: &Begun, feed: &mut Feed<'_>) -> Result<R, Refusal>;
}

/// What it does, behind both handshakes.
pub(crate) trait Running: Debug + Send {
    /// What the client's wishes come to.
    type Picture: Picture;

    /// Where they are kept.
    fn picture(&mut self) -> &mut Self::Picture;

    /// The rest of what the desktop says and the next head.
    fn desktop_step(&mut self, feed: &mut Feed<'_>) -> Result<(), Stop>;

    /// As [`Machine::desktop_room`].
    fn desktop_room(&self, room: usize) -> usize;

    /// As [`Machine::draw`].
    fn draw(&mut self, room: usize, sink: &mut dyn Sink) -> usize;

    /// What one side said was heard: asks the desktop for what the viewer lacks.
    fn ask(&mut self, sink: &mut dyn Sink);
}

/// What stands between a viewer and a desktop.
#[derive(Debug)]
pub struct Between<M, R> {
    client_handshake: Option<ClientHandshake>,
    desktop_handshake: DesktopHandshake,
    client: Client,
    mode: M,
    /// From `ServerInit` on.
    running: Option<R>,
    client_held: Held,
    desktop_held: Held,
    refused: Option<Refusal>,
}

#[expect(
    private_bounds,
    reason = "there are two modes, and nobody outside makes a third"
)]
impl<M: Mode<R>, R: Running> Between<M, R> {
    /// Begins a session with a desktop that is connected, and greets the viewer.
    pub(crate) fn greet(mode: M, settings: Settings, now: Moment, sink: &mut dyn Sink) -> Self {
        Self {
            client_handshake: Some(ClientHandshake::greet(sink)),
            desktop_handshake: DesktopHandshake::new(settings.secret, now),
            client: Client::new(settings.view_only),
            mode,
            running: None,
            client_held: Held::new(),
            desktop_held: Held::new(),
            refused: None,
        }
    }

    fn client_steps(&mut self, feed: &mut Feed<'_>, now: Moment) -> Result<Infallible, Stop> {
        loop {
            if let Some(handshake) = &mut self.client_handshake {
                if let Some(shared) = handshake.step(feed)? {
                    self.client_handshake = None;
                    if let Some(init) = self.desktop_handshake.viewer_is_there(shared, now) {
                        feed.say(&init);
                    }
                }
            } else if let Some(running) = &mut self.running {
                self.client.step(feed, running.picture(), now)?;
            } else {
                feed.peek::<1>()?;
                return Err(Refusal::ClientEarly.into());
            }
        }
    }

    fn desktop_steps(&mut self, feed: &mut Feed<'_>, now: Moment) -> Result<Infallible, Stop> {
        loop {
            if let Some(running) = &mut self.running {
                running.desktop_step(feed)?;
            } else if let Some(begun) = self.desktop_handshake.step(feed, now)? {
                self.running = Some(self.mode.begin(&begun, feed)?);
            }
        }
    }

    /// What one side said was heard.
    fn heard(&mut self, stop: Stop, sink: &mut dyn Sink) -> Result<(), Refusal> {
        self.stopped(stop)?;
        self.ask(sink);
        Ok(())
    }

    /// Asks the desktop for what the viewer lacks, never within a message of the client.
    fn ask(&mut self, sink: &mut dyn Sink) {
        if let Some(running) = &mut self.running
            && !self.client.is_passing()
        {
            running.ask(sink);
        }
    }

    fn stopped(&mut self, stop: Stop) -> Result<(), Refusal> {
        match stop {
            Stop::Starved => Ok(()),
            Stop::Refused(refusal) => {
                self.refused = Some(refusal);
                Err(refusal)
            }
        }
    }
}

impl<M: Mode<R>, R: Running> Machine for Between<M, R> {
    fn client_bytes(
        &mut self,
        bytes: &[u8],
        now: Moment,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        self.refused.map_or(Ok(()), Err)?;
        let mut feed = Feed::new(self.client_held, bytes, sink, Side::Desktop);
        let Err(stop) = self.client_steps(&mut feed, now);
        self.client_held = feed.finish();
        self.heard(stop, sink)
    }

    fn desktop_room(&self, room: usize) -> usize {
        match &self.running {
            Some(running) => running.desktop_room(room),
            None => room.saturating_sub(OWN),
        }
    }

    fn desktop_bytes(
        &mut self,
        bytes: &[u8],
        now: Moment,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        self.refused.map_or(Ok(()), Err)?;
        let mut feed = Feed::new(self.desktop_held, bytes, sink, Side::Client);
        let Err(stop) = self.desktop_steps(&mut feed, now);
        self.desktop_held = feed.finish();
        self.heard(stop, sink)
    }

    fn draw(&mut self, room: usize, sink: &mut dyn Sink) -> usize {
        match &mut self.running {
            Some(running) if self.refused.is_none() => {
                let drawn = running.draw(room, sink);
                self.ask(sink);
                drawn
            }
            _ => 0,
        }
    }

    fn next_timeout(&self) -> Option<Moment> {
        if self.refused.is_none() && self.running.is_none() {
            self.desktop_handshake.due()
        } else {
            None
        }
    }

    fn timeout(&mut self, now: Moment) -> Result<(), Refusal> {
        self.refused.map_or(Ok(()), Err)?;
        match self.next_timeout() {
            Some(due) if due <= now => self.stopped(Stop::Refused(Refusal::DesktopSilent)),
            _ => Ok(()),
        }
    }

    fn is_ready(&self) -> bool {
        self.running.is_some()
    }

    fn last_input(&self) -> Option<Moment> {
        self.client.last_input()
    }
}
