//! The URLs of a Redis: `redis://[user:pass@]host[:port][/db]`, the same as `rediss://` with
//! `[?ca=…&cert=…&key=…]` for TLS, and `redis+unix:///path[?db=N&user=…&pass=…]`.
//!
//! The redis crate reads them too, but ignores what it does not know: misspelt parameters, all that
//! follows a `#`, a `+` in a password. A server that uses another database, or no password, is
//! worse than one that does not start.

use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::net::SocketAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::redis_tls::TlsFiles;
use crate::store::{Login, RedisAddress};

const PORT: u16 = 6379;

/// The parts of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RedisUrl {
    pub(super) address: RedisAddress,
    pub(super) tls: Option<TlsFiles>,
    pub(super) login: Option<Login>,
    pub(super) database: u32,
}

/// Parses a URL. Errors do not repeat any part of it: it may hold a password.
pub(super) fn parse(url: &str) -> Result<RedisUrl, &'static str> {
    if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err("there is a space or control character in it; a space is written %20");
    }
    if url.contains('#') {
        return Err("there is a # in it, which is written %23");
    }
    match url.split_once(':') {
        Some(("redis", rest)) => match rest.strip_prefix("//") {
            Some(rest) => parse_tcp(rest, false),
            None => Err("wanted redis://HOST[:PORT][/DB], with two slashes"),
        },
        Some(("rediss", rest)) => match rest.strip_prefix("//") {
            Some(rest) => parse_tcp(rest, true),
            None => Err("wanted rediss://HOST[:PORT][/DB][?ca=FILE], with two slashes"),
        },
        Some(("redis+unix", rest)) => match rest.strip_prefix("//") {
            Some(rest) if rest.starts_with('/') => parse_unix(rest),
            _ => Err("wanted redis+unix:///PATH, with three slashes: the path is absolute"),
        },
        _ => Err("wanted redis://HOST[:PORT][/DB] or redis+unix:///PATH[?db=DB]"),
    }
}

fn parse_tcp(rest: &str, has_tls: bool) -> Result<RedisUrl, &'static str> {
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if tail.contains('@') {
        return Err("in a user or password / is written %2F, ? is %3F and @ is %40");
    }
    let (tail, tls) = match tail.split_once('?') {
        Some(_) if !has_tls => {
            return Err("redis:// has no parameters; wanted redis://USER:PASS@HOST:PORT/DB");
        }
        Some((tail, query)) => (tail, Some(parse_tls_files(query)?)),
        None => (tail, has_tls.then(TlsFiles::default)),
    };
    let (login, place) = match authority.rsplit_once('@') {
        Some((login, place)) => (Some(parse_login(login)?), place),
        None => (None, authority),
    };
    let (host, port) = parse_place(place)?;
    let database = tail.strip_prefix('/').filter(|path| !path.is_empty());
    Ok(RedisUrl {
        address: RedisAddress::Tcp(host, port),
        tls,
        login,
        database: database.map_or(Ok(0), parse_database)?,
    })
}

fn parse_unix(rest: &str) -> Result<RedisUrl, &'static str> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decode(path)?;
    if path == "/" {
        return Err("the path of the socket is missing; wanted redis+unix:///PATH");
    }
    if SocketAddr::from_pathname(&path).is_err() {
        return Err("the path is too long for a socket, or has a zero byte in it");
    }
    let (mut database, mut user, mut password) = (None, None, None);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (place, value) = match parameter.split_once('=') {
            Some(("db", value)) => (&mut database, value),
            Some(("user", value)) => (&mut user, value),
            Some(("pass", value)) => (&mut password, value),
            _ => {
                return Err(
                    "the parameters are db=N, user=USER and pass=PASS; in these & is written %26",
                );
            }
        };
        if place.replace(value).is_some() {
            return Err("a parameter is given twice");
        }
    }
    let login = match (user, password) {
        (None, None) => None,
        (Some(_), None) => return Err("there is a user without a password; wanted pass=PASS too"),
        (user, Some(password)) => Some(login(user, password)?),
    };
    Ok(RedisUrl {
        address: RedisAddress::Unix(path.into()),
        tls: None,
        login,
        database: database.map_or(Ok(0), parse_database)?,
    })
}

fn parse_login(text: &str) -> Result<Login, &'static str> {
    match text.split_once(':') {
        Some((user, password)) => login((!user.is_empty()).then_some(user), password),
        None => Err("there is no colon before the @; wanted USER:PASS@ or :PASS@"),
    }
}

/// Builds the login. A named user may have an empty password. The default user would not log in
/// with one, so that is an error.
fn login(user: Option<&str>, password: &str) -> Result<Login, &'static str> {
    match user {
        Some("") => Err("the user is empty; leave it away for the default user"),
        None if password.is_empty() => Err("the password is empty; wanted a password, or no login"),
        user => Ok(Login {
            user: user.map(decode).transpose()?,
            password: decode(password)?.into(),
        }),
    }
}

fn parse_place(place: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())
                .ok_or("wanted an IPv6 address in the brackets, such as [::1]")?;
            let after = "after the ] there may only be a port; wanted [::1]:6379";
            let port = match port.strip_prefix(':') {
                None if !port.is_empty() => return Err(after),
                port => port,
            };
            (host, port)
        }
        None => {
            let (host, port) = match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            };
            let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if host.is_empty() && port.is_none_or(|port| !port.contains(':')) {
                return Err("the host is missing; wanted redis://HOST[:PORT][/DB]");
            }
            if !host.bytes().all(fit) {
                return Err("the host is neither a name nor an address");
            }
            (host, port)
        }
    };
    let unspecified = host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    if unspecified {
        return Err("0.0.0.0 and :: are addresses to listen on; wanted one to connect to");
    }
    let port = match port {
        None => PORT,
        Some(port) if port.contains(':') => {
            return Err("there are several colons; an IPv6 address is in brackets, such as [::1]");
        }
        Some(port) => number(port)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
            .ok_or("the port is wrong; wanted 1 to 65535")?,
    };
    Ok((host.to_owned(), port))
}

fn parse_database(text: &str) -> Result<u32, &'static str> {
    number(text)
        .filter(|database| i32::try_from(*database).is_ok())
        .ok_or("the database is wrong; wanted a number, 0 or more")
}

/// Parses digits and nothing else; Rust's own parsing accepts a plus sign, too.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Parses the parameters `ca=FILE&cert=FILE&key=FILE`.
fn parse_tls_files(query: &str) -> Result<TlsFiles, &'static str> {
    let (mut ca, mut cert, mut key) = (None, None, None);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (place, path) = match parameter.split_once('=') {
            Some((_, "")) => return Err("a parameter names no file"),
            Some(("ca", path)) => (&mut ca, path),
            Some(("cert", path)) => (&mut cert, path),
            Some(("key", path)) => (&mut key, path),
            _ => {
                return Err(
                    "the parameters are ca=FILE, cert=FILE and key=FILE; in these & is written %26",
                );
            }
        };
        if place.replace(PathBuf::from(decode(path)?)).is_some() {
            return Err("a parameter is given twice");
        }
    }
    let identity = match (cert, key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some((cert, key)),
        _ => return Err("cert=FILE and key=FILE need each other"),
    };
    Ok(TlsFiles { ca, identity })
}

fn decode(text: &str) -> Result<String, &'static str> {
    let hex = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(hex) {
        return Err("after a % there are two hexadecimal digits; % itself is written %25");
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err("what is written with % in it is not UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use redis::{ConnectionAddr, IntoConnectionInfo};

    use super::{RedisAddress, parse};

    /// Compares the parts that `--check` hides with the reading of the redis crate.
    #[test]
    fn a_good_url_is_read_as_the_redis_crate_reads_it() {
        for (url, user, password) in [
            ("redis://h", None, None),
            ("redis://h/", None, None),
            ("redis://10.0.0.1:1/15", None, None),
            ("redis://[::1]:7", None, None),
            ("redis://[fe80::1]", None, None),
            ("redis://:secret@h", None, Some("secret")),
            ("redis://u:@h", Some("u"), None),
            ("redis://u:a:b@c@h:2/3", Some("u"), Some("a:b@c")),
            (
                "redis://%C3%A9%3A:a%2Fb%20+%25@h",
                Some("é:"),
                Some("a/b +%"),
            ),
            ("redis+unix:///run/redis.sock", None, None),
            ("redis+unix:///run/a%20b?db=3", None, None),
            ("redis+unix:///s?pass=a%2Bb%26=", None, Some("a+b&=")),
            ("redis+unix:///s?pass=p&db=1&user=u", Some("u"), Some("p")),
        ] {
            let ours = parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            let theirs = url.into_connection_info().expect("they read it, too");
            match (&ours.address, theirs.addr()) {
                (RedisAddress::Tcp(host, port), ConnectionAddr::Tcp(their_host, their_port)) => {
                    assert_eq!((host, port), (their_host, their_port), "{url}");
                }
                (RedisAddress::Unix(path), ConnectionAddr::Unix(their_path)) => {
                    assert_eq!(path, their_path, "{url}");
                }
                pair => panic!("{url}: {pair:?}"),
            }
            let settings = theirs.redis_settings();
            assert_eq!(i64::from(ours.database), settings.db(), "{url}");
            let login = ours.login.as_ref();
            assert_eq!(login.and_then(|login| login.user.as_deref()), user, "{url}");
            let ours = login.map(|login| &**login.password);
            // The redis crate takes an empty password for none, and does not log in then.
            assert_eq!(ours.filter(|text| !text.is_empty()), password, "{url}");
            let theirs = (settings.username(), settings.password());
            assert_eq!(theirs, (user, password), "{url}");
        }
    }

    #[test]
    fn a_plus_in_a_password_is_a_plus() {
        let login = parse("redis+unix:///s?pass=a+b").expect("a URL").login;
        assert_eq!(*login.expect("a login").password, "a+b");
    }
}
