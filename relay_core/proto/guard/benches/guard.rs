//! What the guard adds to a byte of the screen: an update is followed into a buffer, beside the same bytes merely copied there.
#![allow(
    missing_docs,
    reason = "criterion's macros make functions of their own"
)]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telerelay_guard::rfb::{Guard, Settings};
use telerelay_guard::{Side, Sink};
use telerelay_wire::{Moment, limits};

/// Rectangles of an update.
const RECTANGLES: u16 = 64;

/// Where the screen goes in place of a session's replay buffer.
struct Buffer(Vec<u8>);

impl Sink for Buffer {
    fn put(&mut self, to: Side, bytes: &[u8]) {
        if to == Side::Client {
            self.0.extend_from_slice(bytes);
        }
    }
}

/// An update of Raw squares with sides of so many pixels.
fn update(side: u16) -> Vec<u8> {
    let mut update = vec![0, 0];
    update.extend(RECTANGLES.to_be_bytes());
    for _ in 0..RECTANGLES {
        let [a, b] = side.to_be_bytes();
        update.extend([0, 0, 0, 0, a, b, a, b, 0, 0, 0, 0]);
        update.resize(update.len() + 4 * usize::from(side).pow(2), 7);
    }
    update
}

/// A guard whose client has asked for pixels of 32 bits.
fn begun(buffer: &mut Buffer) -> Guard {
    let mut guard = Guard::begin(Settings::default(), Moment::ZERO, buffer);
    let mut desktop = b"RFB 003.003\n\0\0\0\x01".to_vec();
    desktop.extend([0, 64, 0, 48, 32]);
    desktop.resize(desktop.len() + 19, 0);
    guard
        .client_bytes(b"RFB 003.003\n\x01", Moment::ZERO, buffer)
        .and_then(|()| guard.desktop_bytes(&desktop, Moment::ZERO, buffer))
        .and_then(|()| guard.client_bytes(&[3, 0, 0, 0, 0, 0, 0, 64, 0, 48], Moment::ZERO, buffer))
        .expect("a session that begins");
    guard
}

fn follow(criterion: &mut Criterion) {
    for side in [1, 16, 64, 512] {
        let update = update(side);
        let mut buffer = Buffer(Vec::new());
        let mut guard = begun(&mut buffer);
        let mut group = criterion.benchmark_group(format!("squares of {side}"));
        group.throughput(Throughput::Bytes(update.len() as u64));
        group.bench_function("copied", |bencher| {
            bencher.iter(|| {
                buffer.0.clear();
                for piece in black_box(&update).chunks(limits::LOCAL_READ) {
                    buffer.put(Side::Client, piece);
                }
            });
        });
        group.bench_function("guarded", |bencher| {
            bencher.iter(|| {
                buffer.0.clear();
                for piece in black_box(&update).chunks(limits::LOCAL_READ) {
                    guard
                        .desktop_bytes(piece, Moment::ZERO, &mut buffer)
                        .expect("an update");
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, follow);
criterion_main!(benches);
