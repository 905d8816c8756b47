//! The paths of the contract, matched in constant time; a test holds this match to the table of routes.

use std::borrow::Cow;

use super::Problem;
use crate::command::{PoolName, ResourceId, has_dot_segment};
use crate::contract::Route;
use crate::http::{decode_segments, split_path};

/// The paths of the contract.
pub(super) enum Endpoint<'a> {
    Root,
    Ping,
    Health,
    Ready,
    Metrics,
    Description,
    Dump,
    Pools,
    Pool(PoolName<'a>),
    Locks(PoolName<'a>),
    Lock(PoolName<'a>, ResourceId<'a>),
    Queue(PoolName<'a>),
}

impl<'a> Endpoint<'a> {
    /// Finds a lock, or all locks of a pool, if their names have no escapes. Most requests are for these, so one
    /// pass looks for them first.
    #[inline(always)]
    pub(super) fn find_plain_lock(path: &'a str) -> Option<Endpoint<'a>> {
        let (pool, rest) = PoolName::split_plain(path.strip_prefix("/pool/")?)?;
        match rest.strip_prefix("/lock")? {
            "" => Some(Endpoint::Locks(pool)),
            rest => {
                let id = ResourceId::parse_plain(rest.strip_prefix('/')?)?;
                Some(Endpoint::Lock(pool, id))
            }
        }
    }

    /// Parses a path. The flag is true if a name in it has a part `.` or `..`: such names may exist from before they
    /// were refused.
    pub(super) fn find(path: &'a str) -> Result<(Endpoint<'a>, bool), Problem> {
        // No path has more than four segments; the fifth shows that there are more.
        let mut places = [""; 5];
        let (segments, is_special) = split_path(path, &mut places)?;
        let segments = &*segments;
        if !is_special {
            let endpoint = Endpoint::of_segments(segments, |at| segments[at].into())?;
            return Ok((endpoint, false));
        }
        let mut names = decode_segments(segments)?;
        let has_dot_segment = names.iter().any(|name| has_dot_segment(name));
        let endpoint = Endpoint::of_segments(segments, |at| std::mem::take(&mut names[at]))?;
        Ok((endpoint, has_dot_segment))
    }

    /// Finds the endpoint of these segments. Only names may contain escapes: a proxy that keeps clients from
    /// `/metrics` must not be passed by `/%6detrics`.
    #[inline(always)]
    fn of_segments(
        segments: &[&str],
        mut name_at: impl FnMut(usize) -> Cow<'a, str>,
    ) -> Result<Endpoint<'a>, Problem> {
        Ok(match segments {
            [] => Endpoint::Root,
            ["ping"] => Endpoint::Ping,
            ["pool"] => Endpoint::Pools,
            ["health"] => Endpoint::Health,
            ["ready"] => Endpoint::Ready,
            ["metrics"] => Endpoint::Metrics,
            ["openapi.json"] => Endpoint::Description,
            ["dump"] => Endpoint::Dump,
            ["pool", _] => Endpoint::Pool(PoolName::parse_stored(name_at(1))?),
            ["pool", _, "lock"] => Endpoint::Locks(PoolName::parse_stored(name_at(1))?),
            ["pool", _, "queue"] => Endpoint::Queue(PoolName::parse_stored(name_at(1))?),
            ["pool", _, "lock", _] => {
                let (name, id) = (name_at(1), name_at(3));
                Endpoint::Lock(PoolName::parse_stored(name)?, ResourceId::parse_stored(id)?)
            }
            _ => return Err(Problem::NoRoute),
        })
    }

    /// Returns its row in the contract.
    pub(super) fn route(&self) -> Route {
        match self {
            Endpoint::Root => Route::Root,
            Endpoint::Ping => Route::Ping,
            Endpoint::Health => Route::Health,
            Endpoint::Ready => Route::Ready,
            Endpoint::Metrics => Route::Metrics,
            Endpoint::Description => Route::Description,
            Endpoint::Dump => Route::Dump,
            Endpoint::Pools => Route::Pools,
            Endpoint::Pool(_) => Route::Pool,
            Endpoint::Locks(_) => Route::Locks,
            Endpoint::Lock(..) => Route::Lock,
            Endpoint::Queue(_) => Route::Queue,
        }
    }
}
