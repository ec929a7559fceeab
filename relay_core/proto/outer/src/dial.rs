//! Dialling: which address next, and how long to wait before the next round (PROTOCOL.md §5.7).
use core::time::Duration;

use telerelay_wire::ids::{Address, NodeAddress, NodeName};
use telerelay_wire::{Code, Entropy, limits};

use crate::refusal::{Refusal, seconds};

/// One address of one node: what a dial goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The node, whose name its certificate must carry.
    pub node: NodeName,
    /// Where.
    pub address: Address,
}

/// One round through every address of every known node, in turn, from a random node on.
#[derive(Debug)]
pub(crate) struct Tour {
    rest: std::vec::IntoIter<Hop>,
    /// What the round ends with if it ends without success.
    pub(crate) failure: Code,
}

impl Tour {
    pub(crate) fn new(nodes: &[NodeAddress], entropy: &mut dyn Entropy) -> Self {
        let start = usize::try_from(below(entropy, nodes.len() as u64)).unwrap_or(0);
        let (before, from) = nodes.split_at(start);
        Self::over(from.iter().chain(before))
    }

    /// A round through one node's addresses, in their order.
    pub(crate) fn of(node: &NodeAddress) -> Self {
        Self::over([node].into_iter())
    }

    fn over<'a>(nodes: impl Iterator<Item = &'a NodeAddress>) -> Self {
        let hops: Vec<_> = nodes
            .flat_map(|node| node.addresses.iter().map(|address| (&node.name, address)))
            .map(|(node, address)| Hop {
                node: node.clone(),
                address: address.clone(),
            })
            .collect();
        Self {
            rest: hops.into_iter(),
            failure: Code::Unreachable,
        }
    }

    /// The same round, but this node's addresses come first.
    pub(crate) fn beginning_with(self, first: &NodeAddress) -> Self {
        let Self { rest, failure } = Self::of(first);
        let others = self.rest.filter(|hop| hop.node != first.name);
        let rest = rest.chain(others).collect::<Vec<_>>().into_iter();
        Self { rest, failure }
    }

    pub(crate) fn next(&mut self) -> Option<Hop> {
        self.rest.next()
    }

    /// An address failed. A node that is not of the cluster, or a certificate of one's own that is refused, tells more
    /// than an address where nobody answers.
    pub(crate) fn failed(&mut self, code: Code) {
        if code != Code::Unreachable {
            self.failure = code;
        }
    }

    /// What the round ends with, if it ends without success; `retry` where the failure says when.
    pub(crate) fn refusal(&self) -> Refusal {
        match self.failure {
            Code::Busy => Refusal::after(Code::Busy, seconds(limits::BUSY_RETRY)),
            other => other.into(),
        }
    }

    /// How long the next round waits at least.
    pub(crate) fn at_least(&self) -> Duration {
        match self.failure {
            Code::Busy => limits::BUSY_RETRY,
            _ => Duration::ZERO,
        }
    }
}

/// How many rounds in a row failed, and the window that the node last told.
#[derive(Debug)]
pub(crate) struct Comeback {
    window: Duration,
    failures: u32,
}

impl Comeback {
    pub(crate) const fn new() -> Self {
        Self {
            window: limits::RETURN_WINDOW_LEAST,
            failures: 0,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(crate) fn told(&mut self, window_s: u16) {
        self.window = Duration::from_secs(window_s.into()).max(limits::RETURN_WINDOW_LEAST);
    }

    /// Full jitter over a window that doubles with each failure, but for the first few: whoever dialled while the node was
    /// starting again has its place in the window like all others. With a live session at once; where that failed, over a
    /// window that starts at its least, so that a node that is down is not dialled in a tight loop (PROTOCOL.md §5.7).
    pub(crate) fn wait(&self, live: bool, entropy: &mut dyn Entropy) -> Duration {
        let (first, doublings) = match (live, self.failures) {
            (true, 0) => return Duration::ZERO,
            (true, failures) => (limits::RETURN_WINDOW_LEAST, failures - 1),
            (false, failures) => (
                self.window,
                failures.saturating_sub(limits::RETURN_FAILURES),
            ),
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let most = first.saturating_mul(factor).min(limits::RETURN_WINDOW_CAP);
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(below(entropy, micros.saturating_add(1)))
    }
}

/// A random number in 0..`bound`; 0 where there is no other. The bias of the remainder is below 2⁻³⁰ for every bound here.
fn below(entropy: &mut dyn Entropy, bound: u64) -> u64 {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    u64::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u64);

    impl Entropy for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                self.0 = self
                    .0
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *byte = (self.0 >> 56) as u8;
            }
        }
    }

    fn node(name: &str, addresses: &[&str]) -> NodeAddress {
        let addresses: Vec<Address> = addresses
            .iter()
            .map(|&address| address.try_into().unwrap())
            .collect();
        NodeAddress {
            name: name.parse().unwrap(),
            addresses: addresses.try_into().unwrap(),
        }
    }

    #[test]
    fn a_round_tries_every_address_once_from_a_random_node_on() {
        let nodes = [
            node("a", &["a:1", "a:2"]),
            node("b", &["b:1"]),
            node("c", &["c:1"]),
        ];
        let mut entropy = Counting(7);
        let mut rounds = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let mut tour = Tour::new(&nodes, &mut entropy);
            let mut round = Vec::new();
            while let Some(hop) = tour.next() {
                round.push(hop.address.to_string());
            }
            rounds.insert(round.join(" "));
        }
        let rounds: Vec<_> = rounds.into_iter().collect();
        assert_eq!(
            rounds,
            ["a:1 a:2 b:1 c:1", "b:1 c:1 a:1 a:2", "c:1 a:1 a:2 b:1"]
        );
        assert_eq!(Tour::new(&[], &mut entropy).next(), None);
    }

    #[test]
    fn a_round_may_begin_with_one_node_and_tries_it_once() {
        let nodes = [node("a", &["a:1"]), node("b", &["b:1", "b:2"])];
        for seed in 0..10 {
            for (first, expected) in [(&nodes[1], "b:1 b:2 a:1"), (&node("c", &["c:1"]), "c:1 ")] {
                let mut tour = Tour::new(&nodes, &mut Counting(seed)).beginning_with(first);
                let mut round = Vec::new();
                while let Some(hop) = tour.next() {
                    round.push(hop.address.to_string());
                }
                let round = round.join(" ");
                assert!(round.starts_with(expected), "{round}");
            }
        }
    }

    #[test]
    fn the_most_telling_failure_is_kept() {
        let mut tour = Tour::of(&node("a", &["a:1"]));
        assert_eq!(tour.failure, Code::Unreachable);
        tour.failed(Code::Pin);
        tour.failed(Code::Unreachable);
        assert_eq!(tour.failure, Code::Pin);
    }

    #[test]
    fn the_wait_is_uniform_over_a_window_that_doubles_in_the_end_up_to_a_minute() {
        let mut entropy = Counting(1);
        let mut comeback = Comeback::new();
        comeback.told(5);
        for most in [5, 5, 5, 10, 20, 40, 60, 60] {
            let waits: Vec<_> = (0..4_000)
                .map(|_| comeback.wait(false, &mut entropy).as_secs_f64())
                .collect();
            let most = f64::from(most);
            assert!(waits.iter().all(|wait| (0.0..=most).contains(wait)));
            let mean = waits.iter().sum::<f64>() / 4_000.0;
            assert!(
                (mean - most / 2.0).abs() < most * 0.03,
                "mean {mean} of {most}"
            );
            assert!(
                waits.iter().any(|&wait| wait > most * 0.98)
                    && waits.iter().any(|&wait| wait < most * 0.02)
            );
            comeback.failed();
        }
        comeback.succeeded();
        comeback.told(0);
        assert!(
            (0..1_000).all(|_| comeback.wait(false, &mut entropy) <= Duration::from_secs(1)),
            "at least 1 s"
        );
    }

    #[test]
    fn a_live_session_dials_at_once_and_then_not_in_a_tight_loop() {
        let mut entropy = Counting(3);
        let mut comeback = Comeback::new();
        comeback.told(60);
        assert_eq!(comeback.wait(true, &mut entropy), Duration::ZERO);
        comeback.failed();
        assert!((0..1_000).all(|_| comeback.wait(true, &mut entropy) <= Duration::from_secs(1)));
        for _ in 0..100 {
            comeback.failed();
        }
        assert!((0..1_000).all(|_| comeback.wait(true, &mut entropy) <= limits::RETURN_WINDOW_CAP));
    }
}
