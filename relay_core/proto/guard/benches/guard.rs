//! What the guard adds to a byte of the screen and to a key: a stream is followed into a buffer, beside the same bytes merely copied there.
#![allow(
    missing_docs,
    reason = "criterion's macros make functions of their own"
)]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telerelay_guard::rfb::{Guard, Settings};
use telerelay_guard::{Machine, Side, Sink};
use telerelay_wire::{Moment, limits};

/// Rectangles of an update.
const RECTANGLES: u16 = 64;
/// RFC 6143 §7.7.
const RAW: u8 = 0;
/// RFC 6143 §7.7.
const ZRLE: u8 = 16;
/// Keys that come at once: a viewer's paste of a page, typed.
const KEYS: usize = 1_000;

/// Where a side's bytes go in place of a session's replay buffer or a desktop's socket.
struct Buffer {
    side: Side,
    bytes: Vec<u8>,
}

impl Sink for Buffer {
    fn put(&mut self, to: Side, bytes: &[u8]) {
        if to == self.side {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

/// An update of squares with sides of so many pixels.
fn update(side: u16, encoding: u8, body: &[u8]) -> Vec<u8> {
    let [a, b] = side.to_be_bytes();
    let rectangle = [&[0, 0, 0, 0, a, b, a, b, 0, 0, 0, encoding], body].concat();
    let [a, b] = RECTANGLES.to_be_bytes();
    [
        &[0, 0, a, b],
        rectangle.repeat(RECTANGLES.into()).as_slice(),
    ]
    .concat()
}

/// Squares of pixels of 32 bits.
fn raw(side: u16) -> Vec<u8> {
    update(side, RAW, &vec![7; 4 * usize::from(side).pow(2)])
}

/// Squares of so many compressed bytes.
fn zrle(length: u16) -> Vec<u8> {
    let body = [
        u32::from(length).to_be_bytes().as_slice(),
        &vec![7; length.into()],
    ]
    .concat();
    update(64, ZRLE, &body)
}

/// A guard whose client has asked for ZRLE in pixels of 32 bits.
fn begun(buffer: &mut Buffer) -> Guard {
    let mut guard = Guard::begin(Settings::default(), Moment::ZERO, buffer);
    let mut desktop = b"RFB 003.003\n\0\0\0\x01".to_vec();
    desktop.extend([0, 64, 0, 48, 32]);
    desktop.resize(desktop.len() + 19, 0);
    let asked = [2, 0, 0, 1, 0, 0, 0, ZRLE, 3, 0, 0, 0, 0, 0, 0, 64, 0, 48];
    guard
        .client_bytes(b"RFB 003.003\n\x01", Moment::ZERO, buffer)
        .and_then(|()| guard.desktop_bytes(&desktop, Moment::ZERO, buffer))
        .and_then(|()| guard.client_bytes(&asked, Moment::ZERO, buffer))
        .expect("a session that begins");
    guard
}

/// Follows `stream` towards `side`, in pieces as an agent reads them, beside copying it.
fn beside_copying(criterion: &mut Criterion, name: &str, side: Side, stream: &[u8]) {
    let mut buffer = Buffer {
        side,
        bytes: Vec::new(),
    };
    let mut guard = begun(&mut buffer);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("copied", |bencher| {
        bencher.iter(|| {
            buffer.bytes.clear();
            for piece in black_box(stream).chunks(limits::LOCAL_READ) {
                buffer.put(side, piece);
            }
        });
    });
    group.bench_function("guarded", |bencher| {
        bencher.iter(|| {
            buffer.bytes.clear();
            for piece in black_box(stream).chunks(limits::LOCAL_READ) {
                match side {
                    Side::Client => guard.desktop_bytes(piece, Moment::ZERO, &mut buffer),
                    Side::Desktop => guard.client_bytes(piece, Moment::ZERO, &mut buffer),
                }
                .expect("what passes");
            }
        });
    });
    group.finish();
}

fn screen(criterion: &mut Criterion) {
    for side in [1, 16, 64, 512] {
        beside_copying(
            criterion,
            &format!("raw squares of {side}"),
            Side::Client,
            &raw(side),
        );
    }
    for length in [64, 1_400, 16_384] {
        beside_copying(
            criterion,
            &format!("zrle of {length} B"),
            Side::Client,
            &zrle(length),
        );
    }
}

fn keys(criterion: &mut Criterion) {
    let keys = [4, 1, 0, 0, 0, 0, 0, b'a'].repeat(KEYS);
    beside_copying(criterion, &format!("{KEYS} keys"), Side::Desktop, &keys);
}

criterion_group!(benches, screen, keys);
criterion_main!(benches);
