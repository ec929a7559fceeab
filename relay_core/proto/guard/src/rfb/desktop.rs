//! What the desktop may say (docs/GUARD.md §6, §7).
use telerelay_wire::limits;

use super::agreed::Agreed;
use super::encoding::Encoding;
use super::fence::{Fence, is_marked};
use super::name::Name;
use super::refusal::Refusal;
use crate::feed::{Feed, Stop};

/// The desktop's messages, from `ServerInit` on.
#[derive(Debug)]
pub(crate) struct Desktop {
    /// Rectangles that are still to come of an update.
    rectangles: u16,
    rest: Rest,
    name: Name,
}

/// What is left of a message or a rectangle whose head was judged.
#[derive(Debug)]
enum Rest {
    Nothing,
    Pass(u64),
    Drop(u64),
    /// The desktop's name.
    Name,
}

impl Default for Desktop {
    fn default() -> Self {
        Self {
            rectangles: 0,
            rest: Rest::Nothing,
            name: Name::new(0),
        }
    }
}

impl Desktop {
    /// Behind so many bytes of `ServerInit`'s name, which are dropped.
    pub(crate) fn behind_name(name_left: u64) -> Self {
        Self {
            rest: Rest::Drop(name_left),
            ..Self::default()
        }
    }

    /// The rest of what came and the next head.
    pub(crate) fn step(&mut self, feed: &mut Feed<'_>, agreed: &mut Agreed) -> Result<(), Stop> {
        match &mut self.rest {
            Rest::Nothing => {}
            Rest::Pass(left) => feed.pass(left)?,
            Rest::Drop(left) => feed.drop(left)?,
            Rest::Name => {
                self.rest = Rest::Drop(self.name.tell(feed)?);
                return Ok(());
            }
        }
        self.rest = Rest::Nothing;
        self.rest = if self.rectangles > 0 {
            self.rectangle(feed, agreed)?
        } else {
            self.message(feed, agreed)?
        };
        Ok(())
    }

    /// Judges a message by its head.
    fn message(&mut self, feed: &mut Feed<'_>, agreed: &mut Agreed) -> Result<Rest, Stop> {
        let [kind] = feed.peek()?;
        match kind {
            0 => {
                let [_, _, a, b] = feed.peek()?;
                agreed.may_update()?;
                self.rectangles = u16::from_be_bytes([a, b]);
                Ok(Rest::Pass(4))
            }
            1 => {
                let [_, _, _, _, a, b] = feed.peek()?;
                let colours = u16::from_be_bytes([a, b]);
                Ok(Rest::Pass(6 + 6 * u64::from(colours)))
            }
            2 => Ok(Rest::Pass(1)),
            3 => {
                let [_, _, _, _, a, b, c, d] = feed.peek()?;
                let length = i32::from_be_bytes([a, b, c, d]).unsigned_abs();
                Ok(Rest::Drop(8 + u64::from(length)))
            }
            150 => {
                agreed.used(Encoding::ContinuousUpdates.number())?;
                Ok(Rest::Pass(1))
            }
            Fence::TYPE => fence(feed, agreed),
            7 | 130..=133 | 252 => Err(Refusal::DesktopFile { kind }.into()),
            _ => Err(Refusal::DesktopMessage { kind }.into()),
        }
    }

    /// Judges a rectangle by its head: 12 bytes, and what its encoding has of a fixed part.
    fn rectangle(&mut self, feed: &mut Feed<'_>, agreed: &Agreed) -> Result<Rest, Stop> {
        let [_, _, _, _, w0, w1, h0, h1, number @ ..] = feed.peek::<12>()?;
        let encoding = agreed.used(i32::from_be_bytes(number))?;
        let width = u64::from(u16::from_be_bytes([w0, w1]));
        let height = u64::from(u16::from_be_bytes([h0, h1]));
        let pixels = width * height * agreed.pixels().bytes();
        let body = match encoding {
            Encoding::Raw => pixels,
            Encoding::CopyRect => 4,
            Encoding::Zlib | Encoding::Zrle => 4 + u64::from(behind_head(feed)?),
            Encoding::Cursor => pixels + width.div_ceil(8) * height,
            Encoding::DesktopSize | Encoding::LastRect | Encoding::QemuKey => 0,
            Encoding::ExtendedDesktopSize => 4 + 16 * u64::from(behind_head(feed)? >> 24),
            Encoding::DesktopName => return self.desktop_name(feed),
            Encoding::Fence | Encoding::ContinuousUpdates => {
                let number = encoding.number();
                return Err(Refusal::DesktopEncoding { number }.into());
            }
        };
        self.rectangles = match encoding {
            Encoding::LastRect => 0,
            _ => self.rectangles - 1,
        };
        Ok(Rest::Pass(12 + body))
    }

    /// The head of the rectangle is said at once, the name once enough of it has come.
    fn desktop_name(&mut self, feed: &mut Feed<'_>) -> Result<Rest, Stop> {
        let length = behind_head(feed)?;
        let head = feed.peek::<12>()?;
        feed.skip::<16>()?;
        feed.say(&head);
        self.name = Name::new(length);
        self.rectangles -= 1;
        Ok(Rest::Name)
    }
}

/// The four bytes behind the head of a rectangle.
fn behind_head(feed: &mut Feed<'_>) -> Result<u32, Stop> {
    let [.., a, b, c, d] = feed.peek::<16>()?;
    Ok(u32::from_be_bytes([a, b, c, d]))
}

fn fence(feed: &mut Feed<'_>, agreed: &mut Agreed) -> Result<Rest, Stop> {
    agreed.used(Encoding::Fence.number())?;
    let fence = Fence::of(feed.peek()?);
    if fence.length > limits::GUARD_FENCE {
        return Err(Refusal::DesktopFence.into());
    }
    let is_answer = fence.flags & Fence::REQUEST == 0;
    if is_answer && fence.may_be_marked() && is_marked(feed.peek()?) {
        agreed.marked(fence.flags & Fence::SYNC_NEXT != 0)?;
        return Ok(Rest::Drop(25));
    }
    agreed.desktop_fences();
    Ok(Rest::Pass(9 + u64::from(fence.length)))
}
