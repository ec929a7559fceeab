//! What a desktop may say, and what becomes of it (docs/GUARD.md §6, §7).
use telerelay_guard::rfb::Refusal;
use telerelay_wire::Code;

use crate::talk::{FOLLOWED, Talk, cut_text, fence, length_of, rectangle, set_encodings, update};

/// An update of these rectangles.
fn of(rectangles: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(rectangles.len()).unwrap();
    [update(count), rectangles.concat()].concat()
}

/// A rectangle with a body that could be taken for messages: cut texts of four bytes.
fn body(width: u16, height: u16, encoding: i32, length: usize) -> Vec<u8> {
    let text = cut_text(3, 4, b"text");
    let body = text.into_iter().cycle().take(length);
    rectangle(width, height, encoding)
        .into_iter()
        .chain(body)
        .collect()
}

fn compressed(encoding: i32, length: usize) -> Vec<u8> {
    let length = vec![3; length];
    [
        rectangle(64, 48, encoding),
        length_of(&length).to_vec(),
        length,
    ]
    .concat()
}

fn every_rectangle() -> Vec<Vec<u8>> {
    vec![
        body(5, 3, 0, 5 * 3 * 4),
        body(0, 9, 0, 0),
        body(64, 48, 1, 4),
        compressed(6, 100),
        compressed(16, 0),
        compressed(16, 33),
        rectangle(800, 600, -223),
        body(9, 2, -239, 9 * 2 * 4 + 2 * 2),
        body(0, 0, -239, 0),
        rectangle(0, 0, -258),
        [rectangle(0, 0, -308), vec![0; 4]].concat(),
        [rectangle(1, 0, -308), vec![2, 0, 0, 0], vec![9; 32]].concat(),
    ]
}

#[test]
fn every_rectangle_is_followed() {
    let rectangles = every_rectangle();
    let mut talk = Talk::running()
        .shown(&of(&rectangles))
        .shown(&[2])
        .shown(&of(&[]));
    for one in &rectangles {
        talk = talk
            .shown(&of(std::slice::from_ref(one)))
            .kept(&cut_text(3, 4, b"text"));
    }
    talk.check();
}

#[test]
fn an_update_ends_with_last_rect_whatever_its_count() {
    let rectangles = [every_rectangle().concat(), rectangle(0, 0, -224)].concat();
    Talk::running()
        .shown(&update(0xffff))
        .shown(&rectangles)
        .kept(&cut_text(3, 9, b"clipboard"))
        .shown(&update(90))
        .shown(&rectangles)
        .kept(&cut_text(3, -9, &b"\x10\0\0\0extended"[..9]))
        .shown(&[2])
        .check();
}

#[test]
fn cut_text_is_swallowed_in_every_form() {
    Talk::running()
        .kept(&cut_text(3, 0, b""))
        .shown(&[2])
        .kept(&cut_text(3, 6, b"secret"))
        .kept(&cut_text(
            3,
            -12,
            &[1, 0, 0, 0x1f, 0, 0x10, 0, 0, 0, 0, 0, 0],
        ))
        .shown(&of(&[body(2, 2, 0, 16)]))
        .kept(&cut_text(3, i32::MIN, &[2, 2, 2, 2]))
        .check();
}

#[test]
fn colours_and_ends_of_continuous_updates_pass() {
    let mut colours = vec![1, 0, 0, 5, 0, 2];
    colours.extend([3; 12]);
    Talk::running()
        .shown(&colours)
        .shown(&[1, 0, 0, 0, 0, 0])
        .shown(&[150])
        .shown(&fence(0x8000_0007, b"any"))
        .shown(&fence(0x0000_0003, &[1; 64]))
        .shown(&[2])
        .check();
}

#[test]
fn a_new_name_is_a_title_too() {
    let named = |name: &[u8]| {
        [
            rectangle(0, 0, -307),
            length_of(name).to_vec(),
            name.to_vec(),
        ]
        .concat()
    };
    let (long, short) = (vec![b'n'; 400], vec![b'n'; 255]);
    let other = body(1, 1, 0, 4);
    Talk::running()
        .kept(&of(&[other.clone(), named(&long), other.clone()]))
        .own_to_viewer(&of(&[other.clone(), named(&short), other.clone()]))
        .kept(&of(&[named(&[]), named("渋谷".as_bytes())]))
        .own_to_viewer(&of(&[named(&[]), named("渋谷".as_bytes())]))
        .shown(&[2])
        .check();
}

#[test]
fn an_encoding_that_was_not_asked_for_is_refused() {
    let asked_pixels = [3, 0, 0, 0, 0, 0, 0, 64, 0, 48];
    for number in FOLLOWED
        .iter()
        .skip(1)
        .chain(&[5, 7, 8, -23, 0xC0A1_E5CE_u32.cast_signed()])
    {
        let talk = Talk::opened()
            .through(&asked_pixels)
            .shown(&of(&[body(1, 1, 0, 4)]))
            .shown(&update(1))
            .kept(&rectangle(1, 1, *number))
            .kept(&[0; 4]);
        let refusal = talk.refused();
        assert_eq!(refusal, Refusal::DesktopEncoding { number: *number });
        assert_eq!(refusal.code(), Code::DesktopProtocol);
    }
    for (message, number) in [(vec![150], -313), (fence(0x8000_0000, b""), -312)] {
        let refusal = Talk::opened()
            .through(&asked_pixels)
            .kept(&message)
            .refused();
        assert_eq!(refusal, Refusal::DesktopEncoding { number });
    }
    for number in [-312, -313, 5] {
        let talk = Talk::running()
            .shown(&update(1))
            .kept(&rectangle(0, 0, number));
        assert_eq!(talk.refused(), Refusal::DesktopEncoding { number });
    }
}

#[test]
fn what_was_asked_for_once_may_be_in_flight() {
    Talk::running()
        .swallowed(&set_encodings(&[0]))
        .own_to_desktop(&set_encodings(&[0]))
        .shown(&of(&[compressed(16, 5), body(1, 1, 0, 4)]))
        .check();
}

#[test]
fn pixels_that_nobody_asked_for_are_refused() {
    let talk = Talk::opened().kept(&of(&[body(1, 1, 0, 4)]));
    assert_eq!(talk.refused(), Refusal::DesktopUnrequested);
    // Neither encodings nor disabled continuous updates ask for any.
    let list = set_encodings(&FOLLOWED);
    let talk = Talk::opened()
        .swallowed(&list)
        .own_to_desktop(&list)
        .through(&[150, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        .kept(&of(&[]));
    assert_eq!(talk.refused(), Refusal::DesktopUnrequested);
    Talk::opened()
        .through(&[150, 1, 0, 0, 0, 0, 0, 64, 0, 48])
        .shown(&of(&[body(1, 1, 0, 4)]))
        .check();
}

#[test]
fn file_transfer_is_refused() {
    for kind in [7, 130, 131, 132, 133, 252] {
        let refusal = Talk::running().shown(&[2]).kept(&[kind, 0, 0, 0]).refused();
        assert_eq!(refusal, Refusal::DesktopFile { kind });
        assert_eq!(refusal.code(), Code::PolicyFile);
    }
}

#[test]
fn what_no_table_names_is_refused() {
    let named = [0, 1, 2, 3, 150, 248, 7, 130, 131, 132, 133, 252];
    for kind in (0..=255).filter(|kind| !named.contains(kind)) {
        let refusal = Talk::running().shown(&[2]).kept(&[kind]).refused();
        assert_eq!(refusal, Refusal::DesktopMessage { kind });
        assert_eq!(refusal.code(), Code::PolicyUnknown);
    }
    let refusal = Talk::running()
        .kept(&fence(0x8000_0000, &[0; 65]))
        .refused();
    assert_eq!(refusal, Refusal::DesktopFence);
}

#[test]
fn the_largest_rectangles_are_followed_without_being_held() {
    let mut talk = Talk::running().shown(&update(3));
    for width in [u16::MAX, 1] {
        talk = talk.shown(&rectangle(width, width, 0));
        if width == u16::MAX {
            // 17 GB are not sent here: what stands in their place is pixels, whatever it looks like.
            talk = talk.shown(&cut_text(3, 4, b"text"));
        }
    }
    talk.check();
    let endless = [rectangle(1, 1, 16), vec![0xff; 4], cut_text(3, 4, b"text")].concat();
    Talk::running().shown(&update(1)).shown(&endless).check();
}
