//! Stands between a server and its Redis, and holds back or delays Redis' replies.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::redis::RedisServer;

/// It is open until it is shut. Requests pass either way.
pub struct Gate {
    address: SocketAddr,
    shut: Arc<AtomicBool>,
    /// The delay of each piece of a reply from Redis, in milliseconds.
    delay_ms: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    /// For each connection for notices, whether its bytes are lost unnoticed.
    notices: Losses,
}

type Losses = Arc<Mutex<Vec<Arc<AtomicBool>>>>;

impl Gate {
    pub fn before(redis: &RedisServer) -> Gate {
        Gate::slowly_before(redis, Duration::ZERO)
    }

    /// Holds back each new connection's replies for this long.
    pub fn slowly_before(redis: &RedisServer, delay: Duration) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let gate = Gate {
            address: listener.local_addr().expect("its address"),
            shut: Arc::default(),
            delay_ms: Arc::default(),
            over: Arc::default(),
            notices: Arc::default(),
        };
        let redis = redis.address();
        let (shut, over) = (gate.shut.clone(), gate.over.clone());
        let delay_ms = gate.delay_ms.clone();
        let notices = gate.notices.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(far) = TcpStream::connect(redis) else {
                    continue;
                };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let (lost, notices) = (Arc::<AtomicBool>::default(), notices.clone());
                let told = lost.clone();
                pass_on(&near, &far, Duration::ZERO, move |bytes| {
                    let name = b"latchd-notices";
                    if bytes.windows(name.len()).any(|part| part == name) {
                        notices.lock().expect("the list").push(told.clone());
                    }
                    true
                });
                let (shut, delay_ms) = (shut.clone(), delay_ms.clone());
                pass_on(&far, &near, delay, move |_| {
                    while shut.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(1));
                    }
                    thread::sleep(Duration::from_millis(delay_ms.load(Ordering::SeqCst)));
                    !lost.load(Ordering::SeqCst)
                });
            }
        });
        gate
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    /// Loses all that is sent on the current connections for notices, and ends none of them.
    pub fn lose_notices(&self) {
        let notices = self.notices.lock().expect("the list");
        notices
            .iter()
            .for_each(|lost| lost.store(true, Ordering::SeqCst));
    }

    /// From now on each piece of a reply takes this many milliseconds; 0 for no delay.
    pub fn delay(&self, ms: u64) {
        self.delay_ms.store(ms, Ordering::SeqCst);
    }

    pub fn open(&self) {
        self.shut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.open();
        let _ = TcpStream::connect(self.address);
    }
}

/// Passes bytes on, unless `passes` says that they are lost.
fn pass_on(
    from: &TcpStream,
    to: &TcpStream,
    delay: Duration,
    passes: impl Fn(&[u8]) -> bool + Send + 'static,
) {
    let both = (from.try_clone(), to.try_clone());
    let (Ok(mut from), Ok(mut to)) = both else {
        panic!("no further descriptors");
    };
    thread::spawn(move || {
        thread::sleep(delay);
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if passes(&bytes[..count]) && to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
