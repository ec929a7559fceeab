//! What both directions must know of each other to follow the desktop (docs/GUARD.md §7, §8).
use super::client::{Fate, Picture};
use super::encoding::{Encoding, Encodings};
use super::fence::{Fence, MARKED};
use super::refusal::Refusal;
use crate::feed::Feed;

/// Bytes of one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelSize(u8);

impl PixelSize {
    /// The size of a format of so many bits per pixel; RFB has three.
    pub(crate) fn of(bits: u8) -> Option<Self> {
        matches!(bits, 8 | 16 | 32).then_some(Self(bits / 8))
    }

    /// Bytes.
    pub(crate) fn bytes(self) -> u64 {
        self.0.into()
    }
}

/// What goes before a `SetPixelFormat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// The guard's own fence, whose answer says where the format changes.
    Mark,
}

/// What client and desktop have agreed on so far.
#[derive(Debug)]
pub(crate) struct Agreed {
    pixels: PixelSize,
    /// What counts behind the answer to the guard's own fence.
    next_pixels: Option<PixelSize>,
    /// Every encoding that the client ever asked for: an older list may be in flight.
    asked: Encodings,
    /// The client's last list has Fence.
    client_has_fences: bool,
    desktop_has_fences: bool,
    /// The client has asked for pixels: from here on the desktop may send some at any time.
    asked_for_pixels: bool,
}

impl Agreed {
    /// As `ServerInit` says.
    pub(crate) fn new(pixels: PixelSize) -> Self {
        Self {
            pixels,
            next_pixels: None,
            asked: Encodings::NONE,
            client_has_fences: false,
            desktop_has_fences: false,
            asked_for_pixels: false,
        }
    }

    /// The size of the pixels that the desktop sends here.
    pub(crate) fn pixels(&self) -> PixelSize {
        self.pixels
    }

    /// What the desktop may use.
    pub(crate) fn asked(&self) -> &Encodings {
        &self.asked
    }

    /// The desktop answers the guard's own fence: the format changes here, if it says that it kept to that.
    pub(crate) fn marked(&mut self, in_sync: bool) -> Result<(), Refusal> {
        match self.next_pixels.take() {
            Some(size) if in_sync => {
                self.pixels = size;
                Ok(())
            }
            _ => Err(Refusal::DesktopFence),
        }
    }

    /// Whether the desktop may send pixels at all.
    pub(crate) fn may_update(&self) -> Result<(), Refusal> {
        if self.asked_for_pixels {
            Ok(())
        } else {
            Err(Refusal::DesktopUnrequested)
        }
    }

    /// The desktop has sent a fence.
    pub(crate) fn desktop_fences(&mut self) {
        self.desktop_has_fences = true;
    }

    /// The client names another format (the table of §8).
    fn change_pixels(&mut self, size: PixelSize) -> Result<Before, Refusal> {
        if size == self.next_pixels.unwrap_or(self.pixels) {
            Ok(Before::Nothing)
        } else if !self.asked_for_pixels {
            self.pixels = size;
            Ok(Before::Nothing)
        } else if self.next_pixels.is_none() && self.client_has_fences && self.desktop_has_fences {
            self.next_pixels = Some(size);
            Ok(Before::Mark)
        } else {
            Err(Refusal::PixelsMidway)
        }
    }
}

impl Picture for Agreed {
    fn pixel_format(&mut self, message: &[u8; 20], feed: &mut Feed<'_>) -> Result<Fate, Refusal> {
        let bits = message[4];
        let size = PixelSize::of(bits).ok_or(Refusal::ClientPixels { bits })?;
        if self.change_pixels(size)? == Before::Mark {
            feed.say(&MARKED);
        }
        Ok(Fate::Pass)
    }

    fn encodings(&mut self, named: &Encodings, feed: &mut Feed<'_>) {
        let (message, length) = named.message();
        feed.say(&message[..length]);
        self.client_has_fences = named.contains(Encoding::Fence);
        for encoding in named.iter() {
            self.asked.insert(encoding);
        }
    }

    fn request(&mut self, _: &[u8; 10]) -> Fate {
        self.asked_for_pixels = true;
        Fate::Pass
    }

    fn continuous(&mut self, [_, enable, ..]: &[u8; 10]) -> Fate {
        self.asked_for_pixels |= *enable != 0;
        Fate::Pass
    }

    fn desktop_size(&mut self, _: [u8; 8]) -> Fate {
        Fate::Pass
    }

    fn fence(&mut self, flags: u32) -> Option<u32> {
        Some(flags & !Fence::SYNC_NEXT)
    }
}
