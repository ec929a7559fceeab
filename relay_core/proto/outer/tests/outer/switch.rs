//! SWITCH: the table of PROTOCOL.md §6 row by row, and every split of two streams against every order of them.
use std::collections::{BTreeSet, VecDeque};

use telerelay_outer::switch::{
    Action, Arrival, Receiving, Sending, Step, answer, arrive, flushed, is_direct,
};

const RECEIVING: [Receiving; 3] = [Receiving::Wrapped, Receiving::Raw, Receiving::Ended];
const SENDING: [Sending; 5] = [
    Sending::Wrapped,
    Sending::Answering,
    Sending::Frozen,
    Sending::Raw,
    Sending::Ended,
];
const ARRIVALS: [Arrival; 6] = [
    Arrival::Path,
    Arrival::Empty,
    Arrival::Switch,
    Arrival::Raw,
    Arrival::End,
    Arrival::Break,
];

/// The table written down a second time, as text: one line for each way of reading src, one word for each arrival,
/// for each way of writing dst.
#[rustfmt::skip]
const TABLE: [(Receiving, Sending, &str); 15] = [
    //                                       Path    Empty   Switch Raw    End          Break
    (Receiving::Wrapped, Sending::Wrapped,   "frame  nothing answer both   close_notify both"),
    (Receiving::Wrapped, Sending::Answering, "hold   nothing answer both   hold         both"),
    (Receiving::Wrapped, Sending::Frozen,    "append nothing answer both   shutdown     both"),
    (Receiving::Wrapped, Sending::Raw,       "append nothing answer both   shutdown     both"),
    (Receiving::Wrapped, Sending::Ended,     "both   nothing answer both   both         both"),
    (Receiving::Raw,     Sending::Wrapped,   "both   both    both   frame  close_notify both"),
    (Receiving::Raw,     Sending::Answering, "both   both    both   hold   hold         both"),
    (Receiving::Raw,     Sending::Frozen,    "both   both    both   append shutdown     both"),
    (Receiving::Raw,     Sending::Raw,       "both   both    both   move   shutdown     both"),
    (Receiving::Raw,     Sending::Ended,     "both   both    both   both   both         both"),
    (Receiving::Ended,   Sending::Wrapped,   "both   both    both   both   both         both"),
    (Receiving::Ended,   Sending::Answering, "both   both    both   both   both         both"),
    (Receiving::Ended,   Sending::Frozen,    "both   both    both   both   both         both"),
    (Receiving::Ended,   Sending::Raw,       "both   both    both   both   both         both"),
    (Receiving::Ended,   Sending::Ended,     "both   both    both   both   both         both"),
];

fn word(action: Action) -> &'static str {
    match action {
        Action::Nothing => "nothing",
        Action::Frame => "frame",
        Action::Append => "append",
        Action::Move => "move",
        Action::Hold => "hold",
        Action::Answer => "answer",
        Action::CloseNotify => "close_notify",
        Action::Shutdown => "shutdown",
        Action::CloseBoth => "both",
    }
}

#[test]
fn the_table_is_that_of_the_protocol() {
    let mut rows = BTreeSet::new();
    for (src, dst, row) in TABLE {
        assert!(rows.insert((src, dst)));
        for (arrival, expected) in ARRIVALS.into_iter().zip(row.split_whitespace()) {
            let step = arrive(src, dst, arrival);
            assert_eq!(
                word(step.action),
                expected,
                "{src:?} → {dst:?}: {arrival:?}"
            );
            let expected = match step.action {
                Action::Answer => (Receiving::Raw, dst),
                Action::Append => (src, Sending::Frozen),
                Action::CloseNotify | Action::Shutdown => (Receiving::Ended, Sending::Ended),
                _ => (src, dst),
            };
            assert_eq!(
                (step.src, step.dst),
                expected,
                "{src:?} → {dst:?}: {arrival:?}"
            );
        }
    }
    assert_eq!(rows.len(), RECEIVING.len() * SENDING.len());
}

#[test]
fn a_sending_side_answers_once_and_only_when_asked() {
    let answered: Vec<_> = SENDING.into_iter().map(answer).collect();
    let rest = [
        Sending::Answering,
        Sending::Frozen,
        Sending::Raw,
        Sending::Ended,
    ];
    assert_eq!(answered, [&[Sending::Answering][..], &rest[..]].concat());
    let after: Vec<_> = SENDING.into_iter().map(flushed).collect();
    assert_eq!(
        after,
        [
            (Sending::Wrapped, false),
            (Sending::Frozen, true),
            (Sending::Raw, false),
            (Sending::Raw, false),
            (Sending::Ended, false)
        ]
    );
}

#[test]
fn tls_is_put_down_when_both_halves_are_raw() {
    for (receiving, sending) in RECEIVING.into_iter().flat_map(|r| SENDING.map(|s| (r, s))) {
        let expected = receiving == Receiving::Raw && sending == Sending::Raw;
        assert_eq!(is_direct(receiving, sending), expected);
    }
}

/// What a node writes on a leg, or an endpoint sends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    /// A PATH record with one byte of inner TLS.
    Wrapped(u8),
    /// A record without plaintext.
    Empty,
    Switch,
    /// One byte of inner TLS as it is.
    Raw(u8),
    /// `close_notify` or FIN.
    End,
}

/// A leg of a node: how it is read and written, what is queued for it, what was written to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Leg {
    receiving: Receiving,
    sending: Sending,
    queued: bool,
    held: Option<Arrival>,
    incoming: VecDeque<Item>,
    written: Vec<Item>,
}

impl Leg {
    fn new(incoming: &[Item]) -> Self {
        Self {
            receiving: Receiving::Wrapped,
            sending: Sending::Wrapped,
            queued: false,
            held: None,
            incoming: incoming.iter().copied().collect(),
            written: Vec::new(),
        }
    }
}

/// One step of a node: something is read from a leg, or what is queued for a leg has left.
fn step(legs: &[Leg; 2], leg: usize, read: bool) -> Option<[Leg; 2]> {
    let mut next = legs.clone();
    if !read {
        next[leg].queued = false;
        let (sending, write_switch) = flushed(next[leg].sending);
        next[leg].sending = sending;
        if write_switch {
            next[leg].written.push(Item::Switch);
            next[leg].queued = true;
        }
        return Some(next);
    }
    let item = *next[leg].incoming.front()?;
    let arrival = match item {
        Item::Wrapped(_) => Arrival::Path,
        Item::Empty => Arrival::Empty,
        Item::Switch => Arrival::Switch,
        Item::Raw(_) => Arrival::Raw,
        Item::End => Arrival::End,
    };
    let dst = 1 - leg;
    let before = next[dst].sending;
    let Step {
        src,
        dst: sending,
        action,
    } = arrive(next[leg].receiving, before, arrival);
    next[leg].receiving = src;
    next[dst].sending = sending;
    match (action, item) {
        (Action::Hold, _) => {
            next[leg].held = Some(arrival);
            return Some(next);
        }
        (Action::Frame, Item::Wrapped(byte) | Item::Raw(byte)) => {
            next[dst].written.push(Item::Wrapped(byte));
        }
        (Action::Append | Action::Move, Item::Wrapped(byte) | Item::Raw(byte)) => {
            assert!(
                action == Action::Append || !next[dst].queued,
                "nothing is moved past what is queued"
            );
            next[dst].written.push(Item::Raw(byte));
        }
        (Action::Answer, _) => next[leg].sending = answer(next[leg].sending),
        (Action::CloseNotify | Action::Shutdown, _) => {
            assert_eq!(action == Action::CloseNotify, before == Sending::Wrapped);
            next[dst].written.push(Item::End);
        }
        (Action::Nothing, _) => {}
        other => panic!("{other:?}"),
    }
    if matches!(
        action,
        Action::Frame | Action::Append | Action::CloseNotify | Action::Shutdown
    ) {
        next[dst].queued = true;
    }
    next[leg].held = None;
    next[leg].incoming.pop_front();
    Some(next)
}

/// Every stream that an endpoint may send: three bytes of inner TLS, SWITCH at any place or not at all, a record without
/// plaintext before it or not, with an end or without.
fn streams() -> Vec<Vec<Item>> {
    let mut streams = Vec::new();
    for switch_at in 0..=4 {
        for empty in [false, true] {
            for end in [false, true] {
                let mut stream = Vec::new();
                for byte in 0..3_u8 {
                    if usize::from(byte) == switch_at {
                        stream.extend(empty.then_some(Item::Empty));
                        stream.push(Item::Switch);
                    }
                    stream.push(if usize::from(byte) < switch_at {
                        Item::Wrapped(byte)
                    } else {
                        Item::Raw(byte)
                    });
                }
                if switch_at == 3 {
                    stream.push(Item::Switch);
                }
                stream.extend(end.then_some(Item::End));
                streams.push(stream);
            }
        }
    }
    streams
}

/// What one endpoint gets: the other's bytes in order, wrapped up to SWITCH and raw behind it, SWITCH only if it asked.
fn check_written(written: &[Item], asked: bool, sent: &[Item]) {
    let bytes: Vec<u8> = written
        .iter()
        .filter_map(|item| match item {
            Item::Wrapped(byte) | Item::Raw(byte) => Some(*byte),
            _ => None,
        })
        .collect();
    assert_eq!(bytes, [0, 1, 2]);
    let switch = written.iter().position(|item| *item == Item::Switch);
    let count = written.iter().filter(|item| **item == Item::Switch).count();
    assert!(
        count <= usize::from(asked),
        "SWITCH is answered once and never unasked: {written:?}"
    );
    for (index, item) in written.iter().enumerate() {
        match item {
            Item::Wrapped(_) => assert!(switch.is_none_or(|at| index < at), "{written:?}"),
            Item::Raw(_) => assert!(switch.is_some_and(|at| index > at), "{written:?}"),
            Item::End => assert_eq!(
                index,
                written.len() - 1,
                "nothing behind the end: {written:?}"
            ),
            Item::Empty | Item::Switch => {}
        }
    }
    assert_eq!(written.contains(&Item::End), sent.contains(&Item::End));
    // Where the other end stays open, the answer always comes.
    if asked && !sent.contains(&Item::End) {
        assert_eq!(count, 1, "{written:?}");
    }
}

#[test]
fn every_split_against_every_order_gives_the_same_bytes() {
    let mut cases = 0;
    for left in streams() {
        for right in streams() {
            let mut seen = BTreeSet::new();
            let mut open = vec![[Leg::new(&left), Leg::new(&right)]];
            while let Some(legs) = open.pop() {
                if !seen.insert(legs.clone()) {
                    continue;
                }
                let mut moved = false;
                for (leg, read) in [(0, true), (1, true), (0, false), (1, false)] {
                    if let Some(next) = step(&legs, leg, read).filter(|next| *next != legs) {
                        moved = true;
                        open.push(next);
                    }
                }
                if !moved {
                    cases += 1;
                    assert!(
                        legs.iter()
                            .all(|leg| leg.incoming.is_empty() && leg.held.is_none()),
                        "stuck: {legs:?}"
                    );
                    check_written(&legs[1].written, right.contains(&Item::Switch), &left);
                    check_written(&legs[0].written, left.contains(&Item::Switch), &right);
                }
            }
        }
    }
    assert!(cases >= 400, "{cases}");
}
