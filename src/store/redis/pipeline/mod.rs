//! The protocol to Redis, pure: commands and Redis' values go in, bytes and replies come out.
//!
//! Operations on a pool wait while a batch of that pool is in flight, and leave together in the
//! next one. So they share the script's fixed cost, and a lost connection can lose one batch of
//! each pool. After the reconnect the server asks for the grants of a lost batch before it sends
//! anything else for that pool. No operation that may have been carried out is sent again.
//!
//! This module knows neither the socket nor the clock, and keeps no state of a pool that Redis
//! decides.

mod batches;
mod clock;
mod dump;
mod figures;
mod greeting;
mod history;
mod index;
mod jobs;
mod long_list;
mod pool_state;
mod releasing;
mod restore;
mod seeding;
mod trial;
mod values;
mod waiting;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use redis::Cmd;
use slab::Slab;

use super::foreign::{ReasonThrottles, printable};
use super::info::Info;
use super::key;
use super::operation::{JobKey, Operation, PoolAction, QueueLimits, ReplyTo};
use super::options::RedisOptions;
use super::script::{Script, Scripts};
use super::waiters::{LocalWaiters, PoolKey};
use crate::command::{Command, NamePart, Refusal, Reply, Restoration, Seed, StoredName, Ticket};
use crate::pool::{Lending, Rules};
use crate::time::{Deadlines, Time};
use clock::RedisClock;
use greeting::GreetingStep;
use history::History;
use jobs::MultiPoolJob;
use pool_state::PoolState;
use seeding::Members;
use trial::Trials;

/// The time after which a server without a heartbeat loses its places in queues, in ms.
const LAPSE_MS: u64 = 5_000;
/// The time between heartbeats to each pool in which this server has waiters, in ms.
const HEARTBEAT_MS: u64 = 1_500;
/// The limit on operations of a batch: Redis does nothing else while it carries one out.
const MAX_BATCH: usize = 500;
/// The number of pools above which idle ones are forgotten.
const MAX_IDLE_POOLS: usize = 10_000;

/// The reason why a connection is unusable, for the log.
pub(super) type LossReason = String;

/// The protocol to one Redis, and the state of this server's part in it.
///
/// Orders for the start come first: `restore_first`, `prepare` and `expect_pools`, before the first
/// connection. Then the owner of the socket reports its connection:
///
/// 1. `handle_attempt` when it starts to connect: from now on commands are kept instead of refused.
///    It must not be called while there is a connection.
/// 2. `handle_connected`, once a connection, which writes the greeting to `output`.
/// 3. `handle_value` for each value that arrives, in order. Replies match commands by their order
///    alone, so none may be left out or repeated: a value too many is an error.
/// 4. `handle_loss` when the connection or the attempt has ended, and after each error of
///    `handle_value` or `handle_timeout`: then it must come before any other call. A second call
///    without an attempt between does nothing.
///
/// `handle_listening` and `handle_notice` report the other connection, at any time; what they
/// cannot use they ignore.
///
/// At any time clients `submit` and `withdraw`. While `Down` commands are refused with
/// `store down`, except that an undo is kept and a survey has no pools. A ticket must never be used
/// twice; a `withdraw` of an unknown one, or a second one, does nothing. At the end of a tick comes
/// `handle_timeout` if `next_timeout` is due, then `flush`, which writes what may be sent. All
/// bytes of `output` must be sent in order on this connection, also without a `flush`. Then
/// `poll_reply` until it returns `None`. A call too many of `flush`, `handle_timeout` or
/// `poll_reply` does no harm.
///
/// Invariants:
///
/// - At most one batch of a pool is in flight. Its operations are in `in_flight`, and later ones in
///   `pending` of the pool, in the order of their `submit`. Operations that a connection submits
///   after its own long list wait in `deferred` until that list is read.
/// - `awaited` has one entry for each command in `output` or at Redis without a reply, in the order
///   of sending.
/// - A pool with a lost batch sends nothing but the question for its grants, and that only once the
///   batch cannot arrive any more.
/// - An operation is sent again only if Redis said that it was not carried out (`NOSCRIPT`, late),
///   or if repeating it is harmless: a waiter that asks for its place again, a withdrawal, an undo,
///   an order for the start.
/// - Each ticket gets exactly one reply, withdrawn ones included. At a loss all commands in flight
///   or kept are answered; only waiters stay.
/// - No fence is granted at or below one that this server has seen of the same pool, whatever Redis
///   has lost.
pub(super) struct Pipeline {
    options: RedisOptions,
    rules: Rules,
    /// The name of this process among the servers of this Redis.
    server: String,
    scripts: Scripts,
    phase: RedisPhase,
    output: Vec<u8>,
    /// Reused for each command, to keep its allocation.
    command: Cmd,
    /// The commands whose replies are awaited, the next one first.
    awaited: VecDeque<Awaited>,
    clock: RedisClock,
    /// The reply to `INFO` on this connection.
    info: Info,
    /// The warnings of the last greeting, so that a connection that comes and goes repeats none.
    warnings: Vec<String>,
    history: History,
    pools: Slab<PoolState>,
    names: HashMap<StoredName, PoolKey>,
    /// Pools that may have something to send.
    to_send: Vec<PoolKey>,
    /// The time of the next poll of each pool with waiters of this server.
    polls: Deadlines,
    waiters: LocalWaiters,
    jobs: Slab<MultiPoolJob>,
    /// Jobs that wait for Redis to be ready.
    early_jobs: Vec<JobKey>,
    /// Long lists, which are read one after the other, in this order.
    long_lists: VecDeque<JobKey>,
    /// The serials of withdrawn requests that were not waiting, until their replies leave.
    withdrawn: BTreeSet<u64>,
    /// The orders that come before all requests.
    start: StartTasks,
    next_batch: u64,
    replies: VecDeque<(Ticket, Reply)>,
    throttles: ReasonThrottles,
    trials: Trials,
    has_warned_of_old_pools: bool,
    /// Whether Redis has carried out a batch since `take_success`.
    has_succeeded: bool,
    /// Grants, releases and refusals of this server's clients.
    counts: Lending,
    /// Replies received so far.
    answered: u64,
}

/// The phase of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RedisPhase {
    /// No connection and no attempt: commands are refused.
    Down,
    /// An attempt is in progress: commands are kept.
    Trying,
    /// Connected; the greeting is in progress.
    Greeting,
    /// The orders for the start come first.
    Preparing,
    Ready,
}

/// Orders for the start.
#[derive(Debug, Default)]
struct StartTasks {
    /// A list of pools must exist: `--must-exist`. False once it was found.
    must_exist: bool,
    /// A dump to restore before all else, kept until its result is known.
    restoration: Option<Rc<Restoration>>,
    /// The restore was sent, and not answered.
    is_restore_sent: bool,
    /// The reply to a restore was lost.
    may_be_restored: bool,
    purge: bool,
    seed: Option<Seed>,
    /// The number of orders that cannot be sent yet.
    open: usize,
}

/// A command whose reply is awaited, and the time it was sent.
#[derive(Debug)]
struct Awaited {
    what: PendingReply,
    sent_at: Time,
}

#[derive(Clone, Copy, Debug)]
enum PendingReply {
    Greeting(GreetingStep),
    Batch(PoolKey),
    /// The stamp of a pool that is being removed.
    Stamp(PoolKey),
    /// The pools of a seed are being listed.
    Listing(JobKey),
    /// The list of all pools.
    List(JobKey),
    Seed(JobKey),
    /// The rights that Redis gives this server.
    Trial,
    /// A slice of a pool, by its index among those of a dump.
    Slice(JobKey, usize),
    /// A slice of a long list.
    ListSlice(JobKey),
    /// The highest fence of removed pools, for a dump.
    Retired(JobKey),
    Restored(JobKey),
    /// The clock, while a jump of this many ms is added to the known ones.
    Clock(i64),
    /// A script that was missing.
    Load,
    /// The removal of a pool from the list, which keeps its fence.
    Forgotten(PoolKey),
    /// A reply without further use.
    Ignored,
}

impl Pipeline {
    pub(super) fn new(
        options: RedisOptions,
        rules: Rules,
        server: String,
        scripts: Scripts,
    ) -> Pipeline {
        Pipeline {
            options,
            rules,
            server,
            scripts,
            phase: RedisPhase::Down,
            output: Vec::new(),
            command: Cmd::new(),
            awaited: VecDeque::new(),
            clock: RedisClock::default(),
            info: Info::default(),
            warnings: Vec::new(),
            history: History::default(),
            pools: Slab::new(),
            names: HashMap::new(),
            to_send: Vec::new(),
            polls: Deadlines::default(),
            waiters: LocalWaiters::default(),
            jobs: Slab::new(),
            early_jobs: Vec::new(),
            long_lists: VecDeque::new(),
            withdrawn: BTreeSet::new(),
            start: StartTasks::default(),
            next_batch: 0,
            replies: VecDeque::new(),
            throttles: ReasonThrottles::default(),
            trials: Trials::default(),
            has_warned_of_old_pools: false,
            has_succeeded: false,
            counts: Lending::default(),
            answered: 0,
        }
    }

    /// Orders a restore before all else. Call it before the first connection.
    pub(super) fn restore_first(&mut self, restoration: Rc<Restoration>) {
        self.start.restoration = Some(restoration);
    }

    /// Orders a purge, a seed or both before all requests. Call it before the first connection.
    pub(super) fn prepare(&mut self, purge: bool, seed: Option<Seed>) {
        self.start.purge = purge;
        self.start.seed = seed.filter(|seed| seed.pool_count() > 0);
    }

    /// Makes the first greeting fail if Redis has no list of pools.
    pub(super) fn expect_pools(&mut self) {
        self.start.must_exist = true;
    }

    /// Submits a command. It is refused if there is no connection and no attempt.
    pub(super) fn submit(&mut self, ticket: Ticket, command: &Command<'_>, now: Time) {
        if let Command::Undo(pool, ..) = command {
            // Carried out as soon as possible; no client awaits it.
            self.replies.push_back((ticket, Reply::Done));
            let undo = PoolAction::of(command, QueueLimits::default()).map(|(_, action)| action);
            let pool = self.pool_key(pool.as_str());
            return self.undo(pool, undo);
        }
        match command {
            Command::Survey(most) => return self.start_survey(ticket, *most, now),
            Command::Probe => return self.probe(ticket, now),
            _ if self.phase == RedisPhase::Down => return self.refuse(ticket, Refusal::StoreDown),
            _ => {}
        }
        let room = match self.waiters.len() < self.rules.max_waiters {
            true => self.rules.max_pool_waiters,
            false => 0,
        };
        let limits = QueueLimits {
            room,
            max_wait_ms: self.rules.max_wait_ms,
            now,
        };
        match PoolAction::of(command, limits) {
            Some((pool, action)) => {
                let pool = self.pool_key(pool);
                if let PoolAction::Acquire(request) = &action
                    && let Some(until) = request.until
                {
                    return self.wait(ticket, pool, request.clone(), until);
                }
                self.push(
                    pool,
                    Operation {
                        reply_to: ReplyTo::Client(ticket),
                        action,
                    },
                );
            }
            None => match command {
                Command::ListPools(query) => {
                    self.start_list(ticket, query.clone().into_owned(), now)
                }
                Command::SumPools(contains) => {
                    let contains = contains.clone().map(NamePart::into_owned);
                    self.start_sum(ticket, contains, now);
                }
                Command::AddMembers(seed) => {
                    self.start_seed(Some(ticket), seed.clone(), Members::Added, now);
                }
                Command::SetMembers(seed) => {
                    self.start_seed(Some(ticket), seed.clone(), Members::Set, now);
                }
                Command::Dump(place) => self.start_dump(ticket, place.clone(), now),
                Command::Restore(restoration) => {
                    self.start_restore(Some(ticket), restoration.clone(), now);
                }
                _ => self.start_purge(Some(ticket), now),
            },
        }
    }

    /// Returns the next reply to a client.
    pub(super) fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        let (ticket, reply) = self.replies.pop_front()?;
        self.withdrawn.remove(&ticket.serial());
        if let Reply::Refused(refusal) = reply {
            self.counts.refuse(refusal);
        }
        Some((ticket, reply))
    }

    /// Returns the bytes to send to Redis. The caller sends and removes them.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Starts an attempt: commands are kept from now on.
    pub(super) fn handle_attempt(&mut self) {
        self.phase = RedisPhase::Trying;
    }

    /// Returns the latest time for the next `handle_timeout`.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let overdue_at = self
            .awaited
            .front()
            .map(|next| next.sent_at.after_ms(self.options.timeout_ms));
        let polls = [self.polls.next(), self.clock.check_at()];
        let poll_at = polls.into_iter().flatten().min();
        let poll_at = poll_at.filter(|_| self.phase == RedisPhase::Ready);
        [overdue_at, poll_at, self.waiters.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Ends waits, polls pools and checks the clock, as far as due. An overdue reply is an error:
    /// the connection is lost.
    pub(super) fn handle_timeout(&mut self, now: Time) -> Result<(), LossReason> {
        self.end_waiting(now);
        if self.phase == RedisPhase::Ready {
            while let Some(pool) = self.polls.pop_due(now) {
                self.poll_grants(pool);
            }
            self.check_clock(now);
        }
        let timeout_ms = self.options.timeout_ms;
        match self.awaited.front() {
            Some(next) if next.sent_at.after_ms(timeout_ms) <= now => {
                Err(format!("no answer for {timeout_ms} ms"))
            }
            _ => Ok(()),
        }
    }

    /// Handles the loss of the connection or a failed attempt. Waiters stay, and all other clients
    /// are refused. `may_be_alive` says that sent commands may still arrive.
    pub(super) fn handle_loss(&mut self, may_be_alive: bool, now: Time) {
        self.phase = RedisPhase::Down;
        self.output.clear();
        let sent: Vec<Awaited> = self.awaited.drain(..).collect();
        for awaited in sent {
            if let PendingReply::Batch(pool) = awaited.what {
                let arrives_until = awaited.sent_at.after_ms(self.options.timeout_ms + 1);
                self.lose_batch(pool, if may_be_alive { arrives_until } else { now });
            }
        }
        let pools: Vec<PoolKey> = self.pools.iter().map(|(pool, _)| pool).collect();
        for &pool in &pools {
            self.pools[pool].barrier = false;
            self.pools[pool].listed = false;
            self.pools[pool].forgetting = 0;
            self.pools[pool].listing_slots.clear();
            let pending = std::mem::take(&mut self.pools[pool].pending);
            let deferred = std::mem::take(&mut self.pools[pool].deferred);
            { pending.into_iter() }
                .chain(deferred)
                .for_each(|operation| self.drop_unheard(pool, operation));
        }
        self.long_lists.clear();
        self.fail_jobs();
        self.fail_trials();
        self.to_send.clear();
        for pool in pools {
            self.forget_if_idle(pool);
        }
    }

    /// Returns true if Redis has accepted this server on this connection.
    pub(super) fn has_greeted(&self) -> bool {
        matches!(self.phase, RedisPhase::Preparing | RedisPhase::Ready)
    }

    /// Returns true if Redis has carried out a batch since the last call.
    pub(super) fn take_success(&mut self) -> bool {
        std::mem::take(&mut self.has_succeeded)
    }

    /// Returns true if nothing is in progress whose end a client or the store must see.
    pub(super) fn is_quiescent(&self) -> bool {
        let is_idle = self.phase == RedisPhase::Down
            || self.awaited.is_empty()
                && self.early_jobs.is_empty()
                && self.pools.iter().all(|(_, pool)| pool.pending.is_empty());
        is_idle && self.pools.iter().all(|(_, pool)| !pool.has_unfinished())
    }

    fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.replies.push_back((ticket, Reply::Refused(refusal)));
    }

    /// Returns the index of a pool of this name, which it adds if needed.
    fn pool_key(&mut self, name: &str) -> PoolKey {
        if let Some(&pool) = self.names.get(name) {
            return pool;
        }
        let name = StoredName::from(name);
        let base = key::base(&self.options.prefix, &name);
        let pool = self.pools.insert(PoolState::new(name.clone(), base));
        self.names.insert(name, pool);
        pool
    }

    /// Appends an operation to the pending ones of a pool, or defers it behind a long list of its connection.
    fn push(&mut self, pool: PoolKey, operation: Operation) {
        if self.is_deferred(pool, &operation) {
            return self.pools[pool].deferred.push(operation);
        }
        self.pools[pool].pending.push_back(operation);
        self.list_to_send(pool);
    }

    fn list_to_send(&mut self, pool: PoolKey) {
        if !std::mem::replace(&mut self.pools[pool].listed, true) {
            self.to_send.push(pool);
        }
    }

    /// Writes the assembled command to `output`, and notes its expected reply.
    fn send(&mut self, what: PendingReply, now: Time) {
        self.command.write_packed_command(&mut self.output);
        self.command.clear();
        self.awaited.push_back(Awaited { what, sent_at: now });
    }

    fn load_scripts(&mut self, pending: impl Fn(Script) -> PendingReply, now: Time) {
        for script in Script::ALL {
            self.command
                .arg("SCRIPT")
                .arg("LOAD")
                .arg(self.scripts.text(script));
            self.send(pending(script), now);
        }
    }

    /// Logs an error of Redis, but not for each request.
    fn warn_throttled(&mut self, problem: &str, now: Time) {
        if let Some(times) = self.throttles.record(problem, now) {
            let words = printable(problem, self.options.password());
            log::error!("Redis says: {words}{times}");
        }
    }
}
