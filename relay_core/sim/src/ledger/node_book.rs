//! What was seen of one life of one node: its attempts, the ready connections of its agents, who waits for whom.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use telerelay_outer::node::{AttemptTicket, Decision, Join, RouteRequest, Terminal};
use telerelay_outer::{How, LegKey};
use telerelay_wire::ids::{AttemptId, DeviceId, Instance, PathId, Role, Stage};
use telerelay_wire::outer::Frame;
use telerelay_wire::{Code, Moment, Reason, limits};

use crate::invariants::{self, Verdict};

/// One attempt at one node.
#[derive(Debug, Default)]
struct AttemptBook {
    attempt: Option<AttemptId>,
    client: Option<DeviceId>,
    began: Moment,
    decided: Option<Moment>,
    denied: Option<Code>,
    agent: Option<DeviceId>,
    recorded: bool,
    /// When INCOMING left for it.
    claimed: Option<Moment>,
    accepted_on: Option<LegKey>,
    is_joined: bool,
    /// The operator or a revocation ends it, since then and with this code.
    ruled: Option<(Moment, Code)>,
    /// The machine closes its legs.
    is_closing: bool,
    /// When both legs of its path were closed.
    path_over: Option<Moment>,
    /// What the agent said first.
    report: Option<(Reason, Stage)>,
    ends: u32,
}

/// An agent's leg that is no path.
#[derive(Debug)]
struct AgentLeg {
    device: DeviceId,
    instance: Instance,
    counter: u64,
    /// When HELLO came.
    hello: Moment,
    /// WELCOME left for it.
    is_welcome: bool,
    /// When a frame last came from it, or WELCOME left.
    heard: Moment,
    /// When it was asked whether it lives, if nothing came since.
    pinged: Option<Moment>,
}

/// Everything about one life of one node.
#[derive(Debug, Default)]
pub(crate) struct NodeBook {
    attempts: BTreeMap<AttemptTicket, AttemptBook>,
    /// Those that have not ended.
    live: BTreeSet<AttemptTicket>,
    tickets: BTreeMap<PathId, AttemptTicket>,
    agents: BTreeMap<LegKey, AgentLeg>,
    /// Legs with an INCOMING that is not answered by REFUSE.
    claims: BTreeMap<LegKey, PathId>,
    joined: BTreeMap<LegKey, PathId>,
    /// When a leg of an agent was last closed.
    left: BTreeMap<DeviceId, Moment>,
    /// When a ready connection was last claimed.
    claimed: BTreeMap<DeviceId, Moment>,
    /// The node stops: nothing new since it was told so, and this is its last moment.
    deadline: Option<Moment>,
    /// Attempts that wait for a ready connection, in the order in which they began to.
    waiting: Vec<AttemptTicket>,
    /// Attempts whose agent was not here for so long that nobody waits for it.
    vain: BTreeSet<AttemptTicket>,
}

impl NodeBook {
    /// Python is asked about a CONNECT that came now.
    pub(crate) fn asked(&mut self, request: &RouteRequest, now: Moment) {
        let book = self.attempts.entry(request.ticket).or_default();
        book.began = now;
        book.attempt = Some(request.attempt);
        book.client = Some(request.client);
        self.tickets.insert(request.path, request.ticket);
        self.live.insert(request.ticket);
    }

    /// Python decides, while the attempt still waits for it.
    pub(crate) fn decided(&mut self, ticket: AttemptTicket, decision: &Decision, now: Moment) {
        let has_hope =
            matches!(decision, Decision::Here(device) if self.may_be_waited_for(*device, now));
        let Some(book) = self.attempts.get_mut(&ticket) else {
            return;
        };
        book.decided = Some(now);
        match decision {
            Decision::Here(device) => {
                book.agent = Some(*device);
                self.waiting.push(ticket);
                if !has_hope {
                    self.vain.insert(ticket);
                }
            }
            Decision::Deny(reason) => book.denied = reason.code(),
            // The attempt goes on at another node and ends here.
            Decision::Redirect(_) => {
                book.ends += 1;
                self.live.remove(&ticket);
            }
            Decision::Later(_) => {}
        }
    }

    /// Whether a leg of this agent is here or was within the node's memory, or somebody waits for one already (§5.3 step 4).
    fn may_be_waited_for(&self, device: DeviceId, now: Moment) -> bool {
        let is_of = |agent: &AgentLeg| agent.device == device;
        let left = self.left.get(&device);
        let goes_on = |ticket: &AttemptTicket| {
            self.attempts.get(ticket).is_some_and(|book| {
                book.agent == Some(device) && book.is_joined && book.path_over.is_none()
            })
        };
        self.agents.values().any(is_of)
            || left.is_some_and(|&left| now.since(left) <= limits::GAP_MEMORY)
            || self.live.iter().any(goes_on)
            || self.waits_for(device).next().is_some()
    }

    /// Everything of a device is to end, by the node's word: the first that it gave.
    pub(crate) fn rules(&mut self, device: DeviceId, code: Code, now: Moment) {
        let (now, code) = match self.deadline {
            Some(deadline) if deadline <= now => (deadline, Code::Drained),
            _ => (now, code),
        };
        for ticket in &self.live {
            if let Some(book) = self.attempts.get_mut(ticket)
                && [book.agent, book.client].contains(&Some(device))
                && book.path_over.is_none()
            {
                book.ruled.get_or_insert((now, code));
            }
        }
    }

    /// The node takes nothing new, and what runs has its time until then.
    pub(crate) fn stops(&mut self, deadline: Moment) {
        self.deadline.get_or_insert(deadline);
    }

    /// The record is durable.
    pub(crate) fn recorded(&mut self, ticket: AttemptTicket) {
        if let Some(book) = self.attempts.get_mut(&ticket) {
            book.recorded = true;
        }
    }

    /// A frame comes from an endpoint; `device` is the leg's.
    pub(crate) fn heard(&mut self, leg: LegKey, device: DeviceId, frame: &Frame<'_>, now: Moment) {
        if let Some(agent) = self.agents.get_mut(&leg) {
            agent.heard = now;
            agent.pinged = None;
        }
        match frame {
            Frame::Hello(hello) if hello.role == Role::Agent && self.deadline.is_none() => {
                let agent = AgentLeg {
                    device,
                    instance: hello.instance,
                    counter: hello.counter,
                    hello: now,
                    is_welcome: false,
                    heard: now,
                    pinged: None,
                };
                self.agents.insert(leg, agent);
            }
            Frame::Accept(accept) => {
                if let Some(book) = self.of_path(accept.path) {
                    book.accepted_on = Some(leg);
                }
            }
            Frame::Refuse(refuse) if self.claims.get(&leg) == Some(&refuse.path) => {
                self.claims.remove(&leg);
            }
            Frame::SessionEnd(report) => {
                if let Some(book) = self.of_path(report.path)
                    && book.agent == Some(device)
                    && book.is_joined
                    && book.ends == 0
                {
                    book.report
                        .get_or_insert((report.code.clone(), report.stage));
                }
            }
            _ => {}
        }
    }

    /// A frame leaves for an endpoint; `device` is the leg's.
    pub(crate) fn says(
        &mut self,
        leg: LegKey,
        device: DeviceId,
        frame: &Frame<'_>,
        now: Moment,
    ) -> Verdict {
        match frame {
            Frame::Welcome(_) => {
                if let Some(agent) = self.agents.get_mut(&leg) {
                    agent.is_welcome = true;
                    agent.heard = now;
                }
                Ok(())
            }
            Frame::Keepalive(keepalive) => {
                if let Some(agent) = self.agents.get_mut(&leg).filter(|_| keepalive.ask) {
                    agent.pinged = Some(now);
                }
                Ok(())
            }
            Frame::Incoming(incoming) => self.claims(leg, device, incoming.path, now),
            Frame::Error(error) => {
                let of_this = |book: &&AttemptBook| {
                    error.attempt.is_some()
                        && book.attempt == error.attempt
                        && book.denied.is_some()
                        && book.denied == error.code.code()
                };
                if let Some(book) = self.attempts.values().find(of_this) {
                    let decided = book.decided.unwrap_or(book.began);
                    invariants::a_denial_leaves_at_its_time(book.began, decided, now)?;
                }
                invariants::nobody_breaks_the_protocol(
                    error.code.code(),
                    &format!("a node says {}", error.code),
                )
            }
            _ => Ok(()),
        }
    }

    /// INCOMING leaves for an agent.
    fn claims(&mut self, leg: LegKey, device: DeviceId, path: PathId, now: Moment) -> Verdict {
        let is_claimed = self.claims.insert(leg, path).is_some() || self.joined.contains_key(&leg);
        invariants::a_ready_connection_is_claimed_once(leg.0, is_claimed)?;
        let ticket = self.tickets.get(&path).copied();
        let first = self.waits_for(device).next();
        let is_in_doubt = self
            .agents
            .get(&leg)
            .is_some_and(|agent| self.is_in_doubt(agent));
        invariants::no_leg_in_doubt_is_claimed(is_in_doubt)?;
        self.claimed.insert(device, now);
        let Some(ticket) = ticket else {
            return invariants::incoming_goes_to_whom_route_named(false);
        };
        self.waiting.retain(|&waiting| waiting != ticket);
        let book = self.attempts.entry(ticket).or_default();
        book.claimed = Some(now);
        let is_named = book.agent == Some(device);
        invariants::incoming_goes_to_whom_route_named(is_named)?;
        invariants::whoever_waits_longest_is_served(ticket.0, first.map(|ticket| ticket.0))
    }

    /// Whether a device's ready connection stands.
    fn stands(&self, device: DeviceId) -> bool {
        self.agents.iter().any(|(leg, agent)| {
            agent.device == device && agent.is_welcome && !self.claims.contains_key(leg)
        })
    }

    /// Whether a ready connection was asked if it lives, while another instance of its device waits for the answer (§5.8).
    fn is_in_doubt(&self, agent: &AgentLeg) -> bool {
        let challenges = |other: &AgentLeg| other.device == agent.device && !other.is_welcome;
        agent.pinged.is_some() && self.agents.values().any(challenges)
    }

    fn waits_for(&self, device: DeviceId) -> impl Iterator<Item = AttemptTicket> {
        self.waiting.iter().copied().filter(move |ticket| {
            self.attempts
                .get(ticket)
                .is_some_and(|book| book.agent == Some(device))
        })
    }

    /// Two legs become a path.
    pub(crate) fn joins(&mut self, join: &Join) -> Verdict {
        for leg in [join.agent, join.client] {
            let is_joined = self.joined.insert(leg, join.path).is_some();
            invariants::no_leg_in_two_paths(leg.0, is_joined)?;
        }
        self.claims.remove(&join.agent);
        self.agents.remove(&join.agent);
        let (accepted, recorded) = self.of_path(join.path).map_or((false, false), |book| {
            book.is_joined = true;
            (book.accepted_on == Some(join.agent), book.recorded)
        });
        invariants::no_path_without_consent(accepted, recorded)
    }

    /// The machine closes a leg.
    pub(crate) fn closes(&mut self, leg: LegKey, how: How, now: Moment) -> Verdict {
        if how == How::AtOnce
            && !self.claims.contains_key(&leg)
            && let Some(agent) = self.agents.get(&leg).filter(|agent| agent.is_welcome)
        {
            let is_replaced = self.agents.values().any(|other| {
                other.device == agent.device
                    && other.instance == agent.instance
                    && other.counter > agent.counter
            });
            let is_silent = now.since(agent.heard) >= limits::READY_SILENCE
                || agent
                    .pinged
                    .is_some_and(|pinged| now.since(pinged) >= limits::CLONE_PING);
            invariants::a_living_agent_keeps_its_place(is_replaced || is_silent)?;
        }
        if let Some(&path) = self.joined.get(&leg)
            && let Some(book) = self.of_path(path)
        {
            book.is_closing = true;
        }
        self.closed(leg, now);
        Ok(())
    }

    /// A leg is closed.
    pub(crate) fn closed(&mut self, leg: LegKey, now: Moment) {
        self.claims.remove(&leg);
        if let Some(agent) = self.agents.remove(&leg) {
            self.left.insert(agent.device, now);
        }
    }

    /// Both legs of a path are closed.
    pub(crate) fn path_over(&mut self, path: PathId, now: Moment) {
        if let Some(book) = self.of_path(path) {
            book.path_over = Some(now);
            if let Some(device) = book.agent {
                self.left.insert(device, now);
            }
        }
    }

    /// The terminal event of an attempt.
    pub(crate) fn ends(&mut self, told: &Terminal, now: Moment) -> Verdict {
        let ticket = told.ticket;
        self.live.remove(&ticket);
        self.waiting.retain(|&waiting| waiting != ticket);
        let book = self.attempts.entry(ticket).or_default();
        book.ends += 1;
        invariants::one_terminal_event_per_attempt(ticket.0, book.ends)?;
        if book.is_joined {
            let report = book.report.as_ref().map(|(code, stage)| (code, *stage));
            invariants::the_agents_word_counts((&told.code, told.stage), report)?;
        }
        if told.code == Code::Absent && told.stage == Stage::Claim {
            let waited = book.decided.map_or(Duration::ZERO, |at| now.since(at));
            let has_hope = !self.vain.contains(&ticket);
            invariants::whoever_may_come_back_is_waited_for(has_hope, waited)?;
        }
        match book.ruled {
            Some((_, code)) if book.denied.is_none() => {
                invariants::the_nodes_word_stands(&told.code, code)
            }
            _ => Ok(()),
        }
    }

    /// The node has stopped: every attempt has ended.
    pub(crate) fn all_ended(&self) -> Verdict {
        self.attempts.iter().try_for_each(|(ticket, book)| {
            invariants::one_terminal_event_per_attempt(ticket.0, book.ends)
        })
    }

    /// What holds at every step.
    pub(crate) fn judge(&self, told_out: &BTreeSet<DeviceId>, now: Moment) -> Verdict {
        for ticket in &self.live {
            if let Some(book) = self.attempts.get(ticket) {
                book.judge(now)?;
                book.judge_ruled(self.deadline, now)?;
            }
        }
        for ticket in &self.waiting {
            invariants::nobody_waits_in_vain(!self.vain.contains(ticket))?;
        }
        let devices: BTreeSet<_> = self.agents.values().map(|agent| agent.device).collect();
        for device in devices {
            let ready: Vec<_> = self
                .agents
                .iter()
                .filter(|(leg, agent)| {
                    agent.device == device && agent.is_welcome && !self.claims.contains_key(leg)
                })
                .collect();
            invariants::one_ready_connection_per_device(ready.len())?;
            let waiting = self.waits_for(device).count();
            invariants::few_wait_for_one_device(waiting)?;
            let is_ready = ready.iter().any(|(_, agent)| !self.is_in_doubt(agent));
            invariants::nobody_waits_for_a_ready_agent(waiting, is_ready)?;
            if !ready.is_empty() {
                invariants::a_ready_agent_is_told_out(told_out.contains(&device))?;
            }
            ready.iter().try_for_each(|(_, agent)| {
                let silence = limits::READY_SILENCE;
                invariants::nobody_waits_too_long("a ready agent", agent.heard, now, silence)
            })?;
        }
        for agent in self.agents.values().filter(|agent| !agent.is_welcome) {
            let device = agent.device;
            invariants::nobody_challenges_an_empty_place(self.stands(device))?;
            let (hello, most) = (agent.hello, limits::CLONE_PING);
            invariants::nobody_waits_too_long("the answer to HELLO", hello, now, most)?;
        }
        for &device in told_out.iter().filter(|&&device| !self.stands(device)) {
            let claimed = self.claimed.get(&device).copied().unwrap_or(Moment::ZERO);
            let most = limits::ACCEPT + limits::GAP_WAIT;
            invariants::nobody_waits_too_long("a claimed agent's next leg", claimed, now, most)?;
        }
        Ok(())
    }

    /// The attempt that a path is made for.
    pub(crate) fn attempt(&self, path: PathId) -> Option<AttemptId> {
        self.attempts.get(self.tickets.get(&path)?)?.attempt
    }

    fn of_path(&mut self, path: PathId) -> Option<&mut AttemptBook> {
        let ticket = self.tickets.get(&path)?;
        self.attempts.get_mut(ticket)
    }
}

impl AttemptBook {
    /// What the node itself ends, ends: at once where it is no path yet, else when CLOSE has had its time to cross (§5.6).
    fn judge_ruled(&self, deadline: Option<Moment>, now: Moment) -> Verdict {
        let since = match (self.ruled, deadline) {
            (Some((ruled, _)), _) => ruled,
            (None, Some(deadline)) => deadline,
            (None, None) => return Ok(()),
        };
        let most = if self.is_joined {
            limits::CUT
        } else {
            Duration::ZERO
        };
        if self.is_closing || self.path_over.is_some() {
            return Ok(());
        }
        invariants::nobody_waits_too_long("the end that the node ruled", since, now, most)
    }

    /// Nobody waits longer than the limits say.
    fn judge(&self, now: Moment) -> Verdict {
        let is_agreed = self.accepted_on.is_some() && self.recorded;
        invariants::consent_and_record_make_a_path(is_agreed, self.is_joined)?;
        let wait = |what, since, most| invariants::nobody_waits_too_long(what, since, now, most);
        match (self.decided, self.claimed, self.path_over) {
            (None, ..) => wait("route", self.began, limits::ROUTE),
            (_, _, Some(over)) => wait("the agent's report", over, limits::SESSION_END),
            (_, Some(claimed), _) if !self.is_joined => {
                wait("ACCEPT and the record", claimed, limits::ACCEPT)
            }
            (Some(decided), None, _) if self.denied.is_none() => {
                wait("the agent's next leg", decided, limits::GAP_WAIT)
            }
            _ => Ok(()),
        }
    }
}
