//! The zone of an IPv6 address: the network interface of a link-local address.
//!
//! `fe80::1%eth0` names the interface `eth0`, and `fe80::1%2` the one with the number 2. In a URL the percent
//! sign may be written `%25`.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};

/// Splits an address without brackets into the address and its zone. `None` if it is no IPv6 address.
pub(super) fn split_zone(text: &str) -> Option<(Ipv6Addr, Option<&str>)> {
    let (address, zone) = match text.split_once('%') {
        None => (text, None),
        // `%25` alone is the interface with that number.
        Some((address, "25")) => (address, Some("25")),
        Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
    };
    if zone == Some("") {
        return None;
    }
    Some((address.parse().ok()?, zone))
}

/// Parses `[ADDRESS%ZONE]:PORT`, or a link-local address without its zone, which is an error. `None` for all
/// other text: the system looks it up.
pub fn parse_with_zone(text: &str) -> Option<Result<SocketAddr, String>> {
    let (inside, port) = text.strip_prefix('[')?.rsplit_once("]:")?;
    let (address, zone) = split_zone(inside)?;
    let port = port.parse().ok()?;
    match zone {
        None if !address.is_unicast_link_local() => None,
        _ => Some(resolve(address, zone, port)),
    }
}

/// Returns the address with the number of its interface, which must exist.
pub(super) fn resolve(
    address: Ipv6Addr,
    zone: Option<&str>,
    port: u16,
) -> Result<SocketAddr, String> {
    let Some(zone) = zone else {
        return match address.is_unicast_link_local() {
            true => Err(format!(
                "{address} is link-local and needs the zone of its network interface, such as \
                 {address}%eth0"
            )),
            false => Ok(SocketAddr::new(address.into(), port)),
        };
    };
    let missing = || format!("there is no network interface {zone}, the zone of {address}");
    let scope_id = scope_id(zone).ok_or_else(missing)?;
    Ok(SocketAddrV6::new(address, port, 0, scope_id).into())
}

/// Returns the number of an interface, from its name or number.
fn scope_id(zone: &str) -> Option<u32> {
    // The system looks up zones only of link-local addresses, so any such address will do.
    let address = format!("{}%{zone}", Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    let mut found = (&*address, 0).to_socket_addrs().ok()?;
    match found.next()? {
        SocketAddr::V6(address) if exists(address.scope_id()) => Some(address.scope_id()),
        _ => None,
    }
}

/// Returns whether the interface exists: the system accepts any number until the address is used.
#[cfg(target_os = "linux")]
fn exists(scope_id: u32) -> bool {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None);
    socket.is_ok_and(|socket| netdevice::index_to_name_inlined(socket, scope_id).is_ok())
}

#[cfg(not(target_os = "linux"))]
fn exists(scope_id: u32) -> bool {
    scope_id > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    #[test]
    fn a_zone_is_split_off() {
        for (text, zone) in [
            ("fe80::1", None),
            ("fe80::1%eth0", Some("eth0")),
            ("fe80::1%25eth0", Some("eth0")),
            ("fe80::1%2", Some("2")),
            ("fe80::1%25", Some("25")),
            ("fe80::1%252", Some("2")),
        ] {
            assert_eq!(split_zone(text), Some((LINK_LOCAL, zone)), "{text}");
        }
        for text in ["fe80::1%", "%eth0", "127.0.0.1%lo", "h", ""] {
            assert_eq!(split_zone(text), None, "{text}");
        }
    }

    #[test]
    fn what_has_and_needs_no_zone_is_left_to_the_system() {
        for text in [
            "[::1]:80",
            "127.0.0.1:80",
            "localhost:80",
            "[fe80::1%1]",
            "",
        ] {
            assert_eq!(parse_with_zone(text), None, "{text}");
        }
    }

    #[test]
    fn an_error_names_the_zone_that_is_missing() {
        let refused = |text: &str| match parse_with_zone(text) {
            Some(Err(why)) => why,
            other => panic!("{text}: {other:?}"),
        };
        for text in ["[fe80::1%nowhere0]:80", "[fe80::1%25nowhere0]:80"] {
            let why = "there is no network interface nowhere0, the zone of fe80::1";
            assert_eq!(refused(text), why, "{text}");
        }
        assert!(refused("[fe80::1]:80").starts_with("fe80::1 is link-local and needs the zone"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_interface_lo_has_a_name_and_a_number() {
        let number = std::fs::read_to_string("/sys/class/net/lo/ifindex").expect("an interface");
        let number: u32 = number.trim().parse().expect("a number");
        let expected = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 0, number);
        for zone in ["lo", "25lo", &number.to_string(), &format!("25{number}")] {
            let read = parse_with_zone(&format!("[::1%{zone}]:80"));
            assert_eq!(read, Some(Ok(expected.into())), "{zone}");
        }
        assert!(matches!(
            parse_with_zone("[fe80::1%4294967]:80"),
            Some(Err(_))
        ));
    }
}
