//! The secret in a request's credentials: Bearer (RFC 6750 section 2.1), Basic (RFC 7617), or the
//! first word of a one-line request.

use base64ct::{Base64, Encoding};

use super::{MAX_NAME_BYTES, MAX_SECRET_BYTES};
use crate::http::Credentials;

/// The most bytes of `USER:PASSWORD`, and of its Base64.
const MAX_PAIR_BYTES: usize = MAX_NAME_BYTES + 1 + MAX_SECRET_BYTES;
const MAX_ENCODED_BYTES: usize = MAX_PAIR_BYTES.div_ceil(3) * 4;

/// Passes the user, which may be empty, and the secret to `use_it`. Returns `None` if the
/// credentials hold no possible secret.
pub(super) fn with_secret<R>(
    credentials: Credentials<'_>,
    use_it: impl FnOnce(&[u8], &[u8]) -> Option<R>,
) -> Option<R> {
    let use_it = |user: &[u8], secret: &[u8]| {
        let fits = (1..=MAX_SECRET_BYTES).contains(&secret.len());
        if fits { use_it(user, secret) } else { None }
    };
    let value = match credentials {
        Credentials::None | Credentials::Several => return None,
        Credentials::Word(secret) => return use_it(b"", secret),
        Credentials::Field(value) => value,
    };
    let space = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = (&value[..space], value[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        use_it(b"", rest)
    } else if scheme.eq_ignore_ascii_case(b"Basic") {
        with_pair(rest, use_it)
    } else {
        None
    }
}

/// Decodes `USER:SECRET`. The secret may contain colons, the user may not.
fn with_pair<R>(encoded: &[u8], use_it: impl FnOnce(&[u8], &[u8]) -> Option<R>) -> Option<R> {
    if encoded.len() > MAX_ENCODED_BYTES {
        return None;
    }
    let mut decoded = [0; MAX_ENCODED_BYTES];
    let pair = Base64::decode(encoded, &mut decoded).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    use_it(&pair[..colon], &pair[colon + 1..])
}
