//! The guard of one session: the viewer on one side, the desktop on the other (docs/GUARD.md §2).
use core::convert::Infallible;

use telerelay_wire::{Moment, limits};

use super::agreed::Agreed;
use super::client::Client;
use super::client_handshake::ClientHandshake;
use super::desktop::Desktop;
use super::desktop_handshake::{Begun, DesktopHandshake};
use super::refusal::Refusal;
use super::vnc_auth::Secret;
use crate::feed::{Feed, Held, Side, Sink, Stop};

/// The most that a call gives to one side beyond the bytes that came in: a name, and the fixed parts around it.
pub const OWN: usize = limits::GUARD_NAME + 64;

/// What the rules and the agent's configuration say about a session.
#[derive(Debug, Default)]
pub struct Settings {
    /// Keys, pointer and sizes of the client are dropped (§9).
    pub view_only: bool,
    /// What the desktop asks for where it wants `VncAuth` (§4).
    pub secret: Option<Secret>,
}

/// The guard of one session.
#[derive(Debug)]
pub struct Guard {
    client_handshake: Option<ClientHandshake>,
    desktop_handshake: DesktopHandshake,
    /// From `ServerInit` on.
    agreed: Option<Agreed>,
    client: Client,
    desktop: Desktop,
    client_held: Held,
    desktop_held: Held,
    refused: Option<Refusal>,
}

impl Guard {
    /// Begins a session with a desktop that is connected, and greets the viewer.
    pub fn begin(settings: Settings, now: Moment, sink: &mut dyn Sink) -> Self {
        Self {
            client_handshake: Some(ClientHandshake::greet(sink)),
            desktop_handshake: DesktopHandshake::new(settings.secret, now),
            agreed: None,
            client: Client::new(settings.view_only),
            desktop: Desktop::default(),
            client_held: Held::new(),
            desktop_held: Held::new(),
            refused: None,
        }
    }

    /// Takes all of what the client said.
    pub fn client_bytes(
        &mut self,
        bytes: &[u8],
        now: Moment,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        self.refused.map_or(Ok(()), Err)?;
        let mut feed = Feed::new(self.client_held, bytes, sink, Side::Desktop);
        let Err(stop) = self.client_steps(&mut feed, now);
        self.client_held = feed.finish();
        self.stopped(stop)
    }

    /// Takes all of what the desktop said.
    pub fn desktop_bytes(
        &mut self,
        bytes: &[u8],
        now: Moment,
        sink: &mut dyn Sink,
    ) -> Result<(), Refusal> {
        self.refused.map_or(Ok(()), Err)?;
        let mut feed = Feed::new(self.desktop_held, bytes, sink, Side::Client);
        let Err(stop) = self.desktop_steps(&mut feed, now);
        self.desktop_held = feed.finish();
        self.stopped(stop)
    }

    /// When [`timeout`](Self::timeout) is to be called, unless bytes come before.
    pub fn next_timeout(&self) -> Option<Moment> {
        if self.refused.is_none() && self.agreed.is_none() {
            self.desktop_handshake.due()
        } else {
            None
        }
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: Moment) -> Result<(), Refusal> {
        self.refused.map_or(Ok(()), Err)?;
        match self.next_timeout() {
            Some(due) if due <= now => self.stopped(Stop::Refused(Refusal::DesktopSilent)),
            _ => Ok(()),
        }
    }

    /// Whether both handshakes are done: the viewer shows the desktop.
    pub fn is_ready(&self) -> bool {
        self.agreed.is_some()
    }

    /// When the client's last key or pointer event came (§9).
    pub fn last_input(&self) -> Option<Moment> {
        self.client.last_input()
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
            } else if let Some(agreed) = &mut self.agreed {
                self.client.step(feed, agreed, now)?;
            } else {
                feed.peek::<1>()?;
                return Err(Refusal::ClientEarly.into());
            }
        }
    }

    fn desktop_steps(&mut self, feed: &mut Feed<'_>, now: Moment) -> Result<Infallible, Stop> {
        loop {
            if let Some(agreed) = &mut self.agreed {
                self.desktop.step(feed, agreed)?;
            } else if let Some(Begun { pixels, name_left }) =
                self.desktop_handshake.step(feed, now)?
            {
                self.agreed = Some(Agreed::new(pixels));
                self.desktop = Desktop::behind_name(name_left);
            }
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
