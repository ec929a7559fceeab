//! The handshake with the desktop, to which the guard is a viewer (docs/GUARD.md §4).
use telerelay_wire::{Moment, limits};

use super::agreed::PixelSize;
use super::name::Name;
use super::refusal::Refusal;
use super::vnc_auth::{Secret, respond};
use crate::feed::{Feed, Stop};

/// The versions of RFB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V3_3,
    V3_7,
    V3_8,
}

/// The handshake with the desktop.
#[derive(Debug)]
pub(crate) struct DesktopHandshake {
    version: Version,
    step: Step,
    name: Name,
    secret: Option<Secret>,
    /// What the viewer's `ClientInit` said.
    shared: Option<bool>,
    /// Until when the desktop has to say what is its turn to say.
    due: Option<Moment>,
}

#[derive(Debug)]
enum Step {
    Version,
    /// How many security types there are.
    Count,
    /// The types, one by one.
    Types {
        left: u8,
        offer: Offer,
    },
    /// The type that a desktop of 3.3 decided on.
    Decision,
    /// What `VncAuth` is to encrypt.
    Challenge,
    Result,
    /// Nothing is the desktop's turn before `ClientInit`, and that waits for the viewer.
    Viewer,
    ServerInit,
    /// The title, behind the fixed part of `ServerInit`.
    Name {
        size: [u8; 4],
        format: [u8; 16],
        pixels: PixelSize,
    },
}

/// Which of the types that the guard knows a desktop offers.
#[derive(Clone, Copy, Debug, Default)]
struct Offer {
    none: bool,
    vnc_auth: bool,
}

/// How the desktop's messages begin.
pub(crate) struct Begun {
    pub(crate) width: u16,
    pub(crate) height: u16,
    /// The pixel format of `ServerInit`, and the size that it names.
    pub(crate) format: [u8; 16],
    pub(crate) pixels: PixelSize,
    pub(crate) name: Name,
    /// Bytes of the name that are still to be swallowed.
    pub(crate) name_left: u64,
}

impl DesktopHandshake {
    pub(crate) fn new(secret: Option<Secret>, now: Moment) -> Self {
        Self {
            version: Version::V3_8,
            step: Step::Version,
            name: Name::new(0),
            secret,
            shared: None,
            due: Some(now + limits::GUARD_HANDSHAKE),
        }
    }

    pub(crate) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// The viewer's `ClientInit` has come: the desktop's, where it waits for it.
    pub(crate) fn viewer_is_there(&mut self, shared: bool, now: Moment) -> Option<[u8; 1]> {
        self.shared = Some(shared);
        matches!(self.step, Step::Viewer).then(|| self.introduce(shared, now))
    }

    /// One step; how the messages begin, at the end.
    pub(crate) fn step(&mut self, feed: &mut Feed<'_>, now: Moment) -> Result<Option<Begun>, Stop> {
        match &mut self.step {
            Step::Version => {
                self.version = version(feed.peek()?)?;
                feed.skip::<12>()?;
                feed.answer(self.version.greeting());
                self.step = match self.version {
                    Version::V3_3 => Step::Decision,
                    _ => Step::Count,
                };
            }
            Step::Count => {
                let [left] = feed.peek()?;
                feed.skip::<1>()?;
                if left == 0 {
                    return Err(Refusal::DesktopRefuses.into());
                }
                let offer = Offer::default();
                self.step = Step::Types { left, offer };
            }
            Step::Types { left, offer } => {
                while *left > 0 {
                    let [kind] = feed.peek()?;
                    feed.skip::<1>()?;
                    offer.none |= kind == Security::NONE;
                    offer.vnc_auth |= kind == Security::VNC_AUTH;
                    *left -= 1;
                }
                let offer = *offer;
                self.choose(offer, feed)?;
            }
            Step::Decision => {
                let kind = u32::from_be_bytes(feed.peek()?);
                feed.skip::<4>()?;
                if kind == 0 {
                    return Err(Refusal::DesktopRefuses.into());
                }
                let offer = Offer {
                    none: kind == u32::from(Security::NONE),
                    vnc_auth: kind == u32::from(Security::VNC_AUTH),
                };
                self.choose(offer, feed)?;
            }
            Step::Challenge => {
                let challenge = feed.peek()?;
                feed.skip::<16>()?;
                // The secret is of no more use: it goes.
                let secret = self.secret.take().ok_or(Refusal::DesktopPassword)?;
                feed.answer(&respond(&secret, challenge));
                self.step = Step::Result;
            }
            Step::Result => {
                if feed.peek()? != [0; 4] {
                    return Err(Refusal::DesktopRefuses.into());
                }
                feed.skip::<4>()?;
                self.step = Step::Viewer;
                self.due = None;
            }
            Step::Viewer => {
                let Some(shared) = self.shared else {
                    feed.peek::<1>()?;
                    return Err(Refusal::DesktopEarly.into());
                };
                let init = self.introduce(shared, now);
                feed.answer(&init);
            }
            Step::ServerInit => {
                let [w0, w1, h0, h1, format @ .., a, b, c, d] = feed.peek::<24>()?;
                let [bits, ..] = format;
                let pixels = PixelSize::of(bits).ok_or(Refusal::DesktopPixels { bits })?;
                feed.skip::<24>()?;
                self.name = Name::new(u32::from_be_bytes([a, b, c, d]));
                let size = [w0, w1, h0, h1];
                self.step = Step::Name {
                    size,
                    format,
                    pixels,
                };
            }
            Step::Name {
                size: [w0, w1, h0, h1],
                format,
                pixels,
            } => {
                let name_left = self.name.read(feed)?;
                return Ok(Some(Begun {
                    width: u16::from_be_bytes([*w0, *w1]),
                    height: u16::from_be_bytes([*h0, *h1]),
                    format: *format,
                    pixels: *pixels,
                    name: self.name,
                    name_left,
                }));
            }
        }
        Ok(None)
    }

    /// Chooses a type of those that are offered, and says so where the version has the client say it.
    fn choose(&mut self, offer: Offer, feed: &mut Feed<'_>) -> Result<(), Refusal> {
        let (chosen, next) = match offer {
            Offer { none: true, .. } if self.version == Version::V3_8 => {
                (Security::NONE, Step::Result)
            }
            Offer { none: true, .. } => (Security::NONE, Step::Viewer),
            Offer { vnc_auth: true, .. } if self.secret.is_some() => {
                (Security::VNC_AUTH, Step::Challenge)
            }
            Offer { vnc_auth: true, .. } => return Err(Refusal::DesktopPassword),
            _ => return Err(Refusal::DesktopSecurity),
        };
        if self.version > Version::V3_3 {
            feed.answer(&[chosen]);
        }
        if matches!(next, Step::Viewer) {
            self.due = None;
        }
        self.step = next;
        Ok(())
    }

    fn introduce(&mut self, shared: bool, now: Moment) -> [u8; 1] {
        self.step = Step::ServerInit;
        self.due = Some(now + limits::GUARD_HANDSHAKE);
        [u8::from(shared)]
    }
}

impl Begun {
    /// Tells the viewer all of it, with pixels of this format.
    pub(crate) fn tell(&self, format: &[u8; 16], feed: &mut Feed<'_>) {
        let (length, text) = self.name.told();
        feed.say(&self.width.to_be_bytes());
        feed.say(&self.height.to_be_bytes());
        feed.say(format);
        feed.say(&length);
        feed.say(text);
    }
}

/// The security types that the guard takes part in (RFC 6143 §7.1.2).
struct Security;

impl Security {
    const NONE: u8 = 1;
    const VNC_AUTH: u8 = 2;
}

impl Version {
    const fn greeting(self) -> &'static [u8; 12] {
        match self {
            Self::V3_3 => b"RFB 003.003\n",
            Self::V3_7 => b"RFB 003.007\n",
            Self::V3_8 => b"RFB 003.008\n",
        }
    }
}

/// The version to speak with a desktop that greets so.
fn version(greeting: [u8; 12]) -> Result<Version, Refusal> {
    let [b'R', b'F', b'B', b' ', major @ .., b'.', a, b, c, b'\n'] = greeting else {
        return Err(Refusal::DesktopVersion);
    };
    let minor = [a, b, c];
    if !major.iter().chain(&minor).all(u8::is_ascii_digit) {
        return Err(Refusal::DesktopVersion);
    }
    match (major, minor) {
        (major, minor) if (major, minor) < (*b"003", *b"003") => Err(Refusal::DesktopVersion),
        (major, minor) if (major, minor) < (*b"003", *b"007") => Ok(Version::V3_3),
        (major, minor) if (major, minor) < (*b"003", *b"008") => Ok(Version::V3_7),
        _ => Ok(Version::V3_8),
    }
}
