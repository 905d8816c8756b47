//! Requests to a latchd, and the meaning of its answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::client::{Client, Request};
use crate::command::{OwnerName, PoolName, ResourceId};

/// The time limit of an answer, beyond the wait in the queue.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) client: Client,
    /// The file of trusted certificates; `None` means the system's.
    pub(super) ca: Option<PathBuf>,
}

/// A held resource, as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Lease {
    pub(super) id: String,
    pub(super) fence: u64,
    pub(super) ttl: Option<u64>,
    pub(super) owner: Option<String>,
    pub(super) age: u64,
}

/// A waiter, as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Waiter {
    pub(super) owner: Option<String>,
    pub(super) n: u64,
    pub(super) id: Option<String>,
    pub(super) age: Option<u64>,
    pub(super) left: Option<u64>,
    pub(super) lost: bool,
}

/// The state of a pool: counts of members, held resources and waiters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct PoolStatus {
    pub(super) resources: u64,
    pub(super) held: u64,
    pub(super) waiting: u64,
}

/// An answer: its value, and the JSON it was parsed from.
#[derive(Debug)]
pub(super) struct Parsed<T> {
    pub(super) value: T,
    pub(super) json: String,
}

/// A request for resources of a pool.
#[derive(Clone, Debug)]
pub(super) struct AcquireRequest {
    pub(super) pool: PoolName<'static>,
    pub(super) id: Option<ResourceId<'static>>,
    pub(super) count: u32,
    pub(super) owner: Option<OwnerName<'static>>,
    /// True if latch generated the owner's name, so that no other client has it.
    pub(super) is_generated: bool,
    pub(super) ttl_s: Option<u32>,
}

impl AcquireRequest {
    /// Returns the request, which waits in the queue for up to `wait_s` seconds.
    pub(super) fn request(&self, wait_s: u64) -> Request {
        let request = match &self.id {
            Some(id) => lock("POST", &self.pool, id),
            None => locks("POST", &self.pool),
        };
        let count = Some(self.count).filter(|count| *count != 1);
        let wait_s = Some(wait_s).filter(|wait_s| *wait_s > 0);
        let request = request.with_some("n", count).with_some("wait", wait_s);
        let owner = self.owner.as_ref().map(OwnerName::as_str);
        let request = request
            .with_some("owner", owner)
            .with_some("ttl", self.ttl_s);
        request.with("lease", None)
    }
}

/// `/pool/A/lock`
pub(super) fn locks(method: &'static str, pool: &PoolName<'_>) -> Request {
    Request::new(method, &["pool", pool.as_str(), "lock"])
}

/// `/pool/A/lock/4`
pub(super) fn lock(method: &'static str, pool: &PoolName<'_>, id: &ResourceId<'_>) -> Request {
    Request::new(method, &["pool", pool.as_str(), "lock", id.as_str()])
}

impl Server {
    /// Sends a request and returns the body of its answer; any status but 200 is a failure.
    pub(super) fn ask(&self, request: &Request, limit: Duration) -> Result<Vec<u8>, Failure> {
        let failure = match self.client.ask(request, limit) {
            Ok(answer) if answer.status == 200 => return Ok(answer.body),
            Ok(answer) => Failure::of_answer(&answer),
            Err(error) => Failure::of_client(&error, self.client.peer.url()),
        };
        Err(failure.of_request(request))
    }

    /// Sends a request and parses its answer, within [`ANSWER_LIMIT`].
    pub(super) fn ask_for<T: DeserializeOwned>(
        &self,
        request: &Request,
    ) -> Result<Parsed<T>, Failure> {
        self.ask_within(request, ANSWER_LIMIT)
    }

    /// Sends a request and parses its answer, within `limit`.
    pub(super) fn ask_within<T: DeserializeOwned>(
        &self,
        request: &Request,
        limit: Duration,
    ) -> Result<Parsed<T>, Failure> {
        let body = self.ask(request, limit)?;
        let not_understood = |why: String| Failure::not_understood(&why).of_request(request);
        let value =
            serde_json::from_slice(&body).map_err(|error| not_understood(error.to_string()))?;
        let json = printable(body).map_err(|failure| failure.of_request(request))?;
        Ok(Parsed { value, json })
    }

    /// Sends a change whose answer says only that it was made.
    pub(super) fn change(&self, request: &Request, limit: Duration) -> Result<(), Failure> {
        self.ask_within::<String>(request, limit).map(|_| ())
    }

    /// Sends a request and returns the leases in its answer, at least one.
    pub(super) fn ask_for_leases(
        &self,
        request: &Request,
        limit: Duration,
    ) -> Result<Parsed<Vec<Lease>>, Failure> {
        let body = self.ask(request, limit)?;
        read_leases(body).map_err(|failure| failure.of_request(request))
    }

    pub(super) fn list_locks(&self, pool: &PoolName<'_>) -> Result<Parsed<Vec<Lease>>, Failure> {
        self.ask_for(&locks("GET", pool))
    }

    /// Lists the waiters of a pool, from the front of the queue.
    pub(super) fn list_waiters(&self, pool: &PoolName<'_>) -> Result<Parsed<Vec<Waiter>>, Failure> {
        self.ask_for(&Request::new("GET", &["pool", pool.as_str(), "queue"]))
    }

    pub(super) fn list_members(&self, pool: &PoolName<'_>) -> Result<Parsed<Vec<String>>, Failure> {
        self.ask_for(&Request::new("GET", &["pool", pool.as_str()]))
    }

    pub(super) fn list_pools(&self) -> Result<Parsed<BTreeMap<String, PoolStatus>>, Failure> {
        self.ask_for(&Request::new("GET", &["pool"]))
    }
}

fn read_leases(body: Vec<u8>) -> Result<Parsed<Vec<Lease>>, Failure> {
    let read = match body.first() {
        Some(b'[') => serde_json::from_slice(&body),
        _ => serde_json::from_slice(&body).map(|lease| vec![lease]),
    };
    let value: Vec<Lease> = read.map_err(|error| Failure::not_understood(&error.to_string()))?;
    let first = value
        .first()
        .ok_or(Failure::not_understood("there is no lease in it"))?;
    if value
        .iter()
        .any(|lease| lease.fence != first.fence || ResourceId::parse(&*lease.id).is_err())
    {
        return Err(Failure::not_understood(
            "its leases are not those of one grant",
        ));
    }
    Ok(Parsed {
        value,
        json: printable(body)?,
    })
}

/// Returns JSON as text without control characters. JSON allows those from U+007F to U+009F within
/// strings.
pub(super) fn printable(json: Vec<u8>) -> Result<String, Failure> {
    let json = String::from_utf8(json).map_err(|_| Failure::not_understood("it is not UTF-8"))?;
    if !json.contains(char::is_control) {
        return Ok(json);
    }
    let mut printable = String::with_capacity(json.len());
    for c in json.trim().chars() {
        match c {
            '\n' | '\r' | '\t' => printable.push(' '),
            c if c.is_control() => printable.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => printable.push(c),
        }
    }
    Ok(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_as_json_moves_no_cursor() {
        let read = |json: &str| printable(json.into()).expect("it is UTF-8");
        assert_eq!(read("[\"a\"]"), "[\"a\"]");
        assert_eq!(
            read("[\"\u{7f}\u{9b}2J\",\n1]"),
            "[\"\\u007f\\u009b2J\", 1]"
        );
        let value: Vec<String> = serde_json::from_str(&read("[\"\u{9b}\"]")).expect("JSON");
        assert_eq!(value, ["\u{9b}"]);
    }
}
