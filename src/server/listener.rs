//! Listening sockets. Accepted connections inherit their options, which saves the calls.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use listenfd::ListenFd;
use mio::net::TcpListener;
#[cfg(target_os = "linux")]
use mio::net::TcpStream;
#[cfg(target_os = "linux")]
use rustix::net::sockopt;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::Options;

/// The backlog: as many as the system allows. After a restart all devices connect at once, and those that
/// find no room try again a second later.
const BACKLOG: i32 = i32::MAX;

/// Links die without notice when a device sleeps: after this silence the system probes it.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(IDLE_KEEPALIVE)
    .with_interval(PROBE_INTERVAL)
    .with_retries(3);

const IDLE_KEEPALIVE: Duration = Duration::from_secs(60);

/// The time that the system waits for the answer to a probe.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The time that sent bytes may stay unacknowledged before the connection counts as dead.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(120);

/// The silence after which a waiter is probed: other waiters want its place, and some NATs forget a
/// connection that is silent for half a minute.
#[cfg(target_os = "linux")]
const WAITER_KEEPALIVE: Duration = Duration::from_secs(25);

/// The time that a waiter may leave probes unanswered: it counts as dead at the fourth, after three have been
/// sent. Linux counts no probes where this time is set.
#[cfg(target_os = "linux")]
const WAITER_USER_TIMEOUT: Duration = Duration::from_secs(50);

/// A listening socket.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// The connections of this listener have TLS.
    pub(super) has_tls: bool,
}

/// Returns the listening sockets that the parent process passed on (systemd's socket activation), or else new
/// ones at the configured addresses. An inherited socket goes on listening after this process ends: clients
/// that connect meanwhile wait for the next process.
///
/// An inherited socket has TLS if its port is that of a `--tls-listen`. Addresses of `--tls-listen` that were
/// not inherited are bound all the same.
pub(super) fn open(options: &Options) -> io::Result<Vec<Listener>> {
    let with_tls = options.tls.as_ref().map_or(&[][..], |tls| &tls.listen);
    let (mut listeners, mut inherited_ports) = (Vec::new(), Vec::new());
    for socket in inherited()? {
        let port = socket.local_addr()?.port();
        let has_tls = with_tls.iter().any(|address| address.port() == port);
        listeners.push(Listener { socket, has_tls });
        inherited_ports.push(port);
    }
    let without_tls = options.listen.iter().filter(|_| inherited_ports.is_empty());
    let with_tls = with_tls
        .iter()
        .filter(|address| !inherited_ports.contains(&address.port()));
    let addresses = without_tls.map(|address| (address, false));
    for (address, has_tls) in addresses.chain(with_tls.map(|address| (address, true))) {
        let socket = bind(*address, options.reuse_port)?;
        listeners.push(Listener { socket, has_tls });
    }
    Ok(listeners)
}

/// Binds sockets whose ports are not shared with other processes.
pub(super) fn bind_all(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let bound = addresses.iter().map(|&address| bind(address, false));
    bound.collect()
}

fn inherited() -> io::Result<Vec<TcpListener>> {
    let mut given = ListenFd::from_env();
    let mut listeners = Vec::new();
    for place in 0..given.len() {
        let socket = given.take_tcp_listener(place).map_err(|error| {
            io::Error::new(error.kind(), format!("inherited socket {place}: {error}"))
        })?;
        if let Some(socket) = socket {
            set_options(SockRef::from(&socket))?;
            socket.set_nonblocking(true)?;
            listeners.push(TcpListener::from_std(socket));
        }
    }
    Ok(listeners)
}

/// Binds a socket. `reuse_port` lets other processes of the same user share the port if they set it, too:
/// each new connection goes to one of them. An error names the address.
fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    try_to_bind(address, reuse_port)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

fn try_to_bind(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    set_options(SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn set_options(socket: SockRef<'_>) -> io::Result<()> {
    // A client that waits for each answer must not also wait for a delayed acknowledgement.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

/// Sets how soon a silent client is probed: sooner while it waits.
#[cfg(target_os = "linux")]
pub(super) fn set_probes(socket: &TcpStream, is_waiter: bool) -> io::Result<()> {
    let (idle, user_timeout) = match is_waiter {
        true => (WAITER_KEEPALIVE, WAITER_USER_TIMEOUT),
        false => (IDLE_KEEPALIVE, USER_TIMEOUT),
    };
    sockopt::set_tcp_keepidle(socket, idle)?;
    sockopt::set_tcp_user_timeout(socket, user_timeout.as_millis() as u32)?;
    Ok(())
}

/// Returns whether accepting failed only for the next connection, which is gone then.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}
