//! Texts that are part of the binary: the page for browsers, and what OpenAPI says of all routes.
//!
//! The page holds no data. It asks for what it shows like any other client, and with the key that it
//! is told; so it is there for whoever asks. Names are written by strangers: the policy below lets a
//! browser run nothing but the one script, which makes text of them and never markup.

use crate::http::Document;

/// The page.
pub(super) const PAGE: &str = include_str!("page.html");

/// Its header fields. `/` is something else to a client that does not ask for HTML, so no cache may
/// keep the answer: it has `Cache-Control` like each answer to a request that carried Accept.
pub(super) static OF_PAGE: Document = Document {
    content_type: "text/html; charset=utf-8",
    fields: &[
        ("Content-Security-Policy", PAGE_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ],
};

/// What can be asked for, as OpenAPI 3.1: without the white space that its source is laid out with.
pub(super) static DESCRIPTION: [u8; DESCRIPTION_LENGTH] = compact(DESCRIPTION_SOURCE).0;

const DESCRIPTION_SOURCE: &[u8] = include_bytes!("openapi.json");

const DESCRIPTION_LENGTH: usize = compact::<{ DESCRIPTION_SOURCE.len() }>(DESCRIPTION_SOURCE).1;

/// Its header fields.
pub(super) static OF_DESCRIPTION: Document = Document {
    content_type: "application/json",
    fields: &[],
};

/// What the page may do (Content Security Policy Level 3). The hashes are those of its only script
/// and its only style; `no_other_script_than_the_one` says them.
const PAGE_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-j47IlQIZiyzs80HQCVq+QtZtm/Q+us5oSEJAO3slLmM='; \
    style-src 'sha256-lWWeKHcmPj8ZXVZBZUli2mQUFuAw4E0w54BXwm/lm4A='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// A JSON text without the white space between its tokens, and how long it is: the first call finds the
/// length for the second.
const fn compact<const LENGTH: usize>(json: &[u8]) -> ([u8; LENGTH], usize) {
    let mut compacted = [0; LENGTH];
    let (mut at, mut length, mut in_string) = (0, 0, false);
    while at < json.len() {
        let is_escape = in_string && json[at] == b'\\';
        if json[at] == b'"' {
            in_string = !in_string;
        }
        if in_string || !json[at].is_ascii_whitespace() {
            compacted[length] = json[at];
            length += 1;
        }
        if is_escape {
            at += 1;
            compacted[length] = json[at];
            length += 1;
        }
        at += 1;
    }
    (compacted, length)
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding};
    use serde_json::Value;
    use sha2::{Digest, Sha256};

    use super::*;

    /// What stands in the only element of this name.
    fn content(name: &str) -> &'static str {
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let (before, rest) = PAGE.split_once(&start).expect("there is one");
        let (content, after) = rest.split_once(&end).expect("it ends");
        assert!(!before.contains(&format!("<{name}")), "there is one");
        assert!(!after.contains(&format!("<{name}")), "there is one");
        content
    }

    #[test]
    fn no_other_script_than_the_one() {
        for name in ["script", "style"] {
            let mut hash = [0; 44];
            let hash = Base64::encode(&Sha256::digest(content(name)), &mut hash).expect("it fits");
            let wanted = format!("{name}-src 'sha256-{hash}'; ");
            assert!(PAGE_POLICY.contains(&wanted), "the policy needs {wanted}");
        }
    }

    #[test]
    fn the_description_is_that_of_its_source_and_of_this_version() {
        let source: Value = serde_json::from_slice(DESCRIPTION_SOURCE).expect("it is JSON");
        let served: Value = serde_json::from_slice(&DESCRIPTION).expect("it is JSON");
        assert_eq!(served, source);
        assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(served["openapi"], "3.1.0");
        let (tricky, length) = compact::<40>(br#" { "a \\" : [ " \" ] " , 1 ] } "#);
        assert_eq!(tricky[..length], *br#"{"a \\":[" \" ] ",1]}"#);
        assert!(DESCRIPTION.len() < 28_000, "{} bytes", DESCRIPTION.len());
    }

    /// What is asked for elsewhere tells others who looks, and is not there without a network.
    #[test]
    fn the_page_is_whole_and_small() {
        assert!(PAGE.len() < 30 << 10, "{} bytes", PAGE.len());
        let icon = PAGE.replacen("http://www.w3.org/2000/svg", "", 1);
        for foreign in ["http:", "https:", " src=", "@import", "url("] {
            assert!(!icon.contains(foreign), "{foreign}");
        }
        for markup in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            assert!(!PAGE.contains(markup), "{markup}");
        }
        for attribute in [" style=", " onclick=", " onerror=", " onload="] {
            assert!(!PAGE.contains(attribute), "{attribute}");
        }
    }
}
