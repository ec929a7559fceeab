//! From the end of a path to the attempt's one terminal event; ending one by the node's word (PROTOCOL.md §5.6).
use telerelay_wire::ids::{PathId, Stage};
use telerelay_wire::outer::{Cut, Frame, SessionEnd};
use telerelay_wire::{Code, Moment, Reason, limits};

use super::Node;
use super::command::{Asked, AttemptTicket, Cause, Command, PathEnd, Terminal};
use super::session::Course;
use super::table::{Attempt, Leg, Timer};
use crate::leg::{How, LegKey, Traffic};

impl Node {
    /// Both legs of a path are closed. Exactly once for each [`Command::Join`].
    pub fn path_ended(&mut self, path: PathId, end: PathEnd, now: Moment) {
        let Some(&ticket) = self.paths.get(&path) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&ticket) else {
            return;
        };
        let Course::Carrying { report, .. } = &mut session.course else {
            return;
        };
        let report = report.take();
        session.course = Course::Ended(Box::new((now, end)));
        if let Cause::Breach(code) = end.cause {
            session.ruled.get_or_insert(code);
        }
        self.deadlines.arm(
            &mut session.due,
            now + limits::SESSION_END,
            Timer::SessionEnd(ticket),
        );
        let (client, agent) = (session.client(), session.agent());
        let (client_leg, agent_leg) = (session.client_leg, session.agent_leg);
        self.joined -= 1;
        self.usage.session_over(client.organisation);
        self.carried.remove(&client_leg);
        self.carried.remove(&agent_leg);
        self.usage.leg_gone(client);
        self.device_left(agent_leg, agent, now);
        if let Some(report) = report {
            self.reported(ticket, Some(*report));
        } else {
            self.end_unless_awaited(ticket);
        }
    }

    /// Agents that were turned away have no leg any more on which a report could come.
    pub(super) fn await_no_report_of_the_refused(&mut self) {
        let ended: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| matches!(session.course, Course::Ended(_)))
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in ended {
            self.end_unless_awaited(ticket);
        }
    }

    /// Ends a session whose path has ended, where its agent may not report it.
    fn end_unless_awaited(&mut self, ticket: AttemptTicket) {
        let agent = self.sessions.get(&ticket).map(|session| session.agent());
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
        let device = self.legs.get(&key).map(Leg::device);
        let own = self
            .sessions
            .get_mut(&ticket)
            .filter(|session| Some(session.agent()) == device);
        match own.map(|session| &mut session.course) {
            Some(Course::Carrying { report: first, .. }) => {
                first.get_or_insert_with(|| Box::new(report));
            }
            Some(Course::Ended(_)) => self.reported(ticket, Some(report)),
            None => self.break_off(key, Code::PathUnknown, now),
        }
    }

    pub(super) fn not_reported(&mut self, ticket: AttemptTicket) {
        self.reported(ticket, None);
    }

    fn reported(&mut self, ticket: AttemptTicket, report: Option<SessionEnd>) {
        let Some(mut session) = self.sessions.remove(&ticket) else {
            return;
        };
        self.deadlines.disarm(&mut session.due);
        self.paths.remove(&session.path);
        let Course::Ended(ended) = session.course else {
            return;
        };
        let (at, end) = *ended;
        let (code, stage, opened, notices) = match report {
            Some(SessionEnd {
                code,
                stage,
                session,
                notices,
                ..
            }) => (code, stage, session, notices.into_vec()),
            None => (Code::PathLost.into(), Stage::Inner, None, Vec::new()),
        };
        self.tell_terminal(Terminal {
            ticket,
            attempt: session.attempt,
            path: session.path,
            organisation: session.organisation,
            purpose: self.snapshot.purpose_of(session.organisation),
            client: session.client,
            agent: Some(session.agent),
            asked: None,
            path_kind: Some(end.kind),
            code: session.ruled.map_or(code, Reason::from),
            stage,
            duration: at.since(session.began),
            traffic: end.traffic,
            session: opened,
            notices,
        });
    }

    pub(super) fn tell_refused(&mut self, attempt: Attempt, code: Reason, now: Moment) {
        let Attempt {
            request,
            agent,
            began,
            phase,
            ..
        } = attempt;
        let asked = Asked {
            address: request.address,
            computer: request.computer,
            service: request.service,
        };
        self.tell_terminal(Terminal {
            ticket: request.ticket,
            attempt: request.attempt,
            path: request.path,
            organisation: request.organisation,
            purpose: self.snapshot.purpose_of(request.organisation),
            client: request.client,
            agent,
            asked: agent.is_none().then_some(asked),
            path_kind: None,
            code,
            stage: phase.stage(),
            duration: now.since(began),
            traffic: Traffic::default(),
            session: None,
            notices: Vec::new(),
        });
    }

    fn tell_terminal(&mut self, terminal: Terminal) {
        self.commands
            .push_back(Command::Terminal(Box::new(terminal)));
        self.tell_drained();
    }

    /// Takes an attempt that is no path out of every table.
    pub(super) fn forget_attempt(&mut self, ticket: AttemptTicket) -> Option<Attempt> {
        let mut attempt = self.attempts.remove(&ticket)?;
        self.deadlines.disarm(&mut attempt.due);
        self.paths.remove(&attempt.request.path);
        self.arrivals.leave(ticket);
        self.usage.request_over(attempt.request.organisation);
        Some(attempt)
    }

    /// Ends a path by the node's word, unless it is ending already: whether it was. Its agent is told first, so that its CLOSE
    /// can cross.
    pub(super) fn cut_session(&mut self, ticket: AttemptTicket, code: Code, now: Moment) -> bool {
        let Some(session) = self.sessions.get_mut(&ticket) else {
            return false;
        };
        if session.ruled.is_some() || matches!(session.course, Course::Ended(_)) {
            return false;
        }
        session.ruled = Some(code);
        let presence = self.devices.get(&session.agent());
        let Some(ready) = presence.and_then(|presence| presence.ready) else {
            self.close_path(ticket);
            return true;
        };
        self.deadlines
            .arm(&mut session.due, now + limits::CUT, Timer::Cut(ticket));
        let cut = Cut {
            path: session.path,
            code: code.into(),
        };
        self.commands
            .push_back(Command::Send(ready, Frame::Cut(cut)));
        true
    }

    /// A leg of a path broke the rules.
    pub(super) fn breach(&mut self, ticket: AttemptTicket, code: Code) {
        if let Some(session) = self.sessions.get_mut(&ticket) {
            session.ruled.get_or_insert(code);
            self.close_path(ticket);
        }
    }

    pub(super) fn close_path(&mut self, ticket: AttemptTicket) {
        let Some(session) = self.sessions.get_mut(&ticket) else {
            return;
        };
        if let Course::Carrying { closing, .. } = &mut session.course
            && !core::mem::replace(closing, true)
        {
            let legs = [session.agent_leg, session.client_leg];
            self.commands
                .extend(legs.map(|leg| Command::Close(leg, How::Flushed)));
        }
    }
}
