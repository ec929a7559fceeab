//! A relay node with all its legs, as one state machine (PROTOCOL.md §5.1–§5.3, §5.6, §5.8).
//!
//! `table` holds what there is; `hello` admits legs and keeps the table of ready connections; `pairing` leads an attempt
//! from CONNECT to its path; `session` is what is kept of a path; `ending` leads it to its one terminal event; `stopping` is the operator's word that
//! nothing new is taken, or that something ends; `usage` and `arrivals` are how much of all this one may have; `shedding`
//! gives some of it back.
mod admission;
mod arrivals;
mod command;
mod ending;
mod hello;
mod pairing;
mod presence;
mod session;
mod shedding;
mod stopping;
mod table;
mod usage;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use telerelay_wire::bounded::Text;
use telerelay_wire::ids::{ClientAddress, DeviceId, NodeName, OrganisationId, PathId};
use telerelay_wire::outer::{Features, Frame, Keepalive, News};
use telerelay_wire::{Code, Entropy, FrameError, Moment, limits};

use crate::deadlines::{Deadlines, Due};
use crate::leg::{How, LegKey};
use crate::refusal::Refusal;
use arrivals::Arrivals;
use session::Session;
use stopping::Intake;
use table::{Attempt, DeviceKey, Leg, Presence, State, Timer};
use usage::Usage;

pub use admission::{Holder, Identity, Side, Snapshot, Standing};
pub use command::{
    AgentReady, Asked, AttemptTicket, Cause, Command, Decision, Join, PathEnd, RouteRequest, SetUp,
    Terminal,
};
pub use usage::Rule;

/// What WELCOME says, besides the node list's version.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The node's name.
    pub node: NodeName,
    /// What it can do beyond version 1.
    pub features: Features,
    /// The least of seconds over which agents spread their return (§5.7).
    pub return_window: u16,
    /// A sentence of the operator.
    pub banner: Option<Text<0, 512>>,
}

/// What comes to a node in a second, as planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// CONNECTs.
    pub arrivals_per_s: u32,
    /// Handshakes.
    pub handshakes_per_s: u32,
}

impl Default for Plan {
    /// What one worker bears.
    fn default() -> Self {
        Self {
            arrivals_per_s: limits::ARRIVALS_PER_WORKER,
            handshakes_per_s: limits::HANDSHAKES_PER_WORKER,
        }
    }
}

/// Whom something concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody.
    All,
    /// Every device of an organisation.
    Organisation(OrganisationId),
    /// One device.
    Device(OrganisationId, DeviceId),
}

/// How much a node holds; all zero when nobody is there and nobody was within `gap_memory_s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Legs, those of paths included.
    pub legs: usize,
    /// Ready connections.
    pub ready: usize,
    /// Devices of agents that are or were just here.
    pub devices: usize,
    /// Attempts without their terminal event.
    pub attempts: usize,
    /// Attempts that are a path.
    pub paths: usize,
    /// Path IDs that are remembered: one for each attempt.
    pub path_ids: usize,
    /// CONNECTs that wait for their turn.
    pub waiting: usize,
    /// Clients' devices that are or were just here, with what they use.
    pub used_by: usize,
    /// Timers.
    pub deadlines: usize,
    /// Those of them that are devices'.
    pub device_timers: usize,
}

/// A bug that is put in on purpose, to show that the simulator finds it.
#[cfg(feature = "mutants")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutant {
    /// None.
    #[default]
    None,
    /// A claimed leg stays in the table of ready connections.
    DoubleClaim,
    /// PAIRED needs the record only.
    PairedWithoutAccept,
}

/// The node. A few hundred bytes for each ready leg; a frame costs a handful of look-ups in ordered maps.
#[derive(Debug)]
pub struct Node {
    greeting: Greeting,
    plan: Plan,
    snapshot: Arc<Snapshot>,
    /// The wall clock at a moment, for ERROR's server time.
    clock: (u64, Moment),
    legs: BTreeMap<LegKey, Leg>,
    /// Legs of paths, by their sessions.
    carried: BTreeMap<LegKey, AttemptTicket>,
    devices: BTreeMap<DeviceKey, Presence>,
    /// How many of them have a ready connection.
    ready: usize,
    /// Devices that have a timer of their own, by the leg that the timer names.
    device_timers: BTreeMap<LegKey, DeviceKey>,
    attempts: BTreeMap<AttemptTicket, Attempt>,
    /// Attempts that are or were a path, boxed: half of a map that grows at its end is empty places.
    sessions: BTreeMap<AttemptTicket, Box<Session>>,
    paths: BTreeMap<PathId, AttemptTicket>,
    /// How many sessions' paths have not ended.
    joined: usize,
    next_ticket: u64,
    usage: Usage,
    arrivals: Arrivals,
    deadlines: Deadlines<Timer>,
    commands: VecDeque<Command>,
    intake: Intake,
    /// There until `Drained` is told.
    grace: Due<Timer>,
    #[cfg(feature = "mutants")]
    mutant: Mutant,
}

impl Node {
    /// A node without legs. `unix_s` is the wall clock at `now`. Nobody is admitted before [`Self::set_snapshot`].
    pub fn new(greeting: Greeting, unix_s: u64, now: Moment) -> Self {
        Self {
            greeting,
            plan: Plan::default(),
            snapshot: Arc::default(),
            clock: (unix_s, now),
            legs: BTreeMap::new(),
            carried: BTreeMap::new(),
            devices: BTreeMap::new(),
            ready: 0,
            device_timers: BTreeMap::new(),
            attempts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            paths: BTreeMap::new(),
            joined: 0,
            next_ticket: 0,
            usage: Usage::default(),
            arrivals: Arrivals::new(Plan::default().arrivals_per_s),
            deadlines: Deadlines::new(),
            commands: VecDeque::new(),
            intake: Intake::Open,
            grace: None,
            #[cfg(feature = "mutants")]
            mutant: Mutant::None,
        }
    }

    /// The same node on a machine that bears this.
    #[must_use]
    pub fn with_plan(mut self, plan: Plan) -> Self {
        self.plan = plan;
        self.arrivals = Arrivals::new(plan.arrivals_per_s);
        self
    }

    /// The same node with a bug.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn with_mutant(mut self, mutant: Mutant) -> Self {
        self.mutant = mutant;
        self
    }

    /// The next thing to do. Call it after every other call until it gives nothing.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Self::timeout`].
    pub fn next_timeout(&self) -> Option<Moment> {
        self.deadlines.next()
    }

    /// How much the node holds.
    pub fn census(&self) -> Census {
        Census {
            legs: self.legs.len() + self.carried.len(),
            ready: self.ready,
            devices: self.devices.len(),
            attempts: self.attempts.len() + self.sessions.len(),
            paths: self.joined,
            path_ids: self.paths.len(),
            waiting: self.arrivals.waiting(),
            used_by: self.usage.devices(),
            deadlines: self.deadlines.len(),
            device_timers: self.device_timers.len(),
        }
    }

    /// The wall clock was looked at: `unix_s` at `now`.
    pub fn set_clock(&mut self, unix_s: u64, now: Moment) {
        self.clock = (unix_s, now);
    }

    /// What WELCOME and KEEPALIVE say from now on.
    pub fn set_greeting(&mut self, greeting: Greeting) {
        self.greeting = greeting;
    }

    /// A handshake ended: the leg waits for HELLO.
    pub fn leg_up(
        &mut self,
        key: LegKey,
        identity: Identity,
        side: Side,
        address: ClientAddress,
        now: Moment,
    ) {
        let mut leg = Leg {
            identity,
            side,
            address,
            program: None,
            state: State::Hello,
            since: now,
            due: None,
        };
        self.deadlines.arm(
            &mut leg.due,
            now + limits::FIRST_FRAME,
            Timer::FirstFrame(key),
        );
        if identity.holder == Holder::Client {
            self.usage.leg_up(leg.device());
        }
        let before = self.legs.insert(key, leg);
        debug_assert!(before.is_none(), "a leg's number is never used twice");
    }

    /// A frame came. One that a path's leg sends belongs here only if it is not PATH.
    pub fn frame(&mut self, key: LegKey, frame: Frame<'_>, now: Moment, entropy: &mut dyn Entropy) {
        if let Some(&ticket) = self.carried.get(&key) {
            return match frame {
                Frame::Path(_) => {}
                Frame::Switch(_) => self.breach(ticket, Code::Unsupported),
                _ => self.breach(ticket, Code::BadFrame),
            };
        }
        let Some(leg) = self.legs.get(&key) else {
            return;
        };
        let state = leg.state;
        if matches!(state, State::Ready(_)) {
            self.heard(key, now);
        }
        match (state, frame) {
            (State::Hello, Frame::Hello(hello)) => self.hello(key, hello, now),
            (State::Client { .. }, Frame::Connect(connect)) => {
                self.connect(key, connect, now, entropy);
            }
            (State::Ready(_) | State::Claimed(..), Frame::Keepalive(keepalive)) => {
                self.keepalive(key, &keepalive);
            }
            (State::Ready(_) | State::Claimed(..), Frame::SessionEnd(report)) => {
                self.session_end(key, report, now);
            }
            (State::Claimed(_, ticket), Frame::Accept(accept))
                if self.is_path_of(ticket, accept.path) =>
            {
                self.accept(ticket, now);
            }
            (State::Claimed(_, ticket), Frame::Refuse(refuse))
                if self.is_path_of(ticket, refuse.path) =>
            {
                self.agent_refused(key, ticket, refuse.code, now);
            }
            (State::Ready(_) | State::Claimed(..), Frame::Accept(_) | Frame::Refuse(_)) => {
                self.break_off(key, Code::PathUnknown, now);
            }
            // An endpoint's ERROR is its last frame: the leg is as good as gone.
            (_, Frame::Error(_)) => {
                self.commands.push_back(Command::Close(key, How::AtOnce));
                self.leg_gone(key, now);
            }
            _ => self.break_off(key, Code::BadFrame, now),
        }
    }

    /// Bytes came that are no frame.
    pub fn frame_error(&mut self, key: LegKey, error: FrameError, now: Moment) {
        self.break_off(key, error.code(), now);
    }

    /// A leg ended that the driver was not told to close. Legs of a path end by [`Self::path_ended`] instead.
    pub fn leg_gone(&mut self, key: LegKey, now: Moment) {
        self.lose(key, now);
    }

    /// Replaces what HELLO is admitted by. Legs that the new snapshot refuses are closed with its code, their paths cut.
    pub fn set_snapshot(&mut self, snapshot: Arc<Snapshot>, now: Moment) {
        self.snapshot = snapshot;
        // Paths first: CUT travels on ready connections that may be among the refused.
        let refused: Vec<_> = self
            .sessions
            .iter()
            .filter_map(|(&ticket, session)| {
                let mut ends = [session.agent(), session.client()].into_iter();
                Some((ticket, ends.find_map(|end| self.snapshot.refuses(end))?))
            })
            .collect();
        for (ticket, code) in refused {
            self.cut_session(ticket, code, now);
        }
        let refused: Vec<_> = self
            .legs
            .iter()
            .filter(|(_, leg)| leg.state != State::Hello)
            .filter_map(|(&key, leg)| Some((key, self.snapshot.refuses(leg.device())?)))
            .collect();
        for (key, code) in refused {
            self.turn_away(key, code.into(), now);
        }
        self.await_no_report_of_the_refused();
    }

    /// Sends NEWS on the ready connections of these devices. A device without one is told out as ready when it has one.
    pub fn news(&mut self, scope: Scope, news: &News) {
        for presence in self
            .devices
            .range(scope.range())
            .map(|(_, presence)| presence)
        {
            if let Some(leg) = presence.ready {
                self.commands
                    .push_back(Command::Send(leg, Frame::News(news.clone())));
            }
        }
    }

    /// Time has come to `now`.
    pub fn timeout(&mut self, now: Moment) {
        while let Some(timer) = self.deadlines.expired(now) {
            match timer {
                Timer::FirstFrame(leg) => self.turn_away(leg, Code::TryLater.into(), now),
                Timer::ReadySilence(leg) => self.ready_silent(leg, now),
                Timer::ClonePing(leg) => self.challenger_wins(leg, now),
                Timer::Redial(leg) => self.not_redialled(leg),
                Timer::GapMemory(leg) => self.forget_device(leg),
                Timer::Route(ticket) => self.abort(ticket, Code::TryLater.into(), now),
                Timer::Denied(ticket) => self.denied(ticket, now),
                Timer::GapWait(ticket) | Timer::Accept(ticket) => {
                    self.abort(ticket, Code::Absent.into(), now);
                }
                Timer::Recorded(ticket) => self.abort(ticket, Code::AuditUnavailable.into(), now),
                Timer::Cut(ticket) => self.close_path(ticket),
                Timer::SessionEnd(ticket) => self.not_reported(ticket),
                Timer::Arrivals => self.next_arrivals(now),
                Timer::Usage => self.forget_usage(now),
                Timer::Grace => self.grace_over(now),
            }
        }
    }

    fn keepalive(&mut self, key: LegKey, keepalive: &Keepalive) {
        if keepalive.ask {
            let answer = Keepalive {
                ask: false,
                return_window: Some(self.return_window()),
            };
            self.commands
                .push_back(Command::Send(key, Frame::Keepalive(answer)));
        }
    }

    /// The other end broke the rules: its leg ends, whatever it is.
    fn break_off(&mut self, key: LegKey, code: Code, now: Moment) {
        match self.carried.get(&key) {
            Some(&ticket) => self.breach(ticket, code),
            None => self.turn_away(key, code.into(), now),
        }
    }

    /// Sends ERROR as the leg's last frame and forgets the leg.
    fn turn_away(&mut self, key: LegKey, refusal: Refusal, now: Moment) {
        match self.legs.get(&key).map(|leg| leg.state) {
            None => {}
            // The attempt's end answers the client.
            Some(State::Asking(ticket)) => self.abort(ticket, refusal, now),
            Some(_) => {
                self.last_frame(
                    key,
                    Frame::Error(refusal.into_frame(None, self.server_time(now))),
                );
                self.lose(key, now);
            }
        }
    }

    /// Queues the last frame of a leg, and its closing behind it.
    fn last_frame(&mut self, key: LegKey, frame: Frame<'static>) {
        self.commands.push_back(Command::Send(key, frame));
        self.commands.push_back(Command::Close(key, How::Flushed));
    }

    /// A leg that is no path's is gone: forgets it and draws the consequences.
    fn lose(&mut self, key: LegKey, now: Moment) {
        let Some(leg) = self.take_leg(key) else {
            return;
        };
        match leg.state {
            State::Hello | State::Client { .. } => {}
            State::Asking(ticket) => self.abort(ticket, Code::ClientGone.into(), now),
            State::Ready(_) => self.ready_gone(key, leg.device(), now),
            State::Challenger(_) => self.challenger_gone(key, leg.device(), now),
            State::Claimed(_, ticket) | State::Accepted(ticket) => {
                self.device_left(key, leg.device(), now);
                self.abort(ticket, Code::Absent.into(), now);
            }
        }
    }

    fn take_leg(&mut self, key: LegKey) -> Option<Leg> {
        let mut leg = self.legs.remove(&key)?;
        self.deadlines.disarm(&mut leg.due);
        self.usage.leg_gone(leg.device());
        Some(leg)
    }

    /// Seconds in which those who wait here now could all come back, in their share of the handshakes.
    fn return_window(&self) -> u16 {
        let handshakes = self.plan.handshakes_per_s as usize * limits::RETURN_PERCENT;
        let window = (self.ready * 100).div_ceil(handshakes.max(1));
        let window = u16::try_from(window).unwrap_or(u16::MAX);
        let most = u16::try_from(limits::RETURN_WINDOW_CAP.as_secs()).unwrap_or(u16::MAX);
        window.max(self.greeting.return_window).min(most)
    }

    fn server_time(&self, now: Moment) -> u64 {
        let (unix_s, at) = self.clock;
        unix_s.saturating_add(now.since(at).as_secs())
    }
}
