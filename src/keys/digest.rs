//! The SHA-256 of a secret, which is kept instead of it.

use std::fmt;

use sha2::{Digest as _, Sha256};

const BYTES: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; BYTES]);

impl Digest {
    pub(super) fn of(secret: &[u8]) -> Digest {
        Digest(Sha256::digest(secret).into())
    }

    /// Parses 64 hexadecimal digits, as `sha256sum` writes them, in either case.
    pub(super) fn from_hex(digits: &str) -> Option<Digest> {
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if pairs.len() != BYTES || !rest.is_empty() {
            return None;
        }
        let mut digest = [0; BYTES];
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = (digit(*high)? << 4) | digit(*low)?;
        }
        Some(Digest(digest))
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
