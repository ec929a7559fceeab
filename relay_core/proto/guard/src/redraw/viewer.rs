//! What the viewer wants to see, and how (docs/GUARD.md §12).
use super::colours::PixelFormat;
use super::screen::{Area, is_drawable};
use crate::feed::Feed;
use crate::rfb::Refusal;
use crate::rfb::client::{Fate, Picture};
use crate::rfb::encoding::{Encoding, Encodings};

/// What the desktop is asked for beside Raw, where the viewer can be told of it.
const FROM_DESKTOP: [Encoding; 5] = [
    Encoding::Cursor,
    Encoding::DesktopSize,
    Encoding::ExtendedDesktopSize,
    Encoding::DesktopName,
    Encoding::QemuKey,
];

/// A viewer's wishes.
#[derive(Debug)]
pub(crate) struct Viewer {
    format: PixelFormat,
    /// Its last list has ZRLE.
    zrle: bool,
    /// Every encoding that it ever named.
    named: Encodings,
    /// Every encoding that the desktop was ever asked for.
    asked: Encodings,
    /// What it has asked for and not been given; empty where there is nothing.
    wants: Area,
    /// The part of the screen that the desktop has to send whole, since the viewer wants it so.
    afresh: Area,
    /// What it wants without asking.
    continuous: Area,
    /// `EndOfContinuousUpdates` is to be said.
    end_is_due: bool,
}

impl Viewer {
    /// One that has said nothing, and takes pixels of `format`.
    pub(crate) fn new(format: PixelFormat) -> Self {
        Self {
            format,
            zrle: false,
            named: Encodings::NONE,
            asked: Encodings::NONE,
            wants: Area::default(),
            afresh: Area::default(),
            continuous: Area::default(),
            end_is_due: false,
        }
    }

    pub(crate) fn format(&self) -> &PixelFormat {
        &self.format
    }

    pub(crate) fn has_zrle(&self) -> bool {
        self.zrle
    }

    /// Whether it can be told of this.
    pub(crate) fn knows(&self, encoding: Encoding) -> bool {
        self.named.contains(encoding)
    }

    /// What the desktop may use.
    pub(crate) fn asked(&self) -> &Encodings {
        &self.asked
    }

    /// Where it waits for pixels; empty: nowhere.
    pub(crate) fn waits_for(&self) -> Area {
        self.wants.around(&self.continuous)
    }

    /// It is given an update.
    pub(crate) fn given(&mut self) {
        self.wants = Area::default();
    }

    /// Its picture of this part is worth nothing.
    pub(crate) fn needs(&mut self, area: &Area) {
        self.afresh = self.afresh.around(area);
    }

    /// What the desktop is to send whole, once.
    pub(crate) fn take_afresh(&mut self) -> Area {
        core::mem::take(&mut self.afresh)
    }

    /// Whether `EndOfContinuousUpdates` is to be said, once.
    pub(crate) fn take_end(&mut self) -> bool {
        core::mem::take(&mut self.end_is_due)
    }
}

/// Nothing of it reaches the desktop as it is, but for a screen's size.
impl Picture for Viewer {
    fn pixel_format(&mut self, message: &[u8; 20], _: &mut Feed<'_>) -> Result<Fate, Refusal> {
        let [_, _, _, _, format @ ..] = message;
        self.format = PixelFormat::of(format)?;
        Ok(Fate::Drop)
    }

    fn encodings(&mut self, named: &Encodings, feed: &mut Feed<'_>) {
        self.zrle = named.contains(Encoding::Zrle);
        // The first list that names it is answered so (rfbproto, `EnableContinuousUpdates`).
        self.end_is_due |= named.contains(Encoding::ContinuousUpdates)
            && !self.named.contains(Encoding::ContinuousUpdates);
        let mut list = Encodings::NONE;
        list.insert(Encoding::Raw);
        for encoding in named.iter() {
            self.named.insert(encoding);
            if FROM_DESKTOP.contains(&encoding) {
                list.insert(encoding);
                self.asked.insert(encoding);
            }
        }
        let (message, length) = list.message();
        feed.say(&message[..length]);
    }

    fn request(&mut self, [_, incremental, area @ ..]: &[u8; 10]) -> Fate {
        let area = Area::of(*area);
        self.wants = self.wants.around(&area);
        if *incremental == 0 {
            self.needs(&area);
        }
        Fate::Drop
    }

    fn continuous(&mut self, [_, enable, area @ ..]: &[u8; 10]) -> Fate {
        if *enable == 0 {
            self.continuous = Area::default();
            self.end_is_due = true;
        } else {
            self.continuous = Area::of(*area);
        }
        Fate::Drop
    }

    /// A screen that could not be drawn would end this session, and every later one until somebody at the office changed it back.
    fn desktop_size(&mut self, [_, _, a, b, c, d, ..]: [u8; 8]) -> Fate {
        let [width, height] = [[a, b], [c, d]].map(u16::from_be_bytes);
        if is_drawable(width, height) {
            Fate::Pass
        } else {
            Fate::Drop
        }
    }

    fn fence(&mut self, _: u32) -> Option<u32> {
        None
    }
}
