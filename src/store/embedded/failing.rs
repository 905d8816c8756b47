//! Failures of the journal: the engine drops the changes that the journal does not have, and the journal
//! is opened again.

use super::job::is_seed;
use super::{EmbeddedStore, INTERNAL, RETRY_MS, State};
use crate::command::{Command, Granted, Refusal, Reply, Ticket};
use crate::pool::Lending;
use crate::store::journal::{OpenError, Reopened, WriteError};
use crate::time::{LogThrottle, Time};

/// The duration from which a commit is logged as slow, in microseconds.
const SLOW_COMMIT_US: u64 = 100_000;

/// Limits for log messages about a failing or slow journal.
#[derive(Default)]
pub(super) struct LogThrottles {
    failed: LogThrottle,
    still_down: LogThrottle,
    up_again: LogThrottle,
    no_space: LogThrottle,
    slow: LogThrottle,
}

impl LogThrottles {
    /// Warns of a slow commit.
    pub(super) fn note_commit(&mut self, took_us: u64, now: Time) {
        if took_us > SLOW_COMMIT_US
            && let Some(times) = self.slow.record(now)
        {
            let ms = took_us / 1000;
            log::warn!(
                "a commit to the store took {ms} ms; the disk is slow or busy, and answers about changes wait \
                 for it{times}"
            );
        }
    }
}

/// A disk that was full lately. Commands that need no space go on: releases, ends of leases, renewals,
/// listings.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoSpace {
    /// The time at which commands that need space are tried again.
    retry_at: Time,
    /// True if there was no space for a grant; false if there was none for a seed.
    pub(super) even_for_grants: bool,
}

impl EmbeddedStore {
    /// Handles a failed write: drops the changes that the journal does not have, and refuses their
    /// commands.
    pub(super) fn fail(&mut self, error: &WriteError, now: Time) {
        let is_full = error.is_lack_of_space();
        let throttle = match is_full {
            true => &mut self.throttles.no_space,
            false => &mut self.throttles.failed,
        };
        if let Some(times) = throttle.record(now) {
            let goes_on = match is_full {
                true => "what needs no space goes on, and the rest is tried",
                false => "nothing is lent until it works; it is tried",
            };
            let disk = self.disk_name();
            log::error!(
                "the store failed: {disk}: {error}; {goes_on} again after {RETRY_MS} ms{times}"
            );
        }
        self.failures += 1;
        self.forget_gathering();
        let mut unwritten = self.replies.iter().skip(self.released);
        let is_seeded = |(_, reply): &(Ticket, Reply)| matches!(reply, Reply::Seeded(_));
        let had_seed = self.job.is_some() || unwritten.any(is_seeded);
        for (_, reply) in self.replies.iter_mut().skip(self.released) {
            let refused = refuse(&mut self.counts);
            if let Reply::Granted(granted) = std::mem::replace(reply, refused) {
                self.unconfirmed.push(granted);
            }
        }
        self.refuse_probes();
        if let State::Up(engine) = &self.state {
            let counts = &mut self.counts;
            self.replies
                .extend(engine.waiting().map(|ticket| (ticket, refuse(counts))));
            self.state = State::Down {
                retry_at: now.after_ms(RETRY_MS),
            };
        }
        self.fail_job();
        // Refusals wait for no commit.
        self.released = self.replies.len();
        if is_full {
            self.no_space = Some(NoSpace {
                retry_at: now.after_ms(RETRY_MS),
                even_for_grants: !had_seed,
            });
            // Commands that need no space continue at once, and a full disk fails fast.
            self.reopen(now);
            self.wait_for_journal(now);
        }
    }

    fn disk_name(&self) -> &str {
        let commits = self.commits.as_ref();
        commits.map_or("", |commits| &commits.disk_name)
    }

    /// Opens a failed journal again.
    pub(super) fn reopen(&mut self, now: Time) {
        if let Some(commits) = &mut self.commits {
            commits.reopen(now);
        }
        self.take_outcomes(now);
    }

    /// Continues with the contents of the reopened journal.
    pub(super) fn take_reopened(&mut self, reopened: Result<Box<Reopened>, OpenError>, now: Time) {
        match reopened {
            Ok(reopened) => {
                let Reopened {
                    mut engine,
                    pending_seed,
                } = *reopened;
                for command in self.unconfirmed.iter().filter_map(Granted::undo) {
                    engine.execute(INTERNAL, command, now);
                }
                // The counts continue from the last written batch.
                engine.set_counts(self.counts);
                self.resume_job(pending_seed, &mut engine, now);
                self.state = State::Up(engine);
                if self.no_space.is_none() {
                    self.log_recovery(now);
                }
            }
            Err(error) => {
                if let Some(times) = self.throttles.still_down.record(now) {
                    log::error!("the store is still down: {error}{times}");
                }
                self.failures += 1;
                self.state = State::Down {
                    retry_at: now.after_ms(RETRY_MS),
                };
            }
        }
    }

    pub(super) fn log_recovery(&mut self, now: Time) {
        if let Some(times) = self.throttles.up_again.record(now) {
            log::warn!("the store can be written again{times}");
        }
    }

    /// Hands a command to the engine while the disk may be full. A command that needs space is refused for
    /// a while. Then it is tried in a commit of its own, so that its failure affects no other command.
    pub(super) fn carry_out_low_on_space(
        &mut self,
        ticket: Ticket,
        command: Command<'_>,
        now: Time,
    ) {
        let (Some(no_space), State::Up(_)) = (self.no_space, &self.state) else {
            return self.carry_out(ticket, command, now);
        };
        let (needs_space, writes) = match &command {
            Command::Acquire(..) => (no_space.even_for_grants, true),
            Command::Probe => (no_space.even_for_grants, false),
            other => (is_seed(other), true),
        };
        if needs_space && now < no_space.retry_at {
            self.replies.push_back((ticket, refuse(&mut self.counts)));
            return;
        }
        if !(needs_space && writes) {
            return self.carry_out(ticket, command, now);
        }
        self.commit_alone(now);
        self.carry_out(ticket, command, now);
        if self.commit_alone(now) && self.job.is_none() {
            self.no_space = None;
            self.log_recovery(now);
        }
    }
}

/// Returns the refusal of a command that the store could not decide or keep, and counts it.
pub(super) fn refuse(counts: &mut Lending) -> Reply {
    counts.refuse(Refusal::StoreDown);
    Reply::Refused(Refusal::StoreDown)
}
