//! Requests: counts by path, method and status, and durations.
//!
//! The server reads the clock at the start and at the end of a tick instead of once a request. A
//! request begins with the tick in which its last byte was read. It ends with the tick in which its
//! answer was rendered: by then the answer is with the system, unless the client does not read. So a
//! duration leaves out the time in which a request waits in its socket while an earlier tick runs.
//! Within a tick the request served first seems to take as long as the last.

use crate::contract::{Method, ROUTES, RequestLabel, Route};
use crate::histogram::Histogram;
use crate::time::Micros;

/// The number of labels of paths: those of the contract, and one for unknown paths.
const ROUTE_COUNT: usize = Route::None as usize + 1;

/// The methods in the order of their numbers.
const METHODS: [(Method, &str); 7] = [
    (Method::Get, "GET"),
    (Method::Head, "HEAD"),
    (Method::Post, "POST"),
    (Method::Put, "PUT"),
    (Method::Delete, "DELETE"),
    (Method::Options, "OPTIONS"),
    (Method::Other, "other"),
];

/// Every status that the server answers with. Others are counted as `other`.
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

/// The index of each status in `STATUSES`, from `FIRST_STATUS` on.
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

/// An unanswered request, as it will be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// The labels to count it under.
    pub label: RequestLabel,
    /// Whether it may be queued: then its duration counts as a wait.
    pub may_queue: bool,
    /// The start of the tick in which its last byte was read.
    pub at: Micros,
}

/// The capacity of `later` kept from tick to tick, in requests.
const MAX_KEPT: usize = 4096;

/// Counts of answered requests, and their durations.
#[derive(Debug, Default)]
pub struct Requests {
    answered: [[[u64; STATUSES.len()]; METHODS.len()]; ROUTE_COUNT],
    /// Requests whose connection ended before they were answered.
    pub abandoned: u64,
    /// Requests with a wrong key.
    pub wrong_keys: u64,
    /// Requests whose key was not checked, since too many wrong keys came from their address.
    pub unchecked_keys: u64,
    durations: Histogram,
    granted_waits: Histogram,
    refused_waits: Histogram,
    ticks: u64,
    /// The start of this tick.
    tick_at: Micros,
    /// The duration of all ticks together.
    busy_us: u64,
    /// The number of requests both received and answered in this tick.
    at_once: u64,
    /// The other requests answered in this tick: the start of each, and its result.
    later: Vec<(Micros, WaitResult)>,
}

/// The result of a request that was not answered at once.
#[derive(Clone, Copy, Debug)]
enum WaitResult {
    NotQueued,
    Granted,
    Refused,
}

impl Requests {
    /// Begins a tick.
    pub fn begin_tick(&mut self, at: Micros) {
        self.tick_at = at;
    }

    /// Returns the start of this tick.
    pub fn tick_at(&self) -> Micros {
        self.tick_at
    }

    /// Counts a request whose answer is rendered.
    pub fn note_answer(&mut self, record: RequestRecord, status: u16) {
        let RequestLabel { route, method } = record.label;
        self.answered[route as usize][method as usize][index_of(status)] += 1;
        if record.at == self.tick_at && !record.may_queue {
            self.at_once += 1;
        } else {
            self.note_later(record, status);
        }
    }

    /// Not inlined, like `end_later`, to keep `note_answer` small for requests that are answered at
    /// once.
    #[inline(never)]
    fn note_later(&mut self, record: RequestRecord, status: u16) {
        let result = match (record.may_queue, status) {
            (false, _) => WaitResult::NotQueued,
            (true, 200) => WaitResult::Granted,
            (true, _) => WaitResult::Refused,
        };
        self.later.push((record.at, result));
    }

    /// Ends a tick, after its answers were written.
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

    /// Returns path, method and status with the number of answers, without rows of 0.
    pub(super) fn answered(&self) -> impl Iterator<Item = ([&'static str; 3], u64)> + '_ {
        let known = ROUTES.iter().map(|row| row.route);
        known.chain([Route::None]).flat_map(move |route| {
            METHODS.into_iter().flat_map(move |(method, name)| {
                let counts = &self.answered[route as usize][method as usize];
                let rows = STATUSES.into_iter().zip(counts);
                rows.filter(|&(_, &count)| count > 0)
                    .map(move |((_, status), &count)| ([route.label(), name, status], count))
            })
        })
    }

    /// Returns the durations of requests that did not ask to wait.
    pub(super) fn durations(&self) -> &Histogram {
        &self.durations
    }

    /// Returns the durations of requests that asked to wait, by result.
    pub(super) fn waits(&self) -> [(&'static str, &Histogram); 2] {
        [
            ("granted", &self.granted_waits),
            ("refused", &self.refused_waits),
        ]
    }

    /// Returns the number of ticks, and their duration in microseconds.
    pub(super) fn ticks(&self) -> (u64, u64) {
        (self.ticks, self.busy_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::REFUSALS;

    #[test]
    fn what_is_listed_stands_at_its_number() {
        for (place, (method, _)) in METHODS.into_iter().enumerate() {
            assert_eq!(method as usize, place);
        }
        for (place, &(status, name)) in STATUSES.iter().enumerate() {
            assert_eq!(index_of(status), place, "{name}");
        }
        for row in &REFUSALS {
            assert_ne!(STATUSES[index_of(row.status)].1, "other", "{}", row.words);
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
