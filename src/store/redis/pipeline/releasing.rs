//! Releases of very many locks of one pool, in slices.
//!
//! First the grants are found, as for a long list. Then their fences are released, the oldest first, some hundred
//! resources at a time, with other commands between. A grant that is made after the first slice has a higher fence, so
//! it stays. Requests that the same connection sent after the release wait for its end, and at the start all requests
//! wait for a purge. A client that leaves changes nothing: the release goes on.
//!
//! If the connection is lost, some of the locks are released, and the client is refused. It can ask again.

use super::jobs::MultiPoolTask;
use super::long_list::{LongList, Release};
use super::{JobKey, Pipeline};
use crate::command::{Fence, Refusal};
use crate::store::redis::list_reading::ListReading;
use crate::store::redis::operation::{Operation, PoolAction, ReplyTo};
use crate::store::redis::reply::OperationAnswer;

/// The limit on resources that one script releases: some 20 ms of Redis' time.
const SLICE: usize = 500;

impl Pipeline {
    /// Starts to release the grants of a list.
    pub(super) fn start_release(&mut self, job: JobKey) {
        self.release_next(job);
        if self.jobs[job].open == 0 {
            self.finish(job);
        }
    }

    /// Sends the next slice of a release, if any grants are left.
    pub(super) fn release_next(&mut self, job: JobKey) {
        if self.jobs[job].failed {
            return;
        }
        let Some(list) = self.long_list(job) else {
            return;
        };
        let pool = list.pool;
        let fences = list.release.as_mut().map(Release::next_fences);
        let fences = fences.unwrap_or_default();
        if fences.is_empty() {
            return;
        }
        self.jobs[job].open += 1;
        self.pools[pool].pending.push_back(Operation {
            reply_to: ReplyTo::Job(job),
            action: PoolAction::ReleaseGrants(fences),
        });
        self.list_to_send(pool);
    }

    /// Ends one pool's part of a purge.
    pub(super) fn finish_purged_pool(
        &mut self,
        purge: JobKey,
        released_count: usize,
        is_done: bool,
    ) {
        match self.jobs.get_mut(purge).map(|job| &mut job.task) {
            Some(MultiPoolTask::Purge(sum)) if is_done => {
                *sum += released_count;
                self.finish_part(purge);
            }
            _ => self.fail_part(purge),
        }
    }
}

impl Release {
    pub(super) fn new(older_s: Option<u64>) -> Release {
        Release {
            older_s,
            is_found: false,
            left: Vec::new(),
            released_count: 0,
        }
    }

    /// Takes the grants that were found, up to the fence at the first slice.
    pub(super) fn start(&mut self, reading: ListReading, last_fence: u64) {
        self.left = reading.into_grants(last_fence, self.older_s);
        self.is_found = true;
    }

    /// Takes the grants of the next slice. One that has more resources than a slice has its own.
    fn next_fences(&mut self) -> Vec<Fence> {
        let (mut fences, mut resource_count) = (Vec::new(), 0);
        while let Some((fence, count)) = self
            .left
            .pop_if(|(_, count)| resource_count == 0 || resource_count + *count <= SLICE)
        {
            resource_count += count;
            fences.push(fence);
        }
        fences
    }
}

impl LongList {
    /// Returns true until all of the list is read.
    pub(super) fn is_being_read(&self) -> bool {
        !self
            .release
            .as_ref()
            .is_some_and(|release| release.is_found)
    }

    pub(super) fn released_count(&self) -> usize {
        let release = self.release.as_ref();
        release.map_or(0, |release| release.released_count)
    }

    /// Counts the resources of a slice. Returns false if the answer is no such count.
    pub(super) fn note_released(&mut self, answer: &OperationAnswer) -> bool {
        let Some(release) = &mut self.release else {
            return false;
        };
        match answer {
            OperationAnswer::Released(count) => release.released_count += count,
            // The pool was removed, and its locks with it.
            OperationAnswer::Refused(Refusal::NoPool) => release.left.clear(),
            _ => return false,
        }
        true
    }
}
