//! What the desktop says, drawn onto the screen (docs/GUARD.md §12).
use telerelay_wire::limits;

use super::screen::{Area, Screen};
use crate::feed::{Feed, Stop};
use crate::rfb::Refusal;
use crate::rfb::encoding::{Encoding, Encodings};
use crate::rfb::head::{Message, Rectangle, behind_head};
use crate::rfb::name::Name;

/// Bytes of a pixel of `PixelFormat::CANVAS`.
const PIXEL: usize = 4;

/// The desktop's messages, from `ServerInit` on.
#[derive(Debug)]
pub(crate) struct Desktop {
    /// Rectangles that are still to come of an update.
    rectangles: u16,
    /// What the update that comes has brought; `None` between updates.
    update: Option<Pixels>,
    /// It was asked for pixels: from here on it may send some at any time, in the guard's format.
    pub(crate) is_asked: bool,
    rest: Rest,
    /// What has come of a row of pixels or of a pointer's shape.
    held: Vec<u8>,
    filled: usize,
    name: Name,
}

/// Whether there were any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pixels {
    #[default]
    None,
    Some,
}

/// What is left of a message or a rectangle whose head was judged.
#[derive(Debug)]
enum Rest {
    Nothing,
    Drop(u64),
    /// Rows of Raw pixels; the area shrinks with each.
    Rows(Area),
    Cursor(Area),
    /// The desktop's name.
    Name,
    /// So many screens of an `ExtendedDesktopSize`.
    Screens(u8),
}

/// What the desktop has become, and what the viewer has not heard of it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) screen: Screen,
    /// Nothing was drawn on it yet.
    pub(crate) is_blank: bool,
    /// The first of the desktop's screens, by which `SetDesktopSize` names it.
    pub(crate) screen_id: [u8; 4],
    pub(crate) bell: bool,
    /// Another size, or the answer to `SetDesktopSize`: reason and status.
    pub(crate) size: Option<[u16; 2]>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) name: Option<Name>,
    /// It takes QEMU's key events.
    pub(crate) qemu_keys: bool,
}

/// A pointer's shape.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The hot spot, and the size.
    pub(crate) area: Area,
    /// Pixels of `PixelFormat::CANVAS`, then the mask.
    pub(crate) bytes: Vec<u8>,
}

impl Scene {
    pub(crate) fn new(screen: Screen) -> Self {
        Self {
            screen,
            is_blank: true,
            screen_id: [0; 4],
            bell: false,
            size: None,
            cursor: None,
            name: None,
            qemu_keys: false,
        }
    }

    /// Whether there is something to tell beside pixels.
    pub(crate) fn has_news(&self) -> bool {
        self.size.is_some() || self.cursor.is_some() || self.name.is_some() || self.qemu_keys
    }
}

impl Desktop {
    /// Behind so many bytes of `ServerInit`'s name, which are dropped.
    pub(crate) fn behind_name(name_left: u64) -> Self {
        Self {
            rectangles: 0,
            update: None,
            is_asked: false,
            rest: Rest::Drop(name_left),
            held: Vec::new(),
            filled: 0,
            name: Name::new(0),
        }
    }

    /// Whether an update has begun to come and not ended.
    pub(crate) fn is_updating(&self) -> bool {
        self.update.is_some()
    }

    /// The rest of what came, or the next head: what an update has brought, at its end.
    pub(crate) fn step(
        &mut self,
        feed: &mut Feed<'_>,
        scene: &mut Scene,
        asked: &Encodings,
    ) -> Result<Option<Pixels>, Stop> {
        self.rest = match &self.rest {
            Rest::Nothing if self.rectangles > 0 => self.rectangle(feed, scene, asked)?,
            Rest::Nothing if self.update.is_some() => return Ok(self.update.take()),
            Rest::Nothing => self.message(feed, scene, asked)?,
            _ => self.finish(feed, scene)?,
        };
        Ok(None)
    }

    /// Reads the rest of what was judged: what comes behind it.
    fn finish(&mut self, feed: &mut Feed<'_>, scene: &mut Scene) -> Result<Rest, Stop> {
        match &mut self.rest {
            Rest::Nothing => {}
            Rest::Drop(left) => feed.drop(left)?,
            Rest::Rows(area) => {
                while area.height > 0 {
                    fill(&mut self.held, &mut self.filled, area.width * PIXEL, feed)?;
                    scene.screen.draw(area.x, area.y, self.held.as_chunks().0);
                    area.y += 1;
                    area.height -= 1;
                }
            }
            Rest::Cursor(area) => {
                let length =
                    area.width * area.height * PIXEL + area.width.div_ceil(8) * area.height;
                fill(&mut self.held, &mut self.filled, length, feed)?;
                scene.cursor = Some(Cursor {
                    area: *area,
                    bytes: core::mem::take(&mut self.held),
                });
            }
            Rest::Name => {
                let left = self.name.read(feed)?;
                scene.name = Some(self.name);
                return Ok(Rest::Drop(left));
            }
            Rest::Screens(count) => {
                if *count > 0 {
                    scene.screen_id = feed.peek()?;
                }
                return Ok(Rest::Drop(16 * u64::from(*count)));
            }
        }
        Ok(Rest::Nothing)
    }

    /// Judges a message by its head.
    fn message(
        &mut self,
        feed: &mut Feed<'_>,
        scene: &mut Scene,
        asked: &Encodings,
    ) -> Result<Rest, Stop> {
        Ok(match Message::peek(feed, asked)? {
            Message::Update(_) if !self.is_asked => return Err(Refusal::DesktopUnrequested.into()),
            Message::Update(rectangles) => {
                self.rectangles = rectangles;
                self.update = Some(Pixels::None);
                Rest::Drop(4)
            }
            // The guard asks for true colours.
            Message::Colours(length) | Message::Text(length) => Rest::Drop(length),
            Message::Bell => {
                scene.bell = true;
                Rest::Drop(1)
            }
            // Never asked for, so never passed by `Message`.
            Message::EndOfContinuousUpdates => Rest::Drop(1),
            Message::Fence(fence) => Rest::Drop(9 + u64::from(fence.length)),
        })
    }

    /// Judges a rectangle by its head.
    fn rectangle(
        &mut self,
        feed: &mut Feed<'_>,
        scene: &mut Scene,
        asked: &Encodings,
    ) -> Result<Rest, Stop> {
        let Rectangle {
            x,
            y,
            width,
            height,
            encoding,
        } = Rectangle::peek(feed, asked)?;
        let area = Area {
            x: x.into(),
            y: y.into(),
            width: width.into(),
            height: height.into(),
        };
        let rest = match encoding {
            Encoding::Raw => {
                if area.within(&scene.screen.area()) != area {
                    return Err(Refusal::DesktopOutside.into());
                }
                self.update = Some(Pixels::Some);
                if area.is_empty() {
                    Rest::Nothing
                } else {
                    Rest::Rows(area)
                }
            }
            Encoding::Cursor => {
                if area.width.max(area.height) > limits::GUARD_CURSOR {
                    return Err(Refusal::DesktopCursor { width, height }.into());
                }
                Rest::Cursor(area)
            }
            Encoding::DesktopSize => {
                resize(scene, width, height, [0, 0])?;
                Rest::Nothing
            }
            Encoding::ExtendedDesktopSize => {
                let [count, ..] = behind_head(feed)?;
                // A status but 0: the desktop refuses a size, and has the one that it had.
                if y == 0 {
                    resize(scene, width, height, [x, y])?;
                } else {
                    scene.size = Some([x, y]);
                }
                feed.skip::<16>()?;
                self.rectangles -= 1;
                return Ok(Rest::Screens(count));
            }
            Encoding::DesktopName => {
                self.name = Name::new(u32::from_be_bytes(behind_head(feed)?));
                feed.skip::<16>()?;
                self.rectangles -= 1;
                return Ok(Rest::Name);
            }
            Encoding::QemuKey => {
                scene.qemu_keys = true;
                Rest::Nothing
            }
            // Never asked for, so never passed by `Rectangle`.
            Encoding::CopyRect
            | Encoding::Zlib
            | Encoding::Zrle
            | Encoding::LastRect
            | Encoding::Fence
            | Encoding::ContinuousUpdates => {
                let number = encoding.number();
                return Err(Refusal::DesktopEncoding { number }.into());
            }
        };
        feed.skip::<12>()?;
        self.rectangles -= 1;
        Ok(rest)
    }
}

/// Fills `held` with the next `length` bytes, as far as they have come; whole, it is empty for the next.
fn fill(
    held: &mut Vec<u8>,
    filled: &mut usize,
    length: usize,
    feed: &mut Feed<'_>,
) -> Result<(), Stop> {
    held.resize(length, 0);
    *filled += feed.take(&mut held[*filled..]);
    if *filled < length {
        return Err(Stop::Starved);
    }
    *filled = 0;
    Ok(())
}

/// The desktop tells its size, which may be another one.
fn resize(scene: &mut Scene, width: u16, height: u16, told: [u16; 2]) -> Result<(), Refusal> {
    let area = scene.screen.area();
    if (area.width, area.height) != (width.into(), height.into()) {
        scene.screen = Screen::new(width, height)?;
        scene.is_blank = true;
    }
    scene.size = Some(told);
    Ok(())
}
