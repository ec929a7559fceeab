//! A desktop and a viewer that do what they may not, each refused with its own word (docs/GUARD.md §10, §12).
use telerelay_guard::Machine;
use telerelay_guard::redraw::{Mark, Redraw};
use telerelay_guard::rfb::{Refusal, Settings};
use telerelay_wire::{Code, Moment, limits};

use crate::play::{EVERYTHING, Play, Put};

/// The head of an update of one rectangle.
fn update(numbers: [u16; 4], encoding: i32) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
    let head = numbers.chain(encoding.to_be_bytes());
    [0, 0, 0, 1].into_iter().chain(head).collect()
}

fn begun() -> Play {
    let mut play = Play::of(64, 48, &EVERYTHING);
    play.ask(false);
    play.settle();
    play.ask(true);
    play.settle();
    play
}

#[track_caller]
fn refused(said: &[u8], refusal: Refusal, code: Code) {
    let mut play = begun();
    let before = play.home.bytes;
    play.desk.says.extend(said);
    play.settle();
    assert_eq!(play.refused, Some(refusal));
    assert_eq!(refusal.code(), code);
    // From here on nothing passes.
    let mut put = Put::default();
    let again = play
        .guard
        .client_bytes(&[4, 1, 0, 0, 0, 0, 0, 9], Moment(2), &mut put);
    assert_eq!(again, Err(refusal));
    assert_eq!(play.guard.draw(usize::MAX, &mut put), 0);
    assert_eq!((put.to_client.len(), put.to_desktop.len()), (0, 0));
    assert_eq!(play.home.bytes, before);
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let outside = [
        [63, 0, 2, 1],
        [0, 47, 1, 2],
        [64, 0, 1, 0],
        [0, 0, 65_535, 1],
        [65_535; 4],
    ];
    for numbers in outside {
        let said = update(numbers, 0);
        refused(&said, Refusal::DesktopOutside, Code::DesktopProtocol);
    }
    for (width, height) in [(257, 1), (1, 257), (65_535, 65_535)] {
        let said = update([0, 0, width, height], -239);
        let refusal = Refusal::DesktopCursor { width, height };
        refused(&said, refusal, Code::DesktopProtocol);
    }
    for (width, height) in [(0, 0), (0, 9), (65_535, 65_535), (7_680, 4_321)] {
        let refusal = Refusal::DesktopSize { width, height };
        refused(
            &update([0, 0, width, height], -223),
            refusal,
            Code::Unsupported,
        );
        let mut said = update([0, 0, width, height], -308);
        said.extend([0; 4]);
        refused(&said, refusal, Code::Unsupported);
    }
    // They would pass where the guard follows, since the viewer has named them.
    for number in [1, 6, 16, -224, -312, -313, 5, 7] {
        let refusal = Refusal::DesktopEncoding { number };
        refused(
            &update([0, 0, 1, 1], number),
            refusal,
            Code::DesktopProtocol,
        );
    }
    for (said, number) in [(&[150][..], -313), (&[248, 0, 0, 0, 0, 0, 0, 0, 0], -312)] {
        let refusal = Refusal::DesktopEncoding { number };
        refused(said, refusal, Code::DesktopProtocol);
    }
    refused(&[7], Refusal::DesktopFile { kind: 7 }, Code::PolicyFile);
    refused(
        &[9],
        Refusal::DesktopMessage { kind: 9 },
        Code::PolicyUnknown,
    );
}

#[test]
fn pixels_before_they_were_asked_for_are_refused() {
    let mut play = Play::of(64, 48, &EVERYTHING);
    play.settle();
    play.desk.says.extend(update([0, 0, 1, 1], 0));
    play.settle();
    assert_eq!(play.refused, Some(Refusal::DesktopUnrequested));
}

#[test]
fn a_screen_that_is_too_large_is_refused_before_it_is_held() {
    let mut put = Put::default();
    let mut guard = Redraw::begin(Settings::default(), None, Moment::ZERO, &mut put);
    guard
        .client_bytes(b"RFB 003.003\n\x01", Moment::ZERO, &mut put)
        .unwrap();
    let mut said = b"RFB 003.003\n\0\0\0\x01".to_vec();
    said.extend([255, 255, 255, 255, 32]);
    said.resize(said.len() + 19, 0);
    let refusal = Refusal::DesktopSize {
        width: 65_535,
        height: 65_535,
    };
    let result = guard.desktop_bytes(&said, Moment::ZERO, &mut put);
    assert_eq!(result, Err(refusal));
    assert_eq!(refusal.code(), Code::Unsupported);
}

#[test]
fn a_viewer_whose_pixels_cannot_be_drawn_is_refused() {
    let formats: &[(&[u8; 13], Refusal)] = &[
        // A colour map; parts beyond their bits; pixels that RFB does not have.
        (
            &[8, 8, 0, 0, 0, 7, 0, 7, 0, 3, 0, 3, 6],
            Refusal::ClientColours,
        ),
        (
            &[32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 25, 8, 0],
            Refusal::ClientColours,
        ),
        (
            &[8, 8, 0, 1, 0, 7, 0, 7, 1, 0, 0, 3, 0],
            Refusal::ClientColours,
        ),
        (
            &[32, 24, 0, 1, 0, 0, 0, 0, 0, 0, 255, 32, 0],
            Refusal::ClientColours,
        ),
        (
            &[24, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0],
            Refusal::ClientPixels { bits: 24 },
        ),
    ];
    for (format, refusal) in formats {
        let mut play = begun();
        play.says.extend([0; 4]);
        play.says.extend(*format);
        play.says.extend([0; 3]);
        play.settle();
        assert_eq!(play.refused, Some(*refusal));
    }
    assert_eq!(Refusal::ClientColours.code(), Code::Unsupported);
}

#[test]
fn a_viewer_may_ask_for_what_is_not_there() {
    let mut play = begun();
    let requests = play.desk.requests.len();
    for area in [[64, 0, 9, 9], [0, 0, 0, 0], [65_535; 4], [9, 9, 0, 9]] {
        for kind in [3, 150] {
            play.says.extend([kind, 0]);
            play.says
                .extend(area.iter().flat_map(|side: &u16| side.to_be_bytes()));
        }
    }
    play.settle();
    assert_eq!((play.refused, play.desk.requests.len()), (None, requests));
}

#[test]
fn a_pattern_that_is_none_is_no_mark() {
    for (width, weights) in [(0, 0), (0, 1), (1, 0), (3, 4), (1, limits::GUARD_MARK + 1)] {
        let error = Mark::new(width, &vec![0; weights]).unwrap_err();
        let told = format!("{weights} weights are no pattern of width {width}");
        assert_eq!(error.to_string(), told);
    }
}
