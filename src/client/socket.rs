//! A blocking socket with one deadline for all steps, the lookup of the name included.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use super::Url;
use super::zone::resolve;

/// The silence before the first keepalive probe, and between probes: a vanished peer is noticed after four
/// times as much. The answer may be minutes away, but the peer's system answers probes by itself.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A socket with a deadline.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    pub(super) deadline: Instant,
}

impl Socket {
    pub(super) fn open(url: &Url, deadline: Instant) -> io::Result<Socket> {
        let mut problem = ErrorKind::AddrNotAvailable.into();
        for address in resolve_host(url, deadline)? {
            match TcpStream::connect_timeout(&address, left(deadline)?) {
                Ok(stream) => return Socket::over(stream, deadline),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    fn over(stream: TcpStream, deadline: Instant) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
        #[cfg(target_os = "linux")]
        let keepalive = keepalive.with_interval(KEEPALIVE).with_retries(3);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Socket { stream, deadline })
    }

    /// Sends the bytes that fit at once, and nothing more.
    pub(super) fn send_last(&mut self, bytes: &[u8]) {
        let is_ready = self.stream.set_nonblocking(true);
        // A peer that is gone does not miss it.
        let _ = is_ready.and_then(|()| self.stream.write(bytes));
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        self.stream.read(buffer).map_err(as_timeout)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(bytes).map_err(as_timeout)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Maps both error kinds of a socket's time-out to `TimedOut`.
fn as_timeout(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

/// Returns the time until the deadline; an error if it has passed.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

fn resolve_host(url: &Url, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    match url.host().parse() {
        Ok(IpAddr::V6(address)) => {
            let found = resolve(address, url.zone(), url.port());
            return found.map(|address| vec![address]).map_err(io::Error::other);
        }
        Ok(address) => return Ok(vec![SocketAddr::new(address, url.port())]),
        Err(_) => {}
    }
    // A thread, because the lookup of a name has no time-out of its own. It ends with the process.
    let found = Arc::new(Mutex::new(None));
    let (place, waiter) = (Arc::clone(&found), thread::current());
    let (host, port) = (url.host().to_owned(), url.port());
    let spawned = thread::Builder::new().spawn(move || {
        let addresses = (&*host, port).to_socket_addrs();
        let addresses = addresses.map(|addresses| addresses.collect());
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(addresses);
        waiter.unpark();
    });
    if spawned.is_err() {
        // Without another thread, the system's own time-out must do.
        return Ok((url.host(), port).to_socket_addrs()?.collect());
    }
    loop {
        let answer = found.lock().unwrap_or_else(PoisonError::into_inner).take();
        match answer {
            Some(addresses) => return addresses,
            None => thread::park_timeout(left(deadline)?),
        }
    }
}
