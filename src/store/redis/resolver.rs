//! Host names to addresses, without stopping the event loop: the system's resolver waits for the
//! network, so it is asked on a thread of its own, which ends with the answer.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use mio::Waker;

/// A question to the resolver. If nobody waits for the answer any more, it is dropped.
pub(super) struct Lookup {
    answer: Receiver<io::Result<Vec<SocketAddr>>>,
}

impl Lookup {
    /// Asks for the addresses of a host. `waker` is called when they are there.
    pub(super) fn start(host: &str, port: u16, waker: Arc<Waker>) -> io::Result<Lookup> {
        let (sender, answer) = channel();
        let host = host.to_owned();
        thread::Builder::new()
            .name("resolver".into())
            .spawn(move || {
                let addresses = (host.as_str(), port)
                    .to_socket_addrs()
                    .map(Iterator::collect);
                // Nobody may wait for it any more, or the loop has ended: both are fine.
                let _ = sender.send(addresses);
                let _ = waker.wake();
            })?;
        Ok(Lookup { answer })
    }

    /// The answer, once it is there.
    pub(super) fn poll(&self) -> Option<io::Result<Vec<SocketAddr>>> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(io::Error::other("the resolver has failed")))
            }
        }
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
