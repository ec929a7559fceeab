//! Giving memory back: legs that carry nothing are closed, the newest first (PROTOCOL.md §1.3, step 5).
use std::collections::BTreeSet;

use telerelay_wire::{Code, Moment};

use super::Node;
use super::admission::Holder;
use super::table::{Attempt, DeviceKey, Leg, State};
use crate::leg::LegKey;

impl Node {
    /// Closes legs that have asked for nothing yet, at most so many: how many there were.
    pub fn shed_idle(&mut self, most: usize, now: Moment) -> usize {
        self.shed(most, now, |_, leg| match leg.state {
            // An agent's may be the one over which a session's end will be told.
            State::Hello => !matches!(leg.identity.holder, Holder::Agent(_)),
            State::Client { .. } => true,
            _ => false,
        })
    }

    /// Closes ready connections, at most so many: how many there were. One that is in doubt stays, so that no clone takes its
    /// place; and that of an agent that an attempt needs, which hears of a cut and tells the attempt's end.
    pub fn shed_ready(&mut self, most: usize, now: Moment) -> usize {
        let asked = self.attempts.values().filter_map(Attempt::agent);
        let carrying = self.sessions.values().map(|session| session.agent());
        let needed: BTreeSet<DeviceKey> = asked.chain(carrying).collect();
        let claimable: BTreeSet<LegKey> = self
            .devices
            .iter()
            .filter(|(device, _)| !needed.contains(device))
            .filter_map(|(_, presence)| presence.claimable())
            .collect();
        self.shed(most, now, |key, _| claimable.contains(&key))
    }

    fn shed(&mut self, most: usize, now: Moment, may_go: impl Fn(LegKey, &Leg) -> bool) -> usize {
        let going: Vec<LegKey> = self
            .legs
            .iter()
            .rev()
            .filter(|&(&key, leg)| may_go(key, leg))
            .map(|(&key, _)| key)
            .take(most)
            .collect();
        for &key in &going {
            self.turn_away(key, Code::Busy.into(), now);
        }
        going.len()
    }
}
