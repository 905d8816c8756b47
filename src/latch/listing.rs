//! Pools, locks, waiters and members as tables.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::server::{Lease, PoolStatus, Waiter};
use super::table::{Column, Table};
use super::text::duration;

pub(super) fn pools(pools: &BTreeMap<String, PoolStatus>) -> Table {
    let mut table = Table::new(&[
        Column::Text("POOL"),
        Column::Number("RESOURCES"),
        Column::Number("HELD"),
        Column::Number("WAITING"),
    ]);
    for (name, pool) in pools {
        let numbers = [pool.resources, pool.held, pool.waiting].map(|number| number.to_string());
        table.push([name, &numbers[0], &numbers[1], &numbers[2]]);
    }
    table
}

pub(super) fn locks(leases: &[Lease]) -> Table {
    let mut table = Table::new(&[
        Column::Text("ID"),
        Column::Number("FENCE"),
        Column::Number("AGE"),
        Column::Number("TTL"),
        Column::Text("OWNER"),
    ]);
    for lease in leases {
        let ttl = lease.ttl.map_or("-".to_owned(), duration);
        let owner = lease.owner.as_deref().unwrap_or("-");
        table.push([
            &lease.id,
            &lease.fence.to_string(),
            &duration(lease.age),
            &ttl,
            owner,
        ]);
    }
    table
}

/// The waiters, from the front of the queue. An id is present where no other resource will do.
pub(super) fn waiters(waiters: &[Waiter]) -> Table {
    let mut table = Table::new(&[
        Column::Text("ID"),
        Column::Number("N"),
        Column::Number("AGE"),
        Column::Number("LEFT"),
        Column::Text("STATE"),
        Column::Text("OWNER"),
    ]);
    let or_none = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
    for waiter in waiters {
        let [age, left] = [waiter.age, waiter.left].map(|seconds| or_none(&seconds.map(duration)));
        table.push([
            &or_none(&waiter.id),
            &waiter.n.to_string(),
            &age,
            &left,
            if waiter.lost { "lost" } else { "waits" },
            &or_none(&waiter.owner),
        ]);
    }
    table
}

pub(super) fn members(pools: &BTreeMap<String, Vec<String>>) -> Table {
    let mut table = Table::new(&[Column::Text("POOL"), Column::Number("RESOURCES")]);
    for (name, members) in pools {
        table.push([name, &members.len().to_string()]);
    }
    table
}

/// The leases of several answers, as one answer would list them.
pub(super) fn leases_json(leases: &[Lease]) -> String {
    let object = |lease: &Lease| {
        let Lease {
            id,
            fence,
            ttl,
            owner,
            age,
        } = lease;
        json!({"id": id, "fence": fence, "ttl": ttl, "owner": owner, "age": age})
    };
    Value::from_iter(leases.iter().map(object)).to_string()
}
