//! Permissions: each command needs a role in the pools that it names.

use std::rc::Rc;

use super::{BrowserProblem, ListenerRole, PoolView, Problem};
use crate::command::{Command, PoolStatus, Reply, Seed, max_pools};
use crate::contract::{Needs, RequestLabel};
use crate::keys::{Caller, Key, Keys, Role};
use crate::time::Time;

/// Whether `_method` replaces the method of a POST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MethodOverride {
    /// Replaced.
    #[default]
    Taken,
    /// Not replaced, as a page has sent the request: a page can send the method itself.
    NotOfPage,
    /// Never replaced, as a proxy may check requests by their method: `--no-method-override`.
    Off,
}

/// The rights of a request, by its caller and its connection.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// The role of the listener that accepted its connection.
    pub listener_role: ListenerRole,
    /// The caller.
    pub caller: Caller<'a>,
    /// Whether `_method` counts.
    pub method_override: MethodOverride,
    /// The reason to refuse the request, whatever it asks for.
    pub refused: Option<BrowserProblem>,
}

impl<'a> Access<'a> {
    /// Returns the access of a request that no browser sent.
    pub fn new(listener_role: ListenerRole, caller: Caller<'a>) -> Access<'a> {
        Access {
            listener_role,
            caller,
            method_override: MethodOverride::Taken,
            refused: None,
        }
    }

    /// Returns true if the request is refused whatever its body says.
    pub fn ignores_body(&self) -> bool {
        self.refused.is_some() || matches!(self.caller, Caller::Unauthenticated { .. })
    }
}

/// Checks that a caller may use a command. Without keys every command is allowed.
pub(super) fn check(
    caller: Caller<'_>,
    label: RequestLabel,
    command: &Command<'_>,
) -> Result<(), Problem> {
    match caller {
        Caller::AuthDisabled => Ok(()),
        Caller::Unauthenticated(failure) => Err(Problem::of_auth_failure(failure)),
        Caller::Authenticated(key) => check_key(key, label, command),
    }
}

/// Checks that a caller has the role that the request needs in every pool, whatever its name.
pub(super) fn check_all_pools(caller: Caller<'_>, label: RequestLabel) -> Result<(), Problem> {
    let role = match label.needs() {
        Some(Needs::InAll(role)) => role,
        // A method that the path does not have is refused as such only to a caller that may use the path.
        _ => Role::Admin,
    };
    match caller {
        Caller::AuthDisabled => Ok(()),
        Caller::Unauthenticated(failure) => Err(Problem::of_auth_failure(failure)),
        Caller::Authenticated(key) => refuse_unless(key.may_in_all(role), role),
    }
}

/// Returns the reason to end a waiter whose key no longer allows it to acquire from this pool, or has
/// left the keys. `None` if it may go on waiting.
pub fn recheck_waiter(keys: &Keys, key: &Key, pool: &str, now: Time) -> Option<Problem> {
    match keys.recheck_caller(key, now) {
        Caller::Authenticated(key) => refuse_unless(key.may(Role::Use, pool), Role::Use).err(),
        Caller::AuthDisabled | Caller::Unauthenticated { .. } => Some(Problem::WrongKey),
    }
}

/// Filters a list of pools, in slices, to those that a key can see, and adds its role in each. A key may
/// have a hundred patterns, and a list a hundred thousand pools.
#[derive(Debug)]
pub struct VisiblePools {
    pools: Vec<PoolStatus>,
    view: PoolView,
    /// `None` makes no pool visible.
    key: Option<Rc<Key>>,
    /// The number of pools checked so far, and the number of visible ones, which come first.
    checked: usize,
    visible: usize,
}

/// The limit on comparisons of one byte in a slice: some 2 ms.
const SLICE_COMPARISONS: usize = 1 << 20;
/// The least cost of a pool, in comparisons of one byte.
const POOL_COMPARISONS: usize = 64;

impl VisiblePools {
    /// Starts with the first pool.
    pub fn new(pools: Vec<PoolStatus>, view: PoolView, key: Option<Rc<Key>>) -> VisiblePools {
        VisiblePools {
            pools,
            view,
            key,
            checked: 0,
            visible: 0,
        }
    }

    /// Checks the next slice. Returns the requested view once all pools are checked.
    pub fn advance(&mut self) -> Option<Reply> {
        let max = match self.view {
            PoolView::List(limit) => max_pools(limit),
            PoolView::Sums => usize::MAX,
        };
        if let Some(key) = &self.key {
            let per_byte = key.comparisons_per_byte();
            let mut left = SLICE_COMPARISONS;
            // No pattern is matched beyond the limit.
            while self.visible < max
                && let Some(pool) = self.pools.get_mut(self.checked)
            {
                if left == 0 {
                    return None;
                }
                left = left.saturating_sub(POOL_COMPARISONS + per_byte * pool.name.len());
                let role = key.role(&pool.name);
                pool.role = role.map(Role::name);
                if role.is_some() {
                    self.pools.swap(self.visible, self.checked);
                    self.visible += 1;
                }
                self.checked += 1;
            }
        }
        self.pools.truncate(self.visible);
        Some(match self.view {
            PoolView::List(_) => Reply::Pools(std::mem::take(&mut self.pools)),
            PoolView::Sums => Reply::PoolSums(self.pools.iter().collect()),
        })
    }
}

fn check_key(key: &Key, label: RequestLabel, command: &Command<'_>) -> Result<(), Problem> {
    let role = match (label.needs(), command) {
        (Some(Needs::InPool(role)), _) => role,
        (Some(Needs::UseOrForce), Command::Release(_, _, condition)) if condition.force => {
            Role::Admin
        }
        (Some(Needs::UseOfOwner), Command::ReleaseAll(_, filter)) if filter.owner.is_none() => {
            Role::Admin
        }
        (Some(Needs::UseOrForce | Needs::UseOfOwner), _) => Role::Use,
        (Some(Needs::AdminOfBody), Command::AddMembers(seed) | Command::SetMembers(seed)) => {
            return check_seed(key, seed);
        }
        // A key for some of the pools gets their list, to be filtered and added up.
        (Some(Needs::AnyKey), Command::SumPools(_)) => {
            return refuse_unless(key.may_in_all(Role::Read), Role::Read);
        }
        // The reply is filtered by the key afterwards.
        (Some(Needs::AnyKey), Command::ListPools(_)) => return Ok(()),
        // No request leads to these, or not in this way.
        _ => return Err(Problem::NotAllowed(Role::Admin)),
    };
    match command.pool() {
        Some(pool) => refuse_unless(key.may(role, pool.as_str()), role),
        None => Err(Problem::NotAllowed(Role::Admin)),
    }
}

/// Checks that all of a seed is allowed.
fn check_seed(key: &Key, seed: &Seed) -> Result<(), Problem> {
    let mut pools = seed.pools();
    let may = pools.all(|(pool, _)| key.may(Role::Admin, pool.as_str()));
    refuse_unless(may && key.may_somewhere(Role::Admin), Role::Admin)
}

fn refuse_unless(may: bool, role: Role) -> Result<(), Problem> {
    if may {
        Ok(())
    } else {
        Err(Problem::NotAllowed(role))
    }
}
