//! Outcomes to statuses and bodies, plain or JSON.

use std::borrow::Cow;

use super::list_chunk::{ARRAY, LINES, ListChunk, ListCursor, OBJECT};
use super::problem::Detail;
use super::{Outcome, Problem, ResponseShape, Show, documents, queue};
use crate::command::{Granted, Lease, Leases, PoolStatus, PoolSums, Reply};
use crate::http::Fields;

const VERSION: &str = concat!("latchd ", env!("CARGO_PKG_VERSION"));

/// Returns the status code, the reason phrase and the header fields of an outcome.
pub fn render_status(outcome: &Outcome) -> (u16, Cow<'static, str>, Fields) {
    match outcome {
        Outcome::Reply(Reply::Refused(refusal)) => {
            let problem = Problem::Refused(*refusal);
            (problem.status(), problem.reason(), Fields::None)
        }
        Outcome::Problem(problem) => {
            let fields = match problem {
                Problem::BadMethod(route) => Fields::Allow(route.allow()),
                Problem::NoKey | Problem::WrongKey | Problem::TooManyWrongKeys => Fields::Challenge,
                _ => Fields::None,
            };
            (problem.status(), problem.reason(), fields)
        }
        Outcome::Options(route) => (200, "OK".into(), Fields::Options(route.allow())),
        Outcome::Page => (200, "OK".into(), Fields::Document(&documents::OF_PAGE)),
        Outcome::Description => {
            let fields = Fields::Document(&documents::OF_DESCRIPTION);
            (200, "OK".into(), fields)
        }
        // Every client gets the members as JSON.
        Outcome::Reply(Reply::Seeded(_)) => (200, "OK".into(), Fields::Json),
        Outcome::Reply(Reply::Dumped(_)) => (200, "OK".into(), Fields::JsonLines),
        Outcome::Reply(_) | Outcome::Version | Outcome::Pong | Outcome::Healthy => {
            (200, "OK".into(), Fields::None)
        }
    }
}

/// Appends the body of an outcome.
pub fn render_text(outcome: &Outcome, shape: ResponseShape, json: bool, body: &mut Vec<u8>) {
    match outcome {
        Outcome::Reply(Reply::Refused(refusal)) => {
            render_problem(&Problem::Refused(*refusal), json, body);
        }
        Outcome::Problem(problem) => render_problem(problem, json, body),
        Outcome::Reply(reply) => match reply {
            // The most frequent replies.
            Reply::Granted(Granted { leases, .. }) | Reply::Leases(leases)
                if leases.len() == 1 && !(json && shape.list) =>
            {
                render_lease(&leases[0], shape.show, json, body);
            }
            Reply::Done if json => string(body, ""),
            Reply::Done => {}
            _ => {
                let mut cursor = ListCursor::default();
                render_reply(reply, shape, json, &mut cursor.all(body));
            }
        },
        Outcome::Version if json => {
            object(body, |body| {
                field(body, "message", |body| string(body, VERSION))
            });
        }
        Outcome::Version => body.extend_from_slice(VERSION.as_bytes()),
        Outcome::Page => body.extend_from_slice(&documents::PAGE),
        Outcome::Description => body.extend_from_slice(&documents::DESCRIPTION),
        Outcome::Pong => render_word("pong", json, body),
        Outcome::Healthy => render_word("ok", json, body),
        Outcome::Options(_) => {}
    }
}

/// Writes a one-word confirmation.
fn render_word(word: &str, json: bool, body: &mut Vec<u8>) {
    match json {
        true => object(body, |body| {
            field(body, "result", |body| string(body, word))
        }),
        false => body.extend_from_slice(word.as_bytes()),
    }
}

/// Appends up to `elements` further elements of a list, or all of another body; `cursor` keeps the
/// progress. Returns true once the body is complete.
pub fn render_chunk(
    outcome: &Outcome,
    shape: ResponseShape,
    json: bool,
    cursor: &mut ListCursor,
    elements: usize,
    body: &mut Vec<u8>,
) -> bool {
    match outcome {
        Outcome::Reply(Reply::Refused(_)) => {}
        Outcome::Reply(reply) => {
            let mut chunk = cursor.up_to(elements, body);
            render_reply(reply, shape, json, &mut chunk);
            return chunk.is_last();
        }
        _ => {}
    }
    render_text(outcome, shape, json, body);
    true
}

/// Returns the number of elements of a list, or 0.
pub fn element_count(outcome: &Outcome) -> usize {
    let Outcome::Reply(reply) = outcome else {
        return 0;
    };
    match reply {
        Reply::Granted(Granted { leases, .. }) | Reply::Leases(leases) => leases.len(),
        Reply::Members(ids) => ids.len(),
        Reply::Seeded(seed) => seed.pool_count() + seed.id_count(),
        Reply::Pools(pools) => pools.len(),
        Reply::Waiters(waiters) => waiters.len(),
        Reply::Done | Reply::Released(_) | Reply::Refused(_) => 0,
        Reply::Ready | Reply::Survey(_) | Reply::PoolSums(_) => 0,
        // A dump is never rendered in one piece.
        Reply::Dumped(_) => usize::MAX,
    }
}

fn render_problem(problem: &Problem, json: bool, body: &mut Vec<u8>) {
    if !json {
        return body.extend_from_slice(problem.reason().as_bytes());
    }
    object(body, |body| {
        field(body, "code", |body| string(body, problem.code()));
        if let Some((name, detail)) = problem.detail() {
            field(body, name, |body| match detail {
                Detail::Text(text) => string(body, text),
                Detail::Count(count) => number(body, count as u64),
            });
        }
        field(body, "message", |body| string(body, &problem.message()));
    });
}

/// Appends a chunk of a list, or all of another reply.
#[inline(never)]
fn render_reply(reply: &Reply, shape: ResponseShape, json: bool, chunk: &mut ListChunk<'_>) {
    match reply {
        Reply::Granted(Granted { leases, .. }) | Reply::Leases(leases) => {
            render_leases(leases, shape, json, chunk);
        }
        Reply::Released(count) => number(chunk.body, *count as u64),
        Reply::Members(ids) if json => chunk.ids(ids.iter()),
        Reply::Members(ids) => chunk.elements(LINES, ids.len(), |body, place| {
            body.extend_from_slice(ids.iter().at(place).as_bytes());
        }),
        Reply::Pools(pools) if json => chunk.elements(OBJECT, pools.len(), |body, place| {
            string(body, &pools[place].name);
            body.push(b':');
            pool_object(body, &pools[place]);
        }),
        Reply::Pools(pools) => chunk.elements(LINES, pools.len(), |body, place| {
            pool_line(body, &pools[place]);
        }),
        Reply::Waiters(waiters) if json => chunk.elements(ARRAY, waiters.len(), |body, place| {
            queue::waiter_object(body, &waiters[place]);
        }),
        Reply::Waiters(waiters) => chunk.elements(LINES, waiters.len(), |body, place| {
            queue::waiter_line(body, &waiters[place]);
        }),
        Reply::PoolSums(sums) if json => sums_object(chunk.body, sums),
        Reply::PoolSums(sums) => sums_line(chunk.body, sums),
        // The answer has the form that the seed had.
        Reply::Seeded(seed) if seed.pool_count() == 1 && !shape.list => chunk.ids(seed.pool(0).1),
        Reply::Seeded(seed) => chunk.pools(seed),
        Reply::Ready => render_word("ready", json, chunk.body),
        Reply::Done | Reply::Refused(_) if json => string(chunk.body, ""),
        // A survey belongs to the metrics, and a dump is written in pieces.
        Reply::Done | Reply::Refused(_) | Reply::Survey(_) | Reply::Dumped(_) => {}
    }
}

fn render_lease(lease: &Lease, show: Show, json: bool, body: &mut Vec<u8>) {
    match (show, json) {
        (Show::Ids, false) => body.extend_from_slice(lease.id.as_bytes()),
        (Show::Ids, true) => string(body, &lease.id),
        (Show::Leases, true) => lease_object(body, lease),
        (Show::Leases, false) => lease_line(body, lease),
        (Show::Nothing, true) => string(body, ""),
        (Show::Nothing, false) => {}
    }
}

fn render_leases(leases: &Leases, shape: ResponseShape, json: bool, chunk: &mut ListChunk<'_>) {
    if shape.show == Show::Nothing {
        if json {
            string(chunk.body, "");
        }
        return;
    }
    let delimiters = if json { ARRAY } else { LINES };
    match &leases[..] {
        [lease] if !json || !shape.list => render_lease(lease, shape.show, json, chunk.body),
        _ => chunk.elements(delimiters, leases.len(), |body, place| {
            render_lease(&leases[place], shape.show, json, body);
        }),
    }
}

/// Writes `FENCE TTL ID`; the id is last, as it may contain spaces.
fn lease_line(body: &mut Vec<u8>, lease: &Lease) {
    number(body, lease.fence.number());
    body.push(b' ');
    match lease.ttl_s {
        Some(ttl_s) => number(body, ttl_s),
        None => body.push(b'-'),
    }
    body.push(b' ');
    body.extend_from_slice(lease.id.as_bytes());
}

fn lease_object(body: &mut Vec<u8>, lease: &Lease) {
    object(body, |body| {
        field(body, "id", |body| string(body, &lease.id));
        field(body, "fence", |body| number(body, lease.fence.number()));
        field(body, "ttl", |body| or_null(body, lease.ttl_s, number));
        field(body, "owner", |body| {
            or_null(body, lease.owner.as_deref(), string);
        });
        field(body, "age", |body| number(body, lease.age_s));
    });
}

fn pool_object(body: &mut Vec<u8>, pool: &PoolStatus) {
    object(body, |body| {
        field(body, "resources", |body| {
            number(body, pool.resources as u64)
        });
        field(body, "held", |body| number(body, pool.held as u64));
        field(body, "waiting", |body| number(body, pool.waiting as u64));
        field(body, "free", |body| number(body, pool.free as u64));
        if let Some(role) = pool.role {
            field(body, "role", |body| string(body, role));
        }
    });
}

/// Returns the counts in the order of the text line, with their names.
fn sums_of(sums: &PoolSums) -> [(&'static str, usize); 5] {
    [
        ("pools", sums.pools),
        ("resources", sums.resources),
        ("held", sums.held),
        ("waiting", sums.waiting),
        ("free", sums.free),
    ]
}

fn sums_object(body: &mut Vec<u8>, sums: &PoolSums) {
    object(body, |body| {
        for (name, count) in sums_of(sums) {
            field(body, name, |body| number(body, count as u64));
        }
    });
}

/// Writes `POOLS RESOURCES HELD WAITING FREE`.
fn sums_line(body: &mut Vec<u8>, sums: &PoolSums) {
    for (place, (_, count)) in sums_of(sums).into_iter().enumerate() {
        if place > 0 {
            body.push(b' ');
        }
        number(body, count as u64);
    }
}

/// Writes `RESOURCES HELD WAITING NAME`.
fn pool_line(body: &mut Vec<u8>, pool: &PoolStatus) {
    for count in [pool.resources, pool.held, pool.waiting] {
        number(body, count as u64);
        body.push(b' ');
    }
    body.extend_from_slice(pool.name.as_bytes());
}

pub(super) fn object(body: &mut Vec<u8>, write_fields: impl FnOnce(&mut Vec<u8>)) {
    body.push(b'{');
    write_fields(body);
    body.push(b'}');
}

pub(super) fn field(body: &mut Vec<u8>, name: &str, write_value: impl FnOnce(&mut Vec<u8>)) {
    if body.last() != Some(&b'{') {
        body.push(b',');
    }
    string(body, name);
    body.push(b':');
    write_value(body);
}

/// Writes a value, or `null`.
pub(super) fn or_null<T>(
    body: &mut Vec<u8>,
    value: Option<T>,
    write: impl FnOnce(&mut Vec<u8>, T),
) {
    match value {
        Some(value) => write(body, value),
        None => body.extend_from_slice(b"null"),
    }
}

pub(super) fn string(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("a string can be written to memory");
}

pub(super) fn number(body: &mut Vec<u8>, number: u64) {
    body.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
