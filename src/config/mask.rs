//! Masks passwords: errors repeat a given value, which may hold one.

/// Returns a URL, or a text with one in it, without whatever may be a password. The text may be wrong
/// in any way, so this hides too much rather than too little.
pub(super) fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.rsplit_once('@') {
            Some((before, host)) if before.contains(':') => format!("***@{host}"),
            _ => text.to_owned(),
        };
    };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // Perhaps a password with a slash in it: its ends are unknown. Without an authority it is a path,
    // which may have an `@` in it, but not with a Redis scheme.
    let has_host = !authority.is_empty() || scheme.ends_with("redis") || scheme.ends_with("rediss");
    if has_host && tail.contains('@') {
        return format!("{scheme}://***");
    }
    let authority = match authority.rsplit_once('@') {
        None => authority.to_owned(),
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => format!("***@{host}"),
        },
    };
    format!("{scheme}://{authority}{}", masked_query(tail))
}

/// Hides all that follows the first parameter that is not known to be harmless.
fn masked_query(tail: &str) -> String {
    let Some((path, query)) = tail.split_once('?') else {
        return tail.to_owned();
    };
    let mut shown = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("db" | "user" | "ca" | "cert" | "key", _)) => shown.push(parameter.to_owned()),
            Some((key, _)) => {
                shown.push(format!("{key}=***"));
                break;
            }
            None => {
                shown.push("***".to_owned());
                break;
            }
        }
    }
    format!("{path}?{}", shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn what_may_be_a_password_is_hidden() {
        for (given, shown) in [
            ("redis://h:1/2", "redis://h:1/2"),
            ("redis://user:secret@h:1/2", "redis://user:***@h:1/2"),
            ("redis://:secret@h", "redis://:***@h"),
            ("redis://secret@h", "redis://***@h"),
            ("redis:///q:secret@h", "redis://***"),
            ("redis://:sec@ret@h", "redis://:***@h"),
            ("redis://:sec:ret@h", "redis://:***@h"),
            ("redis://:sec/ret@h", "redis://***"),
            ("redis://:sec?ret=x@h", "redis://***"),
            ("redis://h?pass=sec@ret", "redis://***"),
            ("redis://h?password=secret&db=1", "redis://h?password=***"),
            ("redis+unix:///p?pass=secret", "redis+unix:///p?pass=***"),
            ("redis+unix:///p?pass=sec&ret", "redis+unix:///p?pass=***"),
            ("redis+unix:///p?pass=sec@ret", "redis+unix:///p?pass=***"),
            (
                "redis+unix:///p?db=1&user=u&pass=s",
                "redis+unix:///p?db=1&user=u&pass=***",
            ),
            ("redis+unix:///p?secret", "redis+unix:///p?***"),
            (
                "rediss://:secret@h?ca=/ca.pem&cert=c&key=k&x=y",
                "rediss://:***@h?ca=/ca.pem&cert=c&key=k&x=***",
            ),
            ("redis:user:secret@h", "***@h"),
            ("file:pools.redb", "file:pools.redb"),
            ("pools@home.redb", "pools@home.redb"),
        ] {
            assert_eq!(masked(given), shown, "{given}");
        }
    }
}
