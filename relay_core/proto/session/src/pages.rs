//! A run of a stream's bytes in pages: what the replay buffer and the receive buffer are made of.
//!
//! Page `i` covers the offsets from `base + i·PAGE`; every page but the last is full. So a byte is found by arithmetic,
//! memory is taken as bytes come and given back page by page, and an empty run holds no page at all.
use std::collections::VecDeque;

use telerelay_wire::limits::{SESSION_IDLE_PAGES as IDLE_SLOTS, SESSION_PAGE as PAGE};

const PAGE_U64: u64 = PAGE as u64;

/// The bytes from offset `start` up to offset `end`.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    base: u64,
    start: u64,
    end: u64,
    held: VecDeque<Vec<u8>>,
}

impl Pages {
    /// Bytes of memory behind this run.
    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        let slots = self.held.capacity() * size_of::<Vec<u8>>();
        self.held.iter().map(Vec::capacity).sum::<usize>() + slots
    }

    /// The offset of the first byte kept.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The offset behind the last byte kept.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Appends bytes at `end`: the one copy that a byte costs on this side of the path.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let further = self.held.len() > 1;
            let page = match self.held.back_mut() {
                Some(page) if page.len() < PAGE => page,
                _ => {
                    self.held.push_back(Vec::new());
                    continue;
                }
            };
            let (now, later) = bytes.split_at(bytes.len().min(PAGE - page.len()));
            reserve(page, now.len(), further);
            page.extend_from_slice(now);
            self.end += now.len() as u64;
            bytes = later;
        }
    }

    /// Gives up the bytes below `offset`; offsets outside of the run are taken as its nearer end.
    pub(crate) fn drop_to(&mut self, offset: u64) {
        self.start = offset.clamp(self.start, self.end);
        if self.is_empty() {
            self.base = self.end;
            self.held.clear();
            self.held.shrink_to(IDLE_SLOTS);
            return;
        }
        while self.start - self.base >= PAGE_U64 {
            self.held.pop_front();
            self.base += PAGE_U64;
        }
    }

    /// The `length` bytes from `offset`, which all are kept; at most a page, so two slices hold them.
    pub(crate) fn slices(&self, offset: u64, length: usize) -> [&[u8]; 2] {
        let mut rest = length;
        let mut slices = self.from(offset).map_while(|slice| {
            let part = &slice[..slice.len().min(rest)];
            rest -= part.len();
            (!part.is_empty()).then_some(part)
        });
        [
            slices.next().unwrap_or_default(),
            slices.next().unwrap_or_default(),
        ]
    }

    /// Everything from `offset` on, which lies in the run, in order.
    pub(crate) fn from(&self, offset: u64) -> impl Iterator<Item = &[u8]> {
        let (page, skip) = place(offset - self.base);
        self.held
            .iter()
            .skip(page)
            .enumerate()
            .map(move |(index, page)| if index == 0 { &page[skip..] } else { page })
    }
}

/// The page and the position in it of the byte `distance` behind the base.
fn place(distance: u64) -> (usize, usize) {
    let distance = usize::try_from(distance).expect("a run is at most a window long");
    (distance / PAGE, distance % PAGE)
}

/// Makes room for `more` bytes. The first page grows with what comes, since a person's key needs twelve bytes and not
/// 64 KiB; a further page belongs to a burst and is taken whole.
fn reserve(page: &mut Vec<u8>, more: usize, further: bool) {
    let needed = page.len() + more;
    if needed > page.capacity() {
        let capacity = if further {
            PAGE
        } else {
            needed.max(page.capacity() * 2).min(PAGE)
        };
        page.reserve_exact(capacity - page.len());
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the offsets of these tests are small"
)]
mod tests {
    use super::*;

    fn pattern(from: u64, length: usize) -> Vec<u8> {
        (0..length as u64)
            .map(|i| (((from + i) * 31) % 251) as u8)
            .collect()
    }

    fn all(pages: &Pages, offset: u64) -> Vec<u8> {
        pages.from(offset).flatten().copied().collect()
    }

    #[test]
    fn bytes_come_back_whatever_the_pieces() {
        for piece in [1, 7, 4_096, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE] {
            let mut pages = Pages::default();
            let total = 4 * PAGE + 5;
            while (pages.end() as usize) < total {
                let length = piece.min(total - pages.end() as usize);
                pages.push(&pattern(pages.end(), length));
            }
            for offset in [0, 1, PAGE - 1, PAGE, PAGE + 1, total - 1] {
                assert_eq!(
                    all(&pages, offset as u64),
                    pattern(offset as u64, total - offset),
                    "{piece} from {offset}"
                );
                let length = (total - offset).min(16_346);
                let slices = pages.slices(offset as u64, length);
                assert_eq!(slices.concat(), pattern(offset as u64, length));
            }
        }
    }

    #[test]
    fn dropping_gives_pages_back_and_keeps_the_rest() {
        let mut pages = Pages::default();
        pages.push(&pattern(0, 3 * PAGE + 10));
        assert_eq!(pages.held.len(), 4);
        pages.drop_to(PAGE as u64 - 1);
        assert_eq!(pages.held.len(), 4);
        pages.drop_to(PAGE as u64);
        assert_eq!(pages.held.len(), 3);
        pages.drop_to(3 * PAGE as u64 + 1);
        assert_eq!(pages.held.len(), 1);
        assert_eq!(all(&pages, pages.start()), pattern(3 * PAGE as u64 + 1, 9));
        // Nothing comes back, and nothing beyond the end is dropped.
        pages.drop_to(5);
        assert_eq!(pages.start(), 3 * PAGE as u64 + 1);
        pages.drop_to(u64::MAX);
        assert_eq!(
            (pages.start(), pages.end()),
            (3 * PAGE as u64 + 10, 3 * PAGE as u64 + 10)
        );
        assert!(pages.is_empty());
        assert_eq!(pages.held.len(), 0);
    }

    #[test]
    fn a_run_that_was_emptied_goes_on_at_its_offset() {
        let mut pages = Pages::default();
        pages.push(&pattern(0, 100));
        pages.drop_to(100);
        pages.push(&pattern(100, 2 * PAGE));
        assert_eq!(all(&pages, 100), pattern(100, 2 * PAGE));
        assert_eq!(
            pages.slices(100 + PAGE as u64 - 3, 10).concat(),
            pattern(100 + PAGE as u64 - 3, 10)
        );
    }

    #[test]
    fn a_key_press_takes_bytes_and_not_a_page() {
        let mut pages = Pages::default();
        pages.push(&[0; 8]);
        assert!(pages.held[0].capacity() < 64);
        for _ in 0..PAGE {
            pages.push(&[0; 8]);
        }
        assert!(pages.held.iter().all(|page| page.capacity() <= PAGE));
        pages.drop_to(pages.end());
        assert!(pages.held.capacity() <= IDLE_SLOTS * 2);
    }
}
