//! Requests: how many of each kind, how they ended, and how long they took.
//!
//! A tick of the server reads the clock at its start and at its end, and not for each request. A
//! request has begun when the tick began in which the last of its bytes was read, and is answered
//! when the tick is over in which its answer was written down: by then it has been handed to the
//! system, unless the client does not take it. So the time that a request waits in its socket while
//! an earlier tick runs is not in it, and who is served first in a tick seems to take as long as who
//! is served last.

use super::Histogram;
use crate::http::Method;
use crate::time::Micros;

/// The paths that requests are counted by. What a client makes up is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`label` says it")]
pub enum Route {
    Root,
    Ping,
    Health,
    Ready,
    Metrics,
    Description,
    Pools,
    Pool,
    Locks,
    Lock,
    Queue,
    Dump,
    /// A path that there is not, or what cannot be read.
    None,
}

impl Route {
    const ALL: [Route; 13] = [
        Route::Root,
        Route::Ping,
        Route::Health,
        Route::Ready,
        Route::Metrics,
        Route::Description,
        Route::Pools,
        Route::Pool,
        Route::Locks,
        Route::Lock,
        Route::Queue,
        Route::Dump,
        Route::None,
    ];

    fn label(self) -> &'static str {
        match self {
            Route::Root => "/",
            Route::Ping => "/ping",
            Route::Health => "/health",
            Route::Ready => "/ready",
            Route::Metrics => "/metrics",
            Route::Description => "/openapi.json",
            Route::Pools => "/pool",
            Route::Pool => "/pool/:pool",
            Route::Locks => "/pool/:pool/lock",
            Route::Lock => "/pool/:pool/lock/:id",
            Route::Queue => "/pool/:pool/queue",
            Route::Dump => "/dump",
            Route::None => "none",
        }
    }
}

/// In the order of their numbers.
const METHODS: [(Method, &str); 7] = [
    (Method::Get, "GET"),
    (Method::Head, "HEAD"),
    (Method::Post, "POST"),
    (Method::Put, "PUT"),
    (Method::Delete, "DELETE"),
    (Method::Options, "OPTIONS"),
    (Method::Other, "other"),
];

/// Every status that is answered; what is not among them is counted as `other`.
const STATUSES: [(u16, &str); 16] = [
    (200, "200"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (409, "409"),
    (413, "413"),
    (414, "414"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (501, "501"),
    (503, "503"),
    (505, "505"),
    (0, "other"),
];

const FIRST_STATUS: u16 = 200;

/// Where a status stands in `STATUSES`, from `FIRST_STATUS` on.
const INDEXES: [u8; 306] = {
    let mut places = [STATUSES.len() as u8 - 1; 306];
    let mut place = 0;
    while place < STATUSES.len() - 1 {
        places[(STATUSES[place].0 - FIRST_STATUS) as usize] = place as u8;
        place += 1;
    }
    places
};

fn index_of(status: u16) -> usize {
    let place = INDEXES.get(usize::from(status.wrapping_sub(FIRST_STATUS)));
    usize::from(*place.unwrap_or(&(STATUSES.len() as u8 - 1)))
}

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLabel {
    /// Its path.
    pub route: Route,
    /// The method that is meant; where that is not clear, the one that it came with.
    pub method: Method,
}

/// A request as it is counted when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// What it is counted as.
    pub label: RequestLabel,
    /// It may be queued: what it takes is its wait.
    pub may_queue: bool,
    /// When the tick began in which it was whole.
    pub at: Micros,
}

/// The most that is kept of the memory for those that a tick has answered.
const MAX_KEPT: usize = 4096;

/// Requests that were answered, and how long that took.
#[derive(Debug, Default)]
pub struct Requests {
    answered: [[[u64; STATUSES.len()]; METHODS.len()]; Route::ALL.len()],
    /// Those whose connection was gone before they could be answered.
    pub abandoned: u64,
    /// Those that have shown a wrong key.
    pub wrong_keys: u64,
    /// Those whose key was not looked at, since too many wrong ones have come from their address.
    pub unchecked_keys: u64,
    durations: Histogram,
    granted_waits: Histogram,
    refused_waits: Histogram,
    ticks: u64,
    /// When this tick began.
    tick_at: Micros,
    /// How long all ticks took together.
    busy_us: u64,
    /// How many of this tick were answered in it.
    at_once: u64,
    /// What else was answered in this tick: since when each was in hand, and what came of it.
    later: Vec<(Micros, WaitResult)>,
}

/// What came of a request that was not answered at once.
#[derive(Clone, Copy, Debug)]
enum WaitResult {
    NotQueued,
    Granted,
    Refused,
}

impl Requests {
    /// A tick begins.
    pub fn begin_tick(&mut self, at: Micros) {
        self.tick_at = at;
    }

    /// When this tick began.
    pub fn tick_at(&self) -> Micros {
        self.tick_at
    }

    /// The answer to a request is written down.
    pub fn note_answer(&mut self, record: RequestRecord, status: u16) {
        let RequestLabel { route, method } = record.label;
        self.answered[route as usize][method as usize][index_of(status)] += 1;
        if record.at == self.tick_at && !record.may_queue {
            self.at_once += 1;
        } else {
            self.note_later(record, status);
        }
    }

    /// Kept out of the way of those that are answered at once, as is `end_later`.
    #[inline(never)]
    fn note_later(&mut self, record: RequestRecord, status: u16) {
        let result = match (record.may_queue, status) {
            (false, _) => WaitResult::NotQueued,
            (true, 200) => WaitResult::Granted,
            (true, _) => WaitResult::Refused,
        };
        self.later.push((record.at, result));
    }

    /// A tick is over, and what was answered in it has been sent.
    pub fn end_tick(&mut self, at: Micros) {
        let took_us = at.since(self.tick_at);
        self.ticks += 1;
        self.busy_us += took_us;
        self.durations
            .note(took_us, std::mem::take(&mut self.at_once));
        if !self.later.is_empty() {
            self.end_later(at);
        }
    }

    #[inline(never)]
    fn end_later(&mut self, at: Micros) {
        for (asked_at, result) in self.later.drain(..) {
            let histogram = match result {
                WaitResult::NotQueued => &mut self.durations,
                WaitResult::Granted => &mut self.granted_waits,
                WaitResult::Refused => &mut self.refused_waits,
            };
            histogram.note(at.since(asked_at), 1);
        }
        self.later.shrink_to(MAX_KEPT);
    }

    /// Path, method and status of what was answered at all, and how often it was.
    pub(super) fn answered(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> + '_ {
        Route::ALL.into_iter().flat_map(move |route| {
            METHODS.into_iter().flat_map(move |(method, name)| {
                let counts = &self.answered[route as usize][method as usize];
                let rows = STATUSES.into_iter().zip(counts);
                rows.filter(|&(_, &count)| count > 0)
                    .map(move |((_, status), &count)| ([route.label(), name, status], count))
            })
        })
    }

    /// How long those took that did not ask to wait.
    pub(super) fn durations(&self) -> &Histogram {
        &self.durations
    }

    /// What came of those that asked to wait, and how long they waited.
    pub(super) fn waits(&self) -> [(&'static str, &Histogram); 2] {
        [
            ("granted", &self.granted_waits),
            ("refused", &self.refused_waits),
        ]
    }

    /// How many ticks there were, and how long they took together, in microseconds.
    pub(super) fn ticks(&self) -> (u64, u64) {
        (self.ticks, self.busy_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_stands_at_its_number() {
        for (place, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, place);
        }
        for (place, (method, _)) in METHODS.into_iter().enumerate() {
            assert_eq!(method as usize, place);
        }
        for (place, &(status, name)) in STATUSES.iter().enumerate() {
            assert_eq!(index_of(status), place, "{name}");
        }
        for unknown in [0, 199, 201, 299, 500, 502, 504, 506, u16::MAX] {
            assert_eq!(STATUSES[index_of(unknown)].1, "other", "{unknown}");
        }
    }

    #[test]
    fn a_request_takes_from_the_start_of_its_tick_to_the_end_of_that_of_its_answer() {
        let mut requests = Requests::default();
        let record = |us, may_queue| RequestRecord {
            label: RequestLabel {
                route: Route::Locks,
                method: Method::Post,
            },
            may_queue,
            at: Micros::from_us(us),
        };
        let tick = |requests: &mut Requests, from, to, answers: &[(RequestRecord, u16)]| {
            requests.begin_tick(Micros::from_us(from));
            for &(record, status) in answers {
                requests.note_answer(record, status);
            }
            requests.end_tick(Micros::from_us(to));
        };
        let answers = [(record(100, false), 200), (record(100, false), 409)];
        tick(&mut requests, 100, 130, &answers);
        tick(&mut requests, 1000, 1010, &[(record(100, false), 200)]);
        let answers = [(record(5000, true), 200), (record(1000, true), 409)];
        tick(&mut requests, 5000, 5020, &answers);
        assert_eq!(
            (requests.durations.count(), requests.durations.sum_us()),
            (3, 30 + 30 + 910)
        );
        let waits = requests
            .waits()
            .map(|(result, waits)| (result, waits.count(), waits.sum_us()));
        assert_eq!(waits, [("granted", 1, 20), ("refused", 1, 4020)]);
        assert_eq!(requests.ticks(), (3, 60));
        let rows: Vec<([&str; 3], u64)> = requests.answered().collect();
        assert_eq!(
            rows,
            [
                (["/pool/:pool/lock", "POST", "200"], 3),
                (["/pool/:pool/lock", "POST", "409"], 2)
            ]
        );
    }
}
