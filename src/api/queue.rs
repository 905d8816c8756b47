//! The queue of a pool: its route, and its forms in answers.

use super::body::Form;
use super::render::{field, number, object, or_null, string};
use super::{Body, Problem, RequestAction, ResponseShape, ask};
use crate::command::{Command, PoolName, QueuedWaiter};
use crate::contract::RequestLabel;
use crate::keys::Caller;

/// Routes `/pool/A/queue`.
pub(super) fn list<'a>(
    pool: PoolName<'a>,
    body: Body<'_>,
    label: RequestLabel,
    caller: Caller<'_>,
) -> Result<RequestAction<'a>, Problem> {
    body.take(Form::Nothing)?;
    ask(
        Command::ListWaiters(pool),
        ResponseShape::default(),
        label,
        caller,
    )
}

/// Writes `AGE LEFT N OWNER`; the owner is last, as it may contain spaces. The id of a requested
/// resource is left out, since it may contain spaces, too.
pub(super) fn waiter_line(body: &mut Vec<u8>, waiter: &QueuedWaiter) {
    for seconds in [waiter.age_s, waiter.left_s] {
        match seconds {
            Some(seconds) => number(body, seconds),
            None => body.push(b'-'),
        }
        body.push(b' ');
    }
    number(body, waiter.count as u64);
    body.push(b' ');
    body.extend_from_slice(waiter.owner.as_deref().unwrap_or("-").as_bytes());
}

pub(super) fn waiter_object(body: &mut Vec<u8>, waiter: &QueuedWaiter) {
    object(body, |body| {
        field(body, "owner", |body| {
            or_null(body, waiter.owner.as_deref(), string)
        });
        field(body, "n", |body| number(body, waiter.count as u64));
        field(body, "id", |body| {
            or_null(body, waiter.id.as_deref(), string)
        });
        field(body, "age", |body| or_null(body, waiter.age_s, number));
        field(body, "left", |body| or_null(body, waiter.left_s, number));
        field(body, "lost", |body| {
            let lost: &[u8] = if waiter.is_lost { b"true" } else { b"false" };
            body.extend_from_slice(lost);
        });
    });
}
