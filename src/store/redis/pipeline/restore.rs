//! Restores: all pools of a dump in one script, all or nothing.

use std::rc::Rc;

use redis::Value;

use super::jobs::MultiPoolTask;
use super::{JobKey, LossReason, PendingReply, Pipeline, key};
use crate::command::{Fence, PoolDump, Refusal, Reply, Restoration, Ticket, Ttl};
use crate::store::redis::arguments::{self, ArgumentValue};
use crate::store::redis::operations::{ArgumentId, RESTORE_HEAD};
use crate::store::redis::reply::{self, OperationAnswer};
use crate::store::redis::script::Script;
use crate::time::Time;

impl Pipeline {
    /// Starts a restore. Without a ticket it is an order for the start.
    pub(super) fn start_restore(
        &mut self,
        ticket: Option<Ticket>,
        restoration: Rc<Restoration>,
        now: Time,
    ) {
        let refused = restoration.check_limits(&self.rules).err();
        let job = self.insert_job(ticket, MultiPoolTask::Restore(restoration));
        self.jobs[job].refused = refused;
        match refused {
            Some(_) => self.finish_restore(job, now),
            None => self.begin(job, now),
        }
    }

    pub(super) fn send_restore(&mut self, job: JobKey, now: Time) {
        let (earliest_ms, latest_ms, jumps_ms) = self.clock.bounds(self.options.timeout_ms, now);
        let MultiPoolTask::Restore(restoration) = &self.jobs[job].task else {
            return;
        };
        let prefix = &self.options.prefix;
        let command = &mut self.command;
        command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::Restore))
            .arg(1 + restoration.pools.len())
            .arg(key::index(prefix));
        for pool in &restoration.pools {
            command.arg(key::base(prefix, &pool.name));
        }
        let retired = restoration.retired_fence.number();
        arguments::write(
            command,
            RESTORE_HEAD,
            &[
                (ArgumentId::Earliest, ArgumentValue::Number(earliest_ms)),
                (ArgumentId::Latest, ArgumentValue::Number(latest_ms)),
                (ArgumentId::Jumps, ArgumentValue::Signed(jumps_ms)),
                (ArgumentId::Prefix, ArgumentValue::Text(prefix)),
                (ArgumentId::Retired, ArgumentValue::Number(retired)),
            ],
        );
        for pool in &restoration.pools {
            write_pool(pool, command);
        }
        if self.jobs[job].ticket.is_none() {
            self.start.is_restore_sent = true;
        }
        self.send(PendingReply::Restored(job), now);
    }

    pub(super) fn handle_restored(
        &mut self,
        job: JobKey,
        value: Value,
        sent_at: Time,
        now: Time,
    ) -> Result<(), LossReason> {
        if self.jobs[job].ticket.is_none() {
            self.start.is_restore_sent = false;
        }
        if let Value::ServerError(error) = value {
            return self.fail_job(job, &error, now, Pipeline::send_restore);
        }
        let unknown = |_| "an answer to a restore of an unknown form";
        let mut values = reply::array(value).map_err(unknown)?.into_iter();
        let redis_ms = reply::integer(values.next()).map_err(unknown)?;
        self.note_redis_ms(redis_ms.unsigned_abs(), sent_at, now);
        match values.next().map(reply::read_answer).transpose() {
            Ok(None) => {}
            // Nothing was done.
            Ok(Some(OperationAnswer::Late)) => {
                self.note_late(now);
                self.send_restore(job, now);
                return Ok(());
            }
            Ok(Some(OperationAnswer::Refused(refusal))) => self.jobs[job].refused = Some(refusal),
            _ => return Err("an answer to a restore of an unknown form".into()),
        }
        self.finish_restore(job, now);
        Ok(())
    }

    /// Ends a restore, and continues with the other orders for the start.
    fn finish_restore(&mut self, job: JobKey, now: Time) {
        let is_first = self.jobs[job].ticket.is_none();
        self.finish(job);
        if is_first {
            self.start.open -= 1;
            self.prepare_others(now);
        }
    }

    /// Handles the result of the restore at the start.
    pub(super) fn handle_first_restore(&mut self, reply: &Reply) {
        match reply {
            Reply::Refused(Refusal::StoreDown) => {
                if std::mem::take(&mut self.start.is_restore_sent) {
                    self.start.may_be_restored = true;
                    return log::error!(
                        "--restore: no answer; whether the dump was restored is not known yet"
                    );
                }
                return log::error!("the dump of --restore could not be restored yet");
            }
            Reply::Refused(Refusal::NotEmpty) if self.start.may_be_restored => {
                log::warn!(
                    "--restore: there are pools: the dump may have been restored by a try whose answer was lost"
                );
            }
            Reply::Refused(Refusal::NotEmpty) => {
                log::error!("--restore: there are pools already; nothing was restored");
            }
            Reply::Refused(refusal) => {
                log::error!("--restore: nothing was restored: {refusal:?}");
            }
            _ => log::info!("the dump of --restore was restored"),
        }
        self.start.restoration = None;
    }
}

fn write_pool(pool: &PoolDump, command: &mut redis::Cmd) {
    let mut ids = String::new();
    let join = |ids: &mut String, id: &str| {
        if !ids.is_empty() {
            ids.push('\n');
        }
        ids.push_str(id);
    };
    command.arg(&*pool.name).arg(pool.fence.number());
    let members = pool.members.iter();
    members.clone().for_each(|id| join(&mut ids, id.as_str()));
    command.arg(&ids);
    ids.clear();
    for &place in pool.free.values() {
        join(&mut ids, members.at(place as usize));
    }
    command.arg(&ids);
    let fences = || pool.locks.keys().map(|(fence, _)| *fence);
    let mut latest = None;
    let count = fences()
        .filter(|&fence| latest.replace(fence) != Some(fence))
        .count();
    command.arg(count);
    let mut locks = pool.locks.iter().peekable();
    while let Some((&(fence, _), lock)) = locks.next() {
        ids.clear();
        join(&mut ids, &lock.id);
        let is_same = |fence: Fence, other: Fence| fence == other;
        while let Some((_, other)) = locks.next_if(|((other, _), _)| is_same(fence, *other)) {
            join(&mut ids, &other.id);
        }
        command.arg(fence.number());
        match lock.lease.map(Ttl::as_s) {
            Some(lease_s) => command.arg(lease_s),
            None => command.arg("-"),
        };
        let owner = lock.owner.as_deref().unwrap_or_default();
        let age_ms = lock.age_s.saturating_mul(1000);
        command.arg(owner).arg(age_ms).arg(&ids);
    }
}
