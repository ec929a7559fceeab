//! Where legs may put their outer TLS down: by configuration, and by what an endpoint learnt of the networks it dials from
//! (PROTOCOL.md §6).
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use telerelay_wire::ids::NodeName;
use telerelay_wire::outer::Features;
use telerelay_wire::{Moment, limits};

use crate::leg::DIRECT;

/// What an endpoint is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathChoice {
    /// Direct wherever that works.
    #[default]
    Auto,
    /// Never direct.
    Wrapped,
}

/// What lies between an endpoint and a node: the node, and the network of the address that the endpoint dialled from, an
/// IPv4 /24 or an IPv6 /64. Two homes that number alike are one network; the worst that comes of it is a leg that stays wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    node: NodeName,
    prefix: IpAddr,
}

impl Network {
    /// The network of a leg to `node` that was dialled from `local`.
    pub fn new(node: NodeName, local: IpAddr) -> Self {
        let prefix = match local.to_canonical() {
            IpAddr::V4(local) => Ipv4Addr::from_bits(local.to_bits() & (u32::MAX << 8)).into(),
            IpAddr::V6(local) => Ipv6Addr::from_bits(local.to_bits() & (u128::MAX << 64)).into(),
        };
        Self { node, prefix }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = if self.prefix.is_ipv4() { 24 } else { 64 };
        write!(f, "{} from {}/{length}", self.node, self.prefix)
    }
}

/// Whether a node that welcomed so answers SWITCH.
pub(crate) fn does_switch(features: &Features) -> bool {
    features.iter().any(|feature| feature.as_str() == DIRECT)
}

/// What a direct leg showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// Its first raw record verified.
    Proved,
    /// None did in time, or the leg broke before.
    Failed,
}

/// The networks where direct legs failed. One is tried again after a time that doubles with each failure, and forgotten once
/// a leg proved itself there: a failure may as well have been the other end's.
#[derive(Clone, Debug, Default)]
pub struct Networks(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    network: Network,
    failures: u32,
    until: Moment,
}

impl Networks {
    /// Whether legs stay wrapped there at present.
    pub fn is_wrapped(&self, network: &Network, now: Moment) -> bool {
        self.0
            .iter()
            .any(|entry| entry.network == *network && now < entry.until)
    }

    /// A direct leg showed what it is worth there.
    pub fn learn(&mut self, network: &Network, lesson: Lesson, now: Moment) {
        let known = self.0.iter().position(|entry| entry.network == *network);
        // The latest stands last: where there are too many, the one that failed longest ago is forgotten.
        let failures = known.map_or(0, |index| self.0.remove(index).failures);
        if lesson == Lesson::Proved {
            return;
        }
        if self.0.len() == limits::DIRECT_NETWORKS {
            self.0.remove(0);
        }
        self.0.push(Entry {
            network: network.clone(),
            failures: failures.saturating_add(1),
            until: now + wait(failures),
        });
    }
}

/// How long a network is not tried again after it failed so often before.
fn wait(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    limits::DIRECT_RETRY
        .saturating_mul(factor)
        .min(limits::DIRECT_RETRY_CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(node: &str, local: &str) -> Network {
        Network::new(node.parse().unwrap(), local.parse().unwrap())
    }

    #[test]
    fn a_network_is_a_node_and_the_neighbourhood_that_it_is_dialled_from() {
        let home = network("n1", "192.0.2.7");
        assert_eq!(home, network("n1", "192.0.2.200"));
        assert_eq!(home, network("n1", "::ffff:192.0.2.8"));
        assert_ne!(home, network("n2", "192.0.2.7"));
        assert_ne!(home, network("n1", "192.0.3.7"));
        assert_eq!(home.to_string(), "n1 from 192.0.2.0/24");
        let six = network("n1", "2001:db8:1:2::7");
        assert_eq!(six, network("n1", "2001:db8:1:2:3::9"));
        assert_ne!(six, network("n1", "2001:db8:1:3::7"));
        assert_eq!(six.to_string(), "n1 from 2001:db8:1:2::/64");
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_day_and_a_proof_forgets_them_all() {
        let mut networks = Networks::default();
        let (home, other) = (network("n1", "192.0.2.7"), network("n1", "198.51.100.7"));
        let mut now = Moment::ZERO;
        assert!(!networks.is_wrapped(&home, now));
        for minutes in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440] {
            networks.learn(&home, Lesson::Failed, now);
            let wait = Duration::from_mins(minutes);
            assert!(networks.is_wrapped(&home, now + wait - Duration::from_micros(1)));
            assert!(!networks.is_wrapped(&home, now + wait), "{minutes}");
            assert!(!networks.is_wrapped(&other, now));
            now += wait;
        }
        networks.learn(&home, Lesson::Proved, now);
        networks.learn(&home, Lesson::Failed, now);
        assert!(!networks.is_wrapped(&home, now + Duration::from_mins(1)));
    }

    #[test]
    fn of_too_many_networks_the_one_that_failed_longest_ago_is_forgotten() {
        let mut networks = Networks::default();
        let nth = |number: usize| network("n1", &format!("10.0.{number}.1"));
        for number in 0..limits::DIRECT_NETWORKS {
            networks.learn(&nth(number), Lesson::Failed, Moment::ZERO);
        }
        // The first fails once more and is the latest.
        networks.learn(&nth(0), Lesson::Failed, Moment::ZERO);
        networks.learn(&nth(limits::DIRECT_NETWORKS), Lesson::Failed, Moment::ZERO);
        let kept = (0..=limits::DIRECT_NETWORKS)
            .filter(|&number| networks.is_wrapped(&nth(number), Moment::ZERO));
        let expected: Vec<_> = [0].into_iter().chain(2..=limits::DIRECT_NETWORKS).collect();
        assert_eq!(kept.collect::<Vec<_>>(), expected);
    }
}
