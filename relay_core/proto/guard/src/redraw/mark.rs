//! The mark that lies over the picture (docs/GUARD.md §13).
use core::fmt;
use std::sync::Arc;

use telerelay_wire::limits;

use super::byte;
use super::screen::Pixel;

/// A pattern that repeats over the whole screen, beginning at its upper left corner: how far each pixel is drawn towards white or
/// black. It stays where it is, whatever moves below.
#[derive(Clone)]
pub struct Mark {
    width: usize,
    weights: Arc<[i8]>,
}

/// A pattern that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{weights} weights are no pattern of width {width}")]
pub struct MarkError {
    width: u16,
    weights: usize,
}

impl Mark {
    /// A pattern `width` pixels wide, row by row: a weight of n draws a pixel towards white by n/128, one of −n towards black.
    pub fn new(width: u16, weights: &[i8]) -> Result<Self, MarkError> {
        let columns = usize::from(width);
        let is_pattern = columns > 0
            && !weights.is_empty()
            && weights.len().is_multiple_of(columns)
            && weights.len() <= limits::GUARD_MARK;
        if !is_pattern {
            let weights = weights.len();
            return Err(MarkError { width, weights });
        }
        Ok(Self {
            width: columns,
            weights: weights.into(),
        })
    }

    /// Draws it over pixels of one row of the screen; the first is at (x, y).
    pub(crate) fn lay_over(&self, x: usize, y: usize, pixels: &mut [Pixel]) {
        let row = y % (self.weights.len() / self.width) * self.width;
        let row = &self.weights[row..][..self.width];
        let (mut pixels, mut at) = (pixels, x % self.width);
        while !pixels.is_empty() {
            let length = pixels.len().min(self.width - at);
            let (here, next) = core::mem::take(&mut pixels).split_at_mut(length);
            for (pixel, weight) in here.iter_mut().zip(&row[at..]) {
                if *weight != 0 {
                    let [blue, green, red, _] = pixel.to_le_bytes();
                    let [blue, green, red] = [blue, green, red].map(|part| drawn(part, *weight));
                    *pixel = u32::from_le_bytes([blue, green, red, 0]);
                }
            }
            (pixels, at) = (next, 0);
        }
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Mark({} × {})",
            self.width,
            self.weights.len() / self.width
        )
    }
}

/// One of a pixel's parts, drawn towards white or black.
fn drawn(part: u8, weight: i8) -> u8 {
    let way = |length: u8| {
        // At most `length`.
        byte(usize::from(length) * usize::from(weight.unsigned_abs()) / 128)
    };
    if weight > 0 {
        part + way(255 - part)
    } else {
        part - way(part)
    }
}
