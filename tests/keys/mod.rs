//! Keys: the rights of each role, the ways to show a key, and the file of keys.

mod access;
mod clients;
mod file;
mod matrix;
mod private;
mod reload;
mod secrecy;
mod wrong;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64ct::{Base64, Encoding};
use tempfile::TempDir;

use crate::support::{Server, StoreKind};

/// Writes a file of keys that only its owner may read.
pub fn write_keys(folder: &Path, text: impl AsRef<[u8]>) {
    let file = folder.join("keys");
    fs::write(&file, text).expect("a file in the folder");
    set_mode(&file, 0o600);
}

pub fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// A server with these keys, and further arguments.
pub fn serve(keys: &str, arguments: &[&str]) -> Server {
    let folder = TempDir::new().expect("a folder");
    write_keys(folder.path(), keys);
    let mut all = vec!["--keys", "keys"];
    all.extend(arguments);
    Server::start_in(folder, StoreKind::Memory, &all)
}

/// `Authorization: Bearer SECRET`
pub fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}")
}

/// `Authorization: Basic BASE64`
pub fn basic(user: &str, secret: &str) -> String {
    let mut encoded = [0; 1024];
    let pair = format!("{user}:{secret}");
    let encoded = Base64::encode(pair.as_bytes(), &mut encoded).expect("there is room");
    format!("Authorization: Basic {encoded}")
}

/// The answer to a request over HTTP without a key.
pub const NO_KEY: &str = "HTTP/1.1 401 no key\r\nContent-Length: 6\r\n\
     WWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic realm=\"latchd\"\r\n\r\nno key";

/// The answer over HTTP to a key that the server does not know.
pub const WRONG_KEY: &str = "HTTP/1.1 401 wrong key\r\nContent-Length: 9\r\n\
     WWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic realm=\"latchd\"\r\n\r\nwrong key";

/// The answer over HTTP to whose key is not enough.
pub const NOT_ALLOWED: &str = "HTTP/1.1 403 not allowed\r\nContent-Length: 11\r\n\r\nnot allowed";
