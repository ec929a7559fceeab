//! Where a guest comes from, as far as it is counted together with others.
use core::net::IpAddr;

/// Guests of one origin are counted together. Trusted networks are one origin and one side of the scales, all strangers the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A network that the operator trusts: not limited by address.
    Trusted,
    /// An IPv4 address.
    V4(u32),
    /// The /64 of an IPv6 address: whoever has one address of it has all.
    V6(u64),
}

impl From<IpAddr> for Origin {
    /// The origin of an address that is not trusted.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                Self::V6(u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        Origin::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn one_ipv4_address_and_one_ipv6_network_are_one_origin_each() {
        assert_eq!(origin("192.0.2.1"), origin("::ffff:192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff::9"));
        assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
    }
}
