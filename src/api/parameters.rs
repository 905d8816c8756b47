//! Query parameters. Unknown, malformed and repeated ones are refused: a typo must not make a lock
//! that never ends.

use std::num::NonZeroU32;

use super::{MethodOverride, PoolView, Problem, Show};
use crate::command::{
    Acquire, Fence, Filter, NamePart, OwnerName, ReleaseCondition, Renewal, ResourceId, Selection,
    Ttl,
};
use crate::contract::Parameter;
use crate::contract::parameters::{
    ACQUIRE, CONTAINS, FENCE, FORCE, LEASE, LIMIT, LIST_POOLS, METHOD, N, OLDER, OWNER, RELEASE,
    RELEASE_ALL, RENEW, SUM, SUM_POOLS, TTL, WAIT,
};
use crate::http::{Method, Parameters};

/// Reads the parameters of an acquire; `named` is the resource in its path.
pub(super) fn acquire<'a>(
    parameters: &mut Parameters<'a>,
    named: Option<ResourceId<'a>>,
) -> Result<(Acquire<'a>, Show), Problem> {
    let count = take_count(parameters)?;
    let selection = match named {
        None => count,
        Some(id) if count == Selection::Any(NonZeroU32::MIN) => Selection::Named(id),
        Some(_) => {
            return Err(Problem::BadValue(
                N.name,
                "1, as one resource is named".into(),
            ));
        }
    };
    let wait_s = take_number(parameters, &WAIT)?.unwrap_or(0);
    let acquire = Acquire {
        selection,
        owner: take_owner(parameters)?,
        ttl: take_ttl(parameters)?,
        wait_ms: u64::from(wait_s) * 1000,
        may_queue: true,
    };
    let show = if take_flag(parameters, &LEASE)? {
        Show::Leases
    } else {
        Show::Ids
    };
    refuse_others(parameters, ACQUIRE)?;
    Ok((acquire, show))
}

/// Reads the parameters of a renewal.
pub(super) fn renewal<'a>(parameters: &mut Parameters<'a>) -> Result<(Renewal<'a>, Show), Problem> {
    let renewal = Renewal {
        owner: take_owner(parameters)?,
        fence: take_fence(parameters)?,
        ttl: take_ttl(parameters)?,
    };
    let show = if take_flag(parameters, &LEASE)? {
        Show::Leases
    } else {
        Show::Nothing
    };
    refuse_others(parameters, RENEW)?;
    Ok((renewal, show))
}

/// Reads the parameters of a release.
pub(super) fn condition<'a>(
    parameters: &mut Parameters<'a>,
) -> Result<ReleaseCondition<'a>, Problem> {
    let condition = ReleaseCondition {
        owner: take_owner(parameters)?,
        fence: take_fence(parameters)?,
        force: take_flag(parameters, &FORCE)?,
    };
    refuse_others(parameters, RELEASE)?;
    Ok(condition)
}

/// Reads the filter of the locks to release.
pub(super) fn filter<'a>(parameters: &mut Parameters<'a>) -> Result<Filter<'a>, Problem> {
    let older_s = take_number(parameters, &OLDER)?;
    let filter = Filter {
        owner: take_owner(parameters)?,
        older_s: older_s.map(u64::from),
    };
    refuse_others(parameters, RELEASE_ALL)?;
    Ok(filter)
}

/// Reads the filter and the view of a list of pools.
pub(super) fn pools<'a>(
    parameters: &mut Parameters<'a>,
) -> Result<(Option<NamePart<'a>>, PoolView), Problem> {
    let contains = match parameters.take(CONTAINS.name) {
        None => None,
        Some(text) => Some(NamePart::parse(text).ok_or_else(|| Problem::bad_value(&CONTAINS))?),
    };
    if take_flag(parameters, &SUM)? {
        refuse_others(parameters, SUM_POOLS)?;
        return Ok((contains, PoolView::Sums));
    }
    let limit = take_number(parameters, &LIMIT)?.and_then(NonZeroU32::new);
    refuse_others(parameters, LIST_POOLS)?;
    Ok((contains, PoolView::List(limit)))
}

/// Returns the effective method: `_method` lets clients that only send POST use another one. It
/// counts in a POST alone, since a GET never changes state.
#[inline]
pub(super) fn effective_method(
    method: Method,
    parameters: &mut Parameters<'_>,
    method_override: MethodOverride,
) -> Result<Method, Problem> {
    if method != Method::Post {
        return Ok(method);
    }
    match parameters.take(METHOD.name) {
        None => Ok(Method::Post),
        Some(_) if method_override != MethodOverride::Taken => {
            Err(Problem::NoMethodOverride(method_override))
        }
        Some(name) => match Method::parse(name.as_bytes()) {
            meant @ (Method::Delete | Method::Put) => Ok(meant),
            _ => Err(Problem::bad_value(&METHOD)),
        },
    }
}

/// Refuses a parameter that was not read; `known` lists those of the request.
#[inline]
pub(super) fn refuse_others(
    parameters: &Parameters<'_>,
    known: &'static [&'static Parameter],
) -> Result<(), Problem> {
    match parameters.first_left() {
        None => Ok(()),
        Some(name) => Err(Problem::unknown_parameter(name, known)),
    }
}

fn take_owner<'a>(parameters: &mut Parameters<'a>) -> Result<Option<OwnerName<'a>>, Problem> {
    let owner = parameters.take(OWNER.name).map(OwnerName::parse);
    owner.transpose().map_err(|_| Problem::bad_value(&OWNER))
}

fn take_ttl(parameters: &mut Parameters<'_>) -> Result<Option<Ttl>, Problem> {
    let ttl_s = take_number(parameters, &TTL)?;
    Ok(ttl_s.and_then(Ttl::from_s))
}

fn take_fence(parameters: &mut Parameters<'_>) -> Result<Option<Fence>, Problem> {
    let Some(digits) = parameters.take(FENCE.name) else {
        return Ok(None);
    };
    let number = only_digits(&digits).and_then(|digits| digits.parse().ok());
    let number = number.ok_or_else(|| Problem::bad_value(&FENCE))?;
    Ok(Some(Fence::from_number(number)))
}

/// Reads the number of resources to acquire.
fn take_count(parameters: &mut Parameters<'_>) -> Result<Selection<'static>, Problem> {
    let Some(text) = parameters.take(N.name) else {
        return Ok(Selection::Any(NonZeroU32::MIN));
    };
    if text == "all" {
        return Ok(Selection::All);
    }
    let count = read_number(&text, &N)?;
    let count = NonZeroU32::new(count).ok_or_else(|| Problem::bad_value(&N))?;
    Ok(Selection::Any(count))
}

fn take_number(
    parameters: &mut Parameters<'_>,
    parameter: &'static Parameter,
) -> Result<Option<u32>, Problem> {
    let digits = parameters.take(parameter.name);
    digits
        .map(|digits| read_number(&digits, parameter))
        .transpose()
}

fn read_number(digits: &str, parameter: &'static Parameter) -> Result<u32, Problem> {
    let (least, greatest) = parameter.bounds;
    let number = only_digits(digits).and_then(|digits| digits.parse().ok());
    match number {
        Some(number) if (least..=greatest).contains(&number) => Ok(number),
        _ => Err(Problem::bad_value(parameter)),
    }
}

/// Reads a flag: present means set. Libraries may write it as `=1` or `=true`.
fn take_flag(
    parameters: &mut Parameters<'_>,
    parameter: &'static Parameter,
) -> Result<bool, Problem> {
    match parameters.take(parameter.name) {
        None => Ok(false),
        Some(value) if value.is_empty() || value == "1" => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(_) => Err(Problem::bad_value(parameter)),
    }
}

/// Returns `text` if it has digits alone: parsing would accept a sign.
fn only_digits(text: &str) -> Option<&str> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text)
}
