//! From CONNECT to a path: the route, the claim, both sides' consent and the durable record (PROTOCOL.md §5.3).
use telerelay_wire::ids::{DeviceId, NodeAddress, PathId};
use telerelay_wire::outer::{Connect, Frame, Incoming, Paired, Redirect};
use telerelay_wire::{Code, Entropy, Moment, Reason, limits};

use super::Node;
use super::command::{AttemptTicket, Command, Decision, Join, RouteRequest, SetUp};
use super::session::{Course, Session};
use super::stopping::Intake;
use super::table::{Attempt, DeviceKey, Phase, State, Timer};
use super::usage::Rule;
use crate::leg::{How, LegKey};
use crate::refusal::Refusal;

impl Node {
    pub(super) fn connect(
        &mut self,
        key: LegKey,
        connect: Connect,
        now: Moment,
        entropy: &mut dyn Entropy,
    ) {
        let Some(leg) = self.legs.get_mut(&key) else {
            return;
        };
        let State::Client { hello } = leg.state else {
            return;
        };
        let Some(program) = leg.program.take() else {
            return;
        };
        let set_up = SetUp {
            hello,
            connect: now.since(leg.since),
            ..SetUp::default()
        };
        let ticket = AttemptTicket(self.next_ticket);
        self.next_ticket += 1;
        leg.state = State::Asking(ticket);
        self.deadlines.disarm(&mut leg.due);
        let Connect {
            computer,
            service,
            attempt,
            resume,
            early,
        } = connect;
        let path = PathId::random(entropy);
        let device = leg.device();
        let request = RouteRequest {
            ticket,
            attempt,
            path,
            organisation: leg.identity.organisation,
            client: leg.identity.device,
            address: leg.address.clone(),
            program,
            computer,
            service,
            resume,
        };
        let attempt = Attempt {
            request,
            early,
            client: key,
            began: now,
            agent: None,
            recorded: false,
            set_up,
            stepped: now,
            phase: Phase::InLine,
            due: None,
        };
        self.attempts.insert(ticket, attempt);
        self.paths.insert(path, ticket);
        let refused = if self.intake == Intake::Open {
            self.exceeds(device, now)
        } else {
            Some(Code::TryLater.into())
        };
        self.usage.request(device.organisation);
        match refused {
            Some(refusal) => self.abort(ticket, refusal, now),
            None => self.arrives(ticket, now),
        }
    }

    /// Whether this attempt still waits for `decide`. Ask before asking Python: its client may have left.
    pub fn is_asked(&self, ticket: AttemptTicket) -> bool {
        self.attempts
            .get(&ticket)
            .is_some_and(|attempt| matches!(attempt.phase, Phase::Asked { .. }))
    }

    /// The answer to [`Command::Ask`]. One that comes too late, twice, or after the client left is ignored.
    pub fn decide(&mut self, ticket: AttemptTicket, decision: Decision, now: Moment) {
        if !self.is_asked(ticket) {
            return;
        }
        match decision {
            Decision::Deny(reason) => self.deny(ticket, reason, now),
            Decision::Here(device) => self.route_here(ticket, device, now),
            Decision::Redirect(node) => self.redirect(ticket, node),
            Decision::Later(seconds) => {
                self.abort(ticket, Refusal::after(Code::TryLater, seconds), now);
            }
        }
    }

    /// A denial leaves at its time after the question, whatever was looked up; at once only where that took longer.
    fn deny(&mut self, ticket: AttemptTicket, reason: Reason, now: Moment) {
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        let Phase::Asked { since } = attempt.phase else {
            return;
        };
        attempt.phase = Phase::Denied(reason);
        let leaves = since + limits::DENIED;
        self.deadlines
            .arm(&mut attempt.due, leaves, Timer::Denied(ticket));
        if leaves <= now {
            self.deadlines.disarm(&mut attempt.due);
            self.denied(ticket, now);
        }
    }

    pub(super) fn denied(&mut self, ticket: AttemptTicket, now: Moment) {
        if let Some(Attempt {
            phase: Phase::Denied(reason),
            ..
        }) = self.attempts.get(&ticket)
        {
            self.abort(ticket, reason.clone().into(), now);
        }
    }

    /// The attempt goes on at another node: no terminal event here.
    fn redirect(&mut self, ticket: AttemptTicket, node: NodeAddress) {
        let Some(attempt) = self.forget_attempt(ticket) else {
            return;
        };
        if self.take_leg(attempt.client).is_some() {
            let attempt_id = Some(attempt.request.attempt);
            self.last_frame(
                attempt.client,
                Frame::Redirect(Redirect {
                    node,
                    attempt: attempt_id,
                }),
            );
        }
        self.tell_drained();
    }

    /// *here*: claims the device's ready connection, or waits for the next one where the device was here a moment ago.
    fn route_here(&mut self, ticket: AttemptTicket, device: DeviceId, now: Moment) {
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        attempt.agent = Some(device);
        attempt.phase = Phase::Waiting;
        attempt.set_up.route = attempt.step(now);
        let device = DeviceKey {
            organisation: attempt.request.organisation,
            device,
        };
        let Some(presence) = self.devices.get_mut(&device) else {
            return self.abort(ticket, Code::Absent.into(), now);
        };
        if let Some(leg) = presence.claimable() {
            return self.claim(ticket, leg, now);
        }
        if presence.waiting.len() >= limits::GAP_WAITERS {
            self.usage.one_too_many(Rule::GapWaiters);
            return self.abort(ticket, Code::Busy.into(), now);
        }
        presence.waiting.push_back(ticket);
        self.deadlines.arm(
            &mut attempt.due,
            now + limits::GAP_WAIT,
            Timer::GapWait(ticket),
        );
    }

    /// Gives a ready connection that has just appeared, or is not in doubt any more, to whoever waited longest.
    pub(super) fn serve(&mut self, device: DeviceKey, now: Moment) {
        let Some(presence) = self.devices.get_mut(&device) else {
            return;
        };
        if let Some(leg) = presence.claimable()
            && let Some(ticket) = presence.waiting.pop_front()
        {
            self.claim(ticket, leg, now);
        }
    }

    /// Takes the leg out of the table of ready connections in the same step that uses it.
    fn claim(&mut self, ticket: AttemptTicket, key: LegKey, now: Moment) {
        let Some(leg) = self.legs.get_mut(&key) else {
            return;
        };
        let Some(process) = leg.state.process() else {
            return;
        };
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        let device = leg.device();
        leg.state = State::Claimed(process, ticket);
        self.deadlines.disarm(&mut leg.due);
        attempt.set_up.claim = attempt.step(now);
        attempt.phase = Phase::Claimed {
            leg: key,
            since: now,
        };
        self.deadlines.arm(
            &mut attempt.due,
            now + limits::ACCEPT,
            Timer::Accept(ticket),
        );
        let request = &attempt.request;
        let incoming = Incoming {
            path: request.path,
            attempt: request.attempt,
            client: request.client,
            service: request.service,
            address: request.address.clone(),
            program: request.program.clone(),
            resume: request.resume,
            early: attempt.early.take(),
        };
        self.commands
            .push_back(Command::Send(key, Frame::Incoming(incoming)));
        self.device_is_claimed(key, device, now);
        self.pair(ticket, now);
    }

    pub(super) fn is_path_of(&self, ticket: AttemptTicket, path: PathId) -> bool {
        self.attempts
            .get(&ticket)
            .is_some_and(|attempt| attempt.request.path == path)
    }

    pub(super) fn accept(&mut self, ticket: AttemptTicket, now: Moment) {
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        let Phase::Claimed { leg, since } = attempt.phase else {
            return;
        };
        attempt.phase = Phase::Accepted { leg };
        attempt.set_up.accept = attempt.step(now);
        self.deadlines.arm(
            &mut attempt.due,
            (since + limits::RECORDED).max(now),
            Timer::Recorded(ticket),
        );
        if let Some(claimed) = self.legs.get_mut(&leg) {
            claimed.state = State::Accepted(ticket);
            let device = claimed.device();
            self.device_redials(leg, device, now);
        }
        self.pair(ticket, now);
    }

    /// The START record is durable, or could not be written. For an attempt that has ended it does not matter.
    pub fn recorded(&mut self, ticket: AttemptTicket, written: Result<(), Code>, now: Moment) {
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        match (&attempt.phase, written) {
            (Phase::Waiting | Phase::Claimed { .. } | Phase::Accepted { .. }, Ok(())) => {
                attempt.recorded = true;
                self.pair(ticket, now);
            }
            (Phase::Waiting | Phase::Claimed { .. } | Phase::Accepted { .. }, Err(code)) => {
                self.abort(ticket, code.into(), now);
            }
            (Phase::InLine | Phase::Asked { .. } | Phase::Denied(_), _) => {}
        }
    }

    /// PAIRED to both, once ACCEPT and the record are there.
    fn pair(&mut self, ticket: AttemptTicket, now: Moment) {
        let Some(attempt) = self.attempts.get_mut(&ticket) else {
            return;
        };
        #[cfg(feature = "mutants")]
        if let Phase::Claimed { leg, .. } = attempt.phase
            && self.mutant == super::Mutant::PairedWithoutAccept
        {
            attempt.phase = Phase::Accepted { leg };
        }
        let (Phase::Accepted { leg: agent_leg }, true, Some(agent)) =
            (&attempt.phase, attempt.recorded, attempt.agent)
        else {
            return;
        };
        let agent_leg = *agent_leg;
        attempt.set_up.recorded = attempt.step(now);
        let (client_leg, set_up) = (attempt.client, attempt.set_up);
        let session = Session {
            attempt: attempt.request.attempt,
            path: attempt.request.path,
            organisation: attempt.request.organisation,
            client: attempt.request.client,
            agent,
            client_leg,
            agent_leg,
            began: attempt.began,
            ruled: None,
            course: Course::Carrying {
                closing: false,
                report: None,
            },
            due: None,
        };
        let path = session.path;
        let purpose = self.snapshot.purpose_of(session.organisation);
        let resumes = attempt.request.resume.is_some();
        self.deadlines.disarm(&mut attempt.due);
        self.attempts.remove(&ticket);
        self.usage.session(session.organisation);
        self.sessions.insert(ticket, Box::new(session));
        self.joined += 1;
        for key in [client_leg, agent_leg] {
            if let Some(mut leg) = self.legs.remove(&key) {
                self.deadlines.disarm(&mut leg.due);
            }
            self.carried.insert(key, ticket);
            self.commands
                .push_back(Command::Send(key, Frame::Paired(Paired { path })));
        }
        self.commands.push_back(Command::Join(Join {
            path,
            ticket,
            agent: agent_leg,
            client: client_leg,
            purpose,
            resumes,
            set_up,
        }));
    }

    /// REFUSE: the client is told, the leg is ready again.
    pub(super) fn agent_refused(
        &mut self,
        key: LegKey,
        ticket: AttemptTicket,
        reason: Reason,
        now: Moment,
    ) {
        let Some(leg) = self.legs.get(&key) else {
            return;
        };
        let (device, process) = (leg.device(), leg.state.process());
        self.end_refused(ticket, reason.into(), now);
        if let Some(process) = process {
            self.returns_ready(key, device, process, now);
        }
    }

    /// Ends an attempt before it is a path. The agent's leg, where one was claimed, is closed: that agent cannot know
    /// how far the request had come.
    pub(super) fn abort(&mut self, ticket: AttemptTicket, refusal: Refusal, now: Moment) {
        let Some(attempt) = self.attempts.get(&ticket) else {
            return;
        };
        let claimed = match attempt.phase {
            Phase::Claimed { leg, .. } | Phase::Accepted { leg } => Some(leg),
            _ => None,
        };
        self.end_refused(ticket, refusal, now);
        if let Some(key) = claimed
            && let Some(leg) = self.take_leg(key)
        {
            self.commands.push_back(Command::Close(key, How::AtOnce));
            self.device_left(key, leg.device(), now);
        }
    }

    /// ERROR to the client, where it is still there, and the terminal event.
    fn end_refused(&mut self, ticket: AttemptTicket, refusal: Refusal, now: Moment) {
        let Some(attempt) = self.forget_attempt(ticket) else {
            return;
        };
        if let Some(device) = attempt.agent()
            && matches!(attempt.phase, Phase::Waiting)
        {
            if let Some(presence) = self.devices.get_mut(&device) {
                presence.waiting.retain(|&waiting| waiting != ticket);
            }
            self.forget_unused(device);
        }
        // What was decided stands, whatever the client does in the time before it leaves.
        let code = match &attempt.phase {
            Phase::Denied(reason) => reason.clone(),
            _ => refusal.code.clone(),
        };
        if self.take_leg(attempt.client).is_some() {
            let error = refusal.into_frame(Some(attempt.request.attempt), self.server_time(now));
            self.last_frame(attempt.client, Frame::Error(error));
        }
        self.tell_refused(attempt, code, now);
    }
}
