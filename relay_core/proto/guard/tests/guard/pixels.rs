//! One pixel size at a time (docs/GUARD.md §8): wherever the desktop may still send the old one, the guard knows the place.
use telerelay_guard::rfb::Refusal;
use telerelay_wire::Code;

use crate::talk::{
    FOLLOWED, Talk, cut_text, fence, rectangle, set_encodings, set_pixel_format, update,
};

const REQUEST: u32 = 1 << 31;
const SYNC_NEXT: u32 = 1 << 2;
const MARK: &[u8] = b"telerelay-guard\0";

/// An update of one Raw rectangle of 4 × 4 pixels that look like messages.
fn raw(bytes: usize) -> Vec<u8> {
    [update(1), rectangle(4, 4, 0), vec![3; 16 * bytes]].concat()
}

/// A cursor of 9 × 2 pixels.
fn cursor(bytes: usize) -> Vec<u8> {
    [update(1), rectangle(9, 2, -239), vec![3; 18 * bytes + 4]].concat()
}

fn text() -> Vec<u8> {
    cut_text(3, 6, b"secret")
}

/// The desktop has shown that it knows fences.
fn with_fences() -> Talk {
    Talk::running().shown(&fence(REQUEST | SYNC_NEXT, &[]))
}

fn marked(talk: Talk, bits: u8) -> Talk {
    talk.own_to_desktop(&fence(REQUEST | SYNC_NEXT, MARK))
        .through(&set_pixel_format(bits))
}

#[test]
fn a_format_before_the_first_request_counts_at_once() {
    for (bits, bytes) in [(8, 1), (16, 2), (32, 4)] {
        let list = set_encodings(&FOLLOWED);
        Talk::opened()
            .through(&set_pixel_format(16))
            .through(&set_pixel_format(bits))
            .swallowed(&list)
            .own_to_desktop(&list)
            .through(&[3, 0, 0, 0, 0, 0, 0, 64, 0, 48])
            .shown(&raw(bytes))
            .shown(&cursor(bytes))
            .kept(&text())
            .check();
    }
}

#[test]
fn another_format_of_the_same_size_passes_at_any_time() {
    Talk::running()
        .through(&set_pixel_format(32))
        .shown(&raw(4))
        .kept(&text())
        .check();
}

#[test]
fn another_size_counts_behind_the_answer_to_the_guards_fence() {
    for flags in [SYNC_NEXT, SYNC_NEXT | 3] {
        let talk = marked(with_fences().shown(&raw(4)), 8)
            .shown(&raw(4))
            .kept(&text())
            .shown(&fence(0, b"another answer!!"))
            .shown(&cursor(4))
            .kept(&fence(flags, MARK))
            .shown(&raw(1))
            .shown(&cursor(1))
            .kept(&text());
        let back = marked(talk, 16)
            .through(&set_pixel_format(16))
            .shown(&raw(1))
            .kept(&fence(flags, MARK))
            .shown(&raw(2))
            .kept(&text());
        back.check();
    }
}

#[test]
fn a_size_that_nothing_marks_is_refused() {
    let expected = Refusal::PixelsMidway;
    assert_eq!(expected.code(), Code::Unsupported);
    let change = set_pixel_format(8);
    let desktop_without = Talk::running().shown(&raw(4)).swallowed(&change);
    assert_eq!(desktop_without.refused(), expected);
    // A desktop must not be sent a fence that the client's list does not name any more.
    let client_without = with_fences()
        .swallowed(&set_encodings(&[0]))
        .own_to_desktop(&set_encodings(&[0]))
        .swallowed(&change);
    assert_eq!(client_without.refused(), expected);
    let second = marked(with_fences(), 8).swallowed(&set_pixel_format(16));
    assert_eq!(second.refused(), expected);
    let back = marked(with_fences(), 8).swallowed(&set_pixel_format(32));
    assert_eq!(back.refused(), expected);
}

#[test]
fn a_client_cannot_have_a_cut_text_taken_for_pixels() {
    // Two requests, merged or not, then another size: the size does not count before the desktop says so.
    let request = [3, 1, 0, 0, 0, 0, 0, 64, 0, 48];
    let small = marked(with_fences(), 8)
        .kept(&fence(SYNC_NEXT, MARK))
        .shown(&raw(1));
    let talk = marked(small.through(&request).through(&request), 32)
        .shown(&raw(1))
        .kept(&text())
        .shown(&raw(1))
        .kept(&text())
        .kept(&fence(SYNC_NEXT, MARK))
        .shown(&raw(4))
        .kept(&text());
    talk.check();
}

#[test]
fn an_answer_that_marks_nothing_is_refused() {
    let out_of_sync = marked(with_fences(), 8).kept(&fence(3, MARK));
    assert_eq!(out_of_sync.refused(), Refusal::DesktopFence);
    let unasked = with_fences().kept(&fence(SYNC_NEXT, MARK));
    assert_eq!(unasked.refused(), Refusal::DesktopFence);
    assert_eq!(Refusal::DesktopFence.code(), Code::DesktopProtocol);
    // The desktop's own question with that payload is none of the guard's.
    with_fences().shown(&fence(REQUEST, MARK)).check();
}

#[test]
fn a_size_that_rfb_does_not_have_is_refused() {
    for bits in [0, 15, 24, 255] {
        for talk in [Talk::opened(), with_fences()] {
            let refusal = talk.swallowed(&set_pixel_format(bits)).refused();
            assert_eq!(refusal, Refusal::ClientPixels { bits });
        }
    }
}
