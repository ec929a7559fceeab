//! What holds at every step of every run: one function a rule, with the section of PROTOCOL.md that it comes from. Each judges
//! facts that the simulator saw itself, never what a machine says of itself alone. `outer` has the rules of §5, `request`
//! those of what a client asks for, `switch` those of §6, `session` those of §8; those of several stand here.
mod outer;
mod request;
mod session;
mod switch;

use std::fmt;

use telerelay_wire::{Code, Moment};

pub(crate) use outer::*;
pub(crate) use request::*;
pub(crate) use session::*;
pub(crate) use switch::*;

/// A rule that a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The function of `invariants` that says so.
    pub rule: &'static str,
    /// The section of PROTOCOL.md.
    pub section: &'static str,
    /// What was found.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.rule, self.section, self.detail)
    }
}

/// What a rule says.
pub(crate) type Verdict = Result<(), Broken>;

fn hold(
    (rule, section): (&'static str, &'static str),
    holds: bool,
    detail: impl FnOnce() -> String,
) -> Verdict {
    if holds {
        return Ok(());
    }
    let detail = detail();
    Err(Broken {
        rule,
        section,
        detail,
    })
}

/// §4, §8: between machines that keep the protocol nobody says that it was broken.
pub(crate) fn nobody_breaks_the_protocol(code: Option<Code>, said: &str) -> Verdict {
    let blames = matches!(
        code,
        Some(
            Code::BadFrame
                | Code::SessionProtocol
                | Code::PathUnknown
                | Code::Version
                | Code::WrongRole
                | Code::WrongSide
                | Code::Unsupported
                | Code::Internal
        )
    );
    hold(("nobody_breaks_the_protocol", "§4"), !blames, || {
        said.to_owned()
    })
}

/// §7: the device behind inner TLS is the one that the node named.
pub(crate) fn the_other_end_is_who_was_named(is_named: bool) -> Verdict {
    hold(("the_other_end_is_who_was_named", "§7"), is_named, || {
        "another device is behind inner TLS".to_owned()
    })
}

/// §12: what waits for a slow end is bounded.
pub(crate) fn buffers_are_bounded(what: &str, length: usize, most: usize) -> Verdict {
    hold(("buffers_are_bounded", "§12"), length <= most, || {
        format!("{what}: {length}, at most {most}")
    })
}

/// §12: a timer that has fired is not due any more.
pub(crate) fn timers_move_on(next: Option<Moment>, now: Moment) -> Verdict {
    hold(
        ("timers_move_on", "§12"),
        next.is_none_or(|next| next > now),
        || format!("at {now} the next timeout is {next:?}"),
    )
}

/// §12: nobody waits longer than the limits say.
pub(crate) fn nobody_waits_too_long(
    for_what: &str,
    since: Moment,
    now: Moment,
    most: core::time::Duration,
) -> Verdict {
    hold(
        ("nobody_waits_too_long", "§12"),
        now.since(since) <= most,
        || format!("for {for_what} since {since}, at most {most:?}"),
    )
}

/// §5, §8, §12: when everybody has stopped, nothing is left.
pub(crate) fn nothing_is_left(what: &str, count: usize) -> Verdict {
    hold(("nothing_is_left", "§12"), count == 0, || {
        format!("{count} {what}")
    })
}

/// Judges pairs of facts: one that keeps a rule and one that breaks it.
#[cfg(test)]
fn each_is_kept_and_broken<const N: usize>(rules: [[Verdict; 2]; N]) {
    for [kept, broken] in rules {
        assert_eq!(kept, Ok(()));
        let broken = broken.expect_err("it was broken");
        assert!(broken.section.starts_with('§'), "{broken}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_can_be_kept_and_broken() {
        let (at, most) = (Moment, core::time::Duration::from_micros(5));
        each_is_kept_and_broken([
            [Code::Denied, Code::BadFrame].map(|code| nobody_breaks_the_protocol(Some(code), "")),
            [true, false].map(the_other_end_is_who_was_named),
            [1, 2].map(|length| buffers_are_bounded("", length, 1)),
            [2, 1].map(|next| timers_move_on(Some(at(next)), at(1))),
            [6, 7].map(|now| nobody_waits_too_long("", at(1), at(now), most)),
            [0, 1].map(|count| nothing_is_left("", count)),
        ]);
    }
}
