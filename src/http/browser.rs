//! The header fields that a browser adds to a request. A page can make its browser send nearly any request,
//! but cannot remove these fields.

use std::mem::MaybeUninit;

use super::MAX_HEADER_FIELDS;
use super::head::split_host;

/// The host that a browser asks, and the page that makes it ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrowserFields<'a> {
    /// The host that the browser asks for, with its port.
    pub host: Option<&'a [u8]>,
    /// The origin of the page. Empty, and so no origin, if there are several fields.
    pub origin: Option<&'a [u8]>,
    /// The browser says that the page is of another origin: `Sec-Fetch-Site` is `cross-site` or `same-site`.
    pub is_other_origin: bool,
}

impl<'a> BrowserFields<'a> {
    /// Parses the fields of a head that was parsed before. Parsing it twice costs less than keeping them for
    /// each request, as most have none.
    #[cold]
    pub fn read(head: &'a [u8]) -> BrowserFields<'a> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADER_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let mut marks = BrowserFields::default();
        if request
            .parse_with_uninit_headers(head, &mut fields)
            .is_err()
        {
            return marks;
        }
        for field in request.headers.iter() {
            marks.note(field.name, field.value);
        }
        // A target that names a host overrules the Host field (RFC 9112 section 3.2.2).
        let target = request.path.and_then(split_host);
        if let Some((Some(host), _)) = target {
            marks.host = Some(host.as_bytes());
        }
        marks
    }

    fn note(&mut self, name: &str, value: &'a [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("Host") {
            self.host = Some(value);
        } else if is("Origin") {
            self.origin = Some(if self.origin.is_none() { value } else { b"" });
        } else if is("Sec-Fetch-Site") {
            let value = value.trim_ascii();
            let others: [&[u8]; 2] = [b"cross-site", b"same-site"];
            self.is_other_origin |= others.iter().any(|other| value.eq_ignore_ascii_case(other));
        }
    }
}
