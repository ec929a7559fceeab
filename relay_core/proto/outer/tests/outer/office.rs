//! An agent with a virtual clock, and what a node says to it.
use core::time::Duration;

use telerelay_outer::agent::{Agent, Command, Config, PathReport, Verdict};
use telerelay_outer::{LegKey, PathChoice};
use telerelay_wire::ids::{AttemptId, DeviceId, Instance, NodeAddress, PathId, Service, Stage};
use telerelay_wire::outer::{Error, Frame, Incoming, Paired, Welcome};
use telerelay_wire::{Code, Moment};

use crate::bench::{EPOCH, Seeded, local, node, program};
use crate::show;

/// An agent with a virtual clock; the test plays the node.
pub(crate) struct Office {
    pub(crate) agent: Agent,
    pub(crate) now: Moment,
    pub(crate) entropy: Seeded,
    pub(crate) commands: Vec<Command>,
}

impl Office {
    pub(crate) fn new() -> Self {
        Self::with(vec![node("n1", &["n1:1", "n1:2"])])
    }

    pub(crate) fn with(nodes: Vec<NodeAddress>) -> Self {
        Self::set_to(nodes, PathChoice::Auto)
    }

    pub(crate) fn set_to(nodes: Vec<NodeAddress>, path: PathChoice) -> Self {
        let features = Vec::new().try_into().expect("fits");
        let config = Config {
            nodes,
            instance: Instance([1; 16]),
            features,
            program: program(),
            path,
        };
        let agent = Agent::new(config, EPOCH, Moment::ZERO);
        Self {
            agent,
            now: Moment::ZERO,
            entropy: Seeded(1),
            commands: Vec::new(),
        }
    }

    pub(crate) fn out(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(command) = self.agent.poll_command() {
            lines.push(show::of_agent(&command));
            self.commands.push(command);
        }
        lines
    }

    pub(crate) fn wait(&mut self, duration: Duration) -> Vec<String> {
        let until = self.now + duration;
        let mut lines = Vec::new();
        while let Some(at) = self.agent.next_timeout().filter(|&at| at <= until) {
            self.now = at;
            self.agent.timeout(at, &mut self.entropy);
            lines.extend(
                self.out()
                    .into_iter()
                    .map(|line| format!("{} {line}", at.micros() / 1_000)),
            );
        }
        self.now = until;
        lines
    }

    pub(crate) fn start(&mut self) -> Vec<String> {
        self.agent.start(self.now, &mut self.entropy);
        self.out()
    }

    pub(crate) fn up(&mut self, leg: u64) -> Vec<String> {
        self.agent.leg_up(LegKey(leg), local(), self.now);
        self.out()
    }

    pub(crate) fn gone(&mut self, leg: u64) -> Vec<String> {
        self.gone_with(leg, Code::Unreachable)
    }

    pub(crate) fn gone_with(&mut self, leg: u64, code: Code) -> Vec<String> {
        self.agent
            .leg_gone(LegKey(leg), code, self.now, &mut self.entropy);
        self.out()
    }

    pub(crate) fn frame(&mut self, leg: u64, frame: Frame<'_>) -> Vec<String> {
        self.agent
            .frame(LegKey(leg), frame, self.now, &mut self.entropy);
        self.out()
    }

    pub(crate) fn verdict(&mut self, path: u8, verdict: Verdict) -> Vec<String> {
        self.agent
            .verdict(PathId([path; 16]), verdict, self.now, &mut self.entropy);
        self.out()
    }

    /// How long the machine waits until its next dial.
    pub(crate) fn next_dial(&self) -> Duration {
        self.agent.next_timeout().expect("a dial is due") - self.now
    }

    /// Ready on leg 0.
    pub(crate) fn ready() -> Self {
        let mut office = Self::new();
        office.start();
        office.up(0);
        office.frame(0, welcome(45, 20));
        office
    }

    /// Path 1 on leg 0, the next ready connection on leg 1.
    pub(crate) fn on_path() -> Self {
        let mut office = Self::ready();
        office.frame(0, incoming(1));
        office.verdict(1, Verdict::Allow);
        office.frame(0, paired(1));
        office.up(1);
        office.frame(1, welcome(45, 20));
        office
    }

    pub(crate) fn end_path(&mut self, path: u8, code: Code) -> Vec<String> {
        self.end_path_at(path, code, Stage::Session)
    }

    pub(crate) fn end_path_at(&mut self, path: u8, code: Code, stage: Stage) -> Vec<String> {
        let report = PathReport {
            code: code.into(),
            stage,
            session: None,
            notices: Vec::new().try_into().expect("fits"),
        };
        self.agent.path_ended(PathId([path; 16]), report, self.now);
        self.out()
    }
}

pub(crate) fn welcome(keepalive: u16, return_window: u16) -> Frame<'static> {
    Frame::Welcome(Welcome {
        version: 1,
        features: Vec::new().try_into().expect("fits"),
        node: "n1".parse().expect("a name"),
        keepalive,
        nodes_version: 3,
        return_window,
        banner: None,
    })
}

pub(crate) fn incoming(path: u8) -> Frame<'static> {
    Frame::Incoming(Incoming {
        path: PathId([path; 16]),
        attempt: AttemptId([path; 5]),
        client: DeviceId([9; 32]),
        service: Service::Rfb,
        address: "192.0.2.1:50000".try_into().expect("fits"),
        program: program(),
        resume: None,
        early: None,
    })
}

pub(crate) fn paired(path: u8) -> Frame<'static> {
    Frame::Paired(Paired {
        path: PathId([path; 16]),
    })
}

pub(crate) fn error(code: Code, retry: Option<u32>) -> Frame<'static> {
    Frame::Error(Error {
        code: code.into(),
        retry,
        server_time: EPOCH,
        attempt: None,
        supported: None,
        place: None,
    })
}
