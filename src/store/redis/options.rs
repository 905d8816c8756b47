//! The address of Redis, and the settings of its connections.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use redis::{Cmd, ServerError};
use zeroize::Zeroizing;

use crate::tls::ClientSettings;

/// The address of Redis, and the settings of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// The address on which it listens.
    pub address: RedisAddress,
    /// The settings of TLS; `None` for plain TCP.
    pub tls: Option<RedisTls>,
    /// The user and the password; `None` for no login.
    pub login: Option<Login>,
    /// The number of the database.
    pub database: u32,
    /// The prefix of all keys.
    pub prefix: String,
    /// The longest time to a reply before the connection counts as lost, in ms.
    pub timeout_ms: u64,
}

/// The settings of TLS to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisTls {
    /// The trusted certificates, and this server's own.
    pub settings: ClientSettings,
    /// The files of these, as parameters of the URL.
    pub files: Vec<(&'static str, PathBuf)>,
}

/// The address on which Redis listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddress {
    /// A host, by name or address, and a port.
    Tcp(String, u16),
    /// A unix socket.
    Unix(PathBuf),
}

/// A user with a password, for `AUTH`.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// `None` for the default user.
    pub user: Option<String>,
    /// The password. It is never shown, and wiped when dropped.
    pub password: Zeroizing<String>,
}

impl RedisOptions {
    /// Returns the user to log in as.
    pub(super) fn user(&self) -> &str {
        let login = self.login.as_ref();
        login
            .and_then(|login| login.user.as_deref())
            .unwrap_or("default")
    }

    /// Appends the first command on a connection with this name.
    pub(super) fn write_hello(&self, name: &str, command: &mut Cmd) {
        command.arg("HELLO").arg(3);
        if let Some(login) = &self.login {
            command.arg("AUTH").arg(self.user()).arg(&**login.password);
        }
        command.arg("SETNAME").arg(name);
    }

    /// Returns an error of Redis for the log, of a command that needs this right. If a right is missing, the
    /// text says how to grant it.
    pub(super) fn lacking(&self, error: &ServerError, right: &str) -> String {
        let details = error.details().unwrap_or_default();
        let words = format!("{} {details}", error.code());
        if error.code() != "NOPERM" {
            return words;
        }
        let (user, prefix) = (self.user(), &self.prefix);
        let right = match details {
            details if details.contains("key") => format!("~{prefix}*"),
            details if details.contains("channel") => format!("&{prefix}server:*"),
            _ => right.to_owned(),
        };
        format!("{words}; ACL SETUSER {user} {right} lets it")
    }

    /// Returns the password to log in with.
    pub(super) fn password(&self) -> Option<&str> {
        self.login.as_ref().map(|login| &**login.password)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RedisOptions {
    /// Writes the URL without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.login.as_ref().map(|login| {
            let user = login.user.as_deref().unwrap_or("");
            utf8_percent_encode(user, NOT_IN_USERS).to_string()
        });
        let database = self.database;
        match &self.address {
            RedisAddress::Tcp(host, port) => {
                f.write_str(match self.tls {
                    Some(_) => "rediss://",
                    None => "redis://",
                })?;
                if let Some(user) = user {
                    write!(f, "{user}:***@")?;
                }
                match host.contains(':') {
                    true => write!(f, "[{host}]:{port}/{database}")?,
                    false => write!(f, "{host}:{port}/{database}")?,
                }
                let files = self.tls.iter().flat_map(|tls| &tls.files);
                for (place, (parameter, path)) in files.enumerate() {
                    let mark = if place == 0 { '?' } else { '&' };
                    write!(f, "{mark}{parameter}={}", in_url(&path.to_string_lossy()))?;
                }
                Ok(())
            }
            RedisAddress::Unix(path) => {
                let path = path.to_string_lossy();
                write!(f, "redis+unix://{}?db={database}", in_url(&path))?;
                match user.as_deref() {
                    None => Ok(()),
                    Some("") => f.write_str("&pass=***"),
                    Some(user) => write!(f, "&user={user}&pass=***"),
                }
            }
        }
    }
}

/// Encodes a path as in a URL.
fn in_url(path: &str) -> PercentEncode<'_> {
    utf8_percent_encode(path, NOT_IN_PATHS)
}

const NOT_IN_USERS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const NOT_IN_PATHS: &AsciiSet = &NOT_IN_USERS.remove(b'/');
