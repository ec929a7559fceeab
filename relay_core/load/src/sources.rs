//! Which addresses of this machine are dialled from: one device each where there are enough.
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::LoadError;

/// A network whose addresses are dialled from in turn; without one the kernel chooses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources(Option<IpNet>);

impl Sources {
    /// The addresses of a network of this machine, such as 127.1.0.0/16.
    pub fn new(network: Option<IpNet>) -> Self {
        Self(network)
    }

    /// The address of the device with this number.
    pub fn of(self, number: usize) -> Option<IpAddr> {
        let network = self.0?;
        let bits = u32::from(network.max_prefix_len() - network.prefix_len());
        let addresses = 1_usize
            .checked_shl(bits)
            .map_or(usize::MAX, |all| all.saturating_sub(2).max(1));
        network.hosts().nth(number % addresses)
    }
}

impl FromStr for Sources {
    type Err = LoadError;

    /// A network as it is written.
    fn from_str(text: &str) -> Result<Self, LoadError> {
        let network = text
            .parse()
            .map_err(|_| LoadError::Usage("a network is such as 127.1.0.0/16"))?;
        Ok(Self::new(Some(network)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_take_the_addresses_of_a_network_in_turn() {
        let sources = Sources::new(Some("127.1.0.0/30".parse().expect("a network")));
        let taken: Vec<_> = (0..3)
            .map(|number| sources.of(number).expect("an address").to_string())
            .collect();
        assert_eq!(taken, ["127.1.0.1", "127.1.0.2", "127.1.0.1"]);
        let one = Sources::new(Some("127.0.0.9/32".parse().expect("a network")));
        assert_eq!(one.of(7), "127.0.0.9".parse().ok());
        assert_eq!(Sources::default().of(7), None);
    }
}
