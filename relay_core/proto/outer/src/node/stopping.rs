//! The operator's word: nothing new is taken, for a while or for good, and what runs is ended (PROTOCOL.md §5.9).
use telerelay_wire::ids::{AttemptId, Role};
use telerelay_wire::outer::{Frame, Goaway};
use telerelay_wire::{Code, Moment};

use super::command::{AttemptTicket, Command};
use super::table::{Concerned, DeviceKey, Timer};
use super::{Node, Scope};

/// Whether anything new is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intake {
    /// It is.
    Open,
    /// Nothing is, until the operator takes that back.
    Draining,
    /// Never again.
    Stopping,
}

impl Node {
    /// Takes nothing new, until [`Self::resume`]: HELLO and CONNECT are answered `TRY_LATER`, agents get GOAWAY. What runs goes
    /// on for as long as it wants.
    pub fn drain(&mut self, goaway: &Goaway) {
        self.close_intake(Intake::Draining, goaway);
    }

    /// Takes everybody again, unless it is stopping.
    pub fn resume(&mut self) {
        if self.intake == Intake::Draining {
            self.intake = Intake::Open;
        }
    }

    /// As [`Self::drain`], for good: what runs goes on until `deadline` and is then cut (`DRAINED`). [`Command::Drained`] follows
    /// when no attempt is left.
    pub fn stop(&mut self, deadline: Moment, goaway: &Goaway) {
        if self.intake == Intake::Stopping {
            return;
        }
        self.close_intake(Intake::Stopping, goaway);
        self.deadlines.arm(&mut self.grace, deadline, Timer::Grace);
        self.tell_drained();
    }

    fn close_intake(&mut self, intake: Intake, goaway: &Goaway) {
        if core::mem::replace(&mut self.intake, intake) != Intake::Open {
            return;
        }
        for leg in self.devices.values().filter_map(|presence| presence.ready) {
            self.commands
                .push_back(Command::Send(leg, Frame::Goaway(goaway.clone())));
        }
    }

    /// Why HELLO is refused while nothing new is taken. While the node drains, an agent that has legs here is let in: over its
    /// ready connection it reports how its sessions end, and hears that one is cut.
    pub(super) fn takes_nobody_new(&self, device: DeviceKey, role: Role) -> Option<Code> {
        let is_here = |presence: &super::Presence| presence.legs > 0;
        let closed = match self.intake {
            Intake::Open => false,
            Intake::Draining => {
                role != Role::Agent || !self.devices.get(&device).is_some_and(is_here)
            }
            Intake::Stopping => true,
        };
        closed.then_some(Code::TryLater)
    }

    /// Ends every attempt of these devices, agents or clients: `node cut`. How many there were.
    pub fn cut(&mut self, scope: Scope, code: Code, now: Moment) -> usize {
        let range = scope.range();
        let hit = |concerned: Concerned| {
            let Concerned { client, agent, .. } = concerned;
            range.contains(&client) || agent.is_some_and(|agent| range.contains(&agent))
        };
        self.cut_where(hit, code, now)
    }

    /// Ends the attempts of this name: `node cut`. How many there were; clients choose the names, so they may repeat.
    pub fn cut_named(&mut self, name: AttemptId, code: Code, now: Moment) -> usize {
        self.cut_where(|concerned| concerned.attempt == name, code, now)
    }

    fn cut_where(&mut self, hit: impl Fn(Concerned) -> bool, code: Code, now: Moment) -> usize {
        let attempts: Vec<AttemptTicket> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| hit(attempt.concerned()))
            .map(|(&ticket, _)| ticket)
            .collect();
        let sessions: Vec<AttemptTicket> = self
            .sessions
            .iter()
            .filter(|(_, session)| hit(session.concerned()))
            .map(|(&ticket, _)| ticket)
            .collect();
        for &ticket in &attempts {
            self.abort(ticket, code.into(), now);
        }
        let cut = sessions
            .into_iter()
            .filter(|&ticket| self.cut_session(ticket, code, now));
        attempts.len() + cut.count()
    }

    pub(super) fn grace_over(&mut self, now: Moment) {
        self.cut(Scope::All, Code::Drained, now);
    }

    pub(super) fn tell_drained(&mut self) {
        if self.grace.is_some() && self.attempts.is_empty() && self.sessions.is_empty() {
            self.deadlines.disarm(&mut self.grace);
            self.commands.push_back(Command::Drained);
        }
    }
}
