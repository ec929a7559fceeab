//! How the two ends of a new session find each other: a number goes from the home to the office and comes back, so that whatever lies
//! between them has been passed in both directions.
//!
//! A guard lets no bare number through. In front of it the ends are a viewer and a desktop (RFC 6143): the number is a key, the
//! answer begins a rectangle of 17 GB of raw pixels, and whatever a load sends home are its pixels.
use std::io;
use std::time::Instant;

use super::plain::PATIENCE;
use crate::exchange::GREETING;
use crate::traffic::end::{End, scratch};

const NUMBER: usize = size_of::<u64>();

/// What the ends say first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The number alone.
    Number,
    /// What a viewer and a desktop say to each other until there is a picture.
    Rfb,
}

impl Greeting {
    /// The home has dialled.
    pub(crate) fn dialled(self, home: &mut End) -> io::Result<()> {
        match self {
            Self::Number => Ok(()),
            Self::Rfb => say(home, &[&GREETING[..], &NO_PASSWORD, &SHARED].concat()),
        }
    }

    /// The office was dialled.
    pub(crate) fn came(self, office: &mut End) -> io::Result<()> {
        if self == Self::Rfb {
            say(office, &[&GREETING[..], &TYPES, &DONE].concat())?;
            hear(office, GREETING.len() + NO_PASSWORD.len() + SHARED.len())?;
            say(office, &SCREEN)?;
        }
        Ok(())
    }

    /// The home says its number.
    pub(crate) fn ask(self, home: &mut End, number: u64) -> io::Result<()> {
        match self {
            Self::Number => say(home, &number.to_be_bytes()),
            Self::Rfb => {
                hear(
                    home,
                    GREETING.len() + TYPES.len() + DONE.len() + SCREEN.len(),
                )?;
                let key = u32::try_from(number).map_err(io::Error::other)?;
                say(home, &[&REQUEST[..], &KEY, &key.to_be_bytes()].concat())
            }
        }
    }

    /// The office hears a number, and says it too.
    pub(crate) fn answer(self, office: &mut End) -> io::Result<u64> {
        let number = match self {
            Self::Number => number(&hear(office, NUMBER)?)?,
            Self::Rfb => {
                let said = hear(office, REQUEST.len() + KEY.len() + size_of::<u32>())?;
                let key = said[REQUEST.len() + KEY.len()..].try_into();
                u32::from_be_bytes(key.map_err(io::Error::other)?).into()
            }
        };
        match self {
            Self::Number => say(office, &number.to_be_bytes())?,
            Self::Rfb => say(office, &[&UPDATE[..], &number.to_be_bytes()].concat())?,
        }
        Ok(number)
    }

    /// The home hears it.
    pub(crate) fn answered(self, home: &mut End) -> io::Result<u64> {
        let head = if self == Self::Rfb { UPDATE.len() } else { 0 };
        number(&hear(home, head + NUMBER)?[head..])
    }
}

/// One security type: None.
const TYPES: [u8; 2] = [1, 1];
/// The viewer takes it.
const NO_PASSWORD: [u8; 1] = [1];
/// `SecurityResult`: nothing is wrong.
const DONE: [u8; 4] = [0; 4];
/// `ClientInit`.
const SHARED: [u8; 1] = [1];
/// `ServerInit`: the largest screen, 32 bits a pixel, true colour, no name.
const SCREEN: [u8; 24] = [
    0xff, 0xff, 0xff, 0xff, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0,
];
/// `FramebufferUpdateRequest`: all of the screen.
const REQUEST: [u8; 10] = [3, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
/// `KeyEvent` down, before its key.
const KEY: [u8; 4] = [4, 1, 0, 0];
/// `FramebufferUpdate` of one rectangle: all of the screen, raw.
const UPDATE: [u8; 16] = [0, 0, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

fn say(end: &mut End, bytes: &[u8]) -> io::Result<()> {
    if end.send(bytes)? < bytes.len() {
        return Err(io::Error::other("a new session took no greeting"));
    }
    Ok(())
}

/// Exactly so many bytes: nobody says more before he is answered.
fn hear(end: &mut End, length: usize) -> io::Result<Vec<u8>> {
    let (mut scratch, mut said) = (scratch(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    while said.len() < length {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        end.read(&mut scratch, |bytes| {
            said.extend_from_slice(bytes);
            Ok(())
        })?;
    }
    if said.len() > length {
        return Err(io::Error::other("more than a greeting came"));
    }
    Ok(said)
}

fn number(bytes: &[u8]) -> io::Result<u64> {
    let bytes = bytes.try_into().map_err(io::Error::other)?;
    Ok(u64::from_be_bytes(bytes))
}
