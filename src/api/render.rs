//! Outcomes to statuses and bodies, plain or JSON.

use std::borrow::Cow;

use super::{Outcome, Problem, Shape, Show, documents};
use crate::command::{Granted, Ids, Lease, PoolStatus, Reply};
use crate::http::Fields;

const VERSION: &str = concat!("latchd ", env!("CARGO_PKG_VERSION"));

/// The status code, the reason phrase and the header fields of an outcome.
pub fn render_status(outcome: &Outcome) -> (u16, Cow<'static, str>, Fields) {
    match outcome {
        Outcome::Reply(Reply::Refused(refusal)) => {
            let problem = Problem::Refused(*refusal);
            (problem.status(), problem.words(), Fields::None)
        }
        Outcome::Problem(problem) => {
            let fields = match problem {
                Problem::BadMethod(methods) => Fields::Allow(methods),
                Problem::NoKey => Fields::Challenge,
                _ => Fields::None,
            };
            (problem.status(), problem.words(), fields)
        }
        Outcome::Options(methods) => (200, "OK".into(), Fields::Options(methods)),
        Outcome::Page => (200, "OK".into(), Fields::Document(&documents::OF_PAGE)),
        Outcome::Reply(_) | Outcome::Version | Outcome::Pong | Outcome::Healthy => {
            (200, "OK".into(), Fields::None)
        }
    }
}

/// Appends the body of an outcome.
pub fn render_text(outcome: &Outcome, shape: Shape, json: bool, body: &mut Vec<u8>) {
    match outcome {
        Outcome::Reply(Reply::Refused(refusal)) => {
            render_problem(&Problem::Refused(*refusal), json, body);
        }
        Outcome::Problem(problem) => render_problem(problem, json, body),
        Outcome::Reply(reply) if json => render_json(reply, shape, body),
        Outcome::Reply(reply) => render_plain(reply, shape, body),
        Outcome::Version if json => {
            object(body, |body| {
                field(body, "message", |body| string(body, VERSION))
            });
        }
        Outcome::Version => body.extend_from_slice(VERSION.as_bytes()),
        Outcome::Page => body.extend_from_slice(documents::PAGE.as_bytes()),
        Outcome::Pong => render_word("pong", json, body),
        Outcome::Healthy => render_word("ok", json, body),
        Outcome::Options(_) => {}
    }
}

/// What says in one word that all is well.
fn render_word(word: &str, json: bool, body: &mut Vec<u8>) {
    match json {
        true => object(body, |body| {
            field(body, "result", |body| string(body, word))
        }),
        false => body.extend_from_slice(word.as_bytes()),
    }
}

fn render_problem(problem: &Problem, json: bool, body: &mut Vec<u8>) {
    if !json {
        return body.extend_from_slice(problem.words().as_bytes());
    }
    object(body, |body| {
        field(body, "code", |body| string(body, &problem.words()));
        field(body, "message", |body| string(body, &problem.message()));
    });
}

fn render_plain(reply: &Reply, shape: Shape, body: &mut Vec<u8>) {
    match reply {
        Reply::Granted(Granted { leases, .. }) | Reply::Leases(leases) => match shape.show {
            Show::Leases => lines(body, leases, lease_line),
            Show::Ids => {
                lines(body, leases, |body, lease| {
                    body.extend_from_slice(lease.id.as_bytes())
                });
            }
            Show::Nothing => {}
        },
        Reply::Released(count) => number(body, *count as u64),
        Reply::Members(ids) => lines(body, ids.iter(), |body, id| {
            body.extend_from_slice(id.as_str().as_bytes());
        }),
        Reply::Pools(pools) => lines(body, pools, |body, pool| {
            number(body, pool.resources as u64);
            body.push(b' ');
            number(body, pool.held as u64);
            body.push(b' ');
            number(body, pool.waiting as u64);
            body.push(b' ');
            body.extend_from_slice(pool.name.as_bytes());
        }),
        // What was seeded is told in the form in which it was told to us.
        Reply::Seeded(_) => render_json(reply, shape, body),
        Reply::Ready => render_word("ready", false, body),
        // The page that a survey is for is not of this room.
        Reply::Done | Reply::Refused(_) | Reply::Survey(_) => {}
    }
}

fn render_json(reply: &Reply, shape: Shape, body: &mut Vec<u8>) {
    match reply {
        Reply::Granted(Granted { leases, .. }) | Reply::Leases(leases) => {
            let element = match shape.show {
                Show::Leases => lease_object,
                Show::Ids => lease_id,
                Show::Nothing => return string(body, ""),
            };
            match &leases[..] {
                [lease] if !shape.list => element(body, lease),
                _ => array(body, leases, element),
            }
        }
        Reply::Released(count) => number(body, *count as u64),
        Reply::Members(ids) => id_array(body, ids.iter()),
        Reply::Pools(pools) => object(body, |body| {
            for pool in pools {
                field(body, &pool.name, |body| pool_object(body, pool));
            }
        }),
        Reply::Seeded(seed) if seed.pool_count() == 1 && !shape.list => {
            id_array(body, seed.pool(0).1);
        }
        Reply::Seeded(seed) => object(body, |body| {
            for (pool, ids) in seed.pools() {
                field(body, pool.as_str(), |body| id_array(body, ids));
            }
        }),
        Reply::Ready => render_word("ready", true, body),
        Reply::Survey(_) => {}
        Reply::Done | Reply::Refused(_) => string(body, ""),
    }
}

/// `FENCE TTL ID`; the id comes last, as there may be spaces in it.
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

fn lease_id(body: &mut Vec<u8>, lease: &Lease) {
    string(body, &lease.id);
}

fn lease_object(body: &mut Vec<u8>, lease: &Lease) {
    object(body, |body| {
        field(body, "id", |body| string(body, &lease.id));
        field(body, "fence", |body| number(body, lease.fence.number()));
        field(body, "ttl", |body| match lease.ttl_s {
            Some(ttl_s) => number(body, ttl_s),
            None => body.extend_from_slice(b"null"),
        });
        field(body, "owner", |body| match &lease.owner {
            Some(owner) => string(body, owner),
            None => body.extend_from_slice(b"null"),
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
    });
}

fn id_array(body: &mut Vec<u8>, ids: Ids<'_>) {
    array(body, ids, |body, id| string(body, id.as_str()));
}

fn lines<T>(
    body: &mut Vec<u8>,
    elements: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    separated(body, b'\n', elements, write);
}

fn array<T>(
    body: &mut Vec<u8>,
    elements: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    body.push(b'[');
    separated(body, b',', elements, write);
    body.push(b']');
}

fn separated<T>(
    body: &mut Vec<u8>,
    separator: u8,
    elements: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    for (place, element) in elements.into_iter().enumerate() {
        if place > 0 {
            body.push(separator);
        }
        write(body, element);
    }
}

fn object(body: &mut Vec<u8>, write_fields: impl FnOnce(&mut Vec<u8>)) {
    body.push(b'{');
    write_fields(body);
    body.push(b'}');
}

fn field(body: &mut Vec<u8>, name: &str, write_value: impl FnOnce(&mut Vec<u8>)) {
    if body.last() != Some(&b'{') {
        body.push(b',');
    }
    string(body, name);
    body.push(b':');
    write_value(body);
}

fn string(body: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(body, text).expect("a string can be written to memory");
}

fn number(body: &mut Vec<u8>, number: u64) {
    body.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
