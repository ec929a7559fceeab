//! The rules of a node between the two legs of a path (PROTOCOL.md §6).
use telerelay_outer::switch::{Receiving, Sending};

use super::{Verdict, hold};

/// §6: FIN or `close_notify` of one leg is passed on to the other.
pub(crate) fn an_end_is_passed_on(src: Receiving, dst: Sending) -> Verdict {
    hold(
        ("an_end_is_passed_on", "§6"),
        src != Receiving::Ended || dst == Sending::Ended,
        || format!("one leg has ended, the other one is still {dst:?}"),
    )
}

/// §6: SWITCH that is not answered yet waits for what was queued before it, and the end waits for the answer.
pub(crate) fn switch_is_answered(sending: Sending, backlog: usize) -> Verdict {
    hold(
        ("switch_is_answered", "§6"),
        sending != Sending::Ended && backlog > 0,
        || format!("{sending:?} with {backlog} bytes queued, and no answer to SWITCH"),
    )
}

/// §6: behind SWITCH, once the TLS library's last output has left, bytes move as they are.
pub(crate) fn a_frozen_leg_thaws(sending: Sending, backlog: usize) -> Verdict {
    hold(
        ("a_frozen_leg_thaws", "§6"),
        backlog > 0 || matches!(sending, Sending::Raw | Sending::Ended),
        || format!("{sending:?}, and nothing is queued"),
    )
}

/// §6: the answer to an endpoint's first raw words is raw, so that a direct leg has proved itself before anything is carried.
pub(crate) fn nothing_is_carried_on_trial(is_on_trial: bool) -> Verdict {
    hold(("nothing_is_carried_on_trial", "§6"), !is_on_trial, || {
        "a session opens over a leg on trial".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::super::each_is_kept_and_broken;
    use super::*;

    #[test]
    fn every_rule_can_be_kept_and_broken() {
        each_is_kept_and_broken([
            [Sending::Ended, Sending::Answering]
                .map(|dst| an_end_is_passed_on(Receiving::Ended, dst)),
            [5, 0].map(|backlog| switch_is_answered(Sending::Answering, backlog)),
            [Sending::Answering, Sending::Ended].map(|sending| switch_is_answered(sending, 5)),
            [false, true].map(nothing_is_carried_on_trial),
            [5, 0].map(|backlog| a_frozen_leg_thaws(Sending::Frozen, backlog)),
        ]);
    }
}
