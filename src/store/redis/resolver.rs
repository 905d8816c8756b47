//! Resolves host names without stopping the event loop. The system's resolver blocks, so a thread
//! of its own calls it and ends with the answer.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mio::Waker;

/// A lookup in progress. If it is dropped, so is its answer.
pub(super) struct Lookup {
    answer: Arc<Mutex<Option<LookupResult>>>,
}

type LookupResult = io::Result<Vec<SocketAddr>>;

impl Lookup {
    /// Starts to look up the addresses of a host. It wakes `waker` when they are there.
    pub(super) fn start(host: &str, port: u16, waker: Arc<Waker>) -> io::Result<Lookup> {
        let answer = Arc::new(Mutex::new(None));
        let place = Arc::clone(&answer);
        let host = host.to_owned();
        thread::Builder::new()
            .name("resolver".into())
            .spawn(move || {
                let addresses = (host.as_str(), port)
                    .to_socket_addrs()
                    .map(Iterator::collect);
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(addresses);
                // The loop may have ended: that is fine.
                let _ = waker.wake();
            })?;
        Ok(Lookup { answer })
    }

    /// Returns the answer, once it is there.
    pub(super) fn poll(&self) -> Option<LookupResult> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.take()
    }
}

/// Returns the address that a host name is a literal of.
pub(super) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.parse::<IpAddr>()
        .ok()
        .map(|ip| SocketAddr::new(ip, port))
}
