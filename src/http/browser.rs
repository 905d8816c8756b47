//! The marks that a browser leaves on a request. A page can make its browser send nearly any request, but it
//! cannot take these away.

/// The marks that a browser has left on a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrowserMarks<'a> {
    /// Nothing but a browser, or a program that wants to be taken for one, sends these fields: Origin,
    /// Referer, `Sec-Fetch-…`, or a User-Agent that begins with `Mozilla/`.
    pub is_certain: bool,
    /// Each browser sends Accept-Language, and some other programs do. In some browsers it is the only
    /// mark that a page cannot keep from a GET to its own origin.
    pub is_possible: bool,
    /// The host that the browser asks for, with its port.
    pub host: Option<&'a [u8]>,
    /// The origin of the page. Empty if there are several, so that it is no origin.
    pub origin: Option<&'a [u8]>,
    /// The browser says that the page is of another origin: `Sec-Fetch-Site` is `cross-site` or `same-site`.
    pub is_other_origin: bool,
}

impl<'a> BrowserMarks<'a> {
    /// Notes an Origin field.
    pub(super) fn note_origin(&mut self, value: &'a [u8]) {
        self.is_certain = true;
        self.origin = Some(if self.origin.is_none() { value } else { b"" });
    }

    /// Notes a field that has no other meaning here.
    pub(super) fn note_other(&mut self, name: &str, value: &[u8]) {
        const PREFIX: &str = "Sec-Fetch-";
        let Some((start, rest)) = name.split_at_checked(PREFIX.len()) else {
            return;
        };
        if !start.eq_ignore_ascii_case(PREFIX) {
            return;
        }
        self.is_certain = true;
        if rest.eq_ignore_ascii_case("Site") {
            let value = value.trim_ascii();
            let others: [&[u8]; 2] = [b"cross-site", b"same-site"];
            self.is_other_origin |= others.iter().any(|other| value.eq_ignore_ascii_case(other));
        }
    }
}
