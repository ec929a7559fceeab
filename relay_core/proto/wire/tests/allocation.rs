//! Memory that bytes from outside can make a reader reserve: never more than a few frames of their type, whatever a
//! header, a string or an array promises (PROTOCOL.md §4).
#![allow(
    unsafe_code,
    reason = "an allocator that counts can be written in no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use telerelay_wire::frame::{Header, Layer, Reader};
use telerelay_wire::inner::Inner;
use telerelay_wire::outer::Outer;

struct Counting;

thread_local! {
    /// Bytes that this thread holds now, and the most it held since [`peak`] began.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(change: isize) {
    // While a thread ends its counter is gone, and what it frees then concerns no test.
    let _gone = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + change, most.max(now + change)));
    });
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that `run` held beyond what there was before it.
fn peak(run: impl FnOnce()) -> usize {
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    run();
    HELD.with(|held| held.get().1 - before)
        .try_into()
        .expect("a peak is not below its beginning")
}

fn feed<L: Layer>(stream: &[u8], size: usize) {
    let mut reader = Reader::<L>::new();
    for piece in stream.chunks(size) {
        reader.push(piece);
        while let Ok(Some(_)) = reader.next() {}
    }
}

/// A buffer grows by doubling; a decoded frame holds its lists beside the buffer, and an item of a list (a node with
/// its addresses) takes up to 48 bytes for seven on the wire.
const GROWTH: usize = 2 + 48 / 7;

fn bound(maximum: u16, pushed: usize) -> usize {
    GROWTH * (usize::from(maximum) + 4 + pushed)
}

#[test]
fn a_length_that_is_too_great_reserves_nothing() {
    for (kind, maximum) in [(0x01, 1_024), (0x20, 6_144), (0x7f, 1_024), (0x30, 16_380)] {
        let header = Header {
            length: maximum + 1,
            kind,
            flags: 0,
        }
        .to_bytes();
        let used = peak(|| {
            let mut reader = Reader::<Outer>::new();
            reader.push(&header);
            assert!(reader.next().is_err());
            for _ in 0..1_000 {
                reader.push(&[0; 64]);
                assert!(reader.next().is_err());
            }
        });
        assert!(used <= 64, "type {kind:#04x}: {used} bytes");
    }
}

#[test]
fn an_unknown_frame_is_dropped_as_it_comes() {
    let header = Header {
        length: 1_024,
        kind: 0x7f,
        flags: 0,
    }
    .to_bytes();
    let stream = [&header[..], &[0; 1_024]].concat().repeat(50);
    let used = peak(|| feed::<Outer>(&stream, 16));
    assert!(used <= 64, "{used} bytes");
}

#[test]
fn promises_inside_a_body_reserve_nothing() {
    // GOAWAY with 2^63 nodes, CONNECT with a computer ID of 2^63 bytes, HELLO with 2^32-1 features.
    let bodies: [(u8, &[u8]); 3] = [
        (
            0x11,
            &[0xa2, 0x00, 0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00],
        ),
        (0x23, &[0xa1, 0x00, 0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        (
            0x01,
            &[
                0xa3, 0x00, 0x01, 0x01, 0x00, 0x02, 0x9a, 0xff, 0xff, 0xff, 0xff,
            ],
        ),
    ];
    for (kind, body) in bodies {
        let length = u16::try_from(body.len()).expect("short");
        let stream = [
            &Header {
                length,
                kind,
                flags: 1,
            }
            .to_bytes()[..],
            body,
        ]
        .concat();
        let used = peak(|| feed::<Outer>(&stream, stream.len()));
        assert!(used <= 1_024, "type {kind:#04x}: {used} bytes");
    }
}

proptest! {
    #[test]
    fn no_bytes_reserve_more_than_a_few_frames(
        frames in vec((0_usize..18, any::<u16>(), 0_u8..2, vec(any::<u8>(), 0..200)), 1..6),
        size in 1_usize..400,
    ) {
        check::<Outer>(&frames, size)?;
        check::<Inner>(&frames, size)?;
    }
}

fn check<L: Layer>(frames: &[(usize, u16, u8, Vec<u8>)], size: usize) -> Result<(), TestCaseError> {
    let row = |index: usize| {
        L::TYPES
            .get(index)
            .map_or((0x7f, 1_024), |row| (row.kind, row.maximum))
    };
    let stream: Vec<u8> = frames
        .iter()
        .flat_map(|(index, length, flags, body)| {
            let header = Header {
                length: *length,
                kind: row(*index).0,
                flags: *flags,
            }
            .to_bytes();
            [&header[..], body].concat()
        })
        .collect();
    let most = frames
        .iter()
        .map(|(index, ..)| row(*index).1)
        .max()
        .unwrap_or_default();
    let used = peak(|| feed::<L>(&stream, size));
    prop_assert!(used <= bound(most, size), "{} bytes", used);
    Ok(())
}
