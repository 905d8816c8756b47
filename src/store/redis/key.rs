//! The names of the keys in Redis.
//!
//! All keys of a pool have its name in braces, so that a Redis Cluster would keep them together.

/// Returns the prefix of all keys of a pool, which is also the name of its first key.
pub(super) fn base(prefix: &str, pool: &str) -> String {
    let mut base = String::with_capacity(prefix.len() + pool.len() + 2);
    base.push_str(prefix);
    base.push('{');
    for character in pool.chars() {
        match character {
            '{' => base.push_str("%7B"),
            '}' => base.push_str("%7D"),
            '%' => base.push_str("%25"),
            _ => base.push(character),
        }
    }
    base.push('}');
    base
}

/// Returns the pool whose keys have this prefix.
pub(super) fn pool_of(prefix: &str, base: &str) -> Option<String> {
    let escaped = base
        .strip_prefix(prefix)?
        .strip_prefix('{')?
        .strip_suffix('}')?;
    Some(
        escaped
            .replace("%7B", "{")
            .replace("%7D", "}")
            .replace("%25", "%"),
    )
}

/// Returns the key of the list of all pools.
pub(super) fn index(prefix: &str) -> String {
    format!("{prefix}index")
}

/// Returns the key of the history of the data.
pub(super) fn history(prefix: &str) -> String {
    format!("{prefix}history")
}

/// Returns the key on which a server tries its rights. No pool has keys of such a name.
pub(super) fn trial(prefix: &str, server: &str) -> String {
    format!("{prefix}trial:{{{server}}}")
}

/// Returns the prefix of the servers' channels for notices.
pub(super) fn channels(prefix: &str) -> String {
    format!("{prefix}server:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_of_any_name_has_one_hash_tag() {
        for pool in ["A", "a}b", "{", "}", "%7D", "x{y}z%", "\u{e9} \u{1f512}"] {
            let base = base("pool:", pool);
            assert_eq!(base.matches('{').count(), 1, "{base}");
            assert_eq!(base.matches('}').count(), 1, "{base}");
            assert!(!base.contains("{}"), "{base} has an empty tag");
            assert_eq!(pool_of("pool:", &base).as_deref(), Some(pool));
        }
        assert_eq!(base("pool:", "A"), "pool:{A}");
        assert_eq!(pool_of("other:", "pool:{A}"), None);
    }
}
