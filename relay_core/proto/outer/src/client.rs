//! The client towards its nodes: one request, from the first dial to one end (PROTOCOL.md §5.5).
//!
//! A request is one attempt, and one more for each path that was lost and is asked for again. Whatever happens, it has
//! exactly one [`Command::Ended`], and nothing follows it.
mod state;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use telerelay_wire::ids::{
    AttemptId, ComputerId, Instance, NodeAddress, PathId, Program, Resume, Role, Service, Stage,
};
use telerelay_wire::outer::{Connect, Error, Features, Frame, Hello};
use telerelay_wire::{Code, Entropy, FrameError, Moment, Reason, limits};

use crate::deadlines::{Deadlines, Due};
use crate::dial::{Hop, Tour};
use crate::leg::{How, LegKey, VERSION};
use crate::networks::{Lesson, Network, Networks, PathChoice, does_switch};
use crate::refusal::Refusal;
use state::State;

/// What a client says of itself, whom it may dial, and what it asks for.
#[derive(Clone, Debug)]
pub struct Config {
    /// The nodes that it knows.
    pub nodes: Vec<NodeAddress>,
    /// Its process: the same for all requests of one program run.
    pub instance: Instance,
    /// What it can do beyond version 1.
    pub features: Features,
    /// Its program and version.
    pub program: Program,
    /// The computer.
    pub computer: ComputerId,
    /// What for.
    pub service: Service,
    /// Whether its legs may put their outer TLS down.
    pub path: PathChoice,
    /// What earlier requests learnt of the networks.
    pub networks: Networks,
}

/// What the driver is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Dial this address, outer TLS included; answered by [`Client::leg_up`] or [`Client::leg_gone`].
    Dial(LegKey, Hop),
    /// Send a frame on a leg.
    Send(LegKey, Frame<'static>),
    /// Close a leg, or stop dialling it.
    Close(LegKey, How),
    /// The leg is a path: start inner TLS as client, then OPEN, or RESUME where `resume` is there. Ends with
    /// [`Client::path_ended`].
    StartPath {
        /// The leg.
        leg: LegKey,
        /// The path, for OPEN and RESUME.
        path: PathId,
        /// The attempt, for OPEN and RESUME.
        attempt: AttemptId,
        /// The session to go on with.
        resume: Option<Resume>,
        /// Put outer TLS down behind the last flight of the inner handshake.
        direct: bool,
    },
    /// Told out: the attempt got to this stage.
    Reached {
        /// Which attempt.
        attempt: AttemptId,
        /// How far.
        stage: Stage,
        /// Since the attempt began.
        elapsed: Duration,
    },
    /// Told out: the path was lost and is asked for again, as an attempt of its own.
    Again(AttemptId),
    /// Told out: what the direct leg showed, for later requests.
    Learnt(Network, Lesson),
    /// Told out: the request's one end.
    Ended(Ended),
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The last attempt.
    pub attempt: AttemptId,
    /// The code to show and to exit with.
    pub code: Reason,
    /// How far the last attempt had come.
    pub stage: Stage,
    /// Seconds until another try makes sense; `None`: do not, 0: now.
    pub retry: Option<u32>,
    /// How many are before it, where it was one too many.
    pub place: Option<u32>,
    /// The node's clock, Unix seconds, where it said so: to find a wrong one of one's own.
    pub server_time: Option<u64>,
    /// Since the last attempt began.
    pub elapsed: Duration,
}

/// How a path ended, as the driver saw it above inner TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathEnd {
    /// By CLOSE, from either side, or by a refusal: the session is over.
    Closed {
        /// How.
        code: Reason,
        /// How far it had come.
        stage: Stage,
    },
    /// Broken or silent.
    Lost {
        /// How far it had come.
        stage: Stage,
        /// The session with the generation of the next path, where one was open.
        resume: Option<Resume>,
    },
    /// Lost behind the inner handshake, before a session was open: a direct leg, this end's or the other one, was perhaps not let
    /// through. Where the node does SWITCH the path is asked for once more, wrapped.
    Unproven {
        /// How far it had come.
        stage: Stage,
        /// This end's leg was direct, and no raw record had verified.
        is_own: bool,
        /// What it means where it is not asked for again.
        code: Code,
    },
}

/// Every timer of a client; there is one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// This address does not answer, or the time for CONNECT(resume) is over.
    Address,
    /// CONNECT was not answered.
    Answer,
}

/// One request of a client.
#[derive(Debug)]
pub struct Client {
    config: Config,
    /// The wall clock at a moment, for ERROR's server time.
    clock: (u64, Moment),
    attempt: AttemptId,
    began: Moment,
    resume: Option<Resume>,
    /// A path was asked for again since a direct leg was perhaps not let through: this request goes on without.
    wrapped: bool,
    /// Where the agent's ready connection waits.
    standby: Option<NodeAddress>,
    /// With `resume`: when CONNECT must be on its way.
    connect_by: Moment,
    counter: u64,
    redirects: u32,
    next_leg: u64,
    state: State,
    due: Due<Timer>,
    deadlines: Deadlines<Timer>,
    commands: VecDeque<Command>,
}

impl Client {
    /// A request that dials at once. `unix_s` is the wall clock at `now`.
    pub fn new(config: Config, unix_s: u64, now: Moment, entropy: &mut dyn Entropy) -> Self {
        Self::begin(config, None, None, unix_s, now, entropy)
    }

    /// A request for one more path of a session that lives, beside the one it has: that one is silent (PROTOCOL.md §8.3), or
    /// the agent said MIGRATE (§8.4). `standby`: the node that is dialled first.
    pub fn resuming(
        config: Config,
        resume: Resume,
        standby: Option<NodeAddress>,
        unix_s: u64,
        now: Moment,
        entropy: &mut dyn Entropy,
    ) -> Self {
        Self::begin(config, Some(resume), standby, unix_s, now, entropy)
    }

    fn begin(
        config: Config,
        resume: Option<Resume>,
        standby: Option<NodeAddress>,
        unix_s: u64,
        now: Moment,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let attempt = AttemptId::random(entropy);
        let mut client = Self {
            config,
            clock: (unix_s, now),
            attempt,
            began: now,
            resume,
            wrapped: false,
            standby,
            connect_by: Moment::NEVER,
            counter: 0,
            redirects: 0,
            next_leg: 0,
            state: State::Ended,
            due: None,
            deadlines: Deadlines::new(),
            commands: VecDeque::new(),
        };
        let tour = client.tour(entropy);
        client.try_next(tour, now);
        client
    }

    /// STANDBY came: the agent's ready connection waits at this node, so the next lost path is asked for there first.
    pub fn set_standby(&mut self, node: NodeAddress) {
        self.standby = Some(node);
    }

    /// The attempt that runs, or ran last.
    pub fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The next thing to do. Call it after every other call until it gives nothing.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Self::timeout`].
    pub fn next_timeout(&self) -> Option<Moment> {
        self.deadlines.next()
    }

    /// A dial succeeded, from this address of the machine, outer TLS included: HELLO and CONNECT leave in one flight.
    pub fn leg_up(&mut self, key: LegKey, local: IpAddr, now: Moment) {
        if !matches!(&self.state, State::Dialling { leg, .. } if *leg == key) {
            return;
        }
        let State::Dialling { leg, hop, tour } = self.leave() else {
            return;
        };
        self.tell_reached(Stage::Dial, now);
        self.counter += 1;
        let hello = Hello {
            version: VERSION,
            role: Role::Client,
            features: self.config.features.clone(),
            instance: self.config.instance,
            counter: self.counter,
            program: self.config.program.clone(),
        };
        let connect = Connect {
            computer: self.config.computer,
            service: self.config.service,
            attempt: self.attempt,
            resume: self.resume,
            early: None,
        };
        self.commands
            .push_back(Command::Send(leg, Frame::Hello(hello)));
        self.commands
            .push_back(Command::Send(leg, Frame::Connect(connect)));
        self.state = State::Hello {
            leg,
            network: Network::new(hop.node, local),
            tour,
        };
        self.deadlines
            .arm(&mut self.due, now + limits::CONNECT, Timer::Answer);
    }

    /// A dial failed, or a leg ended that is no path's. `code` says why, `UNREACHABLE` where there is nothing to say.
    pub fn leg_gone(&mut self, key: LegKey, code: Code, now: Moment) {
        if self.state.leg() == Some(key) {
            self.leg_lost(code, now);
        }
    }

    /// A frame came on a leg that is no path.
    pub fn frame(&mut self, key: LegKey, frame: Frame<'_>, now: Moment) {
        if self.state.leg() != Some(key) {
            return;
        }
        match (&self.state, frame) {
            (State::Hello { network, .. }, Frame::Welcome(welcome))
                if welcome.version == VERSION =>
            {
                let network = network.clone();
                self.tell_reached(Stage::Hello, now);
                // The wait for CONNECT's answer runs on.
                self.state = State::Asked {
                    leg: key,
                    network,
                    does_switch: does_switch(&welcome.features),
                };
            }
            (State::Hello { .. }, Frame::Welcome(_)) => self.break_off(key, Code::Version, now),
            (State::Hello { .. } | State::Asked { .. }, Frame::Error(error)) => {
                self.refused(key, error, now);
            }
            (State::Asked { .. }, Frame::Redirect(redirect)) => {
                self.redirected(key, &redirect.node, now);
            }
            (State::Asked { .. }, Frame::Paired(paired)) => self.paired(key, paired.path, now),
            _ => self.break_off(key, Code::BadFrame, now),
        }
    }

    /// Bytes came that are no frame.
    pub fn frame_error(&mut self, key: LegKey, error: FrameError, now: Moment) {
        if self.state.leg() == Some(key) {
            self.break_off(key, error.code(), now);
        }
    }

    /// The path got this far: `inner` when the handshake is done, then `auth`, `open`, `session`. At `session` a direct leg has
    /// proved itself.
    pub fn reached(&mut self, stage: Stage, now: Moment) {
        if let State::Path {
            stage: present,
            network,
            direct,
            ..
        } = &mut self.state
        {
            *present = stage;
            if stage == Stage::Session && *direct {
                self.commands
                    .push_back(Command::Learnt(network.clone(), Lesson::Proved));
            }
            self.tell_reached(stage, now);
        }
    }

    /// The path has ended and its leg is closed. Exactly once for each [`Command::StartPath`].
    pub fn path_ended(&mut self, end: PathEnd, now: Moment, entropy: &mut dyn Entropy) {
        let State::Path {
            network,
            does_switch,
            ..
        } = &self.state
        else {
            return;
        };
        match end {
            PathEnd::Closed { code, stage } => self.end(code.into(), stage, None, now),
            PathEnd::Lost {
                stage,
                resume: None,
            } => self.end(Code::PathLost.into(), stage, None, now),
            PathEnd::Lost { resume, .. } => self.ask_again(resume, now, entropy),
            PathEnd::Unproven {
                stage,
                is_own,
                code,
            } => {
                if is_own {
                    self.commands
                        .push_back(Command::Learnt(network.clone(), Lesson::Failed));
                }
                if *does_switch && !core::mem::replace(&mut self.wrapped, true) {
                    self.ask_again(None, now, entropy);
                } else {
                    self.end(code.into(), stage, None, now);
                }
            }
        }
    }

    /// The person gives up before there is a path; a path is ended from above.
    pub fn cancel(&mut self, now: Moment) {
        if let Some(leg) = self.state.leg() {
            self.commands.push_back(Command::Close(leg, How::AtOnce));
            self.end(
                Refusal {
                    code: Code::Interrupted.into(),
                    retry: None,
                    place: None,
                },
                self.state.stage(),
                None,
                now,
            );
        }
    }

    /// The wall clock was looked at: `unix_s` at `now`.
    pub fn set_clock(&mut self, unix_s: u64, now: Moment) {
        self.clock = (unix_s, now);
    }

    /// Time has come to `now`.
    pub fn timeout(&mut self, now: Moment) {
        while let Some(timer) = self.deadlines.expired(now) {
            let Some(leg) = self.state.leg() else {
                continue;
            };
            self.commands.push_back(Command::Close(leg, How::AtOnce));
            match timer {
                Timer::Address => self.leg_lost(Code::Unreachable, now),
                Timer::Answer => self.end(Code::Unreachable.into(), self.state.stage(), None, now),
            }
        }
    }

    fn paired(&mut self, leg: LegKey, path: PathId, now: Moment) {
        let State::Asked {
            network,
            does_switch,
            ..
        } = self.leave()
        else {
            return;
        };
        let direct = does_switch
            && self.config.path == PathChoice::Auto
            && !self.wrapped
            && !self.config.networks.is_wrapped(&network, now);
        self.tell_reached(Stage::Accept, now);
        self.commands.push_back(Command::StartPath {
            leg,
            path,
            attempt: self.attempt,
            resume: self.resume,
            direct,
        });
        self.state = State::Path {
            stage: Stage::Inner,
            network,
            does_switch,
            direct,
        };
    }

    /// One more path, by an attempt of its own. A session that lives without one does not for long.
    fn ask_again(&mut self, resume: Option<Resume>, now: Moment, entropy: &mut dyn Entropy) {
        self.attempt = AttemptId::random(entropy);
        self.began = now;
        self.resume = resume;
        self.connect_by = match resume {
            Some(_) => now + limits::RESUME_DIAL,
            None => Moment::NEVER,
        };
        self.redirects = 0;
        self.commands.push_back(Command::Again(self.attempt));
        let tour = self.tour(entropy);
        self.try_next(tour, now);
    }

    /// The next address where no node has admitted the client yet; behind that the attempt may have become known, and
    /// is not made twice.
    fn leg_lost(&mut self, code: Code, now: Moment) {
        match self.leave() {
            State::Dialling { mut tour, .. } | State::Hello { mut tour, .. } => {
                tour.failed(code);
                self.try_next(tour, now);
            }
            State::Asked { .. } => self.end(code.into(), Stage::Route, None, now),
            State::Path { .. } | State::Ended => {}
        }
    }

    fn tour(&self, entropy: &mut dyn Entropy) -> Tour {
        let tour = Tour::new(&self.config.nodes, entropy);
        match &self.standby {
            Some(standby) => tour.beginning_with(standby),
            None => tour,
        }
    }

    fn try_next(&mut self, mut tour: Tour, now: Moment) {
        match tour.next() {
            Some(hop) if now < self.connect_by => {
                let leg = LegKey(self.next_leg);
                self.next_leg += 1;
                self.commands.push_back(Command::Dial(leg, hop.clone()));
                self.state = State::Dialling { leg, hop, tour };
                let until = (now + limits::DIAL_ADDRESS).min(self.connect_by);
                self.deadlines.arm(&mut self.due, until, Timer::Address);
            }
            _ => self.end(tour.refusal(), Stage::Dial, None, now),
        }
    }

    fn redirected(&mut self, key: LegKey, node: &NodeAddress, now: Moment) {
        self.commands.push_back(Command::Close(key, How::AtOnce));
        self.leave();
        self.redirects += 1;
        if self.redirects > limits::REDIRECTS {
            self.end(Code::Unreachable.into(), Stage::Route, None, now);
        } else {
            // The node has answered in time; the next one's answer has its own.
            self.connect_by = Moment::NEVER;
            self.try_next(Tour::of(node), now);
        }
    }

    fn refused(&mut self, key: LegKey, error: Error, now: Moment) {
        self.commands.push_back(Command::Close(key, How::AtOnce));
        let Error {
            code,
            retry,
            server_time,
            place,
            ..
        } = error;
        self.end(
            Refusal { code, retry, place },
            self.state.stage(),
            Some(server_time),
            now,
        );
    }

    /// The node broke the rules.
    fn break_off(&mut self, key: LegKey, code: Code, now: Moment) {
        let (unix_s, at) = self.clock;
        let server_time = unix_s.saturating_add(now.since(at).as_secs());
        let error = Refusal::from(code).into_frame(Some(self.attempt), server_time);
        self.commands
            .push_back(Command::Send(key, Frame::Error(error)));
        self.commands.push_back(Command::Close(key, How::Flushed));
        self.end(code.into(), self.state.stage(), None, now);
    }

    fn end(&mut self, refusal: Refusal, stage: Stage, server_time: Option<u64>, now: Moment) {
        self.leave();
        let Refusal { code, retry, place } = refusal;
        let elapsed = now.since(self.began);
        self.commands.push_back(Command::Ended(Ended {
            attempt: self.attempt,
            code,
            stage,
            retry,
            place,
            server_time,
            elapsed,
        }));
    }

    fn tell_reached(&mut self, stage: Stage, now: Moment) {
        let elapsed = now.since(self.began);
        self.commands.push_back(Command::Reached {
            attempt: self.attempt,
            stage,
            elapsed,
        });
    }

    /// Takes the state out; nothing is waited for.
    fn leave(&mut self) -> State {
        self.deadlines.disarm(&mut self.due);
        core::mem::replace(&mut self.state, State::Ended)
    }
}
