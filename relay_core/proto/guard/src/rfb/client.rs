//! What the client may say (docs/GUARD.md §5, §9).
use telerelay_wire::{Moment, limits};

use super::encoding::{Encoding, Encodings};
use super::fence::{Fence, is_marked};
use super::refusal::Refusal;
use crate::feed::{Feed, Stop};

/// What the client's wishes for its picture come to: that is not the same where the guard follows (§5, §8) and where it draws (§12).
pub(crate) trait Picture {
    /// A `SetPixelFormat`.
    fn pixel_format(&mut self, message: &[u8; 20], feed: &mut Feed<'_>) -> Result<Fate, Refusal>;

    /// The encodings of a list that can be followed; the list itself goes nowhere.
    fn encodings(&mut self, named: &Encodings, feed: &mut Feed<'_>);

    /// A `FramebufferUpdateRequest`.
    fn request(&mut self, message: &[u8; 10]) -> Fate;

    /// An `EnableContinuousUpdates`.
    fn continuous(&mut self, message: &[u8; 10]) -> Fate;

    /// A `SetDesktopSize`, by its head.
    fn desktop_size(&mut self, head: [u8; 8]) -> Fate;

    /// The flags with which a fence goes on; `None`: it does not.
    fn fence(&mut self, flags: u32) -> Option<u32>;
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Drop,
}

/// The client's messages, from `ServerInit` on.
#[derive(Debug)]
pub(crate) struct Client {
    view_only: bool,
    last_input: Option<Moment>,
    rest: Rest,
}

/// What is left of a message whose head was judged.
#[derive(Debug)]
enum Rest {
    Nothing,
    Pass(u64),
    Drop(u64),
    /// Encodings of a list, and those that it may name.
    List {
        left: u16,
        named: Encodings,
    },
}

impl Client {
    pub(crate) fn new(view_only: bool) -> Self {
        Self {
            view_only,
            last_input: None,
            rest: Rest::Nothing,
        }
    }

    pub(crate) fn last_input(&self) -> Option<Moment> {
        self.last_input
    }

    /// Whether the desktop has heard a message in part: whatever is put there now becomes the middle of it, and what is behind is
    /// read as messages that nobody has judged.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.rest, Rest::Pass(_))
    }

    /// The rest of a message and the head of the next.
    pub(crate) fn step(
        &mut self,
        feed: &mut Feed<'_>,
        picture: &mut impl Picture,
        now: Moment,
    ) -> Result<(), Stop> {
        match &mut self.rest {
            Rest::Nothing => {}
            Rest::Pass(left) => feed.pass(left)?,
            Rest::Drop(left) => feed.drop(left)?,
            Rest::List { left, named } => {
                filter(left, named, feed)?;
                picture.encodings(named, feed);
            }
        }
        self.rest = Rest::Nothing;
        self.rest = self.message(feed, picture, now)?;
        Ok(())
    }

    /// Judges a message by its head.
    fn message(
        &mut self,
        feed: &mut Feed<'_>,
        picture: &mut impl Picture,
        now: Moment,
    ) -> Result<Rest, Stop> {
        let [kind] = feed.peek()?;
        match kind {
            0 => {
                let message = feed.peek()?;
                Ok(Rest::of(20, picture.pixel_format(&message, feed)?))
            }
            2 => {
                let [_, _, a, b] = feed.peek()?;
                feed.skip::<4>()?;
                Ok(Rest::List {
                    left: u16::from_be_bytes([a, b]),
                    named: Encodings::NONE,
                })
            }
            3 => Ok(Rest::of(10, picture.request(&feed.peek()?))),
            4 => self.input::<8>(feed, now),
            5 => self.input::<6>(feed, now),
            6 => {
                let [_, _, _, _, a, b, c, d] = feed.peek()?;
                let length = i32::from_be_bytes([a, b, c, d]).unsigned_abs();
                Ok(Rest::Drop(8 + u64::from(length)))
            }
            150 => Ok(Rest::of(10, picture.continuous(&feed.peek()?))),
            Fence::TYPE => fence(feed, picture),
            251 => {
                let head: [u8; 8] = feed.peek()?;
                let length = 8 + 16 * u64::from(head[6]);
                Ok(match picture.desktop_size(head) {
                    Fate::Pass => self.unless_view_only(length),
                    Fate::Drop => Rest::Drop(length),
                })
            }
            255 => match feed.peek()? {
                [_, 0] => self.input::<12>(feed, now),
                _ => Err(Refusal::ClientMessage { kind }.into()),
            },
            7 | 130..=136 | 252 => Err(Refusal::ClientFile { kind }.into()),
            _ => Err(Refusal::ClientMessage { kind }.into()),
        }
    }

    /// A key or pointer event of `N` bytes.
    fn input<const N: usize>(&mut self, feed: &mut Feed<'_>, now: Moment) -> Result<Rest, Stop> {
        feed.peek::<N>()?;
        self.last_input = Some(now);
        Ok(self.unless_view_only(N as u64))
    }

    fn unless_view_only(&self, length: u64) -> Rest {
        if self.view_only {
            Rest::Drop(length)
        } else {
            Rest::Pass(length)
        }
    }
}

impl Rest {
    fn of(length: u64, fate: Fate) -> Self {
        match fate {
            Fate::Pass => Self::Pass(length),
            Fate::Drop => Self::Drop(length),
        }
    }
}

/// Reads encodings and keeps those that can be followed.
fn filter(left: &mut u16, named: &mut Encodings, feed: &mut Feed<'_>) -> Result<(), Stop> {
    while *left > 0 {
        if let Some(encoding) = Encoding::of(i32::from_be_bytes(feed.peek()?)) {
            named.insert(encoding);
        }
        feed.skip::<4>()?;
        *left -= 1;
    }
    Ok(())
}

fn fence(feed: &mut Feed<'_>, picture: &mut impl Picture) -> Result<Rest, Stop> {
    let fence = Fence::of(feed.peek()?);
    if fence.length > limits::GUARD_FENCE {
        return Err(Refusal::ClientFence.into());
    }
    if fence.may_be_marked() && is_marked(feed.peek()?) {
        return Err(Refusal::ClientFence.into());
    }
    feed.skip::<9>()?;
    let length = fence.length.into();
    Ok(match picture.fence(fence.flags) {
        Some(flags) => {
            feed.say(&Fence { flags, ..fence }.head());
            Rest::Pass(length)
        }
        None => Rest::Drop(length),
    })
}
