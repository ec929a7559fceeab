//! What a client and a desktop can say in turns to the guard that draws anew (docs/GUARD.md §12).
use telerelay_guard::Machine;
use telerelay_guard::redraw::{Mark, Redraw};
use telerelay_guard::rfb::Settings;
use telerelay_wire::Moment;

use crate::guards::{ASKED, Put, read_for_client, read_for_desktop};

/// Turns that are drawn at the end: a large screen has as many as it likes.
const TURNS: usize = 8;

/// A viewer that has asked for everything, in front of a desktop of 64 × 48 pixels.
fn begun() -> Redraw {
    let mut put = Put::default();
    let mark = Mark::new(3, &[9, 0, -9]).expect("a pattern");
    let mut guard = Redraw::begin(Settings::default(), Some(mark), Moment::ZERO, &mut put);
    let init = *b"RFB 003.003\n\0\0\0\x01\0\x40\0\x30\x20_______________\0\0\0\0";
    let mut list = vec![2, 0, 0, 12];
    list.extend(ASKED.iter().flat_map(|number| number.to_be_bytes()));
    list.extend([3, 0, 0, 0, 0, 0, 0, 64, 0, 48]);
    guard
        .client_bytes(b"RFB 003.003\n\x01", Moment::ZERO, &mut put)
        .and_then(|()| guard.desktop_bytes(&init, Moment::ZERO, &mut put))
        .and_then(|()| guard.client_bytes(&list, Moment::ZERO, &mut put))
        .expect("a session that begins");
    guard
}

/// Turns: a byte whose highest bit is the desktop's, with the length of what is said below it; then that. It is the room that the
/// viewer has, too.
pub fn redraw(input: &[u8]) {
    let (mut guard, mut put) = (begun(), Put::default());
    let (mut rest, mut client_spoke) = (input, false);
    while let [head, more @ ..] = rest {
        let (said, next) = more.split_at(usize::from(head & 0x7f).min(more.len()));
        rest = next;
        let result = if *head < 0x80 {
            client_spoke = true;
            guard.client_bytes(said, Moment::ZERO, &mut put)
        } else {
            while guard.desktop_room(usize::MAX) < said.len() {
                guard.draw(usize::MAX, &mut put);
            }
            guard.desktop_bytes(said, Moment::ZERO, &mut put)
        };
        if result.is_err() {
            break;
        }
        guard.draw(usize::from(*head), &mut put);
    }
    for _ in 0..TURNS {
        guard.draw(usize::MAX, &mut put);
    }
    read_for_desktop(&put.to_desktop, false);
    // A client may ask for pixels of another size, which this reader does not follow.
    if !client_spoke {
        read_for_client(&put.to_client);
    }
}
