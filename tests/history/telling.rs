//! Notation for histories written by hand: calls of one client on one pool, in milliseconds.

use super::call::{Asked, Call, CallAnswer, History, Lease, Selection, Time};
use super::check::{ViolationKind, check};

pub const MS: Time = 1000;

#[track_caller]
pub fn assert_found(kind: ViolationKind, calls: impl IntoIterator<Item = Call>) {
    let history = history_of(calls);
    let found = kinds(&history);
    assert!(found.contains(&kind), "{kind:?} is to be found: {found:?}");
}

#[track_caller]
pub fn assert_innocent(calls: impl IntoIterator<Item = Call>) {
    let history = history_of(calls);
    check(&history).assert_clean(&history, "nothing is wrong here");
}

pub fn kinds(history: &History) -> Vec<ViolationKind> {
    let violations = check(history).violations;
    violations.iter().map(|violation| violation.kind).collect()
}

/// A pool of one resource, as far as waiting is concerned.
pub fn history_of(calls: impl IntoIterator<Item = Call>) -> History {
    History {
        calls: calls.into_iter().collect(),
        sizes: [("A".to_owned(), 1)].into(),
        ..History::default()
    }
}

pub fn call(asked: Asked, sent: Time, answered: Time, answer: CallAnswer) -> Call {
    Call {
        client: 0,
        server: 0,
        pool: "A".into(),
        asked,
        sent: sent * MS,
        answered: Some((answered * MS, answer)),
    }
}

pub fn acquire(sent: Time, answered: Time) -> Call {
    let asked = Asked::Acquire {
        selection: Selection::Any(1),
        owner: None,
        ttl_s: None,
        wait_s: 0,
    };
    call(asked, sent, answered, CallAnswer::Refused("busy".into()))
}

pub fn renew(sent: Time, answered: Option<Time>, id: &str, fence: u64, ttl_s: u64) -> Call {
    let asked = Asked::Renew {
        id: Some(id.into()),
        owner: None,
        fence: Some(fence),
        ttl_s: Some(ttl_s),
    };
    let renewed = call(asked, sent, answered.unwrap_or(0), CallAnswer::Done);
    match answered {
        Some(_) => renewed.granted(fence, id),
        None => renewed.unknown(),
    }
}

pub fn release(sent: Time, answered: Time, id: &str, fence: u64) -> Call {
    let asked = Asked::Release {
        id: Some(id.into()),
        owner: None,
        fence: Some(fence),
        force: false,
    };
    call(asked, sent, answered, CallAnswer::Done)
}

pub fn release_owned(sent: Time, answered: Time, owner: &str) -> Call {
    let asked = Asked::Release {
        id: None,
        owner: Some(owner.into()),
        fence: None,
        force: false,
    };
    call(asked, sent, answered, CallAnswer::Done)
}

pub fn list(sent: Time, answered: Time, locks: &[(u64, &str)]) -> Call {
    call(Asked::List, sent, answered, leases(locks))
}

pub fn count(sent: Time, answered: Time, waiting: usize) -> Call {
    let counts = CallAnswer::Counts {
        resources: 1,
        held: 1,
        waiting,
    };
    call(Asked::Count, sent, answered, counts)
}

pub fn leases(locks: &[(u64, &str)]) -> CallAnswer {
    let leases = locks.iter().map(|&(fence, id)| Lease {
        fence,
        id: id.into(),
    });
    CallAnswer::Leases(leases.collect())
}

impl Call {
    pub fn granted(mut self, fence: u64, id: &str) -> Call {
        self.answered = self.answered.map(|(at, _)| (at, leases(&[(fence, id)])));
        self
    }

    pub fn refused(mut self, words: &str) -> Call {
        let answer = CallAnswer::Refused(words.into());
        self.answered = self.answered.map(|(at, _)| (at, answer));
        self
    }

    pub fn unknown(mut self) -> Call {
        self.answered = None;
        self
    }

    pub fn owner(mut self, name: &str) -> Call {
        if let Asked::Acquire { owner, .. } = &mut self.asked {
            *owner = Some(name.into());
        }
        self
    }

    pub fn ttl(mut self, seconds: u64) -> Call {
        if let Asked::Acquire { ttl_s, .. } = &mut self.asked {
            *ttl_s = Some(seconds);
        }
        self
    }

    pub fn waits(mut self, seconds: u64) -> Call {
        if let Asked::Acquire { wait_s, .. } = &mut self.asked {
            *wait_s = seconds;
        }
        self
    }
}
