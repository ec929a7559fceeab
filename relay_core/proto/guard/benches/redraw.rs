//! What a frame costs that is drawn anew, from the desktop's Raw to the viewer's ZRLE, with a mark over it and without.
#![allow(
    missing_docs,
    reason = "criterion's macros make functions of their own"
)]
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use telerelay_guard::redraw::{Mark, Redraw};
use telerelay_guard::rfb::Settings;
use telerelay_guard::{Machine, Side, Sink};
use telerelay_wire::{Moment, limits};

const WIDTH: usize = 1_920;
const HEIGHT: usize = 1_080;
const REQUEST: [u8; 10] = [3, 1, 0, 0, 0, 0, 7, 128, 4, 56];

/// How much was put for the viewer.
#[derive(Default)]
struct Counted(usize);

impl Sink for Counted {
    fn put(&mut self, to: Side, bytes: &[u8]) {
        if to == Side::Client {
            self.0 += bytes.len();
        }
    }
}

/// A number that looks like chance, the same for the same number.
fn chance(seed: usize) -> u32 {
    let seed = u32::try_from(seed & 0xffff_ffff).expect("32 bits");
    let mixed = (seed.wrapping_mul(0x9e37_79b1) ^ seed >> 13).wrapping_mul(0x85eb_ca6b);
    mixed ^ mixed >> 16
}

/// A page of letters of 8 × 16, black on white, with some colours, scrolled up by so many lines.
fn text(x: usize, y: usize, scrolled: usize) -> [u8; 3] {
    let (row, column) = (y / 16 + scrolled, x / 8);
    let is_blank = column > 40 + usize::try_from(chance(row) % 80).expect("little");
    let letter = 64 + usize::try_from(chance(row * 256 + column) % 40).expect("little");
    let inside = (1..7).contains(&(x % 8)) && (3..13).contains(&(y % 16));
    let is_ink = inside && chance(letter * 4_096 + y % 16 * 8 + x % 8).is_multiple_of(3);
    if is_blank || !is_ink {
        [255; 3]
    } else if row % 7 == 0 {
        [0, 0, 160]
    } else {
        [0; 3]
    }
}

/// A picture with soft colours and grain, which moves.
fn film(x: usize, y: usize, number: usize) -> [u8; 3] {
    let grain = chance(y * WIDTH + x + number * 7_919).to_le_bytes()[0] % 8;
    let soft = |at: usize| u8::try_from(at / 4 % 240).expect("a byte");
    [soft(x + number * 12), soft(y + 2 * x), soft(x + y)].map(|part| part + grain)
}

/// An update of one Raw rectangle.
fn update([x, y, width, height]: [usize; 4], colour: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    let mut update = vec![0, 0, 0, 1];
    for side in [x, y, width, height] {
        update.extend(u16::try_from(side).expect("a side").to_be_bytes());
    }
    update.extend([0; 4]);
    for row in y..y + height {
        for column in x..x + width {
            let [red, green, blue] = colour(column, row);
            update.extend([blue, green, red, 0]);
        }
    }
    update
}

/// Slanting bars, as much of the screen as letters cover.
fn mark() -> Mark {
    let (width, height) = (480, 300);
    let weights: Vec<i8> = (0..width * height)
        .map(|at| match (at % width + at / width) % 60 {
            0..3 => -24,
            3..6 => 24,
            _ => 0,
        })
        .collect();
    Mark::new(480, &weights).expect("a pattern")
}

/// A guard whose viewer has the whole first frame.
fn begun(mark: Option<Mark>, first: &[u8]) -> Redraw {
    let sink = &mut Counted::default();
    let mut guard = Redraw::begin(Settings::default(), mark, Moment::ZERO, sink);
    let mut init = b"RFB 003.003\n\0\0\0\x01\x07\x80\x04\x38\x20".to_vec();
    init.resize(init.len() + 19, 0);
    guard
        .client_bytes(b"RFB 003.003\n\x01", Moment::ZERO, sink)
        .and_then(|()| guard.desktop_bytes(&init, Moment::ZERO, sink))
        .and_then(|()| guard.client_bytes(&[2, 0, 0, 1, 0, 0, 0, 16], Moment::ZERO, sink))
        .expect("a session that begins");
    frame(&mut guard, first);
    guard
}

/// A frame comes and is drawn: bytes for the viewer.
fn frame(guard: &mut Redraw, update: &[u8]) -> usize {
    let mut sink = Counted::default();
    let mut result = guard.client_bytes(&REQUEST, Moment::ZERO, &mut sink);
    for piece in update.chunks(limits::LOCAL_READ) {
        result = result.and_then(|()| guard.desktop_bytes(piece, Moment::ZERO, &mut sink));
    }
    result.expect("an update");
    while guard.draw(limits::LOCAL_READ, &mut sink) > 0 {}
    sink.0
}

fn draw(criterion: &mut Criterion) {
    let whole = [0, 0, WIDTH, HEIGHT];
    let page = |scrolled| move |x, y| text(x, y, scrolled);
    let letter = |ink: u8| {
        update([800, 480, 8, 16], move |x, y| {
            if (x + y) % 3 == 0 { [ink; 3] } else { [255; 3] }
        })
    };
    let scenes = [
        ("typing", [letter(0), letter(90)]),
        (
            "scrolling",
            [update(whole, page(1)), update(whole, page(2))],
        ),
        (
            "film of 1280 x 720",
            [1, 2].map(|number| update([320, 180, 1_280, 720], move |x, y| film(x, y, number))),
        ),
    ];
    let first = update(whole, page(0));
    for (name, frames) in scenes {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        for (kind, mark) in [("marked", Some(mark())), ("clean", None)] {
            let mut guard = begun(mark, &first);
            let bytes = frame(&mut guard, &frames[0]) + frame(&mut guard, &frames[1]);
            let mut number = 0;
            group.bench_function(format!("{kind}, {} bytes a frame", bytes / 2), |bencher| {
                bencher.iter(|| {
                    number += 1;
                    frame(&mut guard, black_box(&frames[number % 2]))
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, draw);
criterion_main!(benches);
