//! Commands that outlive the requests they were read from.

use super::{
    Acquire, Command, Filter, NamePart, OwnerName, PoolName, ReleaseCondition, Renewal, Selection,
};

impl Command<'_> {
    /// Copies the borrowed names, so that the command outlives its request.
    pub fn into_owned(self) -> Command<'static> {
        match self {
            Command::ListPools(query) => Command::ListPools(query.into_owned()),
            Command::SumPools(part) => Command::SumPools(part.map(NamePart::into_owned)),
            Command::AddMembers(seed) => Command::AddMembers(seed),
            Command::SetMembers(seed) => Command::SetMembers(seed),
            Command::ListMembers(pool) => Command::ListMembers(pool.into_owned()),
            Command::RemovePool(pool) => Command::RemovePool(pool.into_owned()),
            Command::Acquire(pool, acquire) => {
                Command::Acquire(pool.into_owned(), acquire.into_owned())
            }
            Command::Renew(pool, id, renewal) => {
                Command::Renew(pool.into_owned(), id.into_owned(), renewal.into_owned())
            }
            Command::RenewOwned(pool, renewal) => {
                Command::RenewOwned(pool.into_owned(), renewal.into_owned())
            }
            Command::Release(pool, id, condition) => {
                Command::Release(pool.into_owned(), id.into_owned(), condition.into_owned())
            }
            Command::ReleaseAll(pool, filter) => {
                Command::ReleaseAll(pool.into_owned(), filter.into_owned())
            }
            Command::Undo(pool, id, fence) => {
                Command::Undo(pool.into_owned(), id.into_owned(), fence)
            }
            Command::ListLocks(pool) => Command::ListLocks(pool.into_owned()),
            Command::ShowLock(pool, id) => Command::ShowLock(pool.into_owned(), id.into_owned()),
            Command::ListWaiters(pool) => Command::ListWaiters(pool.into_owned()),
            Command::Purge => Command::Purge,
            Command::Survey(shown) => Command::Survey(shown),
            Command::Probe => Command::Probe,
            Command::Dump(place) => Command::Dump(place),
            Command::Restore(restoration) => Command::Restore(restoration),
        }
    }

    /// The pool that the command names; `None` if it concerns several, or all.
    pub fn pool(&self) -> Option<&PoolName<'_>> {
        match self {
            Command::ListPools(_) | Command::SumPools(_) => None,
            Command::Survey(_) | Command::Probe | Command::Purge | Command::Dump(_) => None,
            Command::AddMembers(_) | Command::SetMembers(_) | Command::Restore(_) => None,
            Command::ListMembers(pool) | Command::RemovePool(pool) => Some(pool),
            Command::Acquire(pool, _) | Command::Renew(pool, ..) => Some(pool),
            Command::RenewOwned(pool, _) | Command::Release(pool, ..) => Some(pool),
            Command::ReleaseAll(pool, _) | Command::Undo(pool, ..) => Some(pool),
            Command::ListLocks(pool) | Command::ShowLock(pool, _) => Some(pool),
            Command::ListWaiters(pool) => Some(pool),
        }
    }
}

impl Acquire<'_> {
    fn into_owned(self) -> Acquire<'static> {
        Acquire {
            selection: match self.selection {
                Selection::Any(count) => Selection::Any(count),
                Selection::All => Selection::All,
                Selection::Named(id) => Selection::Named(id.into_owned()),
            },
            owner: self.owner.map(OwnerName::into_owned),
            ttl: self.ttl,
            wait_ms: self.wait_ms,
            may_queue: self.may_queue,
        }
    }
}

impl Renewal<'_> {
    fn into_owned(self) -> Renewal<'static> {
        Renewal {
            owner: self.owner.map(OwnerName::into_owned),
            fence: self.fence,
            ttl: self.ttl,
        }
    }
}

impl ReleaseCondition<'_> {
    fn into_owned(self) -> ReleaseCondition<'static> {
        ReleaseCondition {
            owner: self.owner.map(OwnerName::into_owned),
            fence: self.fence,
            force: self.force,
        }
    }
}

impl Filter<'_> {
    fn into_owned(self) -> Filter<'static> {
        Filter {
            owner: self.owner.map(OwnerName::into_owned),
            older_s: self.older_s,
        }
    }
}
