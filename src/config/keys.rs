//! The file of keys: read at the start, and again on SIGHUP.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::ConfigError;
use crate::keys::Keys;
use crate::time::Time;
use crate::tls;

/// More than thousands of keys take.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// What the group and others may not: to read it is to have the keys, to write it is to make some.
const OTHERS_BITS: u32 = 0o066;

/// Reads a file of keys, which nobody but its owner may read or write.
pub fn read_keys(path: &Path) -> Result<Keys, ConfigError> {
    let wrong = |why: &dyn std::fmt::Display| ConfigError::invalid("--keys", path.display(), why);
    let bytes = read_private(path).map_err(|why| wrong(&why))?;
    Keys::parse(&bytes).map_err(|problem| wrong(&problem))
}

/// What makes keys, or to have none at these addresses, less safe than it should be. Each address comes
/// with whether it has TLS.
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

/// Warnings of secrets that can be guessed, and of those that have ended. They name lines, never words
/// of a line: any of them may be a secret in the wrong column.
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

fn read_private(path: &Path) -> Result<Vec<u8>, String> {
    let in_words = |error: std::io::Error| error.to_string();
    // To open something else could take forever.
    if !fs::metadata(path).map_err(in_words)?.is_file() {
        return Err("it is not a file".into());
    }
    let file = File::open(path).map_err(in_words)?;
    let mode = file.metadata().map_err(in_words)?.permissions().mode();
    if mode & OTHERS_BITS != 0 {
        let mode = mode & 0o777;
        let shown = path.display();
        return Err(format!(
            "others can read or write it (its mode is {mode:04o}); chmod 600 {shown}"
        ));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(in_words)?;
    match bytes.len() as u64 {
        0..=MAX_FILE_BYTES => Ok(bytes),
        _ => Err("it is larger than 1 MiB".into()),
    }
}
