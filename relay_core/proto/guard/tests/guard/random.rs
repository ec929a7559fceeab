//! Random conversations in the language of docs/GUARD.md, and bytes that are in no language.
use proptest::collection::vec;
use proptest::prelude::*;
use telerelay_guard::rfb::{Guard, Secret, Settings};
use telerelay_guard::{Machine, Side};
use telerelay_wire::Moment;

use crate::talk::{
    FOLLOWED, Outcome, Talk, cut_text, feed, fence, length_of, rectangle, set_encodings,
    set_pixel_format, update,
};

/// Something that one of the sides says.
#[derive(Clone, Debug)]
enum Said {
    Key(u32),
    Pointer(u16),
    ClientText(Vec<u8>, bool),
    Encodings(Vec<i32>),
    ClientFence(u32, Vec<u8>),
    Sizes(u8),
    Pixels(u8),
    Rectangles(Vec<(u8, u16, u16)>, bool),
    DesktopText(Vec<u8>, bool),
    DesktopFence(Vec<u8>),
    Bell,
    Colours(u8),
    /// The desktop answers the guard's fence, if there is one.
    Answer,
}

fn said() -> impl Strategy<Value = Said> {
    let text = || vec(any::<u8>(), 0..40);
    prop_oneof![
        any::<u32>().prop_map(Said::Key),
        any::<u16>().prop_map(Said::Pointer),
        (text(), any::<bool>()).prop_map(|(text, extended)| Said::ClientText(text, extended)),
        vec(
            prop_oneof![prop::sample::select(&FOLLOWED[..]), any::<i32>()],
            0..30
        )
        .prop_map(Said::Encodings),
        (any::<u32>(), vec(any::<u8>(), 0..64))
            .prop_map(|(flags, payload)| Said::ClientFence(flags, payload)),
        (0..4_u8).prop_map(Said::Sizes),
        prop::sample::select(vec![8, 16, 32]).prop_map(Said::Pixels),
        (vec((any::<u8>(), 0..9_u16, 0..9_u16), 0..6), any::<bool>())
            .prop_map(|(rectangles, is_open)| Said::Rectangles(rectangles, is_open)),
        (text(), any::<bool>()).prop_map(|(text, extended)| Said::DesktopText(text, extended)),
        vec(any::<u8>(), 0..64).prop_map(Said::DesktopFence),
        Just(Said::Bell),
        (0..9_u8).prop_map(Said::Colours),
        Just(Said::Answer),
    ]
}

fn text(kind: u8, text: &[u8], extended: bool) -> Vec<u8> {
    let length = i32::try_from(text.len()).unwrap();
    cut_text(kind, if extended { -length } else { length }, text)
}

/// A conversation, as §5 to §8 say what becomes of it.
fn conversation(said: Vec<Said>) -> Talk {
    let mut talk = Talk::running().shown(&fence(1 << 31, &[]));
    let (mut pixel, mut next, mut has_fences) = (4_u8, None, true);
    for one in said {
        talk = match one {
            Said::Key(keysym) => talk.through(&[&[4, 1, 0, 0][..], &keysym.to_be_bytes()].concat()),
            Said::Pointer(x) => talk.through(&[&[5, 0][..], &x.to_be_bytes(), &[0, 1]].concat()),
            Said::ClientText(body, extended) => talk.swallowed(&text(6, &body, extended)),
            Said::Encodings(numbers) => {
                let mut kept = Vec::new();
                for number in &numbers {
                    if FOLLOWED.contains(number) && !kept.contains(number) {
                        kept.push(*number);
                    }
                }
                has_fences = kept.contains(&-312);
                talk.swallowed(&set_encodings(&numbers))
                    .own_to_desktop(&set_encodings(&kept))
            }
            Said::ClientFence(flags, payload) => talk
                .swallowed(&fence(flags, &payload))
                .own_to_desktop(&fence(flags & !4, &payload)),
            Said::Sizes(screens) => {
                let screen = vec![7; 16 * usize::from(screens)];
                talk.through(&[&[251, 0, 0, 9, 0, 9, screens, 0][..], &screen].concat())
            }
            Said::Pixels(bits) if bits / 8 == next.unwrap_or(pixel) => {
                talk.through(&set_pixel_format(bits))
            }
            Said::Pixels(bits) if next.is_none() && has_fences => {
                next = Some(bits / 8);
                talk.own_to_desktop(&fence(0x8000_0004, b"telerelay-guard\0"))
                    .through(&set_pixel_format(bits))
            }
            Said::Rectangles(rectangles, is_open) => {
                updated(talk, &rectangles, is_open, pixel.into())
            }
            Said::DesktopText(body, extended) => talk.kept(&text(3, &body, extended)),
            Said::DesktopFence(payload) => talk.shown(&fence(1 << 31, &payload)),
            Said::Bell => talk.shown(&[2]),
            Said::Colours(count) => {
                let colours = vec![8; 6 * usize::from(count)];
                talk.shown(&[&[1, 0, 0, 0, 0, count][..], &colours].concat())
            }
            Said::Answer if next.is_some() => {
                pixel = next.take().unwrap();
                talk.kept(&fence(4, b"telerelay-guard\0"))
            }
            // It would be refused, or there is nothing to answer.
            Said::Pixels(_) | Said::Answer => talk,
        };
    }
    talk
}

/// An update of these rectangles; `is_open`: it says how many only by its end.
fn updated(mut talk: Talk, rectangles: &[(u8, u16, u16)], is_open: bool, pixel: usize) -> Talk {
    let count = u16::try_from(rectangles.len()).unwrap();
    talk = talk.shown(&update(if is_open { 0xffff } else { count }));
    for (which, width, height) in rectangles {
        let area = usize::from(*width) * usize::from(*height);
        let (number, body) = match which % 7 {
            0 => (0, vec![3; area * pixel]),
            1 => (1, vec![3; 4]),
            2 => (6, [&length_of(&vec![0; area])[..], &vec![3; area]].concat()),
            3 => (
                16,
                [&length_of(&vec![0; area])[..], &vec![3; area]].concat(),
            ),
            4 => {
                let mask = usize::from(width.div_ceil(8)) * usize::from(*height);
                (-239, vec![3; area * pixel + mask])
            }
            5 => (-223, Vec::new()),
            _ => (-308, [&[1, 0, 0, 0][..], &[3; 16]].concat()),
        };
        talk = talk.shown(&[rectangle(*width, *height, number), body].concat());
    }
    if is_open {
        talk = talk.shown(&rectangle(0, 0, -224));
    }
    talk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_tables_name_passes_and_nothing_else(said in vec(said(), 0..12)) {
        conversation(said).check();
    }
}

/// What came of bytes from both sides, cut in pieces of `size`.
fn played(turns: &[(bool, Vec<u8>)], size: usize, view_only: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let settings = Settings {
        view_only,
        secret: Some(Secret::new(b"secret")),
    };
    let mut guard = Guard::begin(settings, Moment::ZERO, &mut outcome);
    for (is_client, bytes) in turns {
        let side = if *is_client {
            Side::Client
        } else {
            Side::Desktop
        };
        for piece in bytes.chunks(size) {
            feed(&mut guard, side, piece, Moment(1), &mut outcome);
        }
    }
    outcome.is_ready = guard.is_ready();
    outcome
}

/// Bytes that are likely to begin something.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let heads = vec![0, 1, 2, 3, 4, 5, 6, 7, 16, 150, 248, 251, 252, 255];
    vec(
        prop_oneof![prop::sample::select(heads), any::<u8>()],
        0..200,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_taken_or_refused_however_they_are_cut(
        noise in vec((any::<bool>(), noise()), 0..6),
        begun in any::<bool>(),
        view_only in any::<bool>(),
    ) {
        let mut turns = Vec::new();
        if begun {
            let mut init = vec![0, 9, 0, 9, 8];
            init.resize(24, 0);
            turns.push((true, b"RFB 003.003\n\x01".to_vec()));
            turns.push((false, [&b"RFB 003.003\n\0\0\0\x01"[..], &init].concat()));
            turns.push((true, set_encodings(&FOLLOWED)));
            turns.push((true, vec![3, 0, 0, 0, 0, 0, 0, 9, 0, 9]));
        }
        turns.extend(noise);
        let whole = played(&turns, usize::MAX, view_only);
        for size in [1, 3, 16] {
            prop_assert_eq!(&played(&turns, size, view_only), &whole);
        }
    }
}
