//! The way between the store and its journal: orders go in, and outcomes come out, perhaps much later.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use mio::{Registry, Token, Waker};

use super::{Order, Outcome, Worker};

/// The way to a journal. There is one order under way at a time: `submit`, then `poll` or `wait` until its outcome
/// is there, then `submit` again.
pub trait JournalPort {
    /// Called once, if there is an event loop: outcomes wake it with this token.
    fn attach(&mut self, _registry: &Registry, _token: Token) -> io::Result<()> {
        Ok(())
    }

    /// Whether orders take their time while others come, so that it pays to gather these.
    fn gathers(&self) -> bool {
        true
    }

    /// Hands an order over. Never blocks for a disk.
    fn submit(&mut self, order: Order);

    /// Returns the outcome of the order under way, once it is known.
    fn poll(&mut self) -> Option<Outcome>;

    /// Waits for the outcome of the order under way. `None` after this time.
    fn wait(&mut self, timeout: Duration) -> Option<Outcome>;
}

/// A journal whose orders are carried out at once, by the thread that gives them.
pub struct Inline {
    worker: Worker,
    outcome: Option<Outcome>,
}

impl Inline {
    /// The way to the journal of this worker.
    pub fn new(worker: Worker) -> Inline {
        Inline {
            worker,
            outcome: None,
        }
    }
}

impl JournalPort for Inline {
    fn gathers(&self) -> bool {
        false
    }

    fn submit(&mut self, order: Order) {
        self.outcome = Some(self.worker.carry_out(order));
    }

    fn poll(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    fn wait(&mut self, _timeout: Duration) -> Option<Outcome> {
        self.outcome.take()
    }
}

/// A journal in a thread of its own, so that nothing else waits for its disk. The thread ends when this is dropped
/// and its order under way, if there is one, is done.
pub struct JournalThread {
    orders: Sender<Order>,
    outcomes: Receiver<Outcome>,
    waker: Arc<OnceLock<Waker>>,
}

impl JournalThread {
    /// Starts the thread. Errors where the system has none to give.
    pub fn start(mut worker: Worker) -> io::Result<JournalThread> {
        let (orders, to_carry_out) = mpsc::channel::<Order>();
        let (done, outcomes) = mpsc::channel();
        let waker = Arc::<OnceLock<Waker>>::default();
        let to_wake = waker.clone();
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                for order in to_carry_out {
                    if done.send(worker.carry_out(order)).is_err() {
                        break;
                    }
                    // It can only fail if the loop is gone, or about to look anyway.
                    let _ = to_wake.get().map(Waker::wake);
                }
            })?;
        Ok(JournalThread {
            orders,
            outcomes,
            waker,
        })
    }
}

impl JournalPort for JournalThread {
    fn attach(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let waker = Waker::new(registry, token)?;
        self.waker
            .set(waker)
            .map_err(|_| io::Error::other("it is attached already"))
    }

    fn submit(&mut self, order: Order) {
        let handed_over = self.orders.send(order);
        assert!(
            handed_over.is_ok(),
            "the journal's thread lives as long as this"
        );
    }

    fn poll(&mut self) -> Option<Outcome> {
        self.outcomes.try_recv().ok()
    }

    fn wait(&mut self, timeout: Duration) -> Option<Outcome> {
        match self.outcomes.recv_timeout(timeout) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the journal's thread has ended"),
        }
    }
}
