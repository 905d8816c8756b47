//! Host names to addresses, without stopping the event loop: the system's resolver waits for the
//! network, so it is asked on a thread of its own, which ends with the answer.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mio::Waker;

/// A question to the resolver. If nobody waits for the answer any more, it is dropped.
pub(super) struct Lookup {
    answer: Arc<Mutex<Option<LookupResult>>>,
}

type LookupResult = io::Result<Vec<SocketAddr>>;

impl Lookup {
    /// Asks for the addresses of a host. `waker` is called when they are there.
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

    /// The answer, once it is there.
    pub(super) fn poll(&self) -> Option<LookupResult> {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.take()
    }
}

/// The address that a host name stands for by itself.
pub(super) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.parse::<IpAddr>()
        .ok()
        .map(|ip| SocketAddr::new(ip, port))
}
