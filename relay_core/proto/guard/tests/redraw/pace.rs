//! The viewer sets the pace, and what waits for it is a picture and not bytes (docs/GUARD.md §12).
use telerelay_guard::Machine;
use telerelay_wire::{Moment, limits};

use crate::home::{CANVAS, Format};
use crate::play::{EVERYTHING, Play, Put};

const ROOM: usize = 1_000;

/// Noise, which is as many bytes as there can be.
fn noise(seed: usize) -> impl FnMut(usize, usize) -> [u8; 3] {
    let mut state = u32::try_from(2 * seed + 1).unwrap();
    move |_, _| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [a, b, c, _] = state.to_le_bytes();
        [a, b, c]
    }
}

fn begun(encodings: &[i32]) -> Play {
    let mut play = Play::of(640, 480, encodings);
    play.ask(false);
    play.settle();
    play
}

#[test]
fn nothing_is_drawn_and_nothing_asked_for_that_nobody_waits_for() {
    let mut play = begun(&EVERYTHING);
    let (bytes, requests) = (play.home.bytes, play.desk.requests.len());
    play.desk.paint([0, 0, 640, 480], noise(1));
    play.settle();
    assert_eq!(
        (play.home.bytes, play.desk.requests.len()),
        (bytes, requests)
    );
    play.ask(true);
    play.settle();
    play.check(&CANVAS, |_, _| 0);
    // Another request has nothing to tell, and waits.
    let updates = play.home.updates;
    play.ask(true);
    play.settle();
    assert_eq!(play.home.updates, updates);
}

#[test]
fn a_request_is_answered_once_and_continuous_updates_as_often_as_something_changes() {
    let mut play = begun(&EVERYTHING);
    play.ask(true);
    for seed in 0..5 {
        play.desk.paint([0, 0, 9, 9], noise(seed));
        play.settle();
    }
    assert_eq!(play.home.updates, 2);
    play.says.extend([150, 1, 0, 0, 0, 0, 2, 128, 1, 224]);
    play.settle();
    for seed in 5..10 {
        play.desk.paint([0, 0, 9, 9], noise(seed));
        play.settle();
        play.check(&CANVAS, |_, _| 0);
    }
    assert_eq!(play.home.updates, 8);
    play.says.extend([150, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    play.settle();
    play.desk.paint([0, 0, 9, 9], noise(10));
    play.settle();
    assert_eq!(
        (play.home.updates, &play.home.short[..]),
        (8, &[150, 150][..])
    );
}

#[test]
fn a_slow_viewer_costs_pictures() {
    let mut play = begun(&EVERYTHING);
    play.says.extend([150, 1, 0, 0, 0, 0, 2, 128, 1, 224]);
    play.settle();
    let (updates, requests) = (play.home.updates, play.desk.requests.len());
    for seed in 1..100 {
        play.desk.paint([0, 0, 640, 480], noise(seed));
        play.turn(ROOM);
    }
    // What the desktop painted meanwhile is in its own hands: it was asked once more at most.
    assert!(play.desk.requests.len() <= requests + 1);
    assert!(play.home.updates <= updates + 1);
    play.settle();
    play.check(&CANVAS, |_, _| 0);
}

#[test]
fn keys_arrive_while_a_picture_is_drawn_and_the_desktop_waits() {
    let mut play = begun(&EVERYTHING);
    play.ask(true);
    play.desk.paint([0, 0, 640, 480], noise(3));
    while play.home.is_between() {
        assert!(play.turn(ROOM));
    }
    assert_eq!(play.guard.desktop_room(usize::MAX), 0);
    let before = play.desk.messages.len();
    play.says.extend([4, 1, 0, 0, 0, 0, 0, b'a']);
    play.turn(0);
    assert_eq!(play.desk.messages.len(), before + 1);
    play.settle();
    play.check(&CANVAS, |_, _| 0);
}

#[test]
fn nothing_is_asked_for_while_a_picture_is_drawn() {
    let mut play = begun(&EVERYTHING);
    play.ask(true);
    play.desk.paint([0, 0, 640, 480], noise(5));
    while play.home.is_between() {
        assert!(play.turn(ROOM));
    }
    let before = play.desk.requests.len();
    play.ask(true);
    play.turn(0);
    assert_eq!(play.desk.requests.len(), before);
    play.settle();
    assert_eq!(play.desk.requests.len(), before + 1);
}

#[test]
fn a_picture_that_was_asked_for_afresh_is_not_drawn_from_what_is_there() {
    let mut play = begun(&EVERYTHING);
    play.ask(false);
    let mut put = Put::default();
    let said = std::mem::take(&mut play.says);
    play.guard.client_bytes(&said, Moment(1), &mut put).unwrap();
    assert!(!put.to_desktop.is_empty());
    assert_eq!(play.guard.draw(usize::MAX, &mut put), 0);
    assert!(put.to_client.is_empty());
    play.desk.hear(&put.to_desktop);
    play.settle();
    play.check(&CANVAS, |_, _| 0);
}

#[test]
fn a_format_that_changes_while_a_picture_is_drawn_counts_from_the_next() {
    let mut play = begun(&EVERYTHING);
    play.ask(true);
    play.desk.paint([0, 0, 640, 128], noise(4));
    while play.home.is_between() {
        assert!(play.turn(ROOM));
    }
    let format: Format = [8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0];
    play.format(format);
    play.ask(false);
    while !play.home.is_between() {
        assert!(play.turn(1));
    }
    play.check(&CANVAS, |_, _| 0);
    play.home.expect(format);
    play.settle();
    play.check(&format, |_, _| 0);
}

#[test]
fn a_turn_draws_so_much_and_no_more() {
    // One colour: the least bytes for the most pixels.
    let mut play = Play::of(1_024, 1_024, &EVERYTHING);
    play.ask(false);
    let mut turns = 0;
    while play.home.updates == 0 {
        assert!(play.turn(usize::MAX));
        turns += 1;
    }
    assert_eq!(turns, 1_024 * 1_024 / limits::GUARD_TURN);
}
