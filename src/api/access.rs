//! What a caller may do: each command wants a role in the pools that it names.

use super::{Outcome, Problem};
use crate::command::{Command, Reply, Seed};
use crate::keys::{Caller, Key, Role};

/// Whether a command may be carried out for a caller. Without keys everything may.
pub(super) fn check(caller: Caller<'_>, command: &Command<'_>) -> Result<(), Problem> {
    match caller {
        Caller::Anyone => Ok(()),
        Caller::Stranger => Err(Problem::NoKey),
        Caller::Holder(key) => check_key(key, command),
    }
}

/// Whether a caller may see the metrics, which tell of all pools.
pub(super) fn check_metrics(caller: Caller<'_>) -> Result<(), Problem> {
    match caller {
        Caller::Anyone => Ok(()),
        Caller::Stranger => Err(Problem::NoKey),
        Caller::Holder(_) => refuse_unless(!caller.sees_a_part(), Role::Read),
    }
}

/// Leaves of a list of pools what a key is for; nothing, without one.
#[cold]
pub fn cut_down(outcome: &mut Outcome, key: Option<&Key>) {
    if let Outcome::Reply(Reply::Pools(pools)) = outcome {
        pools.retain(|pool| key.is_some_and(|key| key.may(Role::Read, &pool.name)));
    }
}

fn check_key(key: &Key, command: &Command<'_>) -> Result<(), Problem> {
    let (role, pool) = match command {
        // The reply is cut down to what the key is for.
        Command::ListPools => return Ok(()),
        Command::ListMembers(pool) | Command::ListLocks(pool) => (Role::Read, pool),
        Command::ShowLock(pool, _) | Command::ListWaiters(pool) => (Role::Read, pool),
        Command::Acquire(pool, _) => (Role::Use, pool),
        Command::Renew(pool, ..) | Command::RenewOwned(pool, _) => (Role::Use, pool),
        Command::Release(pool, _, proof) if proof.force => (Role::Admin, pool),
        Command::Release(pool, ..) => (Role::Use, pool),
        // Whoever names no owner releases also what others hold.
        Command::ReleaseAll(pool, filter) if filter.owner.is_none() => (Role::Admin, pool),
        Command::ReleaseAll(pool, _) => (Role::Use, pool),
        Command::AddMembers(seed) | Command::SetMembers(seed) => return check_seed(key, seed),
        Command::RemovePool(pool) => (Role::Admin, pool),
        // No request asks for these, or not in this way.
        Command::Undo(..) | Command::Purge | Command::Survey(_) | Command::Probe => {
            return Err(Problem::NotAllowed(Role::Admin));
        }
    };
    refuse_unless(key.may(role, pool.as_str()), role)
}

/// All of it may be done, or nothing.
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
