//! The paths of the contract: what each one is, and the methods that it has.

use std::borrow::Cow;

use super::Problem;
use crate::command::{PoolName, ResourceId};
use crate::http::{decode_segments, split_path};
use crate::metrics::Route;

pub(super) const OPEN_METHODS: &str = "GET, HEAD, OPTIONS";
pub(super) const POOLS_METHODS: &str = "GET, HEAD, POST, PUT, OPTIONS";
pub(super) const POOL_METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

/// The paths of the contract.
pub(super) enum Endpoint<'a> {
    Root,
    Ping,
    Health,
    Ready,
    Metrics,
    Description,
    Pools,
    Pool(PoolName<'a>),
    Locks(PoolName<'a>),
    Lock(PoolName<'a>, ResourceId<'a>),
    Queue(PoolName<'a>),
}

impl<'a> Endpoint<'a> {
    pub(super) fn find(path: &'a str) -> Result<Endpoint<'a>, Problem> {
        // No path has more than four; the fifth tells that there are.
        let mut places = [""; 5];
        match split_path(path, &mut places)? {
            (segments, true) => Endpoint::of_segments(&mut decode_segments(segments)?),
            (segments, false) => Endpoint::of_segments(segments),
        }
    }

    /// Takes the names out of the segments: what is decoded already, or needs not be.
    #[inline(always)]
    fn of_segments<S>(segments: &mut [S]) -> Result<Endpoint<'a>, Problem>
    where
        S: AsRef<str> + Default + Into<Cow<'a, str>>,
    {
        let name_at = |place: &mut S| std::mem::take(place);
        Ok(match segments {
            [] => Endpoint::Root,
            [word] => match word.as_ref() {
                "ping" => Endpoint::Ping,
                "pool" => Endpoint::Pools,
                "health" => Endpoint::Health,
                "ready" => Endpoint::Ready,
                "metrics" => Endpoint::Metrics,
                "openapi.json" => Endpoint::Description,
                _ => return Err(Problem::NoRoute),
            },
            [pool, ..] if pool.as_ref() != "pool" => return Err(Problem::NoRoute),
            [_, name] => Endpoint::Pool(PoolName::parse(name_at(name))?),
            [_, name, lock] if lock.as_ref() == "lock" => {
                Endpoint::Locks(PoolName::parse(name_at(name))?)
            }
            [_, name, queue] if queue.as_ref() == "queue" => {
                Endpoint::Queue(PoolName::parse(name_at(name))?)
            }
            [_, name, lock, id] if lock.as_ref() == "lock" => {
                let (name, id) = (name_at(name), name_at(id));
                Endpoint::Lock(PoolName::parse(name)?, ResourceId::parse(id)?)
            }
            _ => return Err(Problem::NoRoute),
        })
    }

    pub(super) fn route(&self) -> Route {
        match self {
            Endpoint::Root => Route::Root,
            Endpoint::Ping => Route::Ping,
            Endpoint::Health => Route::Health,
            Endpoint::Ready => Route::Ready,
            Endpoint::Metrics => Route::Metrics,
            Endpoint::Description => Route::Description,
            Endpoint::Pools => Route::Pools,
            Endpoint::Pool(_) => Route::Pool,
            Endpoint::Locks(_) => Route::Locks,
            Endpoint::Lock(..) => Route::Lock,
            Endpoint::Queue(_) => Route::Queue,
        }
    }

    /// Whether it is there for whoever asks: health checks have no key.
    pub(super) fn is_open(&self) -> bool {
        match self {
            Endpoint::Root | Endpoint::Ping | Endpoint::Health | Endpoint::Ready => true,
            Endpoint::Pools | Endpoint::Pool(_) | Endpoint::Locks(_) | Endpoint::Lock(..) => false,
            Endpoint::Queue(_) | Endpoint::Metrics => false,
            Endpoint::Description => true,
        }
    }

    /// Its methods, for `Allow`.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Endpoint::Root | Endpoint::Ping | Endpoint::Health => OPEN_METHODS,
            Endpoint::Ready | Endpoint::Metrics | Endpoint::Description => OPEN_METHODS,
            Endpoint::Queue(_) => OPEN_METHODS,
            Endpoint::Pools => POOLS_METHODS,
            Endpoint::Pool(_) | Endpoint::Locks(_) | Endpoint::Lock(..) => POOL_METHODS,
        }
    }
}
