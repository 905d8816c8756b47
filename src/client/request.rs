//! A request as bytes.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Url;

/// All characters that are not unreserved in a URL (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A request under construction.
#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    /// Path and query.
    target: String,
    body: Vec<u8>,
    /// The answer may have no length and end with the connection.
    is_streamed: bool,
}

impl Request {
    /// Returns a request for the path of `segments`, each of which may have any characters.
    pub fn new(method: &'static str, segments: &[&str]) -> Request {
        let mut target = String::new();
        for segment in segments {
            target.push('/');
            target.extend(utf8_percent_encode(segment, RESERVED));
        }
        Request {
            method,
            target,
            body: Vec::new(),
            is_streamed: false,
        }
    }

    /// Adds a parameter; one without a value is a flag.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Request {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        self.target.push(separator);
        self.target.push_str(name);
        if let Some(value) = value {
            self.target.push('=');
            self.target.extend(utf8_percent_encode(value, RESERVED));
        }
        self
    }

    /// Adds a parameter if there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl ToString>) -> Request {
        match value {
            Some(value) => self.with(name, Some(&value.to_string())),
            None => self,
        }
    }

    /// Adds a body.
    #[must_use]
    pub fn with_body(mut self, body: Vec<u8>) -> Request {
        self.body = body;
        self
    }

    /// Allows an answer without a length, by HTTP/1.0: it has no chunks, and the end of the connection ends the body.
    #[must_use]
    pub fn streamed(mut self) -> Request {
        self.is_streamed = true;
        self
    }

    /// Returns whether the request changes nothing at the server.
    pub fn is_read(&self) -> bool {
        self.method == "GET"
    }

    /// Returns the bytes of the request for a server at `url`. `key` comes from a valid [`super::Key`].
    pub(super) fn to_bytes(&self, url: &Url, key: Option<&str>) -> Vec<u8> {
        let Request { method, target, .. } = self;
        let (prefix, host) = (url.path().trim_end_matches('/'), url.authority());
        let minor = if self.is_streamed { 0 } else { 1 };
        let mut head = format!("{method} {prefix}{target} HTTP/1.{minor}\r\nHost: {host}\r\n");
        head.push_str("Accept: application/json\r\nConnection: close\r\n");
        if let Some(key) = key {
            let _ = write!(head, "Authorization: Bearer {key}\r\n");
        }
        if *method != "GET" {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        // In one piece: a server may misread a request of which only a part has arrived.
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, Url};

    fn text(request: &Request, url: &str, key: Option<&str>) -> String {
        let url = Url::parse(url).expect("a good URL");
        String::from_utf8(request.to_bytes(&url, key)).expect("UTF-8")
    }

    #[test]
    fn names_travel_whole() {
        let request = Request::new("POST", &["pool", "a/b ?", "lock", "\u{e9}%2F"])
            .with("owner", Some("x+y&z=1"))
            .with_some("ttl", Some(60))
            .with_some("n", None::<u32>)
            .with("lease", None);
        assert_eq!(
            text(&request, "http://h:1", None),
            "POST /pool/a%2Fb%20%3F/lock/%C3%A9%252F?owner=x%2By%26z%3D1&ttl=60&lease HTTP/1.1\r\n\
             Host: h:1\r\nAccept: application/json\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_server_may_be_below_a_path_and_want_a_key() {
        let request = Request::new("GET", &["pool"]);
        assert_eq!(
            text(&request, "[::1]:80/locks/", Some("s3cret")),
            "GET /locks/pool HTTP/1.1\r\nHost: [::1]:80\r\nAccept: application/json\r\n\
             Connection: close\r\nAuthorization: Bearer s3cret\r\n\r\n"
        );
        let request = Request::new("PUT", &["pool"]).with_body(b"{}".to_vec());
        assert!(text(&request, "h:1", None).ends_with("Content-Length: 2\r\n\r\n{}"));
    }
}
