//! The agent towards its nodes: one ready connection, the requests that come over it, the reports that leave over it
//! (PROTOCOL.md §5.4, §5.7).
//!
//! One leg at most is Dialling, Hello, Ready or Asked: the ready connection, here called the post. A leg that has
//! accepted a request leaves the post, and the next dial begins in the same step.
mod command;
mod post;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use telerelay_wire::ids::{DeviceId, NodeAddress, PathId, Role, Stage};
use telerelay_wire::outer::{
    Accept, Error, Frame, Hello, Incoming, Keepalive, Refuse, SessionEnd, Welcome,
};
use telerelay_wire::{Code, Entropy, FrameError, Moment, Reason, limits};

use crate::deadlines::{Deadlines, Due};
use crate::dial::{Comeback, Tour};
use crate::leg::{How, LegKey, VERSION};
use crate::networks::{Lesson, Network, Networks, PathChoice, does_switch};
use crate::refusal::Refusal;

use post::{Accepted, Post, Timer};

pub use command::{Command, Config, PathReport, Verdict};

/// The agent.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    /// The wall clock at a moment, for ERROR's server time.
    clock: (u64, Moment),
    counter: u64,
    next_leg: u64,
    post: Post,
    due: Due<Timer>,
    keepalive: Duration,
    /// Sessions live: a dial does not wait.
    live: bool,
    comeback: Comeback,
    /// ERROR's `retry`: no dial before it.
    not_before: Moment,
    accepted: BTreeMap<LegKey, Accepted>,
    paths: BTreeMap<PathId, Option<Direct>>,
    networks: Networks,
    /// Reports that wait for a ready connection.
    reports: VecDeque<SessionEnd>,
    deadlines: Deadlines<Timer>,
    commands: VecDeque<Command>,
}

/// A path that puts its outer TLS down here.
#[derive(Debug)]
struct Direct {
    client: DeviceId,
    network: Network,
}

impl Agent {
    /// An agent that has not dialled yet. `unix_s` is the wall clock at `now`.
    pub fn new(config: Config, unix_s: u64, now: Moment) -> Self {
        Self {
            config,
            clock: (unix_s, now),
            counter: 0,
            next_leg: 0,
            post: Post::Empty,
            due: None,
            keepalive: limits::KEEPALIVE,
            live: false,
            comeback: Comeback::new(),
            not_before: Moment::ZERO,
            accepted: BTreeMap::new(),
            paths: BTreeMap::new(),
            networks: Networks::default(),
            reports: VecDeque::new(),
            deadlines: Deadlines::new(),
            commands: VecDeque::new(),
        }
    }

    /// The next thing to do. Call it after every other call until it gives nothing.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Self::timeout`].
    pub fn next_timeout(&self) -> Option<Moment> {
        self.deadlines.next()
    }

    /// Dials at once, as a program does that was just started.
    pub fn start(&mut self, now: Moment, entropy: &mut dyn Entropy) {
        if matches!(self.post, Post::Empty) {
            self.dial(now, entropy);
        }
    }

    /// Leaves: no dial any more, nothing accepted. Paths go on; end them before, so that their reports still leave.
    pub fn stop(&mut self) {
        let post = self.leave_post();
        if let Post::Asked {
            leg, ref incoming, ..
        } = post
        {
            self.refuse(leg, incoming, Code::Absent.into());
        }
        if let Some(leg) = post.leg() {
            self.commands.push_back(Command::Close(leg, How::Flushed));
        }
        while let Some((leg, mut accepted)) = self.accepted.pop_first() {
            self.deadlines.disarm(&mut accepted.due);
            self.commands.push_back(Command::Close(leg, How::AtOnce));
        }
    }

    /// The node list in force, for the next dial. An empty one is ignored: it would leave nobody to dial.
    pub fn set_nodes(&mut self, nodes: Vec<NodeAddress>) {
        if !nodes.is_empty() {
            self.config.nodes = nodes;
        }
    }

    /// Whether sessions live. With one the agent does not wait with its next dial, unless a node told it to.
    pub fn set_live(&mut self, live: bool, now: Moment) {
        self.live = live;
        if live && matches!(self.post, Post::Waiting) {
            self.deadlines
                .arm(&mut self.due, now.max(self.not_before), Timer::Dial);
        }
    }

    /// The wall clock was looked at: `unix_s` at `now`.
    pub fn set_clock(&mut self, unix_s: u64, now: Moment) {
        self.clock = (unix_s, now);
    }

    /// A dial succeeded, from this address of the machine, outer TLS included.
    pub fn leg_up(&mut self, key: LegKey, local: IpAddr, now: Moment) {
        if !matches!(&self.post, Post::Dialling { leg, .. } if *leg == key) {
            return;
        }
        let Post::Dialling { leg, hop, tour } = self.leave_post() else {
            return;
        };
        self.counter += 1;
        let hello = Hello {
            version: VERSION,
            role: Role::Agent,
            features: self.config.features.clone(),
            instance: self.config.instance,
            counter: self.counter,
            program: self.config.program.clone(),
        };
        self.commands
            .push_back(Command::Send(leg, Frame::Hello(hello)));
        let network = Network::new(hop.node.clone(), local);
        self.take_post(
            Post::Hello {
                leg,
                hop,
                network,
                tour,
            },
            now + limits::HANDSHAKE,
            Timer::Welcome,
        );
    }

    /// A dial failed, or a leg ended that is no path's. `code` says why, `UNREACHABLE` where there is nothing to say.
    pub fn leg_gone(&mut self, key: LegKey, code: Code, now: Moment, entropy: &mut dyn Entropy) {
        if let Some(mut accepted) = self.accepted.remove(&key) {
            self.deadlines.disarm(&mut accepted.due);
        } else if self.post.leg() == Some(key) {
            self.post_lost(code, now, entropy);
        }
    }

    /// A frame came on a leg that is no path.
    pub fn frame(&mut self, key: LegKey, frame: Frame<'_>, now: Moment, entropy: &mut dyn Entropy) {
        if self.accepted.contains_key(&key) {
            self.accepted_frame(key, &frame, now);
        } else if self.post.leg() == Some(key) {
            self.post_frame(key, frame, now, entropy);
        }
    }

    /// Bytes came that are no frame.
    pub fn frame_error(
        &mut self,
        key: LegKey,
        error: FrameError,
        now: Moment,
        entropy: &mut dyn Entropy,
    ) {
        if self.accepted.contains_key(&key) {
            self.break_off_accepted(key, error.code(), now);
        } else if self.post.leg() == Some(key) {
            self.break_off(key, error.code(), now, entropy);
        }
    }

    /// The answer to [`Command::Verdict`]. A late one is ignored.
    pub fn verdict(
        &mut self,
        path: PathId,
        verdict: Verdict,
        now: Moment,
        entropy: &mut dyn Entropy,
    ) {
        if !matches!(&self.post, Post::Asked { incoming, .. } if incoming.path == path) {
            return;
        }
        let Post::Asked {
            leg,
            direct,
            incoming,
        } = self.leave_post()
        else {
            return;
        };
        match verdict {
            Verdict::Allow => {
                self.commands.push_back(Command::Send(
                    leg,
                    Frame::Accept(Accept { path, early: None }),
                ));
                let mut accepted = Accepted {
                    incoming,
                    direct,
                    due: None,
                };
                self.deadlines
                    .arm(&mut accepted.due, now + limits::PAIRED, Timer::Paired(leg));
                self.accepted.insert(leg, accepted);
                self.dial(now, entropy);
            }
            Verdict::Refuse(reason) => {
                self.refuse(leg, &incoming, reason);
                self.take_post(
                    Post::Ready { leg, direct },
                    now + self.keepalive,
                    Timer::Keepalive,
                );
                self.send_reports(leg);
            }
        }
    }

    /// The first raw record of a direct path did not verify in time; its end is told apart. Paths that begin from here on stay
    /// wrapped for a while.
    pub fn unproven(&mut self, path: PathId, now: Moment) {
        if let Some(Some(direct)) = self.paths.get(&path) {
            self.networks.learn(&direct.network, Lesson::Failed, now);
        }
    }

    /// A path has ended and its leg is closed. Exactly once for each [`Command::StartPath`].
    pub fn path_ended(&mut self, path: PathId, report: PathReport, now: Moment) {
        let Some(direct) = self.paths.remove(&path) else {
            return;
        };
        // Nothing was carried before a raw record verified.
        if let Some(direct) = direct.filter(|_| report.stage == Stage::Session) {
            self.networks.learn(&direct.network, Lesson::Proved, now);
        }
        let PathReport {
            code,
            stage,
            session,
            notices,
        } = report;
        // The node waits five seconds for a report: the oldest one is the one that nobody waits for any more.
        if self.reports.len() >= limits::SESSION_END_BACKLOG {
            self.reports.pop_front();
        }
        self.reports.push_back(SessionEnd {
            path,
            code,
            stage,
            session,
            notices,
        });
        if let Post::Ready { leg, .. } = self.post {
            self.send_reports(leg);
        }
    }

    /// Time has come to `now`.
    pub fn timeout(&mut self, now: Moment, entropy: &mut dyn Entropy) {
        while let Some(timer) = self.deadlines.expired(now) {
            match (timer, self.post.leg()) {
                (Timer::Dial, _) => self.dial(now, entropy),
                (Timer::Keepalive, Some(leg)) => {
                    let ask = Keepalive {
                        ask: true,
                        return_window: None,
                    };
                    self.commands
                        .push_back(Command::Send(leg, Frame::Keepalive(ask)));
                    self.deadlines.arm(
                        &mut self.due,
                        now + limits::KEEPALIVE_ANSWER,
                        Timer::KeepaliveAnswer,
                    );
                }
                (Timer::Address | Timer::Welcome | Timer::KeepaliveAnswer, Some(leg)) => {
                    self.commands.push_back(Command::Close(leg, How::AtOnce));
                    self.post_lost(Code::Unreachable, now, entropy);
                }
                (Timer::Verdict, _) => {
                    if let Post::Asked { ref incoming, .. } = self.post {
                        self.verdict(
                            incoming.path,
                            Verdict::Refuse(Code::TryLater.into()),
                            now,
                            entropy,
                        );
                    }
                }
                (Timer::Paired(leg), _) => {
                    self.accepted.remove(&leg);
                    self.commands.push_back(Command::Close(leg, How::AtOnce));
                }
                (
                    Timer::Address | Timer::Welcome | Timer::Keepalive | Timer::KeepaliveAnswer,
                    None,
                ) => {}
            }
        }
    }

    fn post_frame(
        &mut self,
        key: LegKey,
        frame: Frame<'_>,
        now: Moment,
        entropy: &mut dyn Entropy,
    ) {
        match (&self.post, frame) {
            (Post::Hello { .. }, Frame::Welcome(welcome)) => self.welcomed(welcome, now, entropy),
            (_, Frame::Error(error)) => self.sent_away(key, error, now, entropy),
            (Post::Ready { .. }, Frame::Incoming(incoming)) if self.is_in_use(incoming.path) => {
                self.break_off(key, Code::PathUnknown, now, entropy);
            }
            (Post::Ready { direct, .. }, Frame::Incoming(incoming)) => {
                let (direct, incoming) = (direct.clone(), Box::new(incoming));
                self.commands.push_back(Command::Verdict(incoming.clone()));
                self.take_post(
                    Post::Asked {
                        leg: key,
                        direct,
                        incoming,
                    },
                    now + limits::VERDICT,
                    Timer::Verdict,
                );
            }
            (Post::Ready { .. } | Post::Asked { .. }, frame) => {
                self.ready_frame(key, frame, now, entropy);
            }
            _ => self.break_off(key, Code::BadFrame, now, entropy),
        }
    }

    /// A path ID serves one pairing (PROTOCOL.md §5.2): two sessions under one could not be told apart, by CUT and by `SESSION_END`.
    fn is_in_use(&self, path: PathId) -> bool {
        self.paths.contains_key(&path)
            || self
                .accepted
                .values()
                .any(|accepted| accepted.incoming.path == path)
    }

    /// What a node tells on the ready connection without asking for anything.
    fn ready_frame(
        &mut self,
        key: LegKey,
        frame: Frame<'_>,
        now: Moment,
        entropy: &mut dyn Entropy,
    ) {
        match frame {
            Frame::Keepalive(keepalive) => {
                if let Some(window) = keepalive.return_window {
                    self.comeback.told(window);
                }
                if keepalive.ask {
                    let answer = Keepalive {
                        ask: false,
                        return_window: None,
                    };
                    self.commands
                        .push_back(Command::Send(key, Frame::Keepalive(answer)));
                }
            }
            Frame::News(news) => self.commands.push_back(Command::News(Box::new(news))),
            Frame::Goaway(goaway) => self.commands.push_back(Command::Goaway(goaway)),
            Frame::Cut(cut) => self.commands.push_back(Command::Cut(cut)),
            Frame::Redirect(_) => return self.break_off(key, Code::Unsupported, now, entropy),
            _ => return self.break_off(key, Code::BadFrame, now, entropy),
        }
        // Any frame answers KEEPALIVE(ask).
        if let Some((_, Timer::KeepaliveAnswer)) = self.due {
            self.deadlines
                .arm(&mut self.due, now + self.keepalive, Timer::Keepalive);
        }
    }

    /// A client that asks while a direct path of its own has not ended here knows before us that it is lost (§6, rule 3).
    fn is_asked_again_by(&self, client: DeviceId) -> bool {
        let mut direct = self.paths.values().flatten();
        direct.any(|direct| direct.client == client)
    }

    fn accepted_frame(&mut self, key: LegKey, frame: &Frame<'_>, now: Moment) {
        match frame {
            Frame::Paired(paired) => {
                let Some(mut accepted) = self.accepted.remove(&key) else {
                    return;
                };
                self.deadlines.disarm(&mut accepted.due);
                if paired.path == accepted.incoming.path {
                    let client = accepted.incoming.client;
                    let direct = accepted
                        .direct
                        .filter(|network| !self.networks.is_wrapped(network, now))
                        .filter(|_| !self.is_asked_again_by(client))
                        .map(|network| Direct { client, network });
                    self.commands.push_back(Command::StartPath {
                        leg: key,
                        incoming: accepted.incoming,
                        direct: direct.is_some(),
                    });
                    self.paths.insert(paired.path, direct);
                } else {
                    self.last_error(key, Code::PathUnknown, now);
                }
            }
            // The answer to a KEEPALIVE(ask) that INCOMING crossed.
            Frame::Keepalive(Keepalive { ask: false, .. }) => {}
            Frame::Error(_) => {
                self.commands.push_back(Command::Close(key, How::AtOnce));
                if let Some(mut accepted) = self.accepted.remove(&key) {
                    self.deadlines.disarm(&mut accepted.due);
                }
            }
            _ => self.break_off_accepted(key, Code::BadFrame, now),
        }
    }

    fn welcomed(&mut self, welcome: Welcome, now: Moment, entropy: &mut dyn Entropy) {
        let Post::Hello {
            leg, hop, network, ..
        } = self.leave_post()
        else {
            return;
        };
        if welcome.version != VERSION {
            self.last_error(leg, Code::Version, now);
            self.comeback.failed();
            return self.wait(Code::Version.into(), Duration::ZERO, now, entropy);
        }
        self.comeback.succeeded();
        self.comeback.told(welcome.return_window);
        // Not longer than what firewalls remember, not so short that it is a load.
        let told = Duration::from_secs(welcome.keepalive.into());
        self.keepalive = told.clamp(Duration::from_secs(1), limits::KEEPALIVE);
        let may_switch = self.config.path == PathChoice::Auto && does_switch(&welcome.features);
        let direct = may_switch.then_some(network);
        self.take_post(
            Post::Ready { leg, direct },
            now + self.keepalive,
            Timer::Keepalive,
        );
        self.commands.push_back(Command::Online {
            hop,
            welcome: Box::new(welcome),
        });
        self.send_reports(leg);
    }

    /// ERROR on the post: its code, and when to come back, if at all.
    fn sent_away(&mut self, key: LegKey, error: Error, now: Moment, entropy: &mut dyn Entropy) {
        self.commands.push_back(Command::Close(key, How::AtOnce));
        if matches!(self.leave_post(), Post::Hello { .. }) {
            self.comeback.failed();
        }
        match error.retry {
            Some(retry) => self.wait(error.code, Duration::from_secs(retry.into()), now, entropy),
            None => self.commands.push_back(Command::Offline {
                reason: error.code,
                wait: None,
            }),
        }
    }

    /// The node broke the rules on the post.
    fn break_off(&mut self, key: LegKey, code: Code, now: Moment, entropy: &mut dyn Entropy) {
        self.last_error(key, code, now);
        if matches!(self.leave_post(), Post::Hello { .. }) {
            self.comeback.failed();
        }
        self.wait(code.into(), Duration::ZERO, now, entropy);
    }

    fn break_off_accepted(&mut self, key: LegKey, code: Code, now: Moment) {
        self.last_error(key, code, now);
        if let Some(mut accepted) = self.accepted.remove(&key) {
            self.deadlines.disarm(&mut accepted.due);
        }
    }

    /// The post's leg is gone: the next address where it was not admitted yet, else a new round after a wait.
    fn post_lost(&mut self, code: Code, now: Moment, entropy: &mut dyn Entropy) {
        match self.leave_post() {
            Post::Dialling { mut tour, .. } | Post::Hello { mut tour, .. } => {
                tour.failed(code);
                self.try_next(tour, now, entropy);
            }
            Post::Ready { .. } | Post::Asked { .. } => {
                self.wait(code.into(), Duration::ZERO, now, entropy);
            }
            Post::Empty | Post::Waiting => {}
        }
    }

    fn dial(&mut self, now: Moment, entropy: &mut dyn Entropy) {
        let tour = Tour::new(&self.config.nodes, entropy);
        self.try_next(tour, now, entropy);
    }

    fn try_next(&mut self, mut tour: Tour, now: Moment, entropy: &mut dyn Entropy) {
        if let Some(hop) = tour.next() {
            let leg = LegKey(self.next_leg);
            self.next_leg += 1;
            self.commands.push_back(Command::Dial(leg, hop.clone()));
            self.take_post(
                Post::Dialling { leg, hop, tour },
                now + limits::DIAL_ADDRESS,
                Timer::Address,
            );
        } else {
            self.comeback.failed();
            self.wait(tour.failure.into(), tour.at_least(), now, entropy);
        }
    }

    /// The next dial, not before `at_least` has passed.
    fn wait(&mut self, reason: Reason, at_least: Duration, now: Moment, entropy: &mut dyn Entropy) {
        // Added, not the greater of the two: everybody was told the same number.
        let wait = at_least + self.comeback.wait(self.live, entropy);
        self.not_before = now + at_least;
        self.commands.push_back(Command::Offline {
            reason,
            wait: Some(wait),
        });
        self.take_post(Post::Waiting, now + wait, Timer::Dial);
    }

    fn refuse(&mut self, leg: LegKey, incoming: &Incoming, code: Reason) {
        let refuse = Refuse {
            path: incoming.path,
            attempt: incoming.attempt,
            code,
        };
        self.commands
            .push_back(Command::Send(leg, Frame::Refuse(refuse)));
    }

    fn send_reports(&mut self, leg: LegKey) {
        self.commands.extend(
            self.reports
                .drain(..)
                .map(|report| Command::Send(leg, Frame::SessionEnd(report))),
        );
    }

    fn last_error(&mut self, leg: LegKey, code: Code, now: Moment) {
        let (unix_s, at) = self.clock;
        let error =
            Refusal::from(code).into_frame(None, unix_s.saturating_add(now.since(at).as_secs()));
        self.commands
            .push_back(Command::Send(leg, Frame::Error(error)));
        self.commands.push_back(Command::Close(leg, How::Flushed));
    }

    fn take_post(&mut self, post: Post, until: Moment, timer: Timer) {
        self.post = post;
        self.deadlines.arm(&mut self.due, until, timer);
    }

    /// Nobody is at the post, and nothing is waited for there.
    fn leave_post(&mut self) -> Post {
        self.deadlines.disarm(&mut self.due);
        core::mem::replace(&mut self.post, Post::Empty)
    }
}
