//! A way to the journal on which requests are carried out, and their outcomes return, when a story says so: a
//! disk that is slow, or stuck, in all possible orders.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use latchd::store::{JournalOutcome, JournalPort, JournalRequest, Worker};

/// A way to the journal, of which all clones are the same.
#[derive(Clone)]
pub struct LatePort(Rc<RefCell<Way>>);

struct Way {
    worker: Worker,
    request: Option<JournalRequest>,
    outcome: Option<JournalOutcome>,
    /// The outcome can be received.
    is_back: bool,
    /// Nothing is late.
    is_prompt: bool,
}

impl LatePort {
    pub fn new(worker: Worker, is_prompt: bool) -> LatePort {
        LatePort(Rc::new(RefCell::new(Way {
            worker,
            request: None,
            outcome: None,
            is_back: false,
            is_prompt,
        })))
    }

    /// Whether a request is under way.
    pub fn is_busy(&self) -> bool {
        let way = self.0.borrow();
        way.request.is_some() || way.outcome.is_some()
    }

    /// From now on each order is carried out at once, or not. The pending one completes then, too.
    pub fn set_prompt(&self, is_prompt: bool) {
        self.0.borrow_mut().is_prompt = is_prompt;
        if is_prompt {
            self.advance();
            self.advance();
        }
    }

    /// Carries out the pending request; or returns its outcome, if that has been done.
    pub fn advance(&self) {
        let way = &mut *self.0.borrow_mut();
        match way.request.take() {
            Some(request) => way.outcome = Some(way.worker.carry_out(request)),
            None => way.is_back = way.outcome.is_some(),
        }
    }
}

impl JournalPort for LatePort {
    fn submit(&mut self, request: JournalRequest) {
        assert!(!self.is_busy(), "one request is under way at a time");
        let is_prompt = {
            let way = &mut *self.0.borrow_mut();
            way.request = Some(request);
            way.is_back = false;
            way.is_prompt
        };
        if is_prompt {
            self.set_prompt(true);
        }
    }

    fn poll(&mut self) -> Option<JournalOutcome> {
        let way = &mut *self.0.borrow_mut();
        way.outcome.take_if(|_| way.is_back)
    }

    fn wait(&mut self, _timeout: Duration) -> Option<JournalOutcome> {
        self.advance();
        self.0.borrow_mut().is_back = true;
        self.poll()
    }
}
