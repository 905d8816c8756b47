//! Every request that the load sends, built before it starts: the loop only copies bytes.
//!
//! Resources are named "1" to "N", so an id in an answer is an index without a look-up.

use std::net::SocketAddr;

use crate::plan::{Api, Mode, Plan};

pub struct Requests {
    /// The lock requests of one write.
    pub locks: Vec<u8>,
    /// One release for each resource, in order.
    releases: Vec<Box<[u8]>>,
}

impl Requests {
    pub fn new(plan: &Plan, pool: &str) -> Self {
        let close = plan.mode == Mode::Close;
        let bytes = |method, path: &str| request(method, path, plan.server, close, "");
        let lock = match plan.api {
            Api::Latchd => bytes("POST", &format!("/pool/{pool}/lock")),
            // As plain text, as latchd answers too.
            Api::Webdis => bytes("GET", &format!("/SPOP/{pool}.txt")),
        };
        let release = |number: u32| match plan.api {
            Api::Latchd => bytes("DELETE", &format!("/pool/{pool}/lock/{number}")),
            Api::Webdis => bytes("GET", &format!("/SADD/{pool}/{number}.txt")),
        };
        Self {
            locks: lock.repeat(plan.depth as usize),
            releases: (1..=plan.resources)
                .map(|number| release(number).into_boxed_slice())
                .collect(),
        }
    }

    pub fn release(&self, resource: u32) -> &[u8] {
        &self.releases[resource as usize]
    }

    /// Returns the resource that an answer's body names, if it was seeded.
    pub fn resource(&self, body: &[u8]) -> Option<u32> {
        if body.first() == Some(&b'0') || body.len() > 9 {
            return None;
        }
        let number = body.iter().try_fold(0_u32, |number, byte| {
            let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
            Some(number * 10 + digit)
        })?;
        number
            .checked_sub(1)
            .filter(|resource| (*resource as usize) < self.releases.len())
    }
}

/// Returns the bytes of one request, as short as a client may make it.
pub fn request(method: &str, path: &str, server: SocketAddr, close: bool, body: &str) -> Vec<u8> {
    let close = if close { "Connection: close\r\n" } else { "" };
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\n{close}{length}\r\n{body}").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn requests(api: Api) -> Requests {
        let plan = Plan {
            server: "127.0.0.1:1".parse().unwrap(),
            connections: 1,
            api,
            mode: Mode::KeepAlive,
            locks_only: false,
            depth: 1,
            resources: 12,
            gather: 1,
            sleep: false,
            burst_interval: None,
            warmup: Duration::ZERO,
            window: Duration::ZERO,
            pid: None,
            redis: None,
        };
        Requests::new(&plan, "A")
    }

    #[test]
    fn webdis_is_asked_in_its_own_words() {
        let requests = requests(Api::Webdis);
        assert!(requests.locks.starts_with(b"GET /SPOP/A.txt HTTP/1.1\r\n"));
        let release = requests.release(11);
        assert!(release.starts_with(b"GET /SADD/A/12.txt HTTP/1.1\r\n"));
    }

    #[test]
    fn only_seeded_ids_are_known() {
        let requests = requests(Api::Latchd);
        assert_eq!(requests.resource(b"1"), Some(0));
        assert_eq!(requests.resource(b"12"), Some(11));
        for body in [&b""[..], b"0", b"01", b"13", b"1\n", b"x", b"99999999999"] {
            assert_eq!(requests.resource(body), None);
        }
        assert!(
            requests
                .release(11)
                .starts_with(b"DELETE /pool/A/lock/12 HTTP/1.1\r\n")
        );
    }
}
