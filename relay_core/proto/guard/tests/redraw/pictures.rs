//! What the viewer decodes is what the desktop shows, to the bit; with a mark it differs where the mark lies and nowhere else.
use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use telerelay_guard::redraw::Mark;
use telerelay_guard::rfb::Settings;

use crate::desk::{Colour, Desk};
use crate::home::{CANVAS, Format};
use crate::play::{EVERYTHING, Play};

const FORMATS: [Format; 8] = [
    CANVAS,
    // Big-endian, red lowest; parts in the upper three bytes, both ways round; deeper than 24.
    [32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0],
    [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 24, 16, 8, 0, 0, 0],
    [32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 24, 16, 8, 0, 0, 0],
    [32, 30, 0, 1, 3, 255, 3, 255, 3, 255, 20, 10, 0, 0, 0, 0],
    [16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0],
    [16, 15, 1, 1, 0, 31, 0, 31, 0, 31, 10, 5, 0, 0, 0, 0],
    [8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0],
];

/// What is painted in a rectangle.
#[derive(Clone, Debug)]
enum Paint {
    Fill(Colour),
    /// A picture of so many colours, pixel by pixel.
    Noise(usize, u32),
    /// Lines of one colour each.
    Lines(u32),
    /// Everything moves up.
    Scroll(usize),
}

fn paint() -> impl Strategy<Value = Paint> {
    let colours = prop::sample::select(vec![2, 3, 5, 16, 17, 127, 128, 1 << 24]);
    prop_oneof![
        any::<Colour>().prop_map(Paint::Fill),
        (colours, any::<u32>()).prop_map(|(colours, seed)| Paint::Noise(colours, seed)),
        any::<u32>().prop_map(Paint::Lines),
        (1..40_usize).prop_map(Paint::Scroll),
    ]
}

/// A number that looks like chance, the same for the same numbers.
fn chance(seed: u32, at: usize) -> u32 {
    let at = u32::try_from(at).unwrap();
    let mixed = (seed ^ at.wrapping_mul(0x9e37_79b1)).wrapping_mul(0x85eb_ca6b);
    mixed ^ mixed >> 15
}

fn colour(number: u32) -> Colour {
    let [a, b, c, _] = number.wrapping_mul(0x00c2_b2ae).to_le_bytes();
    [a, b, c]
}

fn apply(desk: &mut Desk, paint: &Paint, corners: [prop::sample::Index; 4]) {
    let [x, y] = [corners[0].index(desk.width), corners[1].index(desk.height)];
    let width = 1 + corners[2].index(desk.width - x);
    let height = 1 + corners[3].index(desk.height - y);
    let (rectangle, row) = ([x, y, width, height], desk.width);
    match *paint {
        Paint::Fill(colour) => desk.paint(rectangle, |_, _| colour),
        Paint::Noise(colours, seed) => desk.paint(rectangle, |x, y| {
            colour(chance(seed, y * row + x) % u32::try_from(colours).unwrap())
        }),
        Paint::Lines(seed) => desk.paint(rectangle, |_, y| colour(chance(seed, y / 3))),
        Paint::Scroll(lines) => desk.scroll(lines),
    }
}

fn corners() -> impl Strategy<Value = [prop::sample::Index; 4]> {
    any::<[prop::sample::Index; 4]>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_painted_and_however_it_is_asked_for(
        size in (1..300_usize, 1..200_usize),
        steps in vec((vec((paint(), corners()), 0..4), prop::sample::select(&FORMATS[..])), 1..5),
        zrle in any::<bool>(),
        continuous in any::<bool>(),
        piece in prop::sample::select(vec![997, 65_536, usize::MAX]),
    ) {
        let encodings: &[i32] = if zrle { &EVERYTHING } else { &[-313] };
        let mut play = Play::of(size.0, size.1, encodings);
        play.piece = piece;
        if continuous {
            play.says.extend([150, 1, 0, 0, 0, 0, 255, 255, 255, 255]);
        }
        for (number, (paints, format)) in steps.iter().enumerate() {
            play.format(*format);
            play.home.expect(*format);
            // Another format counts from the next update on, so all of it is asked for.
            play.ask(false);
            play.settle();
            play.check(format, |_, _| 0);
            let updates = play.home.updates;
            if !continuous {
                play.ask(true);
            }
            for (paint, corners) in paints {
                apply(&mut play.desk, paint, *corners);
                play.settle();
            }
            if !continuous {
                // One update for what was painted first, one for the rest.
                prop_assert!(play.home.updates <= updates + 1, "step {}", number);
                play.ask(true);
                play.settle();
            }
            play.check(format, |_, _| 0);
        }
    }

    #[test]
    fn a_mark_stays_in_place_whatever_moves_below(
        size in (1..200_usize, 1..150_usize),
        pattern in (1..50_u16, 1..40_usize),
        weights in vec(prop_oneof![Just(0), any::<i8>()], 50 * 40),
        paints in vec((paint(), corners()), 1..5),
        zrle in any::<bool>(),
    ) {
        let width = usize::from(pattern.0);
        let weights = &weights[..width * pattern.1];
        let mark = Mark::new(pattern.0, weights).unwrap();
        let mut play = Play::begin(Desk::new(size.0, size.1), Some(mark), Settings::default());
        play.name(if zrle { &EVERYTHING } else { &[0] });
        play.ask(false);
        play.settle();
        let over = |x: usize, y: usize| weights[y % pattern.1 * width + x % width];
        play.check(&CANVAS, over);
        for (paint, corners) in paints {
            apply(&mut play.desk, &paint, corners);
            play.ask(true);
            play.settle();
            play.check(&CANVAS, over);
        }
    }
}

#[test]
fn each_form_of_a_tile_is_used_where_it_is_the_shortest() {
    let mut play = Play::of(64 * 5, 64, &EVERYTHING);
    // Side by side: one colour; two, pixel by pixel; every pixel its own; few long runs of many colours; long runs of few.
    play.desk
        .paint([64, 0, 64, 64], |x, y| colour(chance(1, 64 * y + x) % 2));
    play.desk
        .paint([128, 0, 64, 64], |x, y| colour(chance(2, 64 * y + x)));
    let run = |x: usize, y: usize| u32::try_from((64 * y + x % 64) / 20).unwrap();
    play.desk
        .paint([192, 0, 64, 64], |x, y| colour(1 + run(x, y)));
    play.desk
        .paint([256, 0, 64, 64], |x, y| colour(1 + run(x, y) % 30));
    play.ask(false);
    play.settle();
    play.check(&CANVAS, |_, _| 0);
    let forms = ["packed", "palette runs", "plain runs", "raw", "solid"];
    assert_eq!(play.home.forms, BTreeSet::from(forms));
    // 64 × 64 pixels of three bytes are the only ones that do not get much shorter.
    assert!(play.home.bytes < 16_000, "{} bytes", play.home.bytes);
}

#[test]
fn only_what_has_changed_is_sent() {
    let mut play = Play::of(640, 480, &[0]);
    play.ask(false);
    play.settle();
    let before = play.home.bytes;
    // The desktop says that everything has changed; one letter has.
    play.ask(true);
    let whole = [0, 0, 640, 480];
    play.desk.paint(whole, |x, y| {
        let letter = (100..108).contains(&x) && (200..216).contains(&y);
        if letter { [255; 3] } else { [0; 3] }
    });
    play.settle();
    play.check(&CANVAS, |_, _| 0);
    // Rows of a tile, whole: where in a row does not matter to what deflates.
    assert_eq!(play.home.bytes - before, 4 + 12 + 64 * 16 * 4);
}

#[test]
fn a_change_of_any_part_of_a_pixel_is_one_and_nothing_else_is() {
    let mut play = Play::of(64, 64, &EVERYTHING);
    play.ask(false);
    play.settle();
    for colour in [[0; 3], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1; 3]] {
        let before = (play.home.updates, play.desk.picture[0]);
        play.ask(true);
        play.desk.paint([0, 0, 64, 64], |_, _| colour);
        play.settle();
        play.check(&CANVAS, |_, _| 0);
        let updates = usize::from(before.1 != colour);
        assert_eq!(play.home.updates - before.0, updates, "{colour:?}");
    }
}
