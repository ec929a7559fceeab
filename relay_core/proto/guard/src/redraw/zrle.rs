//! Tiles of ZRLE before they are deflated: of five forms, the shortest (docs/GUARD.md §12; RFC 6143 §7.7.6).
use super::byte;
use super::colours::Colours;
use super::screen::TILE;

/// The most colours of a palette.
const MOST: usize = 127;
/// The most colours whose numbers are packed into less than a byte.
const PACKED: usize = 16;

/// What a tile is looked through with; one is enough for all of them.
pub(crate) struct Tiles {
    runs: Vec<Run>,
    palette: Palette,
}

/// Pixels of one colour in a row, over the ends of lines.
#[derive(Clone, Copy)]
struct Run {
    colour: u32,
    length: usize,
}

/// The colours of a tile, in the order in which they come; numbered from 0.
struct Palette {
    colours: Vec<u32>,
    /// A colour's number and 1, somewhere behind its hash; 0 where there is none.
    slots: [u8; 256],
    /// There are more.
    is_full: bool,
}

/// The forms of a tile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Raw,
    Solid,
    Packed,
    PlainRuns,
    PaletteRuns,
}

impl Tiles {
    pub(crate) fn new() -> Self {
        Self {
            runs: Vec::with_capacity(TILE * TILE),
            palette: Palette {
                colours: Vec::with_capacity(MOST),
                slots: [0; 256],
                is_full: false,
            },
        }
    }

    /// Writes a tile of pixels as [`Colours::of`] made them, row by row of `width`; there is at least one.
    pub(crate) fn write(
        &mut self,
        pixels: &[u32],
        width: usize,
        colours: &Colours,
        to: &mut Vec<u8>,
    ) {
        self.look_through(pixels);
        let palette = &self.palette.colours;
        match self.shortest(pixels.len(), width, colours.bytes()) {
            Form::Raw => {
                to.push(0);
                colours.put_all(pixels, to);
            }
            Form::Solid => {
                to.push(1);
                colours.put(pixels[0], to);
            }
            Form::Packed => {
                to.push(byte(palette.len()));
                colours.put_all(palette, to);
                pixels.chunks(width).for_each(|row| self.pack(row, to));
            }
            Form::PlainRuns => {
                to.push(128);
                for run in &self.runs {
                    colours.put(run.colour, to);
                    run.put_length(to);
                }
            }
            Form::PaletteRuns => {
                to.push(byte(128 + palette.len()));
                colours.put_all(palette, to);
                for run in &self.runs {
                    let number = self.palette.number(run.colour);
                    if run.length == 1 {
                        to.push(number);
                    } else {
                        to.push(128 | number);
                        run.put_length(to);
                    }
                }
            }
        }
    }

    /// Finds runs and colours.
    fn look_through(&mut self, pixels: &[u32]) {
        self.runs.clear();
        self.palette.clear();
        for same in pixels.chunk_by(|one, next| one == next) {
            self.palette.add(same[0]);
            self.runs.push(Run {
                colour: same[0],
                length: same.len(),
            });
        }
    }

    /// The form that needs the fewest bytes.
    fn shortest(&self, pixels: usize, width: usize, bytes: usize) -> Form {
        let palette = &self.palette;
        if self.runs.len() == 1 {
            return Form::Solid;
        }
        let lengths = |least| {
            let runs = self.runs.iter().filter(move |run| run.length >= least);
            runs.map(Run::length_bytes).sum::<usize>()
        };
        let mut best = (pixels * bytes, Form::Raw);
        let mut consider = |size, form| {
            if size < best.0 {
                best = (size, form);
            }
        };
        consider(self.runs.len() * bytes + lengths(1), Form::PlainRuns);
        if !palette.is_full {
            let colours = palette.colours.len() * bytes;
            consider(colours + self.runs.len() + lengths(2), Form::PaletteRuns);
            if palette.colours.len() <= PACKED {
                let rows = pixels / width;
                let row = (width * palette.packed_bits()).div_ceil(8);
                consider(colours + rows * row, Form::Packed);
            }
        }
        best.1
    }

    /// Writes the numbers of a row's colours, the first in the highest bits.
    fn pack(&self, row: &[u32], to: &mut Vec<u8>) {
        let bits = self.palette.packed_bits();
        for pixels in row.chunks(8 / bits) {
            let mut byte = 0;
            for (at, pixel) in pixels.iter().enumerate() {
                byte |= self.palette.number(*pixel) << (8 - bits * (at + 1));
            }
            to.push(byte);
        }
    }
}

impl Run {
    /// Bytes that its length takes.
    fn length_bytes(&self) -> usize {
        (self.length - 1) / 255 + 1
    }

    /// Writes its length, less one, as bytes of which the last is not 255.
    fn put_length(&self, to: &mut Vec<u8>) {
        let rest = self.length - 1;
        to.resize(to.len() + rest / 255, 255);
        to.push(byte(rest % 255));
    }
}

impl Palette {
    fn clear(&mut self) {
        self.colours.clear();
        self.slots.fill(0);
        self.is_full = false;
    }

    fn add(&mut self, colour: u32) {
        let slot = self.slot(colour);
        if self.slots[slot] != 0 || self.is_full {
            return;
        }
        if self.colours.len() == MOST {
            self.is_full = true;
            return;
        }
        self.colours.push(colour);
        self.slots[slot] = byte(self.colours.len());
    }

    /// The number of one of its colours.
    fn number(&self, colour: u32) -> u8 {
        self.slots[self.slot(colour)] - 1
    }

    /// Where a colour stands, or would. There is always a free place: half of them at least.
    fn slot(&self, colour: u32) -> usize {
        let mut slot = (colour.wrapping_mul(0x9e37_79b1) >> 24) as usize;
        while let number @ 1.. = self.slots[slot]
            && self.colours[usize::from(number) - 1] != colour
        {
            slot = (slot + 1) % 256;
        }
        slot
    }

    /// Bits of a packed number: 1, 2 or 4.
    fn packed_bits(&self) -> usize {
        match self.colours.len() {
            ..=2 => 1,
            3..=4 => 2,
            _ => 4,
        }
    }
}
