//! Texts in the binary: the page for browsers, and the OpenAPI description.
//!
//! The page holds no data. It requests its data as any other client, with the key that its user enters,
//! so the page itself needs no key. Names come from other users: the policy below lets a browser run only
//! the one script, which renders names as text and never as markup.

use crate::http::Document;

/// The page for browsers, without the indents and the comment lines of its source.
pub(super) static PAGE: [u8; PAGE_LENGTH] = without_comments(PAGE_SOURCE).0;

const PAGE_SOURCE: &[u8] = include_bytes!("page.html");

const PAGE_LENGTH: usize = without_comments::<{ PAGE_SOURCE.len() }>(PAGE_SOURCE).1;

/// The header fields of the page. `/` has another answer for clients that do not ask for HTML, so no
/// cache may keep it: like each answer to a request with `Accept` it has `Cache-Control`.
pub(super) static OF_PAGE: Document = Document {
    content_type: "text/html; charset=utf-8",
    fields: &[
        ("Content-Security-Policy", PAGE_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ],
};

/// The OpenAPI 3.1 description, without the white space of its source.
pub(super) static DESCRIPTION: [u8; DESCRIPTION_LENGTH] = compact(DESCRIPTION_SOURCE).0;

const DESCRIPTION_SOURCE: &[u8] = include_bytes!("openapi.json");

const DESCRIPTION_LENGTH: usize = compact::<{ DESCRIPTION_SOURCE.len() }>(DESCRIPTION_SOURCE).1;

/// The header fields of the description.
pub(super) static OF_DESCRIPTION: Document = Document {
    content_type: "application/json",
    fields: &[],
};

/// The rights of the page (Content Security Policy Level 3). The hashes are those of its only script
/// and its only style; `no_other_script_than_the_one` prints them.
const PAGE_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-esz+fpQ2sOVb9ioCmPd2rIQiX5Cna9U5rVPRSFoHZQ4='; \
    style-src 'sha256-7Y13uRTFuFh5SpEHXwvT0QaJq8yPVxaLM3qGv5KdXiw='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Returns a JSON text without the white space between its tokens, and its length: the first call finds
/// the length for the second.
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

/// Returns a page without indents and without lines that are a comment of its script, and its length. No text of the
/// page spans lines.
const fn without_comments<const LENGTH: usize>(page: &[u8]) -> ([u8; LENGTH], usize) {
    let mut kept = [0; LENGTH];
    let (mut at, mut length) = (0, 0);
    while at < page.len() {
        while at < page.len() && page[at] == b' ' {
            at += 1;
        }
        let is_comment = at + 1 < page.len() && page[at] == b'/' && page[at + 1] == b'/';
        while at < page.len() {
            if !is_comment {
                kept[length] = page[at];
                length += 1;
            }
            at += 1;
            if page[at - 1] == b'\n' {
                break;
            }
        }
    }
    (kept, length)
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding};
    use serde_json::Value;
    use sha2::{Digest, Sha256};

    use super::*;

    fn page() -> &'static str {
        str::from_utf8(&PAGE).expect("it is text")
    }

    /// Returns the content of the only element of this name.
    fn content(name: &str) -> &'static str {
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let (before, rest) = page().split_once(&start).expect("there is one");
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
    }

    /// Resources of other hosts would show them who opens the page, and would be missing without a
    /// network.
    #[test]
    fn the_page_is_whole_and_small() {
        assert!(PAGE.len() < 30 << 10, "{} bytes", PAGE.len());
        let icon = page().replacen("http://www.w3.org/2000/svg", "", 1);
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
            assert!(!page().contains(markup), "{markup}");
        }
        for attribute in [" style=", " onclick=", " onerror=", " onload="] {
            assert!(!page().contains(attribute), "{attribute}");
        }
    }
}
