//! The file of keys: read at the start, and again on SIGHUP.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::ConfigError;
use super::private::read_private;
use crate::keys::Keys;
use crate::time::Time;
use crate::tls;

/// Reads a file of keys, which must be private.
pub fn read_keys(path: &Path) -> Result<Keys, ConfigError> {
    let wrong = |why: &dyn std::fmt::Display| ConfigError::invalid("--keys", path.display(), why);
    let bytes = read_private(path).map_err(|why| wrong(&why))?;
    Keys::parse(&bytes).map_err(|problem| wrong(&problem))
}

/// Warns of keys, or of their absence, that are less safe at these addresses than they should be. Each
/// address comes with whether it has TLS.
pub fn access_warnings(
    keys: Option<&Keys>,
    addresses: impl IntoIterator<Item = (SocketAddr, bool)>,
) -> Vec<Cow<'static, str>> {
    let (mut is_open, mut is_plain) = (false, false);
    for (address, has_tls) in addresses {
        let is_reached = !address.ip().to_canonical().is_loopback();
        is_open |= is_reached;
        is_plain |= is_reached && !has_tls;
    }
    match keys {
        Some(keys) => {
            let in_clear = (is_plain && tls::IS_BUILT).then_some(Cow::Borrowed(IN_CLEAR));
            let of_keys = key_warnings(keys).map(Cow::Owned);
            in_clear.into_iter().chain(of_keys).collect()
        }
        None if is_open => vec![Cow::Borrowed(OPEN)],
        None => Vec::new(),
    }
}

const OPEN: &str = "it listens on an address that others can reach, without --keys: whoever reaches it \
     can take, release and remove everything";

const IN_CLEAR: &str = "it wants keys on an address that others can reach, without TLS: whoever sees the \
     traffic sees them; --tls-listen keeps them secret";

/// Warns of secrets that can be guessed, and of those that have ended. The warnings name lines, never
/// words of a line: any of them may be a secret in the wrong column.
pub fn key_warnings(keys: &Keys) -> impl Iterator<Item = String> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = Time::from_ms(since_epoch.unwrap_or_default().as_millis() as u64);
    let weak = keys.weak_lines().iter().map(|line| {
        format!(
            "the secret in line {line} of --keys is short, so it can be guessed; 32 random characters cannot"
        )
    });
    let ended = keys.ended_lines(now).into_iter();
    weak.chain(ended.map(|line| {
        format!("the secret in line {line} of --keys has ended; it is refused as a wrong key")
    }))
}
