//! A journal of no more than is needed: it keeps the last row of each key.

use std::collections::BTreeMap;
use std::fmt::Debug;

use latchd::command::{Fence, StoredName};
use latchd::pool::{Change, PoolNumber, PoolRow, ResourceRow, Snapshot};

use super::model::{Model, Pool};

#[derive(Debug, Default)]
pub struct Journal {
    retired_fence: Fence,
    pools: BTreeMap<PoolNumber, (StoredName, Fence, BTreeMap<StoredName, ResourceRow>)>,
}

impl Journal {
    /// Takes a change in. Answers the row that a resource had before.
    pub fn note(&mut self, change: Change) -> Result<Option<ResourceRow>, String> {
        let unknown = "a change to a pool that is not there";
        match change {
            Change::PoolCreated {
                number,
                name,
                fence,
            } => {
                let before = self.pools.insert(number, (name, fence, BTreeMap::new()));
                if before.is_some() {
                    return Err("a pool's number is used twice".into());
                }
            }
            Change::PoolRemoved {
                number,
                retired_fence,
                ..
            } => {
                self.pools.remove(&number).ok_or(unknown)?;
                self.retired_fence = retired_fence;
            }
            Change::Fence(number, fence) => self.pools.get_mut(&number).ok_or(unknown)?.1 = fence,
            Change::ResourceSet(number, id, row) => {
                let rows = &mut self.pools.get_mut(&number).ok_or(unknown)?.2;
                return Ok(rows.insert(id, row));
            }
            Change::ResourceRemoved(number, id) => {
                let rows = &mut self.pools.get_mut(&number).ok_or(unknown)?.2;
                return Ok(rows.remove(&id));
            }
        }
        Ok(None)
    }

    /// The name of a pool.
    pub fn name_of(&self, number: PoolNumber) -> Option<StoredName> {
        self.pools.get(&number).map(|(name, ..)| name.clone())
    }

    pub fn snapshot(&self) -> Snapshot {
        let pools = self
            .pools
            .iter()
            .map(|(&number, (name, fence, rows))| PoolRow {
                number,
                name: name.clone(),
                fence: *fence,
                resources: rows
                    .iter()
                    .map(|(id, row)| (id.clone(), row.clone()))
                    .collect(),
            });
        Snapshot {
            retired_fence: self.retired_fence,
            pools: pools.collect(),
        }
    }

    /// Checks that the rows match the model.
    pub fn agrees_with(&self, model: &Model) -> Result<(), String> {
        if self.retired_fence.number() != model.retired_fence {
            return Err(format!(
                "the journal's retired fence is {:?}",
                self.retired_fence
            ));
        }
        if self.pools.len() != model.pools.len() {
            return Err(format!("the journal has {} pools", self.pools.len()));
        }
        for (name, fence, rows) in self.pools.values() {
            let pool = model.pools.iter().find(|pool| pool.name == *name);
            let pool = pool.ok_or_else(|| format!("the journal has a pool {name}"))?;
            compare(rows, *fence, pool)?;
        }
        Ok(())
    }
}

/// Compares the rows of a pool with what the model knows.
fn compare(
    rows: &BTreeMap<StoredName, ResourceRow>,
    fence: Fence,
    pool: &Pool,
) -> Result<(), String> {
    let place = &*pool.name;
    same("fence", fence.number(), pool.fence, place)?;
    let mut members: Vec<_> = rows
        .iter()
        .filter_map(|(id, row)| Some((row.seed_index?, id)))
        .collect();
    members.sort_unstable();
    let members: Vec<_> = members.into_iter().map(|(_, id)| id).collect();
    same("members", members, pool.members.iter().collect(), place)?;
    let free = rows.iter().filter(|(_, row)| row.grant.is_none());
    let mut order: Vec<_> = free.map(|(id, row)| (row.rank, id)).collect();
    order.sort_unstable();
    let order: Vec<_> = order.into_iter().map(|(_, id)| id).collect();
    same("lending order", order, pool.order.iter().collect(), place)?;
    let held = rows.values().filter(|row| row.grant.is_some()).count();
    let locked = pool.locks.iter().map(|lock| lock.ids.len()).sum();
    same("held resources", held, locked, place)?;
    for lock in &pool.locks {
        for id in &lock.ids {
            let place = &format!("{place}/{id}");
            let grant = rows.get(id).and_then(|row| row.grant.as_ref());
            let row = grant.ok_or_else(|| format!("the journal has no grant of {place}"))?;
            same("fence", row.fence.number(), lock.fence, place)?;
            same("ttl", row.ttl, lock.ttl, place)?;
            same("owner", &row.owner, &lock.owner, place)?;
            same("granted_at", row.granted_at.as_ms(), lock.granted_at, place)?;
        }
    }
    Ok(())
}

fn same<T: Debug + PartialEq>(what: &str, row: T, model: T, place: &str) -> Result<(), String> {
    if row == model {
        return Ok(());
    }
    Err(format!(
        "{what}: {row:?}, model {model:?}, in the journal's rows of {place}"
    ))
}
