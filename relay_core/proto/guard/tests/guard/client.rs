//! What a client may say, and what becomes of it (docs/GUARD.md §5, §9).
use telerelay_guard::rfb::Refusal;
use telerelay_wire::{Code, Moment};

use crate::talk::{FOLLOWED, Talk, cut_text, fence, set_encodings};

const KEY: [u8; 8] = [4, 1, 0, 0, 0, 0, 0xff, 0x2a];
const POINTER: [u8; 6] = [5, 1, 0, 7, 0, 9];
const QEMU_KEY: [u8; 12] = [255, 0, 0, 1, 0, 0, 0xff, 0x22, 0, 0, 0, 0x79];
const REQUEST: [u8; 10] = [3, 1, 0, 0, 0, 0, 0, 64, 0, 48];
const CONTINUOUS: [u8; 10] = [150, 1, 0, 0, 0, 0, 0, 64, 0, 48];

fn set_desktop_size(screens: u8) -> Vec<u8> {
    let mut message = vec![251, 0, 3, 32, 2, 88, screens, 0];
    message.extend(vec![6; 16 * usize::from(screens)]);
    message
}

/// The keysyms of 半角/全角, 変換, 無変換, ￥ and ろ, and a letter beyond Latin-1.
#[test]
fn japanese_keys_arrive() {
    let mut talk = Talk::opened();
    for keysym in [0xff2a_u32, 0xff23, 0xff22, 0xa5, 0x4db, 0x0100_6e2f] {
        for down in [1, 0] {
            let [a, b, c, d] = keysym.to_be_bytes();
            talk = talk.through(&[4, down, 0, 0, a, b, c, d]);
            talk = talk.through(&[255, 0, 0, down, a, b, c, d, 0, 0, 0, 0x7d]);
        }
    }
    talk.check();
}

#[test]
fn what_a_viewer_needs_passes_unchanged() {
    Talk::opened()
        .through(&KEY)
        .through(&POINTER)
        .through(&QEMU_KEY)
        .through(&REQUEST)
        .through(&CONTINUOUS)
        .through(&fence(0x8000_0003, &[7; 64]))
        .through(&fence(0, &[]))
        .through(&set_desktop_size(0))
        .through(&set_desktop_size(2))
        .through(&set_desktop_size(255))
        .check();
}

#[test]
fn cut_text_is_swallowed_in_every_form() {
    Talk::opened()
        .through(&KEY)
        .swallowed(&cut_text(6, 0, b""))
        .swallowed(&cut_text(6, 11, b"private key"))
        .through(&KEY)
        .swallowed(&cut_text(6, -11, &[0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7]))
        .swallowed(&cut_text(6, -4, &[0x11, 0, 0, 1]))
        .swallowed(&cut_text(6, -1, b"x"))
        .through(&POINTER)
        .check();
}

#[test]
fn the_longest_text_is_swallowed_whatever_it_looks_like() {
    let talk = |length| Talk::opened().swallowed(&cut_text(6, length, &KEY));
    for length in [i32::MIN, i32::MAX, i32::MIN + 1] {
        let outcome = talk(length).check();
        assert_eq!(outcome.last_input, None, "no key is found in a text");
    }
}

#[test]
fn file_transfer_is_refused() {
    for kind in [7, 130, 131, 132, 133, 134, 135, 136, 252] {
        let refusal = Talk::opened()
            .through(&KEY)
            .swallowed(&[kind, 1, 0, 0])
            .refused();
        assert_eq!(refusal, Refusal::ClientFile { kind });
        assert_eq!(refusal.code(), Code::PolicyFile);
    }
}

#[test]
fn what_no_table_names_is_refused() {
    let named = [0, 2, 3, 4, 5, 6, 150, 248, 251, 255];
    let files = [7, 130, 131, 132, 133, 134, 135, 136, 252];
    for kind in (0..=255).filter(|kind| !named.contains(kind) && !files.contains(kind)) {
        let refusal = Talk::opened().through(&KEY).swallowed(&[kind]).refused();
        assert_eq!(refusal, Refusal::ClientMessage { kind });
        assert_eq!(refusal.code(), Code::PolicyUnknown);
    }
    for submessage in 1..=255 {
        let refusal = Talk::opened().swallowed(&[255, submessage]).refused();
        assert_eq!(refusal, Refusal::ClientMessage { kind: 255 });
    }
}

#[test]
fn nothing_passes_behind_a_refusal() {
    let talk = Talk::opened()
        .through(&KEY)
        .swallowed(&[250, 1])
        .swallowed(&KEY);
    assert_eq!(
        talk.kept(&[2]).refused(),
        Refusal::ClientMessage { kind: 250 }
    );
}

#[test]
fn encodings_that_cannot_be_followed_are_taken_out() {
    let others = [
        5,
        7,
        2,
        4,
        8,
        17,
        21,
        50,
        -23,
        -32,
        -247,
        -256,
        -240,
        -261,
        -314,
        0xC0A1_E5CE_u32.cast_signed(),
    ];
    let mixed: Vec<i32> = others
        .iter()
        .chain(&FOLLOWED)
        .chain(&others)
        .chain(&FOLLOWED)
        .copied()
        .collect();
    Talk::opened()
        .swallowed(&set_encodings(&mixed))
        .own_to_desktop(&set_encodings(&FOLLOWED))
        .swallowed(&set_encodings(&others))
        .own_to_desktop(&set_encodings(&[]))
        .swallowed(&set_encodings(&[]))
        .own_to_desktop(&set_encodings(&[]))
        .swallowed(&set_encodings(&[-239, 16, 16, 5, 1, -239]))
        .own_to_desktop(&set_encodings(&[-239, 16, 1]))
        .through(&KEY)
        .check();
}

#[test]
fn the_longest_list_of_encodings_is_read_to_its_end() {
    let mut list = vec![5; 65_534];
    list.push(16);
    let talk = Talk::opened()
        .swallowed(&set_encodings(&list))
        .own_to_desktop(&set_encodings(&[16]))
        .through(&KEY);
    talk.check_coarsely();
}

#[test]
fn a_fence_is_bounded_and_loses_what_would_shift_the_mark() {
    Talk::opened()
        .swallowed(&fence(0x8000_0007, b"client"))
        .own_to_desktop(&fence(0x8000_0003, b"client"))
        .through(&fence(0x8000_0001, b"as-long-as-mark!"))
        .check();
    for payload in [&[0; 65][..], b"telerelay-guard\0"] {
        for flags in [0x8000_0000, 0] {
            let refusal = Talk::opened().swallowed(&fence(flags, payload)).refused();
            assert_eq!(refusal, Refusal::ClientFence);
        }
    }
}

#[test]
fn view_only_drops_input_and_nothing_else() {
    let outcome = Talk::opened()
        .view_only()
        .swallowed(&KEY)
        .through(&REQUEST)
        .swallowed(&POINTER)
        .through(&CONTINUOUS)
        .swallowed(&QEMU_KEY)
        .through(&fence(0, b"fence"))
        .swallowed(&set_desktop_size(3))
        .swallowed(&set_encodings(&[16, 5]))
        .own_to_desktop(&set_encodings(&[16]))
        .swallowed(&cut_text(6, 4, b"text"))
        .through(&REQUEST)
        .check();
    assert_eq!(outcome.last_input, Some(Moment(1)), "somebody is there");
}

#[test]
fn only_a_persons_doing_is_input() {
    for message in [&KEY[..], &POINTER, &QEMU_KEY] {
        assert_eq!(
            Talk::opened().through(message).check().last_input,
            Some(Moment(1))
        );
    }
    let others = Talk::opened()
        .through(&REQUEST)
        .through(&CONTINUOUS)
        .through(&fence(0, b""))
        .through(&set_desktop_size(1))
        .swallowed(&cut_text(6, 1, b"x"));
    assert_eq!(others.check().last_input, None);
}
