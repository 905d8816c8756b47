//! Query parameters. One that is unknown, malformed or given twice is refused: a typo must not
//! change what a lock is.

use std::num::NonZeroU32;

use super::Problem;
use crate::http::{Method, Parameters};

/// What an acquire may be told.
pub(super) struct AcquireParameters {
    /// `n`: how many resources.
    pub(super) count: NonZeroU32,
    /// `lease`: answer with leases instead of ids.
    pub(super) leases: bool,
}

impl AcquireParameters {
    pub(super) fn parse(mut parameters: Parameters<'_>) -> Result<AcquireParameters, Problem> {
        let count = match parameters.take("n") {
            None => NonZeroU32::MIN,
            Some(digits) => parse_count(&digits)
                .ok_or(Problem::BadValue("n", "a whole number from 1 to 999999999"))?,
        };
        let leases = match parameters.take("lease") {
            None => false,
            Some(flag) if is_set(&flag) => true,
            Some(_) => return Err(Problem::BadValue("lease", "nothing, or 1")),
        };
        refuse_others(&parameters, "n, lease")?;
        Ok(AcquireParameters { count, leases })
    }
}

/// Decimal digits only: no sign, no space.
fn parse_count(digits: &str) -> Option<NonZeroU32> {
    let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// A flag is set by being there; `=1` and `=true` are what libraries make of it.
fn is_set(flag: &str) -> bool {
    flag.is_empty() || flag == "1" || flag.eq_ignore_ascii_case("true")
}

/// The method that is meant: `_method` lets a POST stand for what a modem cannot say. A GET never
/// changes anything, so it cannot stand for another.
pub(super) fn effective_method(
    method: Method,
    parameters: &mut Parameters<'_>,
) -> Result<Method, Problem> {
    if method != Method::Post {
        return Ok(method);
    }
    match parameters.take("_method") {
        None => Ok(Method::Post),
        Some(name) => match Method::parse(name.as_bytes()) {
            meant @ (Method::Delete | Method::Put) => Ok(meant),
            _ => Err(Problem::BadValue("_method", "DELETE or PUT")),
        },
    }
}

/// Refuses a parameter that nobody has taken; `known` tells which ones there are.
pub(super) fn refuse_others(
    parameters: &Parameters<'_>,
    known: &'static str,
) -> Result<(), Problem> {
    match parameters.first_left() {
        None => Ok(()),
        Some(name) => Err(Problem::unknown_parameter(name, known)),
    }
}
