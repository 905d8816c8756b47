//! The address of a client, as all limits count it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One address for all limits: an IPv4 address, or the first 64 bits of an IPv6 address. A client that has
/// one address of such a network has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(u64);

impl Network {
    /// Returns the network of an address.
    pub fn of(address: IpAddr) -> Network {
        // An IPv4 client of a dual-stack socket counts by its IPv4 address, too.
        Network(match address.to_canonical() {
            // In the place of reserved IPv6 networks, all in ::/32.
            IpAddr::V4(address) => u64::from(u32::from(address)),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0) {
            Ok(address) if address != 0 => Ipv4Addr::from(address).fmt(f),
            _ => write!(f, "{}/64", Ipv6Addr::from(u128::from(self.0) << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_counts_as_it_is_and_an_ipv6_address_by_its_network() {
        let network = |address: &str| Network::of(address.parse().expect("this is an address"));
        let same = [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"),
        ];
        for (one, other) in same {
            assert_eq!(network(one), network(other), "{one} {other}");
        }
        let different = [
            ("192.0.2.1", "192.0.2.2"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8:0:1::1", "2001:db8:0:2::1"),
            ("127.0.0.1", "::1"),
        ];
        for (one, other) in different {
            assert_ne!(network(one), network(other), "{one} {other}");
        }
    }
}
