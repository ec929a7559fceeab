//! The handshake with the viewer, to which the guard is a server (docs/GUARD.md §3).
use super::refusal::Refusal;
use crate::feed::{Feed, Side, Sink, Stop};

/// The handshake with the viewer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientHandshake {
    /// The viewer's version is to come.
    Version,
    /// Its choice of the one security type.
    Choice {
        /// What the viewer reads behind it.
        result: &'static [u8],
    },
    /// `ClientInit`.
    Init,
}

/// What a server of 3.7 and 3.8 offers: one type, None.
const OFFER: &[u8] = &[1, 1];
/// The same in 3.3, where the server decides.
const DECISION: &[u8] = &[0, 0, 0, 1];
/// A good `SecurityResult`.
const GOOD: &[u8] = &[0, 0, 0, 0];

impl ClientHandshake {
    /// Begins it.
    pub(crate) fn greet(sink: &mut dyn Sink) -> Self {
        sink.put(Side::Client, b"RFB 003.008\n");
        Self::Version
    }

    /// One step: what `ClientInit` says of sharing, at the end.
    pub(crate) fn step(&mut self, feed: &mut Feed<'_>) -> Result<Option<bool>, Stop> {
        match *self {
            Self::Version => {
                let (answer, next) = match feed.peek::<12>()? {
                    [
                        b'R',
                        b'F',
                        b'B',
                        b' ',
                        b'0',
                        b'0',
                        b'3',
                        b'.',
                        minor @ ..,
                        b'\n',
                    ] => answer_to(minor)?,
                    _ => return Err(Refusal::ClientVersion.into()),
                };
                feed.skip::<12>()?;
                feed.answer(answer);
                *self = next;
            }
            Self::Choice { result } => {
                let [chosen] = feed.peek()?;
                if chosen != 1 {
                    return Err(Refusal::ClientSecurity { chosen }.into());
                }
                feed.skip::<1>()?;
                feed.answer(result);
                *self = Self::Init;
            }
            Self::Init => {
                let [shared] = feed.peek()?;
                feed.skip::<1>()?;
                return Ok(Some(shared != 0));
            }
        }
        Ok(None)
    }
}

/// What a viewer of this minor version of 3 is answered, and what comes next.
fn answer_to(minor: [u8; 3]) -> Result<(&'static [u8], ClientHandshake), Refusal> {
    if !minor.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::ClientVersion);
    }
    Ok(match minor {
        minor if minor >= *b"008" => (OFFER, ClientHandshake::Choice { result: GOOD }),
        minor if minor == *b"007" => (OFFER, ClientHandshake::Choice { result: &[] }),
        _ => (DECISION, ClientHandshake::Init),
    })
}
