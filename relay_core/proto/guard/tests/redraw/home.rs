//! A viewer: it decodes what comes by RFC 6143 alone.
use std::collections::BTreeSet;

use flate2::{Decompress, FlushDecompress};

/// A pixel format as a message has it.
pub(crate) type Format = [u8; 16];

pub(crate) const CANVAS: Format = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Pixels as numbers of its format.
    pub(crate) picture: Vec<u32>,
    format: Format,
    inflate: Decompress,
    heard: Vec<u8>,
    is_greeted: bool,
    pub(crate) name: Vec<u8>,
    /// Updates that came, and of each rectangle without pixels its head and body.
    pub(crate) updates: usize,
    pub(crate) news: Vec<(i32, Vec<u8>)>,
    /// Bells (2) and ends of continuous updates (150).
    pub(crate) short: Vec<u8>,
    /// The forms of tiles that came.
    pub(crate) forms: BTreeSet<&'static str>,
    pub(crate) bytes: usize,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            width: 0,
            height: 0,
            picture: Vec::new(),
            format: CANVAS,
            inflate: Decompress::new(true),
            heard: Vec::new(),
            is_greeted: false,
            name: Vec::new(),
            updates: 0,
            news: Vec::new(),
            short: Vec::new(),
            forms: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// The next update comes in another format.
    pub(crate) fn expect(&mut self, format: Format) {
        self.format = format;
    }

    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.heard.extend(bytes);
        while let Some(length) = self.whole() {
            let message: Vec<u8> = self.heard.drain(..length).collect();
            self.take(&message);
        }
    }

    /// Whether nothing is half heard.
    pub(crate) fn is_between(&self) -> bool {
        self.heard.is_empty()
    }

    /// The length of the first message, once all of it has come.
    fn whole(&self) -> Option<usize> {
        let heard = &self.heard;
        if !self.is_greeted {
            // Greeting, decision of 3.3, ServerInit.
            let name = number32(heard.get(..40)?, 36);
            return (heard.len() >= 40 + name).then_some(40 + name);
        }
        let length = match heard.first()? {
            0 => {
                let mut at = 4;
                for _ in 0..number(heard.get(..4)?, 2) {
                    at += self.rectangle_length(heard.get(at..)?)?;
                }
                at
            }
            2 | 150 => 1,
            kind => panic!("the viewer hears {kind}"),
        };
        (heard.len() >= length).then_some(length)
    }

    fn rectangle_length(&self, bytes: &[u8]) -> Option<usize> {
        let head = bytes.get(..12)?;
        let (width, height) = (number(head, 4), number(head, 6));
        let pixels = width * height * usize::from(self.format[0] / 8);
        Some(
            12 + match encoding(head) {
                0 => pixels,
                16 | -307 => 4 + number32(bytes.get(..16)?, 12),
                -223 | -258 => 0,
                -239 => pixels + width.div_ceil(8) * height,
                -308 => 4 + 16 * usize::from(*bytes.get(12)?),
                other => panic!("the viewer is sent encoding {other}"),
            },
        )
    }

    fn take(&mut self, message: &[u8]) {
        if !self.is_greeted {
            assert_eq!(&message[..16], b"RFB 003.008\n\0\0\0\x01");
            assert_eq!(message[20..36], CANVAS);
            self.name = message[40..].to_vec();
            self.is_greeted = true;
            self.resize(number(message, 16), number(message, 18));
            return;
        }
        if message[0] != 0 {
            self.short.push(message[0]);
            return;
        }
        self.updates += 1;
        let mut rest = &message[4..];
        while !rest.is_empty() {
            let (rectangle, next) = rest.split_at(self.rectangle_length(rest).unwrap());
            self.rectangle(rectangle);
            rest = next;
        }
    }

    fn rectangle(&mut self, rectangle: &[u8]) {
        let [x, y, width, height] = [0, 2, 4, 6].map(|at| number(rectangle, at));
        let body = &rectangle[12..];
        let size = usize::from(self.format[0] / 8);
        match encoding(rectangle) {
            0 => {
                for (at, pixel) in body.chunks(size).enumerate() {
                    let pixel = self.number(pixel);
                    self.picture[(y + at / width) * self.width + x + at % width] = pixel;
                }
            }
            16 => self.zrle([x, y, width, height], &body[4..]),
            other => {
                if matches!(other, -223 | -308) {
                    self.resize(width, height);
                }
                self.news.push((other, rectangle.to_vec()));
            }
        }
    }

    fn resize(&mut self, width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        self.picture = vec![0; width * height];
    }

    fn zrle(&mut self, [x, y, width, height]: [usize; 4], deflated: &[u8]) {
        let mut tiles = Tiles {
            bytes: self.inflated(deflated),
            at: 0,
        };
        for top in (0..height).step_by(64) {
            for left in (0..width).step_by(64) {
                let (columns, rows) = (64.min(width - left), 64.min(height - top));
                let pixels = self.tile(&mut tiles, columns, rows);
                for (at, pixel) in pixels.into_iter().enumerate() {
                    let (column, row) = (x + left + at % columns, y + top + at / columns);
                    self.picture[row * self.width + column] = pixel;
                }
            }
        }
        assert_eq!(tiles.at, tiles.bytes.len(), "bytes behind the last tile");
    }

    fn inflated(&mut self, deflated: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 << 20);
        let before = self.inflate.total_in();
        self.inflate
            .decompress_vec(deflated, &mut bytes, FlushDecompress::Sync)
            .unwrap();
        assert_eq!(self.inflate.total_in() - before, deflated.len() as u64);
        bytes
    }

    fn tile(&mut self, tiles: &mut Tiles, columns: usize, rows: usize) -> Vec<u32> {
        let area = columns * rows;
        let form = usize::from(tiles.byte());
        let mut pixels = Vec::new();
        match form {
            0 => {
                self.forms.insert("raw");
                pixels.extend((0..area).map(|_| self.compressed(tiles)));
            }
            1 => {
                self.forms.insert("solid");
                pixels.resize(area, self.compressed(tiles));
            }
            2..=16 => {
                self.forms.insert("packed");
                let palette: Vec<u32> = (0..form).map(|_| self.compressed(tiles)).collect();
                let bits = match form {
                    2 => 1,
                    3..=4 => 2,
                    _ => 4,
                };
                for _ in 0..rows {
                    let row = tiles.take((columns * bits).div_ceil(8));
                    for column in 0..columns {
                        let byte = row[column * bits / 8];
                        let index = byte >> (8 - bits - column * bits % 8) & ((1 << bits) - 1);
                        pixels.push(palette[usize::from(index)]);
                    }
                }
            }
            128 => {
                self.forms.insert("plain runs");
                while pixels.len() < area {
                    let colour = self.compressed(tiles);
                    let length = tiles.length();
                    pixels.resize(pixels.len() + length, colour);
                }
            }
            130.. => {
                self.forms.insert("palette runs");
                let palette: Vec<u32> = (0..form - 128).map(|_| self.compressed(tiles)).collect();
                while pixels.len() < area {
                    let index = usize::from(tiles.byte());
                    let length = if index < 128 { 1 } else { tiles.length() };
                    pixels.resize(pixels.len() + length, palette[index % 128]);
                }
            }
            _ => panic!("no form of a tile: {form}"),
        }
        assert_eq!(pixels.len(), area, "a run goes beyond its tile");
        pixels
    }

    /// A pixel of ZRLE: of 32 bits without the byte that says nothing (RFC 6143 §7.7.5).
    fn compressed(&self, tiles: &mut Tiles) -> u32 {
        let [bits, depth, big_endian, ..] = self.format;
        if bits < 32 || depth > 24 {
            let size = usize::from(bits / 8);
            return self.number(tiles.take(size));
        }
        let used = [(4, 10), (6, 11), (8, 12)]
            .iter()
            .map(|(max, shift)| number(&self.format, *max) << self.format[*shift])
            .fold(0, |used, channel| used | channel);
        if used >> 24 == 0 {
            let [a, b, c] = *tiles.take(3).first_chunk().unwrap();
            self.number(&if big_endian == 0 {
                [a, b, c, 0]
            } else {
                [0, a, b, c]
            })
        } else if used.trailing_zeros() >= 8 {
            let [a, b, c] = *tiles.take(3).first_chunk().unwrap();
            self.number(&if big_endian == 0 {
                [0, a, b, c]
            } else {
                [a, b, c, 0]
            })
        } else {
            self.number(tiles.take(4))
        }
    }

    fn number(&self, pixel: &[u8]) -> u32 {
        let fold = |number, byte: &u8| number << 8 | u32::from(*byte);
        if self.format[2] == 0 {
            pixel.iter().rev().fold(0, fold)
        } else {
            pixel.iter().fold(0, fold)
        }
    }
}

struct Tiles {
    bytes: Vec<u8>,
    at: usize,
}

impl Tiles {
    fn take(&mut self, count: usize) -> &[u8] {
        self.at += count;
        &self.bytes[self.at - count..self.at]
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn length(&mut self) -> usize {
        let mut length = 1;
        loop {
            let byte = self.byte();
            length += usize::from(byte);
            if byte < 255 {
                return length;
            }
        }
    }
}

/// A colour as a number of a format: the nearest there is.
pub(crate) fn shown(format: &Format, colour: [u8; 3]) -> u32 {
    let parts = [(4, 10), (6, 11), (8, 12)].iter().zip(colour);
    parts
        .map(|((max, shift), part)| {
            let nearest = f64::from(part) * f64::from(u32::try_from(number(format, *max)).unwrap());
            // Halves go down: 127 of 255 is less than one.
            let nearest = (nearest / 255.0 - 0.5).ceil();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is between 0 and the most of its part"
            )]
            let nearest = nearest as u32;
            nearest << format[*shift]
        })
        .fold(0, |number, part| number | part)
}

pub(crate) fn number(bytes: &[u8], at: usize) -> usize {
    u16::from_be_bytes([bytes[at], bytes[at + 1]]).into()
}

fn number32(bytes: &[u8], at: usize) -> usize {
    number(bytes, at) << 16 | number(bytes, at + 2)
}

fn encoding(head: &[u8]) -> i32 {
    i32::from_be_bytes(*head[8..].first_chunk().unwrap())
}
