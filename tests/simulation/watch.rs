//! The promises that hold without the model: fences rise, nothing ends early, no waiter overtakes.

use std::collections::HashMap;

use latchd::command::{Command, Reply, Selection, StoredName, Ticket};
use latchd::pool::{Change, ResourceRow};

use super::operations::Operation;

#[derive(Debug, Default)]
pub struct Watch {
    /// The highest fence that a pool of this name ever had.
    fences: HashMap<StoredName, u64>,
    /// The end of each lease, by the answer to its holder.
    promised: HashMap<(StoredName, u64), u64>,
    /// The waiters without owner for any resource, in the order in which they came.
    line: Vec<(StoredName, Ticket)>,
}

impl Watch {
    /// A client asks, and has no answer yet.
    pub fn asked(&mut self, ticket: Ticket, operation: &Operation) {
        if let Operation::Execute(Command::Acquire(pool, acquire)) = operation
            && acquire.owner.is_none()
            && matches!(acquire.selection, Selection::Any(_))
        {
            self.line.push((pool.as_str().into(), ticket));
        }
    }

    pub fn restarted(&mut self) {
        self.line.clear();
    }

    pub fn answered(
        &mut self,
        ticket: Ticket,
        reply: &Reply,
        operation: &Operation,
        now: u64,
    ) -> Result<(), String> {
        let (pool, leases) = match (reply, operation) {
            (Reply::Granted(granted), _) => (granted.pool.clone(), &granted.leases),
            (Reply::Leases(leases), Operation::Execute(Command::Renew(pool, ..))) => {
                (pool.as_str().into(), leases)
            }
            (Reply::Leases(leases), Operation::Execute(Command::RenewOwned(pool, _))) => {
                (pool.as_str().into(), leases)
            }
            _ => {
                self.line.retain(|(_, other)| *other != ticket);
                return Ok(());
            }
        };
        for lease in leases {
            let until = lease.ttl_s.map_or(u64::MAX, |s| now + s * 1000);
            self.promised
                .insert((pool.clone(), lease.fence.number()), until);
        }
        if let Some(at) = self.line.iter().position(|(_, other)| *other == ticket) {
            if self.line[..at].iter().any(|(other, _)| *other == pool) {
                return Err(format!("{ticket:?} has overtaken another waiter"));
            }
            self.line.remove(at);
        }
        Ok(())
    }

    /// A row of a pool of this name was like this before.
    pub fn changed(
        &mut self,
        pool: &StoredName,
        before: Option<&ResourceRow>,
        change: &Change,
        operation: &Operation,
        now: u64,
    ) -> Result<(), String> {
        let grant_after = match change {
            Change::ResourceSet(_, _, row) => row.grant.as_ref(),
            Change::Fence(_, fence) => {
                let highest = self.fences.insert(pool.clone(), fence.number());
                return match highest {
                    Some(highest) if highest >= fence.number() => Err(format!("{fence:?} again")),
                    _ => Ok(()),
                };
            }
            _ => None,
        };
        let Some(lost) = before.and_then(|row| row.grant.as_ref()) else {
            return Ok(());
        };
        match grant_after {
            Some(grant) if grant.fence == lost.fence => return Ok(()),
            Some(_) => return Err("something held was lent".into()),
            None => {}
        }
        let promised = self.promised.get(&(pool.clone(), lost.fence.number()));
        match operation {
            Operation::Execute(
                Command::Release(..) | Command::ReleaseAll(..) | Command::Undo(..) | Command::Purge,
            ) => Ok(()),
            _ if promised.is_some_and(|&until| until > now) => Err(format!("{lost:?} ends early")),
            _ => Ok(()),
        }
    }
}
