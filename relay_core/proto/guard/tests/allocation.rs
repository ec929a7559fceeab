//! A guard allocates nothing, whatever lengths the two sides name, and is small (docs/GUARD.md §1).
#![allow(
    unsafe_code,
    reason = "an allocator that counts can be written in no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use telerelay_guard::rfb::{Guard, Secret, Settings};
use telerelay_guard::{Machine, Side, Sink};
use telerelay_wire::Moment;

struct Counting;

thread_local! {
    /// How often this thread asked for memory.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // While a thread ends its counter is gone, and what it asks for then concerns no test.
        let _gone = ASKED.try_with(|asked| asked.set(asked.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Where bytes go that only their number matters of.
#[derive(Default)]
struct Counted(usize);

impl Sink for Counted {
    fn put(&mut self, _: Side, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

#[test]
fn no_length_makes_a_guard_allocate() {
    let client: &[&[u8]] = &[
        b"RFB 003.008\n\x01\x01",
        // A request, the longest list of encodings with a few in it, a cut text of 2 GiB.
        &[3, 0, 0, 0, 0, 0, 255, 255, 255, 255],
        &[2, 0, 255, 255, 0, 0, 0, 16, 255, 255, 254, 205],
    ];
    let text: &[u8] = &[6, 0, 0, 0, 128, 0, 0, 0, 1, 2, 3];
    let desktop: &[&[u8]] = &[
        b"RFB 003.008\n\x01\x02abcdefghijklmnop\0\0\0\0",
        // ServerInit with a name of 256 KiB.
        &[
            0, 9, 0, 9, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 4, 0, 0,
        ],
    ];
    // An update of 65,535 rectangles, the first of them of 17 GB.
    let update: &[u8] = &[
        0, 0, 255, 255, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 3, 3, 3, 3,
    ];
    let lengths = vec![0; 262_144];
    let before = ASKED.get();

    let mut sink = Counted::default();
    let settings = Settings {
        view_only: false,
        secret: Some(Secret::new(b"secret")),
    };
    let mut guard = Guard::begin(settings, Moment::ZERO, &mut sink);
    let now = Moment::ZERO;
    let mut results = [Ok(()); 9];
    results[0] = guard.client_bytes(client[0], now, &mut sink);
    results[1] = guard.desktop_bytes(desktop[0], now, &mut sink);
    results[2] = guard.desktop_bytes(desktop[1], now, &mut sink);
    results[3] = guard.desktop_bytes(&lengths, now, &mut sink);
    results[4] = guard.client_bytes(client[1], now, &mut sink);
    results[5] = guard.client_bytes(client[2], now, &mut sink);
    results[6] = guard.client_bytes(&lengths[..4 * 65_533], now, &mut sink);
    results[7] = guard.client_bytes(text, now, &mut sink);
    results[8] = guard.desktop_bytes(update, now, &mut sink);

    assert_eq!(ASKED.get(), before);
    assert_eq!(results, [Ok(()); 9]);
    assert!(guard.is_ready());
    assert!(sink.0 < 500, "{} bytes were said", sink.0);
    assert!(size_of::<Guard>() < 1_024, "{} bytes", size_of::<Guard>());
}
