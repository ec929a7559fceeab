//! What a viewer is told beside pixels, and what the desktop hears (docs/GUARD.md §12).
use telerelay_guard::Machine;
use telerelay_guard::rfb::Settings;
use telerelay_wire::Moment;

use crate::desk::Desk;
use crate::home::{CANVAS, Format};
use crate::play::{EVERYTHING, Play};

/// The head of a rectangle without pixels.
fn head(numbers: [u16; 4], encoding: i32) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
    numbers.chain(encoding.to_be_bytes()).collect()
}

/// An `ExtendedDesktopSize` of two screens; only their first four bytes matter.
fn sizes([reason, status]: [u16; 2], width: u16, height: u16) -> Vec<u8> {
    let mut news = head([reason, status, width, height], -308);
    news.extend([2, 0, 0, 0]);
    news.extend([0xAB, 0, 0, 0x11, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    news.extend([7; 16]);
    news
}

fn begun() -> Play {
    let mut play = Play::of(100, 80, &EVERYTHING);
    play.ask(false);
    play.settle();
    play
}

/// The lists of encodings and the formats that the desktop has heard.
fn heard(play: &Play, kind: u8) -> Vec<&[u8]> {
    let messages = play.desk.messages.iter();
    let messages = messages.filter(|message| message[0] == kind);
    messages.map(Vec::as_slice).collect()
}

#[test]
fn the_desktop_is_asked_for_raw_pixels_of_the_guards_own_and_for_what_the_viewer_knows() {
    let mut play = begun();
    play.format([8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0]);
    play.name(&[16, 6, 1, -239]);
    play.ask(false);
    play.home
        .expect([8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0]);
    play.settle();
    assert_eq!(heard(&play, 0), [[&[0; 4][..], &CANVAS].concat()]);
    let list = |numbers: &[i32]| {
        let count = u8::try_from(numbers.len()).unwrap();
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
        [2, 0, 0, count]
            .into_iter()
            .chain(numbers)
            .collect::<Vec<u8>>()
    };
    let first = list(&[0, -223, -239, -258, -307, -308]);
    assert_eq!(heard(&play, 2), [first, list(&[0, -239])]);
}

#[test]
fn keys_and_pointer_arrive_and_nothing_of_the_rest() {
    let said: &[&[u8]] = &[
        &[4, 1, 0, 0, 0, 0, 0xff, 0x2a],
        &[5, 1, 0, 9, 0, 9],
        &[255, 0, 0, 1, 0, 0, 0xff, 0x2a, 0, 0, 0, 0x29],
        &[251, 0, 0, 50, 0, 40, 0, 0],
    ];
    let silent: &[&[u8]] = &[
        &[6, 0, 0, 0, 0, 0, 0, 4, b't', b'e', b'x', b't'],
        &[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 1, 2, 3, 4],
        &[248, 0, 0, 0, 128, 0, 0, 0, 2, 7, 7],
    ];
    for view_only in [false, true] {
        let settings = Settings {
            view_only,
            secret: None,
        };
        let mut play = Play::begin(Desk::new(9, 9), None, settings);
        let before = play.desk.messages.len();
        for message in said.iter().chain(silent) {
            play.says.extend(*message);
        }
        play.settle();
        let arrived = &play.desk.messages[before..];
        let expected = if view_only { &[][..] } else { said };
        assert_eq!(arrived, expected);
        assert_eq!(play.guard.last_input(), Some(Moment(1)));
        assert_eq!(play.refused, None);
    }
}

/// Until a message of the client has come whole, nothing of the guard's own may stand in it: what is behind would begin another.
#[test]
fn what_the_guard_asks_for_never_stands_in_a_message_of_the_client() {
    let mut message = vec![251, 0, 0, 64, 0, 48, 1, 0];
    message.extend([6, 0, 0, 0, 0, 0, 0, 8, 7, 7, 7, 7, 7, 7, 7, 7]);
    for cut in 1..message.len() {
        let mut play = begun();
        play.says.extend([150, 1, 0, 0, 0, 0, 2, 128, 1, 224]);
        play.settle();
        let asked = play.desk.requests.len();
        play.says.extend(&message[..cut]);
        play.settle();
        play.desk.paint([0, 0, 1, 1], |_, _| [1, 2, 3]);
        play.settle();
        play.says.extend(&message[cut..]);
        play.settle();
        assert_eq!(play.desk.messages.last(), Some(&message), "cut at {cut}");
        assert_eq!(play.desk.requests.len(), asked + 1, "cut at {cut}");
        play.check(&CANVAS, |_, _| 0);
    }
}

#[test]
fn a_size_that_could_not_be_drawn_is_not_asked_of_the_desktop() {
    for (width, height, is_told) in [
        (7_680_u16, 4_320_u16, true),
        (7_681, 4_320, false),
        (65_535, 65_535, false),
        (0, 9, false),
    ] {
        let mut play = begun();
        let mut message = vec![251, 0];
        message.extend(width.to_be_bytes());
        message.extend(height.to_be_bytes());
        message.extend([1, 0]);
        message.extend([9; 16]);
        play.says.extend(&message);
        play.settle();
        assert_eq!(play.desk.messages.last() == Some(&message), is_told);
        assert_eq!(play.refused, None);
    }
}

#[test]
fn texts_and_colour_maps_of_the_desktop_go_nowhere_and_a_bell_rings() {
    let mut play = begun();
    let before = play.home.bytes;
    play.desk.says.extend(b"\x03\0\0\0\0\0\0\x06secret");
    play.desk
        .says
        .extend([3, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe, 7, 7]);
    play.desk
        .says
        .extend([1, 0, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 2, 2]);
    play.settle();
    assert_eq!(play.home.short, [150, 2]);
    assert_eq!(play.home.bytes - before, 1);
}

#[test]
fn another_size_is_told_alone_and_then_everything_is_new() {
    for (encodings, told) in [
        (&EVERYTHING[..], head([0, 0, 130, 70], -308)),
        (&[-223], head([0, 0, 130, 70], -223)),
    ] {
        let mut play = Play::of(100, 80, encodings);
        play.ask(false);
        play.settle();
        play.ask(true);
        let news = if encodings.len() > 1 {
            sizes([0, 0], 130, 70)
        } else {
            head([0, 0, 130, 70], -223)
        };
        play.desk.resize(130, 70, news);
        play.settle();
        let (number, rectangle) = play.home.news.last().unwrap();
        assert_eq!(rectangle[..12], told);
        assert_eq!(number.to_be_bytes(), told[8..]);
        assert_eq!(play.home.picture, vec![0; 130 * 70]);
        play.desk.paint([3, 3, 9, 9], |_, _| [7; 3]);
        for _ in 0..2 {
            play.ask(true);
            play.settle();
        }
        play.check(&CANVAS, |_, _| 0);
        // Not even a viewer that asks for changes alone keeps a part of the old picture.
        assert_eq!(play.desk.requests, [false, true, false, true]);
    }
}

#[test]
fn a_desktop_that_answers_without_pixels_is_asked_for_changes() {
    let mut play = Play::of(100, 80, &EVERYTHING);
    play.desk.whole_news = Some(sizes([0, 0], 100, 80));
    play.ask(false);
    play.settle();
    assert_eq!(play.desk.requests, [false, true]);
    play.ask(true);
    play.settle();
    play.check(&CANVAS, |_, _| 0);
    assert_eq!(play.home.updates, 2);
}

#[test]
fn a_desktop_of_many_screens_is_one() {
    let mut play = begun();
    play.ask(true);
    play.desk.tell(sizes([1, 0], 100, 80));
    play.settle();
    let (_, rectangle) = play.home.news.last().unwrap();
    let mut told = head([1, 0, 100, 80], -308);
    told.extend([1, 0, 0, 0]);
    told.extend([0xAB, 0, 0, 0x11, 0, 0, 0, 0, 0, 100, 0, 80, 0, 0, 0, 0]);
    assert_eq!(*rectangle, told);
    // A size that the desktop refuses changes nothing.
    play.ask(true);
    play.desk.tell(sizes([1, 3], 7, 7));
    play.settle();
    let (_, rectangle) = play.home.news.last().unwrap();
    assert_eq!(rectangle[..12], head([1, 3, 100, 80], -308));
    play.ask(true);
    play.settle();
    play.check(&CANVAS, |_, _| 0);
}

#[test]
fn a_pointer_comes_in_the_viewers_pixels_with_its_mask() {
    let mut play = begun();
    let format: Format = [16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0];
    play.format(format);
    play.home.expect(format);
    play.ask(false);
    play.settle();
    let mut shape = head([1, 2, 9, 2], -239);
    for pixel in 0..18 {
        shape.extend([255, 0, if pixel < 9 { 255 } else { 0 }, 7]);
    }
    let mask = [0xff, 0x80, 0x0f, 0];
    shape.extend(mask);
    play.ask(true);
    play.desk.tell(shape);
    play.settle();
    let mut told = head([1, 2, 9, 2], -239);
    told.extend([0xf8, 0x1f].repeat(9));
    told.extend([0x00, 0x1f].repeat(9));
    told.extend(mask);
    assert_eq!(*play.home.news.last().unwrap(), (-239, told));
}

#[test]
fn a_name_is_bounded_and_qemu_keys_are_announced() {
    let mut play = begun();
    let mut name = head([0; 4], -307);
    name.extend([0, 0, 1, 4]);
    name.extend([b'n'; 260]);
    play.ask(true);
    play.desk.news.push(head([0; 4], -258));
    play.desk.tell(name);
    play.settle();
    let mut told = head([0; 4], -307);
    told.extend([0, 0, 0, 255]);
    told.extend([b'n'; 255]);
    let expected = [(-258, head([0; 4], -258)), (-307, told)];
    assert_eq!(play.home.news, expected);
    assert_eq!(play.home.name, b"office");
}
