//! The way between the store and its journal: requests go in, and outcomes come out, perhaps much later.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use mio::{Registry, Token, Waker};

use super::{JournalOutcome, JournalRequest, Worker};

/// The way to a journal. There is one request under way at a time: `submit`, then `poll` or `wait` until its outcome
/// is there, then `submit` again.
pub trait JournalPort {
    /// Called once, if there is an event loop: outcomes wake it with this token.
    fn attach(&mut self, _registry: &Registry, _token: Token) -> io::Result<()> {
        Ok(())
    }

    /// Whether requests take their time while others come, so that it pays to gather these.
    fn gathers(&self) -> bool {
        true
    }

    /// Hands a request over. Never blocks for a disk.
    fn submit(&mut self, request: JournalRequest);

    /// Returns the outcome of the request under way, once it is known.
    fn poll(&mut self) -> Option<JournalOutcome>;

    /// Waits for the outcome of the request under way. `None` after this time.
    fn wait(&mut self, timeout: Duration) -> Option<JournalOutcome>;
}

/// A journal whose requests are carried out at once, by the thread that gives them.
pub struct Inline {
    worker: Worker,
    outcome: Option<JournalOutcome>,
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

    fn submit(&mut self, request: JournalRequest) {
        self.outcome = Some(self.worker.carry_out(request));
    }

    fn poll(&mut self) -> Option<JournalOutcome> {
        self.outcome.take()
    }

    fn wait(&mut self, _timeout: Duration) -> Option<JournalOutcome> {
        self.outcome.take()
    }
}

/// A journal in a thread of its own, so that nothing else waits for its disk. The thread ends when this is dropped
/// and its request under way, if there is one, is done.
pub struct JournalThread {
    requests: Sender<JournalRequest>,
    outcomes: Receiver<JournalOutcome>,
    waker: Arc<OnceLock<Waker>>,
}

impl JournalThread {
    /// Starts the thread. Errors where the system has none to give.
    pub fn start(mut worker: Worker) -> io::Result<JournalThread> {
        let (requests, to_carry_out) = mpsc::channel::<JournalRequest>();
        let (done, outcomes) = mpsc::channel();
        let waker = Arc::<OnceLock<Waker>>::default();
        let to_wake = waker.clone();
        thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                for request in to_carry_out {
                    if done.send(worker.carry_out(request)).is_err() {
                        break;
                    }
                    // It can only fail if the loop is gone, or about to look anyway.
                    let _ = to_wake.get().map(Waker::wake);
                }
            })?;
        Ok(JournalThread {
            requests,
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

    fn submit(&mut self, request: JournalRequest) {
        let handed_over = self.requests.send(request);
        assert!(
            handed_over.is_ok(),
            "the journal's thread lives as long as this"
        );
    }

    fn poll(&mut self) -> Option<JournalOutcome> {
        self.outcomes.try_recv().ok()
    }

    fn wait(&mut self, timeout: Duration) -> Option<JournalOutcome> {
        match self.outcomes.recv_timeout(timeout) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the journal's thread has ended"),
        }
    }
}
