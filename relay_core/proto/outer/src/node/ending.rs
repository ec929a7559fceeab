//! From the end of a path to the attempt's one terminal event; ending one by the node's word (PROTOCOL.md §5.6).
use telerelay_wire::ids::{PathId, Stage};
use telerelay_wire::outer::{Cut, Frame, SessionEnd};
use telerelay_wire::{Code, Moment, Reason, limits};

use super::Node;
use super::command::{AttemptTicket, Cause, Command, PathEnd, Terminal};
use super::table::{Attempt, Phase, Timer};
use crate::leg::{How, LegKey, Traffic};

impl Node {
    /// Both legs of a path are closed. Exactly once for each [`Command::Join`].
    pub fn path_ended(&mut self, path: PathId, end: PathEnd, now: Moment) {
        let Some(&ticket) = self.paths.get(&path) else {
            return;
        };
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        let Phase::Path {
            leg: agent,
            ruled,
            report,
            ..
        } = &mut attempt.phase
        else {
            return;
        };
        let ruled = match end.cause {
            Cause::Leg => ruled.take(),
            Cause::Breach(code) => ruled.take().or(Some(code.into())),
        };
        let (agent, client, report) = (*agent, attempt.client, report.take());
        self.joined -= 1;
        self.usage.session_over(attempt.request.organisation);
        attempt.phase = Phase::Ended {
            at: now,
            end,
            ruled,
        };
        self.deadlines.arm(
            &mut attempt.due,
            now + limits::SESSION_END,
            Timer::SessionEnd(ticket),
        );
        self.take_leg(client);
        if let Some(leg) = self.take_leg(agent) {
            self.device_left(agent, leg.device(), now);
        }
        if let Some(report) = report {
            self.reported(ticket, Some(report));
        } else {
            self.end_unless_awaited(ticket);
        }
    }

    /// Agents that were turned away have no leg any more on which a report could come.
    pub(super) fn await_no_report_of_the_refused(&mut self) {
        let ended: Vec<_> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| matches!(attempt.phase, Phase::Ended { .. }))
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in ended {
            self.end_unless_awaited(ticket);
        }
    }

    /// Ends an attempt whose path has ended, where its agent may not report it.
    fn end_unless_awaited(&mut self, ticket: AttemptTicket) {
        let agent = self.attempts.get(&ticket).and_then(Attempt::agent);
        if agent.is_some_and(|agent| self.snapshot.refuses(agent).is_some()) {
            self.not_reported(ticket);
        }
    }

    /// The agent says how a session ended. Its word counts for paths of its own device only; one for a path that is
    /// forgotten came too late.
    pub(super) fn session_end(&mut self, key: LegKey, report: SessionEnd, now: Moment) {
        let Some(&ticket) = self.paths.get(&report.path) else {
            return;
        };
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        let own = self
            .legs
            .get(&key)
            .is_some_and(|leg| attempt.agent() == Some(leg.device()));
        match &mut attempt.phase {
            Phase::Path { report: first, .. } if own => {
                first.get_or_insert(report);
            }
            Phase::Ended { .. } if own => self.reported(ticket, Some(report)),
            _ => self.break_off(key, Code::PathUnknown, now),
        }
    }

    pub(super) fn not_reported(&mut self, ticket: AttemptTicket) {
        self.reported(ticket, None);
    }

    fn reported(&mut self, ticket: AttemptTicket, report: Option<SessionEnd>) {
        let Some(attempt) = self.forget_attempt(ticket) else {
            return;
        };
        let Phase::Ended { at, end, ref ruled } = attempt.phase else {
            return;
        };
        let (code, stage, session, notices) = match report {
            Some(SessionEnd {
                code,
                stage,
                session,
                notices,
                ..
            }) => (code, stage, session, notices.into_vec()),
            None => (Code::PathLost.into(), Stage::Inner, None, Vec::new()),
        };
        let code = ruled.clone().unwrap_or(code);
        let told = terminal(attempt, code, stage, at);
        self.tell_terminal(Terminal {
            path_kind: Some(end.kind),
            traffic: end.traffic,
            session,
            notices,
            ..told
        });
    }

    pub(super) fn tell_refused(&mut self, attempt: Attempt, code: Reason, now: Moment) {
        let stage = attempt.phase.stage();
        self.tell_terminal(terminal(attempt, code, stage, now));
    }

    fn tell_terminal(&mut self, terminal: Terminal) {
        self.commands
            .push_back(Command::Terminal(Box::new(terminal)));
        self.tell_drained();
    }

    /// Takes an attempt out of every table.
    pub(super) fn forget_attempt(&mut self, ticket: AttemptTicket) -> Option<Attempt> {
        let mut attempt = self.attempts.remove(&ticket)?;
        self.deadlines.disarm(&mut attempt.due);
        self.paths.remove(&attempt.request.path);
        self.arrivals.leave(ticket);
        if !matches!(attempt.phase, Phase::Path { .. } | Phase::Ended { .. }) {
            self.usage.request_over(attempt.request.organisation);
        }
        Some(attempt)
    }

    /// Ends an attempt by the node's word, unless it is ending already: whether it was. The agent of a path is told first, so
    /// that its CLOSE can cross.
    pub(super) fn cut_attempt(&mut self, ticket: AttemptTicket, code: Code, now: Moment) -> bool {
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return false;
        };
        let agent = attempt.agent();
        match &mut attempt.phase {
            Phase::Ended { .. } | Phase::Path { ruled: Some(_), .. } => return false,
            Phase::Path { ruled, .. } => {
                *ruled = Some(code.into());
                let ready = agent
                    .and_then(|agent| self.devices.get(&agent))
                    .and_then(|presence| presence.ready);
                if let Some(ready) = ready {
                    self.deadlines
                        .arm(&mut attempt.due, now + limits::CUT, Timer::Cut(ticket));
                    let cut = Cut {
                        path: attempt.request.path,
                        code: code.into(),
                    };
                    self.commands
                        .push_back(Command::Send(ready, Frame::Cut(cut)));
                } else {
                    self.close_path(ticket);
                }
            }
            _ => self.abort(ticket, code.into(), now),
        }
        true
    }

    /// A leg of a path broke the rules.
    pub(super) fn breach(&mut self, ticket: AttemptTicket, code: Code) {
        if let Some(Attempt {
            phase: Phase::Path { ruled, .. },
            ..
        }) = self.attempts.get_mut(&ticket)
        {
            ruled.get_or_insert(code.into());
            self.close_path(ticket);
        }
    }

    pub(super) fn close_path(&mut self, ticket: AttemptTicket) {
        if let Some(Attempt {
            phase: Phase::Path { leg, closing, .. },
            client,
            ..
        }) = self.attempts.get_mut(&ticket)
            && !core::mem::replace(closing, true)
        {
            let legs: [LegKey; 2] = [*leg, *client];
            self.commands
                .extend(legs.map(|leg| Command::Close(leg, How::Flushed)));
        }
    }
}

/// What the node knows of every attempt; of a path there is more.
fn terminal(attempt: Attempt, code: Reason, stage: Stage, ended: Moment) -> Terminal {
    let request = attempt.request;
    Terminal {
        ticket: request.ticket,
        attempt: request.attempt,
        routed: attempt.agent.is_some(),
        path: request.path,
        organisation: request.organisation,
        client: request.client,
        agent: attempt.agent,
        address: request.address,
        computer: request.computer,
        service: request.service,
        path_kind: None,
        code,
        stage,
        duration: ended.since(attempt.began),
        traffic: Traffic::default(),
        session: None,
        notices: Vec::new(),
    }
}
