//! Stands between a server and its Redis, and harms Redis' replies as ordered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::support::PATIENCE;
use crate::support::redis::RedisServer;

/// The time for which one side is read before it is the other one's turn.
const GLANCE: Duration = Duration::from_millis(1);

/// A harm to the next reply of Redis.
pub enum Harm {
    /// Other bytes come in its place.
    Replaced(Vec<u8>),
    /// The same, and then these ones over and over, for as long as the server takes them.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes come before it.
    Preceded(Vec<u8>),
    /// These bytes come behind it.
    Followed(Vec<u8>),
    /// It comes twice.
    Doubled,
    /// This many bytes of it come, and then nothing.
    Swallowed(usize),
    /// This many bytes of it come, and then a reset.
    CutOff(usize),
}

/// Passes all on, except for the ordered harm. It harms no connection for notices: tests do not count
/// those among the answers.
pub struct Liar {
    address: SocketAddr,
    orders: Arc<Orders>,
}

#[derive(Default)]
struct Orders {
    /// The harm to do once.
    next: Mutex<Option<Harm>>,
    /// The replies to pass on before.
    passes: AtomicUsize,
    /// The harm is done without waiting for a reply.
    at_once: AtomicBool,
    /// All that Redis says comes byte by byte.
    in_bytes: AtomicBool,
    over: AtomicBool,
}

impl Liar {
    pub fn before(redis: &RedisServer) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let liar = Liar {
            address: listener.local_addr().expect("its address"),
            orders: Arc::default(),
        };
        let (redis, orders) = (redis.address(), liar.orders.clone());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if orders.over.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(far) = TcpStream::connect(redis) {
                    let orders = orders.clone();
                    thread::spawn(move || stand_between(near, far, &orders));
                }
            }
        });
        liar
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Orders a harm to the next reply.
    pub fn order(&self, harm: Harm) {
        *self.orders.next() = Some(harm);
    }

    /// Orders a harm to the reply after `passes` others.
    pub fn order_after(&self, passes: usize, harm: Harm) {
        self.orders.passes.store(passes, Ordering::SeqCst);
        self.order(harm);
    }

    /// Has this done although Redis says nothing.
    pub fn order_at_once(&self, harm: Harm) {
        self.order(harm);
        self.orders.at_once.store(true, Ordering::SeqCst);
    }

    pub fn pass_on_byte_by_byte(&self) {
        self.orders.in_bytes.store(true, Ordering::SeqCst);
    }

    /// Whether the ordered harm has begun.
    pub fn has_obeyed(&self) -> bool {
        self.orders.next().is_none()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.orders.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Orders {
    fn next(&self) -> std::sync::MutexGuard<'_, Option<Harm>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The only owner of both sockets, so that it ends them when it is told to.
fn stand_between(mut near: TcpStream, mut far: TcpStream, orders: &Orders) {
    for stream in [&near, &far] {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(GLANCE));
        let _ = stream.set_write_timeout(Some(PATIENCE));
    }
    let mut bytes = vec![0; 64 << 10];
    let mut is_for_notices = false;
    while !orders.over.load(Ordering::SeqCst) {
        let Some(asked) = listen(&mut near, &mut bytes) else {
            return;
        };
        is_for_notices |= memchr::memmem::find(&bytes[..asked], b"latchd-notices").is_some();
        if far.write_all(&bytes[..asked]).is_err() {
            return;
        }
        let Some(said) = listen(&mut far, &mut bytes) else {
            return;
        };
        if is_for_notices {
            if near.write_all(&bytes[..said]).is_err() {
                return;
            }
            continue;
        }
        let at_once = orders.at_once.swap(false, Ordering::SeqCst);
        if (said > 0 || at_once) && !speak(&mut near, &bytes[..said], orders) {
            return;
        }
    }
}

/// Reads what has come; `None` at the end of the stream.
fn listen(stream: &mut TcpStream, bytes: &mut [u8]) -> Option<usize> {
    match stream.read(bytes) {
        Ok(0) => None,
        Ok(count) => Some(count),
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
            Some(0)
        }
        Err(_) => None,
    }
}

/// Passes on a reply, or its harmed form. False if that is the end.
fn speak(near: &mut TcpStream, said: &[u8], orders: &Orders) -> bool {
    let is_passed = orders
        .passes
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |passes| {
            passes.checked_sub(1)
        })
        .is_ok();
    let harm = match is_passed {
        true => None,
        false => orders.next().take(),
    };
    let result = match harm {
        None if orders.in_bytes.load(Ordering::SeqCst) => {
            said.chunks(1).try_for_each(|byte| near.write_all(byte))
        }
        None => near.write_all(said),
        Some(Harm::Replaced(other)) => near.write_all(&other),
        Some(Harm::Preceded(other)) => near.write_all(&[&other, said].concat()),
        Some(Harm::Followed(other)) => near.write_all(&[said, &other].concat()),
        Some(Harm::Doubled) => near.write_all(&said.repeat(2)),
        Some(Harm::Swallowed(count)) => near.write_all(&said[..count.min(said.len())]),
        Some(Harm::CutOff(count)) => {
            let _ = near.write_all(&said[..count.min(said.len())]);
            // With nothing to linger for, its end is a reset.
            let _ = SockRef::from(&*near).set_linger(Some(Duration::ZERO));
            return false;
        }
        Some(Harm::Endless(start, more)) => {
            let more = more.repeat((64 << 10) / more.len());
            let mut result = near.write_all(&start);
            while result.is_ok() && !orders.over.load(Ordering::SeqCst) {
                result = near.write_all(&more);
            }
            result
        }
    };
    result.is_ok()
}
