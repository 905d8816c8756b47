//! The way from the store to its journal: requests go in, and outcomes come out, perhaps much later.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use mio::{Registry, Token, Waker};

use super::{JournalOutcome, JournalRequest, Worker};

/// The way to a journal. One request is in flight at a time.
///
/// 1. `attach`, at most once, if there is an event loop. Outcomes that come before it wake no loop.
/// 2. `submit` a request, then call `poll` or `wait` until one of them returns its outcome. Only then may the
///    next request be submitted; a port may lose the outcome of a request that is followed too early.
/// 3. Await the outcome of a request to close like any other, and submit nothing after it.
///
/// A `poll` too many returns `None`. `wait` must not be called without a request in flight: it may block for all of
/// its timeout. After a `wait` that timed out the request is still in flight, and its outcome still comes.
///
/// After an outcome that reports a failed write the journal is closed. The next request must be to open it again, or
/// to close it: a write to a closed journal panics, since a batch that was dropped would count as written.
pub trait JournalPort {
    /// Registers a waker under this token: each outcome wakes the event loop. The default does nothing. Fails if the
    /// system refuses the waker, or if the port is attached already.
    fn attach(&mut self, _registry: &Registry, _token: Token) -> io::Result<()> {
        Ok(())
    }

    /// Returns true if requests run while others arrive, so that it pays to gather these into one batch.
    fn gathers(&self) -> bool {
        true
    }

    /// Submits a request. [`JournalThread`] never blocks here; [`Inline`] carries the request out first.
    fn submit(&mut self, request: JournalRequest);

    /// Returns the outcome of the request in flight, once; `None` before it is known. Never blocks.
    fn poll(&mut self) -> Option<JournalOutcome>;

    /// Blocks until the outcome of the request in flight is there; `None` after this time.
    fn wait(&mut self, timeout: Duration) -> Option<JournalOutcome>;
}

/// A port that carries requests out at once, on the thread that submits them.
pub struct Inline {
    worker: Worker,
    outcome: Option<JournalOutcome>,
}

impl Inline {
    /// Makes a port to the journal of this worker.
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

/// A port to a journal on a thread of its own, so that no other work waits for the disk. Once this is dropped, the
/// thread finishes the request in flight, if there is one, and ends. `submit` and `wait` panic if the thread has
/// panicked.
pub struct JournalThread {
    requests: Sender<JournalRequest>,
    outcomes: Receiver<JournalOutcome>,
    waker: Arc<OnceLock<Waker>>,
}

impl JournalThread {
    /// Starts the thread. Fails if the system refuses one.
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
                    // It fails only if the loop is gone, or about to poll anyway.
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
