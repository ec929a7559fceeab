//! What the desktop may say (docs/GUARD.md §6, §7).
use super::agreed::Agreed;
use super::encoding::Encoding;
use super::fence::{Fence, is_marked};
use super::head::{Message, Rectangle, behind_head};
use super::name::Name;
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
        Ok(match Message::peek(feed, agreed.asked())? {
            Message::Update(rectangles) => {
                agreed.may_update()?;
                self.rectangles = rectangles;
                Rest::Pass(4)
            }
            Message::Colours(length) => Rest::Pass(length),
            Message::Bell | Message::EndOfContinuousUpdates => Rest::Pass(1),
            Message::Text(length) => Rest::Drop(length),
            Message::Fence(fence) => return self::fence(&fence, feed, agreed),
        })
    }

    /// Judges a rectangle by its head: 12 bytes, and what its encoding has of a fixed part.
    fn rectangle(&mut self, feed: &mut Feed<'_>, agreed: &Agreed) -> Result<Rest, Stop> {
        let Rectangle {
            width,
            height,
            encoding,
            ..
        } = Rectangle::peek(feed, agreed.asked())?;
        let (width, height) = (u64::from(width), u64::from(height));
        let pixels = width * height * agreed.pixels().bytes();
        let body = match encoding {
            Encoding::Raw => pixels,
            Encoding::CopyRect => 4,
            Encoding::Zlib | Encoding::Zrle => {
                4 + u64::from(u32::from_be_bytes(behind_head(feed)?))
            }
            Encoding::Cursor => pixels + width.div_ceil(8) * height,
            Encoding::ExtendedDesktopSize => 4 + 16 * u64::from(behind_head(feed)?[0]),
            Encoding::DesktopName => return self.desktop_name(feed),
            // The last two are never a rectangle: `Rectangle` refuses them.
            Encoding::DesktopSize
            | Encoding::LastRect
            | Encoding::QemuKey
            | Encoding::Fence
            | Encoding::ContinuousUpdates => 0,
        };
        self.rectangles = match encoding {
            Encoding::LastRect => 0,
            _ => self.rectangles - 1,
        };
        Ok(Rest::Pass(12 + body))
    }

    /// The head of the rectangle is said at once, the name once enough of it has come.
    fn desktop_name(&mut self, feed: &mut Feed<'_>) -> Result<Rest, Stop> {
        let length = u32::from_be_bytes(behind_head(feed)?);
        let head = feed.peek::<12>()?;
        feed.skip::<16>()?;
        feed.say(&head);
        self.name = Name::new(length);
        self.rectangles -= 1;
        Ok(Rest::Name)
    }
}

fn fence(fence: &Fence, feed: &mut Feed<'_>, agreed: &mut Agreed) -> Result<Rest, Stop> {
    let is_answer = fence.flags & Fence::REQUEST == 0;
    if is_answer && fence.may_be_marked() && is_marked(feed.peek()?) {
        agreed.marked(fence.flags & Fence::SYNC_NEXT != 0)?;
        return Ok(Rest::Drop(25));
    }
    agreed.desktop_fences();
    Ok(Rest::Pass(9 + u64::from(fence.length)))
}
