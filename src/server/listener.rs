//! Listening sockets. What is set on them is inherited by each accepted connection, which saves it
//! the calls.

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

/// How many may wait to be accepted: the system takes as many as it allows. After a restart all devices
/// come at once, and those that find no place try again a second later.
const BACKLOG: i32 = i32::MAX;

/// Links die without a word when a device sleeps: after a silence of this length it is asked for a
/// sign of life.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(IDLE_KEEPALIVE)
    .with_interval(PROBE_INTERVAL)
    .with_retries(3);

const IDLE_KEEPALIVE: Duration = Duration::from_secs(60);

/// How long the system waits for an answer to a probe.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// How long what was sent may stay unconfirmed before the connection counts as dead.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(120);

/// The silence after which a waiter is asked for a sign of life. Others want its place, and some NATs
/// forget a connection that is silent for half a minute.
#[cfg(target_os = "linux")]
const WAITER_KEEPALIVE: Duration = Duration::from_secs(25);

/// For how long a waiter may leave probes unanswered: the third is sent before, and at the fourth it
/// counts as dead. Linux counts no probes where such a time is set.
#[cfg(target_os = "linux")]
const WAITER_USER_TIMEOUT: Duration = Duration::from_secs(50);

/// A listening socket.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// Its clients speak TLS.
    pub(super) has_tls: bool,
}

/// The sockets that whoever started this process listens on already (systemd's socket activation), or
/// else new ones at the addresses that are to be listened on. An inherited socket goes on listening when
/// this process ends: who connects meanwhile waits for the next one.
///
/// One with the port of a `--tls-listen` has TLS, and what there is to be with TLS and is not inherited is
/// listened on all the same.
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

/// Sockets that nobody else is to share.
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

/// `reuse_port` lets other processes of the same user listen on the port too, if they say so as well.
/// Each new connection goes to one of them. An error names the address.
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
    // A client that waits for each answer must not wait for a delayed acknowledgement as well.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

/// Sets how soon a silent client is asked for a sign of life: sooner while it waits.
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

/// Whether accepting failed because of the one connection that was next, which is gone then.
pub(super) fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}
