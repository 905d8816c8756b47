//! Checks on requests that a page has made a browser send: which of them are carried out, and which
//! answers a page may read.
//!
//! A browser sends the requests of a page to any server, also to one that only this browser reaches. It
//! adds the origin of the page (`Origin`, Fetch Metadata), and a change is carried out only for pages that
//! may make one. This check fails if a site lets its own name point to this server (DNS rebinding), since
//! to the browser the server then is that site. So a browser has to name a host that no stranger can own.
//! Requests without a browser's fields are not checked.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::http::{BrowserFields, Method};

/// The pages that may use the server, and the names it accepts in `Host`.
#[derive(Clone, Debug, Default)]
pub struct BrowserPolicy {
    /// The pages that may use it besides its own.
    pub cors: Cors,
    /// Names given by the operator, in lower case.
    pub hosts: Vec<String>,
    /// Names of the machine, in lower case.
    pub machine_names: Vec<String>,
}

/// The origins that may use the server: `--cors`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// Its own origin.
    #[default]
    Own,
    /// Its own origin, and no answer has CORS fields.
    Off,
    /// Its own origin and this one, written as browsers do.
    Origin(String),
    /// Any origin.
    Any,
}

/// The reason to refuse a browser's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrowserProblem {
    /// It is a change by a page of another origin.
    OtherOrigin,
    /// Its `Host` is a name that a stranger may own.
    UnknownHost,
}

impl Cors {
    /// Returns the value of `Access-Control-Allow-Origin`, unless it depends on the request.
    pub fn allowed_origin(&self) -> Option<&str> {
        match self {
            Cors::Own | Cors::Off => None,
            Cors::Origin(origin) => Some(origin),
            Cors::Any => Some("*"),
        }
    }

    /// Parses an origin as pages have it, or as people write it: `HTTPS://Example.org:443/` is
    /// `https://example.org`.
    pub fn parse_origin(text: &str) -> Option<Cors> {
        let text = text.to_ascii_lowercase();
        let origin = text.strip_suffix('/').unwrap_or(&text);
        let (scheme, rest) = origin.split_once("://")?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.bytes().all(is_scheme) || !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            return None;
        }
        let Authority { host, port } = Authority::parse(rest)?;
        Some(Cors::Origin(match port {
            Some(port) if default_port(scheme) != Some(port) => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        }))
    }
}

impl BrowserPolicy {
    /// Returns the reason to refuse a request with these fields, if any. `has_tls` tells whether it came
    /// over TLS.
    pub fn find_problem(
        &self,
        marks: &BrowserFields<'_>,
        method: Method,
        has_tls: bool,
    ) -> Option<BrowserProblem> {
        // Browsers always send a host.
        if marks.host.is_some_and(|host| !self.knows_host(host)) {
            return Some(BrowserProblem::UnknownHost);
        }
        match method {
            Method::Post | Method::Put | Method::Delete if !self.may_change(marks, has_tls) => {
                Some(BrowserProblem::OtherOrigin)
            }
            _ => None,
        }
    }

    /// Returns true if the page may change state. Without an origin the sender is the browser itself, or
    /// no browser.
    fn may_change(&self, marks: &BrowserFields<'_>, has_tls: bool) -> bool {
        match (&self.cors, marks.origin) {
            (Cors::Any, _) => true,
            (Cors::Origin(allowed), Some(origin)) if origin == allowed.as_bytes() => true,
            (_, Some(origin)) => !marks.is_other_origin && is_own(origin, marks.host, has_tls),
            (_, None) => !marks.is_other_origin,
        }
    }

    /// Returns the origin of the page if it is the server's own and CORS fields must name it.
    pub fn own_origin<'a>(&self, marks: &BrowserFields<'a>, has_tls: bool) -> Option<&'a str> {
        let origin = marks.origin.filter(|_| !marks.is_other_origin)?;
        if !is_own(origin, marks.host, has_tls) {
            return None;
        }
        match self.cors {
            Cors::Own | Cors::Origin(_) => str::from_utf8(origin).ok(),
            Cors::Off | Cors::Any => None,
        }
    }

    /// Returns true if no stranger can own this host, or it is one of the server's names.
    fn knows_host(&self, host: &[u8]) -> bool {
        let host = str::from_utf8(host).ok().and_then(Authority::parse);
        let Some(Authority { host, .. }) = host else {
            return false;
        };
        let host = host.to_ascii_lowercase();
        let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
        is_address
            || !host.contains('.')
            || PRIVATE_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
            || self.hosts.contains(&host)
            || self.machine_names.contains(&host)
    }
}

/// Suffixes of names that cannot be bought: they belong to one machine or one network.
const PRIVATE_SUFFIXES: [&str; 5] = [".local", ".lan", ".internal", ".home.arpa", ".localhost"];

/// Returns true if an origin is the server's own. With TLS its scheme is https. Without, a proxy may have
/// ended TLS, so either scheme is accepted.
fn is_own(origin: &[u8], host: Option<&[u8]>, has_tls: bool) -> bool {
    let compare = || {
        let (scheme, origin) = str::from_utf8(origin).ok()?.split_once("://")?;
        let default = default_port(scheme).filter(|&port| port == 443 || !has_tls)?;
        let origin = Authority::parse(origin)?;
        let host = Authority::parse(str::from_utf8(host?).ok()?)?;
        let port = |authority: &Authority<'_>| authority.port.unwrap_or(default);
        Some(origin.host.eq_ignore_ascii_case(host.host) && port(&origin) == port(&host))
    };
    compare() == Some(true)
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => Some(80),
        _ if scheme.eq_ignore_ascii_case("https") => Some(443),
        _ => None,
    }
}

/// The host and the port of a URL or of a `Host` field.
struct Authority<'a> {
    /// A name without a final dot, or an address; IPv6 in brackets.
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Option<Authority<'a>> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, port),
            _ => (text, ""),
        };
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        let address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if let Some(address) = address {
            address.parse::<Ipv6Addr>().ok()?;
            return Some(Authority { host, port });
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        is_host_name(host).then_some(Authority { host, port })
    }
}

/// Returns true if `text` has the form of a host name or an IPv4 address.
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(fits)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(cors: Cors) -> BrowserPolicy {
        BrowserPolicy {
            cors,
            hosts: vec!["locks.example".into()],
            machine_names: vec!["box.corp.example".into()],
        }
    }

    #[test]
    fn a_host_is_known_if_no_stranger_can_own_it() {
        let policy = policy(Cors::Own);
        for known in [
            "127.0.0.1:8081",
            "192.0.2.7",
            "[::1]:8081",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST:80",
            "latchd.localhost",
            "printer",
            "printer:",
            "nas.local",
            "NAS.Local.:8081",
            "nas.lan",
            "latchd.prod.internal",
            "nas.home.arpa",
            "locks.example",
            "Locks.Example.:443",
            "box.corp.example:1",
        ] {
            assert!(policy.knows_host(known.as_bytes()), "{known}");
        }
        for unknown in [
            "",
            ":8081",
            "evil.example",
            "locks.example.evil.example",
            "sub.locks.example",
            "local.example",
            "home.arpa",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "user@localhost",
            "localhost:port",
            "localhost:99999",
            "[::1",
            "[evil.example]",
            "::1",
            "a..local",
            ".local",
            "evil.example/.local",
            "evil.example .local",
            "evil.example\u{e9}.local",
        ] {
            assert!(!policy.knows_host(unknown.as_bytes()), "{unknown}");
        }
        assert!(!policy.knows_host(b"\xff.local"));
    }

    #[test]
    fn an_origin_is_the_servers_own_if_host_and_port_are() {
        let own = |origin: &str, host: &str, has_tls| {
            is_own(origin.as_bytes(), Some(host.as_bytes()), has_tls)
        };
        for (origin, host) in [
            ("http://h:8081", "h:8081"),
            ("http://H:8081", "h:8081"),
            ("http://h", "h"),
            ("http://h", "h:80"),
            ("http://h:80", "h"),
            ("http://[::1]:8081", "[::1]:8081"),
        ] {
            assert!(own(origin, host, false), "{origin} {host}");
            assert!(
                !own(origin, host, true),
                "{origin} {host}: a page without TLS"
            );
        }
        // A proxy with TLS, and TLS in this server.
        for (origin, host) in [
            ("https://h", "h"),
            ("https://h", "h:443"),
            ("https://h:8443", "h:8443"),
        ] {
            assert!(
                own(origin, host, false) && own(origin, host, true),
                "{origin} {host}"
            );
        }
        for (origin, host) in [
            ("null", "h"),
            ("", "h"),
            ("h", "h"),
            ("http://", ""),
            ("http://h:8081", "h:8082"),
            ("http://h:8081", "h"),
            ("http://h", "h:8081"),
            ("http://h:443", "h"),
            ("https://h:80", "h"),
            ("http://a.h", "h"),
            ("http://h.a", "h"),
            ("http://u@h", "h"),
            ("ftp://h", "h"),
            ("http://h/", "h"),
            ("http://h, http://h", "h"),
        ] {
            assert!(!own(origin, host, false), "{origin} {host}");
        }
        assert!(!is_own(b"http://h", None, false));
    }

    #[test]
    fn an_origin_is_read_as_people_write_it() {
        for (text, origin) in [
            ("https://example.org", "https://example.org"),
            ("https://example.org/", "https://example.org"),
            ("HTTPS://Example.ORG:443", "https://example.org"),
            ("http://example.org:80/", "http://example.org"),
            ("http://example.org:8080", "http://example.org:8080"),
            ("https://example.org:80", "https://example.org:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("chrome-extension://abc", "chrome-extension://abc"),
        ] {
            assert_eq!(
                Cors::parse_origin(text),
                Some(Cors::Origin(origin.into())),
                "{text}"
            );
        }
        for bad in [
            "",
            "null",
            "example.org",
            "https://",
            "https:///",
            "https://x//",
            "https://x/path",
            "https://x?y",
            "https://u@x",
            "https://*.example.org",
            "https://x,https://y",
            "https://x y",
            "https://x:port",
            "https://b\u{fc}cher.example",
            "://x",
            "1://x",
        ] {
            assert_eq!(Cors::parse_origin(bad), None, "{bad}");
        }
    }
}
