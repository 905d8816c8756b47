//! The preference of the Accept field: JSON, plain text, or an HTML page (RFC 9110 section 12.5.1).

use super::Format;

/// The preferences of all Accept fields of a request together.
#[derive(Debug, Default)]
pub(super) struct Preference {
    /// The weight of `application/json` in thousandths; `None` if not named. Likewise below.
    json: Option<u16>,
    /// The weights of `text/plain`, `text/*` and `*/*`: the most specific first.
    plain: [Option<u16>; 3],
    /// The weight of `application/xhtml+xml`, which only browsers name.
    xhtml: Option<u16>,
}

impl Preference {
    /// Adds one field.
    pub(super) fn read(&mut self, value: &[u8]) {
        for range in value.split(|&b| b == b',') {
            let mut parts = range.split(|&b| b == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(quality).unwrap_or(1000);
            let place = if name.eq_ignore_ascii_case(b"application/json") {
                &mut self.json
            } else if name.eq_ignore_ascii_case(b"text/plain") {
                &mut self.plain[0]
            } else if name.eq_ignore_ascii_case(b"text/*") {
                &mut self.plain[1]
            } else if name == b"*/*" {
                &mut self.plain[2]
            } else if name.eq_ignore_ascii_case(b"application/xhtml+xml") {
                &mut self.xhtml
            } else {
                continue;
            };
            *place = (*place).max(Some(quality));
        }
    }

    /// Returns the preferred format. JSON and HTML must be named, and not be ranked below plain text. JSON
    /// wins over HTML: browsers do not ask for both. A bare `text/html` is plain text: it comes from devices
    /// whose buffers have no room for a page.
    pub(super) fn format(&self) -> Format {
        let plain = self.plain.iter().find_map(|&quality| quality).unwrap_or(0);
        let is_wanted = |quality: u16| quality > 0 && quality >= plain;
        if self.json.is_some_and(is_wanted) {
            Format::Json
        } else if self.xhtml.is_some_and(is_wanted) {
            Format::Html
        } else {
            Format::Plain
        }
    }
}

/// Returns the thousandths of `q=0.5`; `None` for other parameters. An unreadable weight is 0.
fn quality(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', digits @ ..] = parameter else {
        return None;
    };
    let (whole, fraction) = match digits {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] => (whole, fraction),
        _ => return Some(0),
    };
    let digit = |place: usize| match fraction.get(place) {
        Some(&byte) if byte.is_ascii_digit() => u16::from(byte - b'0'),
        _ => 0,
    };
    match whole {
        b'0' => Some(100 * digit(0) + 10 * digit(1) + digit(2)),
        b'1' => Some(1000),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_only_where_it_is_wanted() {
        let is_json = |value: &str| {
            let mut preference = Preference::default();
            preference.read(value.as_bytes());
            preference.format() == Format::Json
        };
        for wanted in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json, text/plain, */*",
            "text/html, application/json;q=0.9, */*;q=0.8",
            "text/plain;q=0.4, application/json;q=0.5",
            "*/*, application/json",
        ] {
            assert!(is_json(wanted), "{wanted}");
        }
        for not_wanted in [
            "*/*",
            "application/*",
            "text/plain",
            "application/json;q=0",
            "application/json;q=0.0",
            "application/json;q=0.5, text/plain",
            "application/json;q=0.5, */*",
            "text/*, application/json;q=0.9",
            "",
        ] {
            assert!(!is_json(not_wanted), "{not_wanted}");
        }
    }

    #[test]
    fn html_only_where_it_is_wanted_most() {
        let is_html = |value: &str| {
            let mut preference = Preference::default();
            preference.read(value.as_bytes());
            preference.format() == Format::Html
        };
        for wanted in [
            "application/xhtml+xml",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "Application/XHTML+XML, text/plain, */*;q=0.01",
            "application/xhtml+xml;q=0.1, application/json;q=0",
        ] {
            assert!(is_html(wanted), "{wanted}");
        }
        for not_wanted in [
            "*/*",
            "text/*",
            "text/html",
            "TEXT/HTML;charset=utf-8",
            "text/html, text/plain, text/sgml, */*;q=0.01",
            "application/xhtml+xml;q=0",
            "application/xhtml+xml;q=0.5, */*",
            "application/xhtml+xml;q=0.5, text/plain",
            "application/xhtml",
            "application/xhtml+xml, application/json;q=0.1",
            "",
        ] {
            assert!(!is_html(not_wanted), "{not_wanted}");
        }
    }
}
