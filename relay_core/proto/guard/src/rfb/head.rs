//! The heads of what a desktop says, judged alike where the guard follows it (docs/GUARD.md §6, §7) and where it draws anew (§12).
//! They stay where they are: what becomes of them is their reader's.
use telerelay_wire::limits;

use super::encoding::{Encoding, Encodings};
use super::fence::Fence;
use super::refusal::Refusal;
use crate::feed::{Feed, Stop};

/// A message.
pub(crate) enum Message {
    /// A `FramebufferUpdate` of so many rectangles; its head has 4 bytes.
    Update(u16),
    /// `SetColourMapEntries`, of so many bytes.
    Colours(u64),
    /// Of one byte.
    Bell,
    /// A cut text, of so many bytes.
    Text(u64),
    /// Of one byte.
    EndOfContinuousUpdates,
    /// Its head has 9 bytes.
    Fence(Fence),
}

/// A rectangle of an update; its head has 12 bytes.
pub(crate) struct Rectangle {
    pub(crate) x: u16,
    pub(crate) y: u16,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) encoding: Encoding,
}

impl Message {
    /// The next one. `asked`: what the desktop may use.
    pub(crate) fn peek(feed: &mut Feed<'_>, asked: &Encodings) -> Result<Self, Stop> {
        let [kind] = feed.peek()?;
        match kind {
            0 => {
                let [_, _, a, b] = feed.peek()?;
                Ok(Self::Update(u16::from_be_bytes([a, b])))
            }
            1 => {
                let [_, _, _, _, a, b] = feed.peek()?;
                let colours = u16::from_be_bytes([a, b]);
                Ok(Self::Colours(6 + 6 * u64::from(colours)))
            }
            2 => Ok(Self::Bell),
            3 => {
                let [_, _, _, _, a, b, c, d] = feed.peek()?;
                let length = i32::from_be_bytes([a, b, c, d]).unsigned_abs();
                Ok(Self::Text(8 + u64::from(length)))
            }
            150 => {
                asked.used(Encoding::ContinuousUpdates.number())?;
                Ok(Self::EndOfContinuousUpdates)
            }
            Fence::TYPE => {
                asked.used(Encoding::Fence.number())?;
                let fence = Fence::of(feed.peek()?);
                if fence.length > limits::GUARD_FENCE {
                    return Err(Refusal::DesktopFence.into());
                }
                Ok(Self::Fence(fence))
            }
            7 | 130..=133 | 252 => Err(Refusal::DesktopFile { kind }.into()),
            _ => Err(Refusal::DesktopMessage { kind }.into()),
        }
    }
}

impl Rectangle {
    /// The next one. `asked`: what the desktop may use.
    pub(crate) fn peek(feed: &mut Feed<'_>, asked: &Encodings) -> Result<Self, Stop> {
        let [x0, x1, y0, y1, w0, w1, h0, h1, number @ ..] = feed.peek::<12>()?;
        let encoding = asked.used(i32::from_be_bytes(number))?;
        if matches!(encoding, Encoding::Fence | Encoding::ContinuousUpdates) {
            let number = encoding.number();
            return Err(Refusal::DesktopEncoding { number }.into());
        }
        Ok(Self {
            x: u16::from_be_bytes([x0, x1]),
            y: u16::from_be_bytes([y0, y1]),
            width: u16::from_be_bytes([w0, w1]),
            height: u16::from_be_bytes([h0, h1]),
            encoding,
        })
    }
}

/// The four bytes behind the head of a rectangle.
pub(crate) fn behind_head(feed: &mut Feed<'_>) -> Result<[u8; 4], Stop> {
    let [.., a, b, c, d] = feed.peek::<16>()?;
    Ok([a, b, c, d])
}
