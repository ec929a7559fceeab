//! Pictures on their way to the viewer, drawn one rectangle at a time (docs/GUARD.md §12).
use core::fmt;
use std::vec;

use flate2::{Compress, Compression, FlushCompress};
use telerelay_wire::limits;

use super::colours::Colours;
use super::desktop::{Cursor, Scene};
use super::mark::Mark;
use super::screen::{Area, Pixel, Screen, TILE};
use super::viewer::Viewer;
use super::zrle::Tiles;
use crate::rfb::encoding::Encoding;
use crate::rfb::name::Name;

/// The most pixels side by side in a rectangle, which is one row of tiles high.
pub(crate) const WIDEST: usize = limits::GUARD_RECTANGLE / TILE;

/// What the viewer is told, and how far it has been.
pub(crate) struct Outgoing {
    mark: Option<Mark>,
    /// What is to be put, and how much of it was.
    bytes: Vec<u8>,
    put: usize,
    /// What is still to be drawn of an update.
    areas: vec::IntoIter<Area>,
    /// The form of its pixels; they are ZRLE's.
    colours: Colours,
    zrle: bool,
    deflate: Compress,
    tiles: Tiles,
    /// Pixels of a row or tile, with the mark; the same as the viewer has them; tiles that are to be deflated.
    row: Vec<Pixel>,
    written: Vec<u32>,
    plain: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn new(mark: Option<Mark>, viewer: &Viewer) -> Self {
        Self {
            mark,
            bytes: Vec::new(),
            put: 0,
            areas: Vec::new().into_iter(),
            colours: Colours::whole(viewer.format()),
            zrle: false,
            // One stream for the session (RFC 6143 §7.7.6).
            deflate: Compress::new(Compression::fast(), true),
            tiles: Tiles::new(),
            row: Vec::new(),
            written: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// Whether a picture is on its way of which not everything is drawn.
    pub(crate) fn is_drawing(&self) -> bool {
        !self.areas.as_slice().is_empty()
    }

    /// The next bytes of what is on its way, at most `most`; empty where something is to be drawn first.
    pub(crate) fn take(&mut self, most: usize) -> &[u8] {
        let from = self.put;
        self.put = self.bytes.len().min(from.saturating_add(most));
        &self.bytes[from..self.put]
    }

    /// Makes room for the next rectangle, once everything was put.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.put = 0;
    }

    /// Says that an update begins: what has happened beside pixels, then so many areas.
    pub(crate) fn begin(&mut self, scene: &mut Scene, viewer: &Viewer, areas: Vec<Area>) {
        self.zrle = viewer.has_zrle();
        self.colours = if self.zrle {
            Colours::compressed(viewer.format())
        } else {
            Colours::whole(viewer.format())
        };
        let head = self.bytes.len();
        self.bytes.extend([0, 0, 0, 0]);
        let mut count = areas.len();
        count += usize::from(self.qemu_keys(scene));
        count += usize::from(self.name(scene.name.take().as_ref()));
        count += usize::from(self.cursor(scene.cursor.take().as_ref(), viewer));
        // Nothing stands behind it.
        count += usize::from(self.size(scene, viewer));
        // A screen of the most pixels has fewer tiles.
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        self.bytes[head + 2..head + 4].copy_from_slice(&count.to_be_bytes());
        self.areas = areas.into_iter();
    }

    /// Says a message of one byte.
    pub(crate) fn say(&mut self, kind: u8) {
        self.bytes.push(kind);
    }

    /// Draws the next rectangle of the update: how many pixels, 0 behind the last.
    pub(crate) fn draw(&mut self, screen: &Screen) -> usize {
        let Some(area) = self.areas.next() else {
            return 0;
        };
        if self.zrle {
            self.head(&area, Encoding::Zrle);
            self.code(&area, screen);
            self.compress();
        } else {
            self.head(&area, Encoding::Raw);
            for y in area.y..area.bottom() {
                self.written.clear();
                self.write_row(area.x, y, area.width, screen);
                self.colours.put_all(&self.written, &mut self.bytes);
            }
        }
        area.width * area.height
    }

    /// Codes an area in tiles.
    fn code(&mut self, area: &Area, screen: &Screen) {
        self.plain.clear();
        for x in (area.x..area.right()).step_by(TILE) {
            let width = TILE.min(area.right() - x);
            self.written.clear();
            for y in area.y..area.bottom() {
                self.write_row(x, y, width, screen);
            }
            self.tiles
                .write(&self.written, width, &self.colours, &mut self.plain);
        }
    }

    /// Marks pixels of a row and writes them behind what is written.
    fn write_row(&mut self, x: usize, y: usize, width: usize, screen: &Screen) {
        let mut pixels = screen.row(x, y, width);
        if let Some(mark) = &self.mark {
            self.row.clear();
            self.row.extend_from_slice(pixels);
            mark.lay_over(x, y, &mut self.row);
            pixels = &self.row;
        }
        let written = pixels.iter().map(|pixel| self.colours.of(*pixel));
        self.written.extend(written);
    }

    /// Deflates the tiles, behind the length of what comes of it.
    fn compress(&mut self) {
        let at = self.bytes.len();
        self.bytes.extend([0; 4]);
        let mut left = &self.plain[..];
        loop {
            // What cannot be deflated grows by five bytes in 16 KiB, and a flush takes five more.
            self.bytes.reserve(left.len() + left.len() / 1_024 + 64);
            let before = self.deflate.total_in();
            self.deflate
                .compress_vec(left, &mut self.bytes, FlushCompress::Sync)
                .unwrap_or_else(|error| unreachable!("deflating has one state: {error}"));
            let taken = self.deflate.total_in() - before;
            left = &left[usize::try_from(taken).unwrap_or(left.len())..];
            if left.is_empty() && self.bytes.len() < self.bytes.capacity() {
                break;
            }
        }
        let length = self.bytes.len() - at - 4;
        // A rectangle has 256 KiB.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn head(&mut self, area: &Area, encoding: Encoding) {
        self.bytes.extend(area.bytes());
        self.bytes.extend(encoding.number().to_be_bytes());
    }

    /// Another size, or the answer to `SetDesktopSize`. However many screens the desktop has, the viewer has one.
    fn size(&mut self, scene: &mut Scene, viewer: &Viewer) -> bool {
        let Some([reason, status]) = scene.size.take() else {
            return false;
        };
        let area = scene.screen.area();
        if !viewer.knows(Encoding::ExtendedDesktopSize) {
            self.head(&area, Encoding::DesktopSize);
            return true;
        }
        let told = Area {
            x: reason.into(),
            y: status.into(),
            ..area
        };
        self.head(&told, Encoding::ExtendedDesktopSize);
        self.bytes.extend([1, 0, 0, 0]);
        self.bytes.extend(scene.screen_id);
        self.bytes.extend(area.bytes());
        self.bytes.extend([0; 4]);
        true
    }

    fn qemu_keys(&mut self, scene: &mut Scene) -> bool {
        let is_new = core::mem::take(&mut scene.qemu_keys);
        if is_new {
            self.head(&Area::default(), Encoding::QemuKey);
        }
        is_new
    }

    fn name(&mut self, name: Option<&Name>) -> bool {
        if let Some(name) = name {
            self.head(&Area::default(), Encoding::DesktopName);
            let (length, text) = name.told();
            self.bytes.extend(length);
            self.bytes.extend(text);
        }
        name.is_some()
    }

    fn cursor(&mut self, cursor: Option<&Cursor>, viewer: &Viewer) -> bool {
        if let Some(Cursor { area, bytes }) = cursor {
            self.head(area, Encoding::Cursor);
            let colours = Colours::whole(viewer.format());
            let (pixels, mask) = bytes.split_at(bytes.len().min(4 * area.width * area.height));
            for pixel in pixels.as_chunks().0 {
                colours.put(colours.of(u32::from_le_bytes(*pixel)), &mut self.bytes);
            }
            self.bytes.extend(mask);
        }
        cursor.is_some()
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("bytes", &self.bytes.len())
            .field("put", &self.put)
            .field("areas", &self.areas.len())
            .finish_non_exhaustive()
    }
}
