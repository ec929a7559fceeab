//! A desktop's name: a text, so no more of it goes on than a title needs (docs/GUARD.md §6).
use telerelay_wire::limits::GUARD_NAME;

use crate::feed::{Feed, Stop};

/// A name of which not everything has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    /// Bytes of the whole name, and how many have come.
    length: u32,
    kept: usize,
    bytes: [u8; GUARD_NAME],
}

impl Name {
    /// A name of `length` bytes, as the desktop says.
    pub(crate) fn new(length: u32) -> Self {
        Self {
            length,
            kept: 0,
            bytes: [0; GUARD_NAME],
        }
    }

    /// Reads what is kept of it: how many bytes behind it are to be dropped.
    pub(crate) fn read(&mut self, feed: &mut Feed<'_>) -> Result<u64, Stop> {
        let wanted =
            usize::try_from(self.length).map_or(GUARD_NAME, |length| length.min(GUARD_NAME));
        self.kept += feed.take(&mut self.bytes[self.kept..wanted]);
        if self.kept < wanted {
            return Err(Stop::Starved);
        }
        Ok(u64::from(self.length) - wanted as u64)
    }

    /// What goes on of a name that was read: its length, and the text.
    pub(crate) fn told(&self) -> ([u8; 4], &[u8]) {
        let kept = &self.bytes[..self.kept];
        let text = if self.kept as u64 == u64::from(self.length) {
            kept
        } else {
            before_cut_character(kept)
        };
        // Cannot fail: it is at most `GUARD_NAME`.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        (length.to_be_bytes(), text)
    }

    /// Reads it and lets it go on: how many bytes behind it are to be dropped.
    pub(crate) fn tell(&mut self, feed: &mut Feed<'_>) -> Result<u64, Stop> {
        let left = self.read(feed)?;
        let (length, text) = self.told();
        feed.say(&length);
        feed.say(text);
        Ok(left)
    }
}

/// The bytes without a UTF-8 character that the cut behind them went through. What is no UTF-8 stays as it is.
fn before_cut_character(bytes: &[u8]) -> &[u8] {
    match core::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}
