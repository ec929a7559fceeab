//! SWITCH: when a leg of a path puts its outer TLS down, and where each direction's bytes go (PROTOCOL.md §6).
//!
//! A direction src→dst depends on two half-legs only: what the node reads from src, and what it writes to dst. Nothing
//! here knows a socket or a TLS library: whoever owns them asks what to do and does it.

/// What the node reads from a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receiving {
    /// Records of outer TLS with PATH frames in them.
    Wrapped,
    /// Inner records as they are: SWITCH came.
    Raw,
    /// Nothing any more: FIN or `close_notify` came.
    Ended,
}

/// What the node writes to a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sending {
    /// PATH frames, into outer TLS.
    Wrapped,
    /// The endpoint's SWITCH came; the answer leaves when everything queued before it is flushed.
    Answering,
    /// SWITCH is written and the TLS library is never asked for output again. Something lies in the node's own buffer: the
    /// library's last output, or raw bytes behind it.
    Frozen,
    /// Raw bytes, with nothing queued before them.
    Raw,
    /// Nothing any more: the other leg ended, `close_notify` or FIN was sent.
    Ended,
}

/// What came from src.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// A record with a PATH frame.
    Path,
    /// A record without plaintext, such as a `KeyUpdate`.
    Empty,
    /// SWITCH, the last plaintext of its record.
    Switch,
    /// Bytes that stand behind SWITCH.
    Raw,
    /// FIN or `close_notify`.
    End,
    /// Reset, a TLS error, plaintext behind SWITCH, any other frame.
    Break,
}

/// What to do with what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Write the bytes, framed as PATH, into dst's TLS.
    Frame,
    /// Queue the bytes as they are behind what dst's TLS put out last.
    Append,
    /// Move the bytes as they are: copy or splice.
    Move,
    /// Keep what came and stop reading src; ask again when [`flushed`] has changed dst. At most one SWITCH away.
    Hold,
    /// Answer on src's own leg: see [`answer`].
    Answer,
    /// Write everything that is queued for dst, then `close_notify`, then FIN.
    CloseNotify,
    /// Write everything that is queued for dst, then FIN (`shutdown(SHUT_WR)`).
    Shutdown,
    /// Close both legs.
    CloseBoth,
}

/// A direction after something came: how src is read and dst is written to from here on, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How src is read from here on.
    pub src: Receiving,
    /// How dst is written to from here on.
    pub dst: Sending,
    /// What to do with what came.
    pub action: Action,
}

/// One row of the table of §6.
pub const fn arrive(src: Receiving, dst: Sending, arrival: Arrival) -> Step {
    match (src, arrival) {
        // Nothing comes behind an end, no record and no second SWITCH behind SWITCH, no raw bytes before it.
        (Receiving::Ended, _)
        | (_, Arrival::Break)
        | (Receiving::Raw, Arrival::Path | Arrival::Empty | Arrival::Switch)
        | (Receiving::Wrapped, Arrival::Raw) => close_both(src, dst),
        (Receiving::Wrapped, Arrival::Empty) => Step {
            src,
            dst,
            action: Action::Nothing,
        },
        (Receiving::Wrapped, Arrival::Switch) => Step {
            src: Receiving::Raw,
            dst,
            action: Action::Answer,
        },
        (Receiving::Wrapped, Arrival::Path) | (Receiving::Raw, Arrival::Raw) => forward(src, dst),
        (Receiving::Wrapped | Receiving::Raw, Arrival::End) => end(src, dst),
    }
}

const fn forward(src: Receiving, dst: Sending) -> Step {
    let (dst, action) = match (src, dst) {
        (_, Sending::Wrapped) => (dst, Action::Frame),
        (_, Sending::Answering) => (dst, Action::Hold),
        (Receiving::Raw, Sending::Raw) => (dst, Action::Move),
        (_, Sending::Frozen | Sending::Raw) => (Sending::Frozen, Action::Append),
        (_, Sending::Ended) => (dst, Action::CloseBoth),
    };
    Step { src, dst, action }
}

const fn end(src: Receiving, dst: Sending) -> Step {
    let action = match dst {
        Sending::Wrapped => Action::CloseNotify,
        Sending::Frozen | Sending::Raw => Action::Shutdown,
        // SWITCH is owed on that leg first.
        Sending::Answering => {
            return Step {
                src,
                dst,
                action: Action::Hold,
            };
        }
        Sending::Ended => return close_both(src, dst),
    };
    Step {
        src: Receiving::Ended,
        dst: Sending::Ended,
        action,
    }
}

const fn close_both(src: Receiving, dst: Sending) -> Step {
    Step {
        src,
        dst,
        action: Action::CloseBoth,
    }
}

/// How the leg that SWITCH came from is written to from here on. A leg whose sending side has ended has nothing to
/// answer with and nothing behind it that could be misread.
pub const fn answer(leg: Sending) -> Sending {
    match leg {
        Sending::Wrapped => Sending::Answering,
        Sending::Answering | Sending::Frozen | Sending::Raw | Sending::Ended => leg,
    }
}

/// Everything queued for a leg has left. `true`: write SWITCH now as the last plaintext, take all output of the TLS
/// library into the leg's own buffer and never ask it again.
pub const fn flushed(leg: Sending) -> (Sending, bool) {
    match leg {
        Sending::Answering => (Sending::Frozen, true),
        Sending::Frozen => (Sending::Raw, false),
        Sending::Wrapped | Sending::Raw | Sending::Ended => (leg, false),
    }
}

/// A leg's TLS state may be dropped: nothing of it will be read or written again.
pub const fn is_direct(receiving: Receiving, sending: Sending) -> bool {
    matches!((receiving, sending), (Receiving::Raw, Sending::Raw))
}
