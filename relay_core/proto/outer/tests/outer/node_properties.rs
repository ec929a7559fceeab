//! What holds for a node whatever happens in whatever order (PROTOCOL.md §5).
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use telerelay_outer::node::{AttemptTicket, Cause, Census, Command, Decision, Scope, Side};
use telerelay_outer::{How, LegKey};
use telerelay_wire::ids::{PathId, Role};
use telerelay_wire::outer::{Frame, Goaway};
use telerelay_wire::{Code, Moment, Reason, limits};

use crate::bench::{
    Bench, accept, agent_of, ask, client_of, connect, device, hello, ms, node, organisation, pong,
    refuse, secs, session_end, snapshot, switch,
};

/// Something that happens. `Index` picks one of what there is.
#[derive(Clone, Debug)]
enum Event {
    AgentUp {
        number: u8,
        instance: u8,
    },
    ClientUp {
        organisation: u8,
        number: u8,
        connects: bool,
    },
    Connect(Index),
    Frame(Index, Said),
    Accept(Index),
    Refuse(Index),
    Gone(Index),
    /// `open`: one of those that have not ended, if there is one.
    Decide {
        ticket: Index,
        open: bool,
        answer: Answer,
    },
    Recorded {
        ticket: Index,
        open: bool,
        written: bool,
    },
    PathEnds(Index),
    /// `own`: by a leg of the device whose path it is, if there is one.
    SessionEnd {
        leg: Index,
        path: Index,
        own: bool,
    },
    ClientSpeaks(Index),
    Cut(u8),
    Shed(usize),
    Revoke(u8),
    Restore,
    Wait(u64),
    Stop,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Ask,
    Pong,
    Switch,
    Hello,
    StrayAccept,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Here(u8),
    Deny,
    Redirect,
    Later,
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<Index>;
    let said = prop_oneof![
        4 => Just(Said::Ask),
        4 => Just(Said::Pong),
        1 => Just(Said::Switch),
        1 => Just(Said::Hello),
        1 => Just(Said::StrayAccept),
    ];
    let answer = prop_oneof![
        30 => (1..3_u8).prop_map(Answer::Here),
        1 => Just(Answer::Deny),
        1 => Just(Answer::Redirect),
        1 => Just(Answer::Later),
    ];
    let instance = prop_oneof![9 => Just(1_u8), 1 => Just(2)];
    let organisation = prop_oneof![9 => Just(1_u8), 1 => Just(2)];
    let open = || prop::bool::weighted(0.9);
    prop_oneof![
        16 => (1..3_u8, instance).prop_map(|(number, instance)| Event::AgentUp { number, instance }),
        12 => (organisation, 1..4_u8, prop::bool::weighted(0.95)).prop_map(|(organisation, number, connects)| {
            Event::ClientUp { organisation, number, connects }
        }),
        1 => index().prop_map(Event::Connect),
        6 => (index(), said).prop_map(|(leg, said)| Event::Frame(leg, said)),
        20 => index().prop_map(Event::Accept),
        4 => index().prop_map(Event::Refuse),
        3 => index().prop_map(Event::Gone),
        20 => (index(), open(), answer).prop_map(|(ticket, open, answer)| Event::Decide { ticket, open, answer }),
        20 => (index(), open(), prop::bool::weighted(0.95)).prop_map(|(ticket, open, written)| {
            Event::Recorded { ticket, open, written }
        }),
        5 => index().prop_map(Event::PathEnds),
        8 => (index(), index(), open()).prop_map(|(leg, path, own)| Event::SessionEnd { leg, path, own }),
        1 => index().prop_map(Event::ClientSpeaks),
        1 => (1..3_u8).prop_map(Event::Cut),
        1 => (0..3_usize).prop_map(Event::Shed),
        1 => (1..3_u8).prop_map(Event::Revoke),
        2 => Just(Event::Restore),
        16 => prop_oneof![8 => 0..300_u64, 3 => 0..6_000_u64, 1 => 0..120_000_u64].prop_map(Event::Wait),
    ]
}

/// Up to `length` events; one story in five has a stop in it.
fn story(length: usize) -> impl Strategy<Value = Vec<Event>> {
    let stop = prop::option::weighted(0.2, any::<Index>());
    (prop::collection::vec(event(), 0..length), stop).prop_map(|(mut events, stop)| {
        if let Some(at) = stop {
            events.insert(at.index(events.len() + 1), Event::Stop);
        }
        events
    })
}

/// The driver's side, and everything that must hold about what comes out.
#[derive(Default)]
struct Witness {
    /// Legs that are open at the driver, with the organisation and the number of their device.
    open: BTreeMap<LegKey, (u8, u8)>,
    clients: BTreeSet<LegKey>,
    /// Legs whose last frame was queued: only their closing may follow.
    finished: BTreeSet<LegKey>,
    /// INCOMING that was not answered, by the agent's leg.
    asked: BTreeMap<LegKey, PathId>,
    accepted: BTreeSet<(LegKey, PathId)>,
    recorded: BTreeSet<AttemptTicket>,
    /// When CONNECT came, by ticket.
    began: BTreeMap<AttemptTicket, Moment>,
    denied: BTreeMap<AttemptTicket, Moment>,
    ended: BTreeSet<AttemptTicket>,
    redirected: usize,
    paths: BTreeMap<PathId, [LegKey; 2]>,
    joined: BTreeSet<LegKey>,
    path_ids: Vec<PathId>,
    /// The agent's device of each path that was joined, ended ones included.
    agents: BTreeMap<PathId, (u8, u8)>,
    drained: usize,
}

impl Witness {
    fn take(&mut self, bench: &mut Bench) {
        let from = bench.commands.len();
        bench.out();
        for index in from..bench.commands.len() {
            self.see(&bench.commands[index].clone(), bench.now);
        }
    }

    fn see(&mut self, command: &Command, now: Moment) {
        match command {
            Command::Send(leg, frame) => self.sent(*leg, frame, now),
            Command::Close(leg, how) => self.closed(*leg, *how),
            Command::Ask(request) => {
                assert!(
                    self.began.insert(request.ticket, now).is_none(),
                    "asked twice"
                );
                self.path_ids.push(request.path);
            }
            Command::Join(join) => {
                assert!(
                    self.accepted.contains(&(join.agent, join.path)),
                    "joined without ACCEPT"
                );
                assert!(
                    self.recorded.contains(&join.ticket),
                    "joined without a record"
                );
                let devices = [join.agent, join.client].map(|leg| self.open[&leg]);
                assert_eq!(devices[0].0, devices[1].0, "joined across organisations");
                for leg in [join.agent, join.client] {
                    assert!(self.joined.insert(leg), "a leg in two paths");
                }
                self.paths.insert(join.path, [join.agent, join.client]);
                self.agents.insert(join.path, self.open[&join.agent]);
            }
            Command::Terminal(end) => {
                assert!(self.ended.insert(end.ticket), "two terminal events");
                if let Some(&decided) = self.denied.get(&end.ticket)
                    && end.code == Code::Denied
                {
                    let due = (self.began[&end.ticket] + limits::DENIED).max(decided);
                    assert!(now <= due, "a denial that is late");
                }
            }
            Command::Drained => self.drained += 1,
            Command::AgentReady(_) | Command::AgentGone { .. } | Command::Flagged { .. } => {}
        }
    }

    fn sent(&mut self, leg: LegKey, frame: &Frame<'_>, now: Moment) {
        assert!(
            self.open.contains_key(&leg),
            "sent to a leg that is gone: {frame:?}"
        );
        assert!(
            !self.finished.contains(&leg),
            "sent behind the last frame: {frame:?}"
        );
        match frame {
            Frame::Error(error) => {
                self.finished.insert(leg);
                if error.code == Code::Denied {
                    let ticket = self
                        .denied
                        .iter()
                        .find(|(ticket, _)| !self.ended.contains(ticket));
                    assert!(
                        ticket
                            .is_some_and(|(ticket, _)| now >= self.began[ticket] + limits::DENIED),
                        "too early"
                    );
                }
            }
            Frame::Redirect(_) => {
                self.finished.insert(leg);
                self.redirected += 1;
            }
            Frame::Incoming(incoming) => {
                assert!(
                    !self.asked.contains_key(&leg) && !self.joined.contains(&leg),
                    "a leg claimed twice"
                );
                assert!(!self.clients.contains(&leg));
                self.asked.insert(leg, incoming.path);
            }
            _ => {}
        }
    }

    fn closed(&mut self, leg: LegKey, how: How) {
        assert!(
            self.finished.contains(&leg) == (how == How::Flushed) || self.joined.contains(&leg)
        );
        if !self.joined.contains(&leg) {
            self.forget(leg);
        }
    }

    fn forget(&mut self, leg: LegKey) {
        self.open.remove(&leg);
        self.asked.remove(&leg);
    }

    fn talking_agents(&self) -> Vec<LegKey> {
        self.talking()
            .into_iter()
            .filter(|leg| !self.clients.contains(leg))
            .collect()
    }

    /// Legs that may still say something.
    fn talking(&self) -> Vec<LegKey> {
        self.open
            .keys()
            .copied()
            .filter(|leg| !self.finished.contains(leg))
            .collect()
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of event")]
fn apply(bench: &mut Bench, witness: &mut Witness, event: &Event, counter: u64) {
    let pick = |index: &Index, of: &[LegKey]| (!of.is_empty()).then(|| *index.get(of));
    let tickets: Vec<_> = witness.began.keys().copied().collect();
    let unended: Vec<_> = tickets
        .iter()
        .copied()
        .filter(|ticket| !witness.ended.contains(ticket))
        .collect();
    let ticket = |index: &Index, open: bool| {
        let of = if open && !unended.is_empty() {
            &unended
        } else {
            &tickets
        };
        (!of.is_empty()).then(|| *index.get(of))
    };
    let idle: Vec<_> = witness
        .clients
        .iter()
        .copied()
        .filter(|leg| witness.open.contains_key(leg))
        .collect();
    match event {
        Event::AgentUp { number, instance } => {
            let leg = bench.leg(agent_of(1, *number), Side::Both);
            witness.open.insert(leg, (1, *number));
            bench.node.frame(
                leg,
                hello(Role::Agent, *instance, counter),
                bench.now,
                &mut bench.entropy,
            );
        }
        Event::ClientUp {
            organisation,
            number,
            connects,
        } => {
            let leg = bench.leg(client_of(*organisation, 100 + number), Side::Both);
            witness.open.insert(leg, (*organisation, 100 + number));
            witness.clients.insert(leg);
            bench.node.frame(
                leg,
                hello(Role::Client, 1, 1),
                bench.now,
                &mut bench.entropy,
            );
            if *connects {
                bench
                    .node
                    .frame(leg, connect(1), bench.now, &mut bench.entropy);
            }
        }
        Event::Connect(index) => {
            if let Some(leg) = pick(index, &idle) {
                bench
                    .node
                    .frame(leg, connect(1), bench.now, &mut bench.entropy);
            }
        }
        Event::Frame(index, said) => {
            let frame = match said {
                Said::Ask => ask(),
                Said::Pong => pong(),
                Said::Switch => switch(),
                Said::Hello => hello(Role::Agent, 1, counter),
                Said::StrayAccept => accept(PathId([0xee; 16])),
            };
            if let Some(leg) = pick(index, &witness.talking_agents()) {
                bench.node.frame(leg, frame, bench.now, &mut bench.entropy);
            }
        }
        Event::Accept(index) | Event::Refuse(index) => {
            let asked: Vec<_> = witness.asked.keys().copied().collect();
            if let Some(leg) = pick(index, &asked)
                && let Some(path) = witness.asked.remove(&leg)
            {
                let frame = if matches!(event, Event::Accept(_)) {
                    witness.accepted.insert((leg, path));
                    accept(path)
                } else {
                    refuse(path, Code::Busy)
                };
                bench.node.frame(leg, frame, bench.now, &mut bench.entropy);
            }
        }
        Event::Gone(index) => {
            let legs: Vec<_> = witness
                .talking()
                .into_iter()
                .filter(|leg| !witness.joined.contains(leg))
                .collect();
            if let Some(leg) = pick(index, &legs) {
                witness.forget(leg);
                bench.node.leg_gone(leg, bench.now);
            }
        }
        Event::Decide {
            ticket: index,
            open,
            answer,
        } => {
            if let Some(ticket) = ticket(index, *open) {
                let decision = match answer {
                    Answer::Here(number) => Decision::Here(device(*number)),
                    Answer::Deny => Decision::Deny(Reason::from(Code::Denied)),
                    Answer::Redirect => Decision::Redirect(node("n2", &["n2:1"])),
                    Answer::Later => Decision::Later(3),
                };
                if matches!(answer, Answer::Deny) && bench.node.is_asked(ticket) {
                    witness.denied.insert(ticket, bench.now);
                }
                bench.node.decide(ticket, decision, bench.now);
            }
        }
        Event::Recorded {
            ticket: index,
            open,
            written,
        } => {
            if let Some(ticket) = ticket(index, *open) {
                if *written {
                    witness.recorded.insert(ticket);
                }
                let written = if *written {
                    Ok(())
                } else {
                    Err(Code::AuditUnavailable)
                };
                bench.node.recorded(ticket, written, bench.now);
            }
        }
        Event::PathEnds(index) => {
            let paths: Vec<_> = witness.paths.keys().copied().collect();
            if !paths.is_empty() {
                end_path(bench, witness, *index.get(&paths));
            }
        }
        Event::SessionEnd { leg, path, own } => {
            if !witness.path_ids.is_empty() {
                let path = *path.get(&witness.path_ids);
                let of = witness.agents.get(&path).filter(|_| *own);
                let mut legs = witness.talking_agents();
                legs.retain(|leg| of.is_none_or(|device| witness.open.get(leg) == Some(device)));
                if let Some(leg) = pick(leg, &legs) {
                    let report = session_end(path, Code::Done);
                    bench.node.frame(leg, report, bench.now, &mut bench.entropy);
                }
            }
        }
        Event::ClientSpeaks(index) => {
            if let Some(leg) = pick(index, &idle) {
                bench.node.frame(leg, ask(), bench.now, &mut bench.entropy);
            }
        }
        Event::Cut(number) => {
            bench.node.cut(
                Scope::Device(organisation(1), device(*number)),
                Code::Cut,
                bench.now,
            );
        }
        Event::Shed(most) => {
            let before = bench.node.census();
            let idle = bench.node.shed_idle(*most, bench.now);
            let ready = bench.node.shed_ready(*most, bench.now);
            let after = bench.node.census();
            assert!(idle <= *most && ready <= *most);
            assert_eq!(after.legs, before.legs - idle - ready);
            assert_eq!(after.ready, before.ready - ready);
            let carrying = |census: Census| (census.attempts, census.paths, census.waiting);
            assert_eq!(carrying(after), carrying(before), "an attempt went");
        }
        Event::Revoke(number) => {
            let mut next = snapshot();
            next.revoked.insert((organisation(1), device(*number)));
            bench.node.set_snapshot(Arc::new(next), bench.now);
        }
        Event::Restore => bench.node.set_snapshot(Arc::new(snapshot()), bench.now),
        Event::Wait(milliseconds) => wait(bench, witness, ms(*milliseconds)),
        Event::Stop => {
            let goaway = Goaway {
                nodes: Vec::new().try_into().expect("fits"),
                spread: 1,
            };
            bench.node.stop(bench.now + secs(30), &goaway);
        }
    }
    witness.take(bench);
}

fn end_path(bench: &mut Bench, witness: &mut Witness, path: PathId) {
    for leg in witness.paths.remove(&path).into_iter().flatten() {
        witness.forget(leg);
    }
    bench.path_ended_quietly(path, Cause::Leg);
}

fn wait(bench: &mut Bench, witness: &mut Witness, duration: core::time::Duration) {
    let until = bench.now + duration;
    while let Some(at) = bench.node.next_timeout().filter(|&at| at <= until) {
        bench.now = at;
        bench.node.timeout(at);
        witness.take(bench);
    }
    bench.now = until;
}

/// Runs a story, then lets everybody leave and time pass.
fn run(events: &[Event], mut bench: Bench) -> (Witness, Bench) {
    let mut witness = Witness::default();
    for (event, counter) in events.iter().zip(1..) {
        apply(&mut bench, &mut witness, event, counter);
        let census = bench.node.census();
        assert_eq!(
            census.legs,
            witness.open.len(),
            "legs at the node and at its driver"
        );
    }
    for path in witness.paths.keys().copied().collect::<Vec<_>>() {
        end_path(&mut bench, &mut witness, path);
    }
    for leg in witness.talking() {
        witness.forget(leg);
        bench.node.leg_gone(leg, bench.now);
        witness.take(&mut bench);
    }
    wait(&mut bench, &mut witness, secs(300));
    (witness, bench)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_story_ends_each_attempt_once_and_leaves_nothing(events in story(120)) {
        let (witness, bench) = run(&events, Bench::new());
        // CONNECTs that came while the node stopped were never asked about, and have their end all the same.
        let asked: BTreeSet<_> = witness.began.keys().copied().collect();
        prop_assert_eq!(asked.difference(&witness.ended).count(), witness.redirected);
        prop_assert_eq!(bench.node.census(), Census::default());
        prop_assert_eq!(bench.node.next_timeout(), None);
        prop_assert!(witness.drained <= 1);
    }

    #[test]
    fn the_same_story_gives_the_same_commands(events in story(60)) {
        prop_assert_eq!(run(&events, Bench::new()).1.commands, run(&events, Bench::new()).1.commands);
    }
}

/// Bugs put in on purpose must not pass (PROTOCOL.md §5.3): otherwise the properties above show nothing.
#[cfg(feature = "mutants")]
mod mutants {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use telerelay_outer::node::{Mutant, Node};

    use super::*;
    use crate::bench::{EPOCH, greeting};

    /// How many of 1,000 stories find the bug.
    fn found(mutant: Mutant) -> usize {
        let mut runner = TestRunner::deterministic();
        let stories = story(120);
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let found = (0..1_000)
            .filter(|_| {
                let events = stories.new_tree(&mut runner).expect("a story").current();
                let node = Node::new(greeting(), EPOCH, Moment::ZERO).with_mutant(mutant);
                catch_unwind(AssertUnwindSafe(|| run(&events, Bench::with(node)))).is_err()
            })
            .count();
        std::panic::set_hook(hook);
        found
    }

    // One test: the panic hook is the process's.
    #[test]
    fn each_is_found_and_none_is_none() {
        assert_eq!(found(Mutant::None), 0);
        for mutant in [Mutant::DoubleClaim, Mutant::PairedWithoutAccept] {
            assert!(found(mutant) > 10, "{mutant:?}");
        }
    }
}
