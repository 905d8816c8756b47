//! Texts that are part of the binary: the page for browsers.
//!
//! The page holds no data. It asks for what it shows like any other client, and with the key that it
//! is told; so it is there for whoever asks. Names are written by strangers: the policy below lets a
//! browser run nothing but the one script, which makes text of them and never markup.

use crate::http::Document;

/// The page.
pub(super) const PAGE: &str = include_str!("page.html");

/// Its header fields. `/` is something else to who does not ask for HTML.
pub(super) static OF_PAGE: Document = Document {
    kind: "text/html; charset=utf-8",
    fields: &[
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept"),
        ("Content-Security-Policy", PAGE_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ],
};

/// What the page may do (Content Security Policy Level 3). The hashes are those of its only script
/// and its only style; `no_other_script_than_the_one` says them.
const PAGE_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-9SDm+xz46kNTnD4f+pRATQv8kPaBNYekHbmJZt/5oCM='; \
    style-src 'sha256-roXWKIMqdgd/pO+AaDmQAgavbHvZIzhO/IvVsFA0AMk='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding};
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

    /// What is asked for elsewhere tells others who looks, and is not there without a network.
    #[test]
    fn the_page_is_whole_and_small() {
        assert!(PAGE.len() < 24 << 10, "{} bytes", PAGE.len());
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
