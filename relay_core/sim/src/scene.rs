//! What every actor stands in: the clock, the agenda, the network, the dice, the books, the trace.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use telerelay_outer::LegKey;
use telerelay_wire::Moment;
use telerelay_wire::ids::{ComputerId, DeviceId, NodeAddress, NodeName, OrganisationId, Program};

use crate::agenda::{Agenda, Event, Who};
use crate::dice::Dice;
use crate::invariants::{Broken, Verdict};
use crate::ledger::Ledger;
use crate::mutant::Mutant;
use crate::network::{ConnectionId, Listener, Network};
use crate::scenario::Scenario;
use crate::story::{Fact, What};
use crate::stream::Pattern;
use crate::trace::Trace;

/// Unix seconds at the clock's zero.
pub(crate) const EPOCH: u64 = 1_700_000_000;

/// The organisation of everybody.
pub(crate) const ORGANISATION: OrganisationId = OrganisationId([7; 32]);

/// From a fault until every session that lives has a path that lives: the longest stall, silence, dials.
const SETTLED: Duration = Duration::from_secs(45);

/// Everything that is not an actor.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) now: Moment,
    pub(crate) agenda: Agenda,
    pub(crate) network: Network,
    pub(crate) dice: Dice,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Trace,
    pub(crate) story: Vec<Fact>,
    pub(crate) pattern: Pattern,
    pub(crate) plan: Scenario,
    #[cfg_attr(
        not(feature = "mutants"),
        expect(dead_code, reason = "there are none without the feature")
    )]
    pub(crate) mutant: Option<Mutant>,
    /// Which nodes listen.
    pub(crate) listens: Vec<bool>,
    /// Where agents are, as far as the cluster has heard.
    pub(crate) presence: BTreeMap<DeviceId, usize>,
    /// When something last broke, or an operator did something.
    pub(crate) last_fault: Option<Moment>,
    pub(crate) broken: Option<(Moment, Broken)>,
}

impl Scene {
    pub(crate) fn new(plan: Scenario, mutant: Option<Mutant>, keeps_lines: bool) -> Self {
        let mut dice = Dice::new(plan.seed);
        Self {
            now: Moment::ZERO,
            agenda: Agenda::new(Dice::new(dice.roll())),
            network: Network::new(plan.network, Dice::new(dice.roll())),
            dice,
            ledger: Ledger::default(),
            trace: Trace::new(keeps_lines),
            story: Vec::new(),
            pattern: Pattern::new(),
            listens: vec![true; plan.nodes.len()],
            plan,
            mutant,
            presence: BTreeMap::new(),
            last_fault: None,
            broken: None,
        }
    }

    /// Keeps the first rule that is broken; the run ends with it.
    pub(crate) fn check(&mut self, verdict: Verdict) {
        if let Err(broken) = verdict
            && self.broken.is_none()
        {
            self.broken = Some((self.now, broken));
        }
    }

    /// Nothing was broken for so long that every session that lives has a path that lives.
    pub(crate) fn is_calm(&self) -> bool {
        self.last_fault
            .is_none_or(|fault| self.now.since(fault) > SETTLED)
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.agenda.after(self.now, delay, event);
    }

    /// An endpoint dials one of a node's addresses.
    pub(crate) fn dial(&mut self, who: Who, node: &NodeName) -> ConnectionId {
        let number = self.node_of(node);
        let listener = if self.dice.percent(self.plan.network.nowhere_percent) {
            Listener::Nowhere
        } else if number.is_some_and(|number| self.listens[number]) {
            Listener::Listens
        } else {
            Listener::Refuses
        };
        let number = number.unwrap_or(0);
        self.network
            .dial(who, number, listener, self.now, &mut self.agenda)
    }

    /// The number of a node that somebody names.
    pub(crate) fn node_of(&self, node: &NodeName) -> Option<usize> {
        let number = node.as_str().strip_prefix('n')?.parse().ok()?;
        (number < self.listens.len()).then_some(number)
    }

    /// What everybody calls the nodes.
    pub(crate) fn nodes(&self) -> Vec<NodeAddress> {
        (0..self.listens.len()).map(node_address).collect()
    }

    /// The device behind the endpoint's end of a connection.
    pub(crate) fn device(&self, who: Who) -> DeviceId {
        match who {
            Who::Agent(number) => agent_device(self.plan.agents[number].device),
            Who::Client(number) => client_device(self.plan.clients[number].device),
            Who::Node(_) => DeviceId([0; 32]),
        }
    }

    /// Something happened that a test may ask for.
    pub(crate) fn saw(&mut self, who: Who, what: What) {
        let at = self.now;
        self.story.push(Fact { at, who, what });
    }

    /// A leg did something that is worth a line.
    pub(crate) fn note_leg(
        &mut self,
        who: Who,
        what: &'static str,
        leg: LegKey,
        detail: impl FnOnce() -> String,
    ) {
        self.trace.note(self.now, who, what, [leg.0, 0], || {
            format!("leg {} {}", leg.0, detail())
        });
    }

    /// Something else did.
    pub(crate) fn note(
        &mut self,
        who: Who,
        what: &'static str,
        numbers: [u64; 2],
        detail: impl FnOnce() -> String,
    ) {
        self.trace.note(self.now, who, what, numbers, detail);
    }
}

pub(crate) fn node_address(number: usize) -> NodeAddress {
    let name = format!("n{number}");
    let address = format!("{name}:8443");
    NodeAddress {
        name: name.parse().expect("a node's name"),
        addresses: vec![address.try_into().expect("an address")]
            .try_into()
            .expect("one address"),
    }
}

pub(crate) fn agent_device(number: u8) -> DeviceId {
    DeviceId([number; 32])
}

pub(crate) fn computer(number: u8) -> ComputerId {
    ComputerId([number; 10])
}

pub(crate) fn client_device(number: u8) -> DeviceId {
    DeviceId([100 + number; 32])
}

/// The address that somebody dials from.
pub(crate) fn local(who: Who) -> IpAddr {
    let (kind, number) = match who {
        Who::Node(number) => (0, number),
        Who::Agent(number) => (1, number),
        Who::Client(number) => (2, number),
    };
    [10, kind, u8::try_from(number).unwrap_or(0), 1].into()
}

pub(crate) fn program() -> Program {
    Program::try_from("telerelay-sim/1").expect("fits")
}
