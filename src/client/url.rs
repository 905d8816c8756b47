//! The URL of a latchd: `http://HOST:PORT[/PATH]` or `https://HOST[:PORT][/PATH]`.
//!
//! Without TLS the port is required: the default of a URL, 80, is not where a latchd listens. With TLS it may
//! default to 443, where a proxy in front of it listens.

use std::fmt;

use super::zone::split_zone;
use crate::tls;

/// The default port of `https://`.
const HTTPS_PORT: u16 = 443;

/// The address of a server, and a path there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The scheme is `https://`. Use [`Url::has_tls`] instead, which a build without TLS folds to a constant.
    is_https: bool,
    /// A name, or an address without brackets and without a zone.
    host: String,
    /// The network interface of a link-local address, by name or number.
    zone: Option<String>,
    port: u16,
    /// Empty, or begins with a slash.
    path: String,
}

impl Url {
    /// Parses `http://HOST:PORT[/PATH]`, the same without `http://`, or `https://HOST[:PORT][/PATH]`, which
    /// only a build with TLS accepts. Errors do not repeat the input, which may contain a password.
    pub fn parse(url: &str) -> Result<Url, &'static str> {
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("there is something else than printable ASCII in it");
        }
        let (is_https, rest) = match url.split_once("://") {
            None => (false, url),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) if tls::IS_BUILT => (true, rest),
            Some(("https", _)) => return Err(tls::NOT_BUILT),
            Some(_) => return Err("wanted http://HOST:PORT or HOST:PORT"),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("there are no users and no passwords; wanted http://HOST:PORT");
        }
        if path.contains('#') || path.starts_with('?') {
            return Err("behind the port there may only be a path; wanted http://HOST:PORT/ping");
        }
        let (host, port) = match authority.rsplit_once(':') {
            // Within brackets there is no port.
            Some((host, port)) if !(is_https && port.ends_with(']')) => (host, parse_port(port)),
            _ if is_https => (authority, Ok(HTTPS_PORT)),
            _ => return Err("the port is missing; wanted http://HOST:PORT"),
        };
        let (host, zone) = parse_host(host)?;
        Ok(Url {
            is_https,
            host,
            zone,
            port: port?,
            path: path.to_owned(),
        })
    }

    /// Returns whether the URL has TLS.
    pub fn has_tls(&self) -> bool {
        tls::IS_BUILT && self.is_https
    }

    /// Returns the host: a name, or an address without brackets and without a zone.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the network interface of a link-local address, by name or number.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path: empty, or with a slash in front.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the URL with this path.
    pub fn with_path(self, path: &str) -> Url {
        Url {
            path: path.to_owned(),
            ..self
        }
    }

    /// Returns host and port for a `Host` field: without a zone, which means nothing to a server.
    pub fn authority(&self) -> impl fmt::Display + '_ {
        Authority(self, None)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls() { "https" } else { "http" };
        let authority = Authority(self, self.zone());
        write!(f, "{scheme}://{authority}{}", self.path)
    }
}

/// Displays host and port, with an optional zone.
struct Authority<'a>(&'a Url, Option<&'a str>);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Url { host, port, .. } = self.0;
        match (host.contains(':'), self.1) {
            (true, Some(zone)) => write!(f, "[{host}%25{zone}]")?,
            (true, None) => write!(f, "[{host}]")?,
            (false, _) => f.write_str(host)?,
        }
        match self.0.has_tls() && *port == HTTPS_PORT {
            true => Ok(()),
            false => write!(f, ":{port}"),
        }
    }
}

/// Parses a host, and its zone if it has one.
fn parse_host(host: &str) -> Result<(String, Option<String>), &'static str> {
    if let Some(inside) = host.strip_prefix('[') {
        let inside = inside.strip_suffix(']');
        return match inside.and_then(|inside| Some((inside, split_zone(inside)?))) {
            None => Err("wanted an IPv6 address in the brackets, such as [::1]"),
            Some((_, (address, None))) if address.is_unicast_link_local() => {
                Err("a link-local address needs the zone of its interface, as in [fe80::1%eth0]")
            }
            Some((inside, (_, zone))) => {
                let address = inside.split('%').next().unwrap_or(inside);
                Ok((address.to_owned(), zone.map(str::to_owned)))
            }
        };
    }
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match host {
        "" => Err("the host is missing; wanted http://HOST:PORT"),
        _ if host.contains(':') => Err("an IPv6 address is in brackets, such as [::1]"),
        _ if host.bytes().all(fit) => Ok((host.to_owned(), None)),
        _ => Err("the host is neither a name nor an address"),
    }
}

fn parse_port(port: &str) -> Result<u16, &'static str> {
    // Rust's own parser accepts a plus sign, too.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse()
        .ok()
        .filter(|port| digits && *port > 0)
        .ok_or("the port is wrong; wanted 1 to 65535")
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn a_good_url_is_read() {
        for (url, shown) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://lock_s-1.example:1", "http://lock_s-1.example:1"),
            ("http://[::1]:65535", "http://[::1]:65535"),
            ("[::1]:80/", "http://[::1]:80/"),
            ("[fe80::1%eth0]:80", "http://[fe80::1%25eth0]:80"),
            ("http://[fe80::1%25eth0]:80", "http://[fe80::1%25eth0]:80"),
            ("[fe80::1%2]:80/ping", "http://[fe80::1%252]:80/ping"),
            ("h:80/pool/A?owner=x", "http://h:80/pool/A?owner=x"),
        ] {
            let read = Url::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!(read.to_string(), shown, "{url}");
        }
    }

    /// A zone means nothing to the server, nor to the authority that has signed its certificate.
    #[test]
    fn a_zone_is_for_the_way_there_alone() {
        let read = Url::parse("[fe80::1%25eth0]:80").expect("it is well formed");
        assert_eq!(read.authority().to_string(), "[fe80::1]:80");
        assert_eq!((read.host(), read.zone()), ("fe80::1", Some("eth0")));
    }

    /// The default port is not displayed either.
    #[cfg(feature = "tls")]
    #[test]
    fn with_tls_the_port_may_be_missing() {
        for (url, shown, port) in [
            ("https://h", "https://h", 443),
            ("https://h/locks", "https://h/locks", 443),
            ("https://h:443/", "https://h/", 443),
            ("https://h:8443", "https://h:8443", 8443),
            ("https://[::1]", "https://[::1]", 443),
            ("https://[::1]:8443/x", "https://[::1]:8443/x", 8443),
            ("https://127.0.0.1", "https://127.0.0.1", 443),
        ] {
            let read = Url::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!((&*read.to_string(), read.port()), (shown, port), "{url}");
            assert!(read.has_tls());
            assert_eq!(Url::parse(shown).as_ref(), Ok(&read), "{shown}");
        }
        for (url, why) in [
            ("https://", "the host is missing"),
            ("https://:8443", "the host is missing"),
            ("https://h:", "the port is wrong"),
            ("https://h:0", "the port is wrong"),
            ("https://::1", "in brackets"),
            ("https://[::1", "in the brackets"),
            ("https://u:p@h", "no passwords"),
            ("https://h?x", "only be a path"),
        ] {
            let refused = Url::parse(url).expect_err(url);
            assert!(refused.contains(why), "{url}: {refused}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_says_so() {
        let refused = Url::parse("https://h:1").expect_err("there is no TLS");
        assert!(refused.contains("has no TLS"), "{refused}");
    }

    #[test]
    fn a_wrong_url_is_refused_with_what_is_wrong() {
        for (url, why) in [
            ("", "the port is missing"),
            ("8081", "the port is missing"),
            ("http://localhost", "the port is missing"),
            ("http://localhost/ping", "the port is missing"),
            (":8081", "the host is missing"),
            ("http://:8081", "the host is missing"),
            ("h:", "the port is wrong"),
            ("h:0", "the port is wrong"),
            ("h:+1", "the port is wrong"),
            ("h:65536", "the port is wrong"),
            ("redis://h:1", "wanted http://"),
            ("http://u:p@h:1", "no passwords"),
            ("h:1#a", "only be a path"),
            ("h:1?a", "only be a path"),
            ("h:1/a b", "printable"),
            ("h:1/a\r\nX: y", "printable"),
            ("::1:80", "in brackets"),
            ("[::1:80", "in the brackets"),
            ("[h]:80", "in the brackets"),
            ("[fe80::1%]:80", "in the brackets"),
            ("[127.0.0.1%lo]:80", "in the brackets"),
            ("[fe80::1]:80", "needs the zone"),
            ("h!:80", "neither a name"),
        ] {
            let refused = Url::parse(url).expect_err(url);
            assert!(refused.contains(why), "{url}: {refused}");
        }
    }
}
