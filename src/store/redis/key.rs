//! How the keys of a pool are called in Redis.
//!
//! All keys of one pool have its name in braces, so that a Redis Cluster keeps them together.

/// What the names of all keys of a pool begin with; it is also the name of the first of them.
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

/// The pool whose keys begin with this.
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

/// The key of the list of all pools.
pub(super) fn index(prefix: &str) -> String {
    format!("{prefix}index")
}

/// The key that says whose history the data are.
pub(super) fn history(prefix: &str) -> String {
    format!("{prefix}history")
}

/// A key of one server, on which it tries what it may do. No pool has keys of such a name.
pub(super) fn trial(prefix: &str, server: &str) -> String {
    format!("{prefix}trial:{{{server}}}")
}

/// What the channels on which servers are told of things begin with.
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
            assert!(!base.contains("{}"), "{base}: an empty tag is none");
            assert_eq!(pool_of("pool:", &base).as_deref(), Some(pool));
        }
        assert_eq!(base("pool:", "A"), "pool:{A}");
        assert_eq!(pool_of("other:", "pool:{A}"), None);
    }
}
