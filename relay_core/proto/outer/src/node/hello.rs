//! HELLO at a node: who is admitted, and which of two legs of one device is its ready connection (PROTOCOL.md §5.1, §5.8).
use telerelay_wire::bounded::List;
use telerelay_wire::ids::Role;
use telerelay_wire::outer::{Error, Frame, Hello, Keepalive, Welcome};
use telerelay_wire::{Code, Moment, limits};

use super::admission::{Holder, refuses_hello};
use super::command::{AgentReady, Command};
use super::table::{DeviceKey, Process, State, Timer};
use super::usage::Rule;
use super::{Node, Refusal};
use crate::leg::{How, LegKey, VERSION};
use crate::refusal::seconds;

impl Node {
    pub(super) fn hello(&mut self, key: LegKey, hello: Hello, now: Moment) {
        let Some(leg) = self.legs.get(&key) else {
            return;
        };
        let refused = refuses_hello(hello.version, hello.role, &leg.identity, leg.side)
            .or_else(|| self.snapshot.refuses(leg.device()))
            .or_else(|| self.takes_nobody_new(leg.device(), hello.role))
            .or_else(|| {
                let has_all = self.has_all_legs(leg.device());
                has_all.then_some(Code::Throttled)
            });
        if let Some(code) = refused {
            // Nothing else says this of a HELLO.
            if code == Code::Throttled {
                self.usage.one_too_many(Rule::LegsPerDevice);
            }
            return self.refuse_hello(key, code, now);
        }
        let Some(leg) = self.legs.get_mut(&key) else {
            return;
        };
        leg.program = Some(hello.program);
        match hello.role {
            Role::Agent => {
                let process = Process {
                    instance: hello.instance,
                    counter: hello.counter,
                };
                self.agent_hello(key, process, now);
            }
            Role::Client | Role::Bridge => {
                leg.state = State::Client {
                    hello: now.since(leg.since),
                };
                leg.since = now;
                self.deadlines.arm(
                    &mut leg.due,
                    now + limits::FIRST_FRAME,
                    Timer::FirstFrame(key),
                );
                self.welcome(key);
            }
        }
    }

    fn refuse_hello(&mut self, key: LegKey, code: Code, now: Moment) {
        let frame = Refusal::from(code).into_frame(None, self.server_time(now));
        let supported = if code == Code::Version {
            List::try_from(vec![VERSION]).ok()
        } else {
            None
        };
        self.last_frame(key, Frame::Error(Error { supported, ..frame }));
        self.lose(key, now);
    }

    /// The instance rule: decides whether this leg becomes the ready connection, waits for the older one's answer, or
    /// leaves (PROTOCOL.md §5.8).
    fn agent_hello(&mut self, key: LegKey, process: Process, now: Moment) {
        let Some(device) = self.device_arrived(key) else {
            return;
        };
        let presence = self.devices.entry(device).or_default();
        let challenger = presence.challenger;
        let Some(old) = presence.ready else {
            return self.becomes_ready(key, device, process, now);
        };
        if self.is_same_instance(old, process) {
            if !self.is_newer(process, old) {
                return self.supersede(key, device, now);
            }
            self.take_ready(device);
            // The instance that held the ready connection lives, so a challenger is a clone.
            self.contest_ends(device, now);
            self.becomes_ready(key, device, process, now);
            return self.supersede(old, device, now);
        }
        match challenger {
            None => {
                let ping = Keepalive {
                    ask: true,
                    return_window: Some(self.return_window()),
                };
                self.commands
                    .push_back(Command::Send(old, Frame::Keepalive(ping)));
                self.challenges(key, device, process, now + limits::CLONE_PING);
            }
            Some(rival) if !self.is_same_instance(rival, process) => {
                self.id_in_use(key, device, process, now);
            }
            Some(rival) if self.is_newer(process, rival) => {
                // It dialled again while it waits; the older leg's time to answer runs on.
                let until = self
                    .legs
                    .get(&rival)
                    .and_then(|leg| leg.due)
                    .map_or(now, |(at, _)| at);
                self.challenges(key, device, process, until);
                self.supersede(rival, device, now);
            }
            Some(_) => self.supersede(key, device, now),
        }
    }

    fn is_same_instance(&self, leg: LegKey, process: Process) -> bool {
        self.process_of(leg)
            .is_some_and(|other| other.instance == process.instance)
    }

    fn is_newer(&self, process: Process, leg: LegKey) -> bool {
        self.process_of(leg)
            .is_some_and(|other| process.counter > other.counter)
    }

    fn process_of(&self, leg: LegKey) -> Option<Process> {
        self.legs.get(&leg).and_then(|leg| leg.state.process())
    }

    /// A leg waits until the older one has answered or was silent.
    fn challenges(&mut self, key: LegKey, device: DeviceKey, process: Process, until: Moment) {
        self.devices.entry(device).or_default().challenger = Some(key);
        if let Some(leg) = self.legs.get_mut(&key) {
            leg.state = State::Challenger(process);
            self.deadlines
                .arm(&mut leg.due, until, Timer::ClonePing(key));
        }
    }

    /// A frame came from a ready connection: it lives, so it stays, and a challenger is a clone.
    pub(super) fn heard(&mut self, key: LegKey, now: Moment) {
        let Some(leg) = self.legs.get_mut(&key) else {
            return;
        };
        self.deadlines.arm(
            &mut leg.due,
            now + limits::READY_SILENCE,
            Timer::ReadySilence(key),
        );
        let device = leg.device();
        self.contest_ends(device, now);
    }

    /// The older leg stays; the challenger, if there is one, is told so and leaves, so that whoever waits is served.
    fn contest_ends(&mut self, device: DeviceKey, now: Moment) {
        let Some(presence) = self.devices.get_mut(&device) else {
            return;
        };
        if let Some(rival) = presence.challenger.take()
            && let Some(process) = self.process_of(rival)
        {
            self.id_in_use(rival, device, process, now);
        }
    }

    /// Another machine runs with this certificate: the newcomer leaves for `id_in_use_retry_s`, so that two clones do
    /// not take turns, and the device is told out.
    fn id_in_use(&mut self, key: LegKey, device: DeviceKey, process: Process, now: Moment) {
        if let Some(leg) = self.legs.get_mut(&key) {
            leg.state = State::Challenger(process);
        }
        let DeviceKey {
            organisation,
            device,
        } = device;
        self.commands.push_back(Command::Flagged {
            organisation,
            device,
            code: Code::IdInUse,
        });
        self.turn_away(
            key,
            Refusal::after(Code::IdInUse, seconds(limits::ID_IN_USE_RETRY)),
            now,
        );
    }

    /// The older leg was silent: nobody is there, the new one wins.
    pub(super) fn challenger_wins(&mut self, key: LegKey, now: Moment) {
        let Some(device) = self.legs.get(&key).map(super::table::Leg::device) else {
            return;
        };
        if let Some(old) = self.take_ready(device) {
            self.promote(device, now);
            self.supersede(old, device, now);
        }
    }

    /// Closes an agent's leg that another one of its device takes the place of; without ERROR, so that it does not wait.
    fn supersede(&mut self, key: LegKey, device: DeviceKey, now: Moment) {
        self.commands.push_back(Command::Close(key, How::AtOnce));
        if self.take_leg(key).is_some() {
            self.device_left(key, device, now);
        }
    }

    /// The challenger becomes the ready connection, where there is one.
    pub(super) fn promote(&mut self, device: DeviceKey, now: Moment) -> bool {
        let rival = self
            .devices
            .get_mut(&device)
            .and_then(|presence| presence.challenger.take());
        match rival.and_then(|key| Some((key, self.process_of(key)?))) {
            Some((key, process)) => {
                self.becomes_ready(key, device, process, now);
                true
            }
            None => false,
        }
    }

    /// A leg is admitted as the device's ready connection.
    fn becomes_ready(&mut self, key: LegKey, device: DeviceKey, process: Process, now: Moment) {
        self.welcome(key);
        if let Some(leg) = self.legs.get_mut(&key)
            && let (Holder::Agent(computer), Some(program)) =
                (leg.identity.holder, leg.program.take())
        {
            let DeviceKey {
                organisation,
                device,
            } = device;
            let address = leg.address.clone();
            let told = AgentReady {
                organisation,
                device,
                computer,
                program,
                address,
            };
            self.commands.push_back(Command::AgentReady(Box::new(told)));
        }
        self.enters_ready(key, device, process, now);
    }

    /// An agent refused, so its leg is ready again; unless others of its device took its place meanwhile. It has just
    /// shown that it lives: only a newer leg of its own process goes before it.
    pub(super) fn returns_ready(
        &mut self,
        key: LegKey,
        device: DeviceKey,
        process: Process,
        now: Moment,
    ) {
        let Some(presence) = self.devices.get_mut(&device) else {
            return;
        };
        let rivals = [presence.ready, presence.challenger];
        for rival in rivals.into_iter().flatten() {
            if self.is_same_instance(rival, process) && !self.is_newer(process, rival) {
                return self.supersede(key, device, now);
            }
        }
        let ready = self.take_ready(device);
        self.contest_ends(device, now);
        if let Some((rival, other)) = ready.and_then(|rival| Some((rival, self.process_of(rival)?)))
        {
            if other.instance == process.instance {
                self.supersede(rival, device, now);
            } else {
                self.id_in_use(rival, device, other, now);
            }
        }
        self.enters_ready(key, device, process, now);
    }

    fn enters_ready(&mut self, key: LegKey, device: DeviceKey, process: Process, now: Moment) {
        if let Some(leg) = self.legs.get_mut(&key) {
            leg.state = State::Ready(process);
            self.deadlines.arm(
                &mut leg.due,
                now + limits::READY_SILENCE,
                Timer::ReadySilence(key),
            );
        }
        self.device_is_ready(key, device);
        self.serve(device, now);
    }

    fn welcome(&mut self, key: LegKey) {
        let greeting = &self.greeting;
        let keepalive = u16::try_from(limits::KEEPALIVE.as_secs()).unwrap_or(u16::MAX);
        let welcome = Welcome {
            version: VERSION,
            features: greeting.features.clone(),
            node: greeting.node.clone(),
            keepalive,
            nodes_version: self.snapshot.nodes_version,
            return_window: self.return_window(),
            banner: greeting.banner.clone(),
        };
        self.commands
            .push_back(Command::Send(key, Frame::Welcome(welcome)));
    }
}
