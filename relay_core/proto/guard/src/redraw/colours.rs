//! Pixels as the viewer wants them (docs/GUARD.md §12; RFC 6143 §7.4).
use super::byte;
use super::screen::Pixel;
use crate::rfb::Refusal;

/// A pixel format of true colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelFormat {
    bits: u8,
    depth: u8,
    big_endian: bool,
    /// Red, green, blue.
    channels: [Channel; 3],
}

/// Where a part of a pixel stands, and how much of it there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channel {
    max: u16,
    shift: u8,
}

/// How pixels are written: each part's share of the bytes, the first byte lowest.
pub(crate) struct Colours {
    blue: [u32; 256],
    green: [u32; 256],
    red: [u32; 256],
    /// Of one pixel.
    bytes: usize,
}

impl PixelFormat {
    /// What the guard asks the desktop for and offers the viewer: 32 bits, blue in the first byte, then green and red.
    pub(crate) const CANVAS: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

    /// Reads one, as `ServerInit` and `SetPixelFormat` have it.
    pub(crate) fn of(message: &[u8; 16]) -> Result<Self, Refusal> {
        let [
            bits,
            depth,
            big_endian,
            true_colour,
            r0,
            r1,
            g0,
            g1,
            b0,
            b1,
            r,
            g,
            b,
            ..,
        ] = *message;
        if !matches!(bits, 8 | 16 | 32) {
            return Err(Refusal::ClientPixels { bits });
        }
        let channels = [([r0, r1], r), ([g0, g1], g), ([b0, b1], b)].map(|(max, shift)| Channel {
            max: u16::from_be_bytes(max),
            shift,
        });
        if true_colour == 0 || !channels.iter().all(|channel| channel.fits(bits.into())) {
            return Err(Refusal::ClientColours);
        }
        Ok(Self {
            bits,
            depth,
            big_endian: big_endian != 0,
            channels,
        })
    }

    /// Which bytes of a pixel ZRLE leaves out (RFC 6143 §7.7.5): how many stand before those that it has, and how many it has.
    fn compressed(&self) -> (u32, usize) {
        let whole = usize::from(self.bits / 8);
        if self.bits < 32 || self.depth > 24 {
            return (0, whole);
        }
        let used = self.channels.iter().fold(0, |used, channel| {
            used | (u32::from(channel.max) << channel.shift)
        });
        let (low, high) = (used & 0xff00_0000 == 0, used.trailing_zeros() >= 8);
        // The three bytes stand in the order in which they stand in the pixel.
        match (low, high, self.big_endian) {
            (true, _, false) | (false, true, true) => (0, 3),
            (true, _, true) | (false, true, false) => (1, 3),
            (false, false, _) => (0, whole),
        }
    }
}

impl Channel {
    /// Whether it lies inside a pixel.
    fn fits(self, bits: u32) -> bool {
        let top = u16::BITS - self.max.leading_zeros();
        u32::from(self.shift) < bits && u32::from(self.shift) + top <= bits
    }

    /// The nearest there is to a part of 255.
    fn value(self, part: u8) -> u32 {
        let value = (u32::from(part) * u32::from(self.max) + 127) / 255;
        value << self.shift
    }
}

impl Colours {
    /// Whole pixels, as Raw and Cursor have them.
    pub(crate) fn whole(format: &PixelFormat) -> Self {
        Self::new(format, 0, usize::from(format.bits / 8))
    }

    /// Those of ZRLE.
    pub(crate) fn compressed(format: &PixelFormat) -> Self {
        let (before, bytes) = format.compressed();
        Self::new(format, before, bytes)
    }

    fn new(format: &PixelFormat, before: u32, bytes: usize) -> Self {
        let unused = 32 - u32::from(format.bits);
        let written = |value: u32| {
            let first_lowest = if format.big_endian {
                (value << unused).swap_bytes()
            } else {
                value
            };
            first_lowest >> (8 * before)
        };
        let [red, green, blue] = format.channels.map(|channel| {
            core::array::from_fn(|part| {
                let value = channel.value(byte(part));
                written(value) & (u32::MAX >> (32 - 8 * bytes))
            })
        });
        Self {
            blue,
            green,
            red,
            bytes,
        }
    }

    /// Bytes of one pixel.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A pixel as it is written, the first byte lowest.
    pub(crate) fn of(&self, pixel: Pixel) -> u32 {
        let [blue, green, red, _] = pixel.to_le_bytes().map(usize::from);
        self.blue[blue] | self.green[green] | self.red[red]
    }

    /// Writes pixels that [`of`](Self::of) made.
    pub(crate) fn put_all(&self, written: &[u32], to: &mut Vec<u8>) {
        for pixel in written {
            self.put(*pixel, to);
        }
    }

    /// Writes a pixel that [`of`](Self::of) made.
    pub(crate) fn put(&self, written: u32, to: &mut Vec<u8>) {
        to.extend_from_slice(&written.to_le_bytes()[..self.bytes]);
    }
}
