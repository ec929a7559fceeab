//! What the desktop shows, clean, and what of it the viewer has not seen (docs/GUARD.md §12).
use telerelay_wire::limits;

use super::byte;
use crate::rfb::Refusal;

/// Blue, green and red, from the lowest byte on; the highest is 0.
pub(crate) type Pixel = u32;

/// Sides of the squares in which changes are kept: those of ZRLE.
pub(crate) const TILE: usize = 64;

/// A part of a screen, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// The desktop's picture.
#[derive(Debug)]
pub(crate) struct Screen {
    width: usize,
    height: usize,
    pixels: Vec<Pixel>,
    /// Of each tile, row by row, what has changed.
    changed: Vec<Changed>,
}

/// The part of a tile that has changed, from its own corner; `right` and `bottom` are the first that have not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changed {
    left: u8,
    top: u8,
    right: u8,
    bottom: u8,
}

impl Area {
    /// As four numbers of a message say it.
    pub(crate) fn of([x0, x1, y0, y1, w0, w1, h0, h1]: [u8; 8]) -> Self {
        let number = |a, b| usize::from(u16::from_be_bytes([a, b]));
        Self {
            x: number(x0, x1),
            y: number(y0, y1),
            width: number(w0, w1),
            height: number(h0, h1),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }

    pub(crate) fn right(&self) -> usize {
        self.x + self.width
    }

    pub(crate) fn bottom(&self) -> usize {
        self.y + self.height
    }

    /// What both have in common; may be empty.
    pub(crate) fn within(&self, other: &Self) -> Self {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        Self {
            x,
            y,
            width: self.right().min(other.right()).saturating_sub(x),
            height: self.bottom().min(other.bottom()).saturating_sub(y),
        }
    }

    /// The least area that holds both.
    pub(crate) fn around(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { *other } else { *self };
        }
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        Self {
            x,
            y,
            width: self.right().max(other.right()) - x,
            height: self.bottom().max(other.bottom()) - y,
        }
    }

    /// The four numbers, as a message has them. None is beyond a screen's.
    pub(crate) fn bytes(&self) -> [u8; 8] {
        let number = |value| u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes();
        let [x, y] = [number(self.x), number(self.y)];
        let [width, height] = [number(self.width), number(self.height)];
        [
            x[0], x[1], y[0], y[1], width[0], width[1], height[0], height[1],
        ]
    }
}

impl Screen {
    /// A black one that the viewer knows.
    pub(crate) fn new(width: u16, height: u16) -> Result<Self, Refusal> {
        let (columns, rows) = (usize::from(width), usize::from(height));
        if !is_drawable(width, height) {
            return Err(Refusal::DesktopSize { width, height });
        }
        Ok(Self {
            width: columns,
            height: rows,
            pixels: vec![0; columns * rows],
            changed: vec![Changed::default(); columns.div_ceil(TILE) * rows.div_ceil(TILE)],
        })
    }

    /// All of it.
    pub(crate) fn area(&self) -> Area {
        Area {
            x: 0,
            y: 0,
            width: self.width,
            height: self.height,
        }
    }

    /// Pixels of one row, which lie inside.
    pub(crate) fn row(&self, x: usize, y: usize, width: usize) -> &[Pixel] {
        &self.pixels[y * self.width + x..][..width]
    }

    /// Pixels of one row as the desktop sends them (`CANVAS`), which lie inside: what is new is marked.
    pub(crate) fn draw(&mut self, x: usize, y: usize, sent: &[[u8; 4]]) {
        let (mut x, mut sent) = (x, sent);
        while !sent.is_empty() {
            let (here, next) = sent.split_at(sent.len().min(TILE - x % TILE));
            let place = &mut self.pixels[y * self.width + x..][..here.len()];
            let mut difference = 0;
            for (pixel, sent) in place.iter_mut().zip(here) {
                let now = u32::from_le_bytes(*sent) & 0x00ff_ffff;
                difference |= *pixel ^ now;
                *pixel = now;
            }
            if difference != 0 {
                let width = here.len();
                self.mark_tile(Area {
                    x,
                    y,
                    width,
                    height: 1,
                });
            }
            (x, sent) = (x + here.len(), next);
        }
    }

    /// The viewer is to see this part, whether it has changed or not.
    pub(crate) fn mark(&mut self, area: &Area) {
        let area = area.within(&self.area());
        for part in tiles(&area) {
            self.mark_tile(part);
        }
    }

    /// Whether there is something in this part that the viewer has not seen.
    pub(crate) fn has_changed(&self, area: &Area) -> bool {
        let area = area.within(&self.area());
        tiles(&area).any(|part| !self.changed_in(&part).within(&area).is_empty())
    }

    /// Takes what the viewer has not seen of this part, and of the tiles that it touches: areas without a common pixel, each in one
    /// row of tiles and at most `widest` pixels wide.
    pub(crate) fn take_changed(&mut self, area: &Area, widest: usize) -> Vec<Area> {
        let area = area.within(&self.area());
        let mut taken: Vec<Area> = Vec::new();
        for part in tiles(&area) {
            let changed = self.changed_in(&part);
            if changed.within(&area).is_empty() {
                continue;
            }
            self.changed[tile_at(self.width, &part)] = Changed::default();
            match taken.last_mut() {
                Some(last) if joins(last, &changed) && last.width + changed.width <= widest => {
                    last.width += changed.width;
                }
                _ => taken.push(changed),
            }
        }
        taken
    }

    /// What has changed in the tile that a part lies in; may be empty.
    fn changed_in(&self, part: &Area) -> Area {
        self.changed[tile_at(self.width, part)].area(part)
    }

    /// Marks a part of one tile.
    fn mark_tile(&mut self, part: Area) {
        let changed = &mut self.changed[tile_at(self.width, &part)];
        *changed = Changed::of(&changed.area(&part).around(&part));
    }
}

impl Changed {
    /// What lies in one tile.
    fn of(area: &Area) -> Self {
        let (left, top) = (area.x % TILE, area.y % TILE);
        let [left, top, right, bottom] =
            [left, top, left + area.width, top + area.height].map(byte);
        Self {
            left,
            top,
            right,
            bottom,
        }
    }

    /// It, in the tile in which `part` lies.
    fn area(self, part: &Area) -> Area {
        let [left, top, right, bottom] =
            [self.left, self.top, self.right, self.bottom].map(usize::from);
        Area {
            x: part.x - part.x % TILE + left,
            y: part.y - part.y % TILE + top,
            width: right - left,
            height: bottom - top,
        }
    }
}

/// Whether a screen of this size is drawn.
pub(crate) fn is_drawable(width: u16, height: u16) -> bool {
    (1..=limits::GUARD_PIXELS).contains(&(usize::from(width) * usize::from(height)))
}

/// The parts of an area that lie in one tile each, row by row.
fn tiles(area: &Area) -> impl Iterator<Item = Area> {
    let Area { x, width, .. } = *area;
    sides(area.y, area.height).flat_map(move |(y, height)| {
        sides(x, width).map(move |(x, width)| Area {
            x,
            y,
            width,
            height,
        })
    })
}

/// A length cut where tiles end: beginnings and lengths.
fn sides(begin: usize, length: usize) -> impl Iterator<Item = (usize, usize)> {
    let first = begin - begin % TILE;
    let end = if length == 0 { first } else { begin + length };
    let tiles = (first..end).step_by(TILE);
    tiles.map(move |tile| {
        let from = tile.max(begin);
        (from, (tile + TILE).min(end) - from)
    })
}

/// Which of a screen's tiles an area begins in.
fn tile_at(width: usize, area: &Area) -> usize {
    area.y / TILE * width.div_ceil(TILE) + area.x / TILE
}

/// Whether two areas are one, side by side.
fn joins(left: &Area, right: &Area) -> bool {
    left.right() == right.x && (left.y, left.height) == (right.y, right.height)
}
