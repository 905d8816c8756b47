//! The conversation with Redis, pure: commands and Redis' values go in, bytes and replies come out.
//!
//! Operations on one pool queue up while a batch of them is under way, and leave together in the
//! next one: so the script's fixed cost is shared, and of each pool at most one batch can be lost.
//! What a lost batch has granted is asked for after the reconnect, before anything else is done
//! with its pool; nothing is sent again that may have been carried out.
//!
//! It knows neither the socket nor the clock, and keeps nothing of a pool that Redis decides about.

mod batches;
mod clock;
mod dump;
mod figures;
mod greeting;
mod history;
mod index;
mod jobs;
mod pool_state;
mod restore;
mod seeding;
mod trial;
mod values;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use redis::Cmd;
use slab::Slab;

use super::foreign::{ReasonThrottles, printable};
use super::info::Info;
use super::key;
use super::operation::{Operation, PoolAction, QueueLimits, ReplyTo};
use super::options::RedisOptions;
use super::script::{Script, Scripts};
use super::waiters::{LocalWaiters, PoolKey};
use crate::command::{Command, NamePart, Refusal, Reply, Restoration, Seed, StoredName, Ticket};
use crate::metrics::Lending;
use crate::pool::Rules;
use crate::time::{Deadlines, Time};
use clock::RedisClock;
use greeting::GreetingStep;
use history::History;
pub(super) use jobs::JobKey;
use jobs::MultiPoolJob;
use pool_state::PoolState;
use seeding::Members;
use trial::Trials;

/// How long a server that gives no sign of life keeps its places in queues, in milliseconds.
const LAPSE_MS: u64 = 5_000;
/// How often a server sends a heartbeat for each pool that somebody waits for through it.
const HEARTBEAT_MS: u64 = 1_500;
/// The most operations of a batch: Redis does nothing else while it carries one out.
const MAX_BATCH: usize = 500;
/// How many pools are kept in mind that there is nothing to do for.
const MAX_IDLE_POOLS: usize = 10_000;

/// Why a connection is of no more use, in words for the log.
pub(super) type LossReason = String;

/// The conversation with one Redis.
pub(super) struct Pipeline {
    options: RedisOptions,
    rules: Rules,
    /// What this process is called among the servers of this Redis.
    server: String,
    scripts: Scripts,
    phase: RedisPhase,
    output: Vec<u8>,
    /// Kept for its memory.
    command: Cmd,
    /// What the values to come are answers to, the next one first.
    awaited: VecDeque<Awaited>,
    clock: RedisClock,
    /// The answers of Redis about itself on this connection.
    info: Info,
    /// The warnings that were logged last, so that a connection that comes and goes repeats none.
    warnings: Vec<String>,
    history: History,
    pools: Slab<PoolState>,
    names: HashMap<StoredName, PoolKey>,
    /// Pools that may have something to send.
    to_send: Vec<PoolKey>,
    /// When a pool is polled for the waiters that this server has in it.
    polls: Deadlines,
    waiters: LocalWaiters,
    jobs: Slab<MultiPoolJob>,
    /// Jobs that were asked for before Redis could be.
    early_jobs: Vec<JobKey>,
    /// What is to be done before anybody is served.
    start: StartTasks,
    next_batch: u64,
    replies: VecDeque<(Ticket, Reply)>,
    throttles: ReasonThrottles,
    trials: Trials,
    has_warned_of_old_pools: bool,
    /// Redis has carried something out.
    has_succeeded: bool,
    /// What came of lending for the clients of this server.
    counts: Lending,
    /// How many commands were answered so far.
    answered: u64,
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RedisPhase {
    /// There is none, and none is on its way: what is asked is refused.
    Down,
    /// One is on its way: what is asked is kept.
    Trying,
    /// It is there, and Redis is being told who we are.
    Greeting,
    /// What was ordered for the start comes first.
    Preparing,
    Ready,
}

/// What was ordered for the start.
#[derive(Debug, Default)]
struct StartTasks {
    /// A list of pools has to be there: `--must-exist`. False once it was found.
    must_exist: bool,
    /// It comes before all else, and is kept until it is known what came of it.
    restoration: Option<Rc<Restoration>>,
    /// Redis has been sent it, and has not answered.
    is_restore_sent: bool,
    /// The answer to a try was lost.
    may_be_restored: bool,
    purge: bool,
    seed: Option<Seed>,
    /// So many answers are needed before it can be sent.
    open: usize,
}

/// What a value is the answer to, and since when it is awaited.
#[derive(Debug)]
struct Awaited {
    what: PendingReply,
    sent_at: Time,
}

#[derive(Clone, Copy, Debug)]
enum PendingReply {
    Greeting(GreetingStep),
    Batch(PoolKey),
    /// When a pool was listed that is being removed.
    Stamp(PoolKey),
    /// The pools of a seed are being listed.
    Listing(JobKey),
    /// The list of all pools.
    List(JobKey),
    Seed(JobKey),
    /// The rights that Redis gives this server.
    Trial,
    /// A slice of the pool at this place among those of a dump.
    Slice(JobKey, usize),
    /// The highest fence of the pools that were removed, for a dump.
    Retired(JobKey),
    Restored(JobKey),
    /// A jump of Redis' clock by so many milliseconds is being added to those that are known.
    Clock(i64),
    /// The script was missing.
    Load,
    /// A removed pool is off the list, and its fence is kept there.
    Forgotten(PoolKey),
    /// Nobody needs to know.
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

    /// Notes a dump that is to be restored as soon as Redis is there.
    pub(super) fn restore_first(&mut self, restoration: Rc<Restoration>) {
        self.start.restoration = Some(restoration);
    }

    /// Notes what is to be done as soon as Redis is there, and before anybody is served.
    pub(super) fn prepare(&mut self, purge: bool, seed: Option<Seed>) {
        self.start.purge = purge;
        self.start.seed = seed.filter(|seed| seed.pool_count() > 0);
    }

    /// Takes the first Redis for the wrong one if it has no list of pools.
    pub(super) fn expect_pools(&mut self) {
        self.start.must_exist = true;
    }

    /// Takes a command. If there is no Redis, it is refused.
    pub(super) fn submit(&mut self, ticket: Ticket, command: &Command<'_>, now: Time) {
        if let Command::Undo(pool, ..) = command {
            // It is done as soon as it can be; nobody has to hear of it.
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

    /// Answers a client.
    pub(super) fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        let reply = self.replies.pop_front();
        if let Some((_, Reply::Refused(refusal))) = reply {
            self.counts.refuse(refusal);
        }
        reply
    }

    /// What is to be sent to Redis. Whoever takes it, sends it.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// A connection is on its way.
    pub(super) fn handle_attempt(&mut self) {
        self.phase = RedisPhase::Trying;
    }

    /// When `handle_timeout` wants to be called at the latest.
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

    /// Does what is due. An answer that is overdue means that the connection is lost.
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

    /// The connection is lost, or there will be none. Waiters stay; everybody else
    /// is told. `may_be_alive`: what was sent may still arrive.
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
            let pending = std::mem::take(&mut self.pools[pool].pending);
            pending
                .into_iter()
                .for_each(|operation| self.drop_unheard(pool, operation));
        }
        self.fail_jobs();
        self.fail_trials();
        self.to_send.clear();
        for pool in pools {
            self.forget_if_idle(pool);
        }
    }

    /// Whether Redis has been told who we are, and has found it right.
    pub(super) fn has_greeted(&self) -> bool {
        matches!(self.phase, RedisPhase::Preparing | RedisPhase::Ready)
    }

    /// Whether Redis has carried something out since the last call.
    pub(super) fn take_success(&mut self) -> bool {
        std::mem::take(&mut self.has_succeeded)
    }

    /// Whether nothing is under way that a client or the store itself should hear the end of.
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

    /// Where a pool of this name stands.
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

    /// Queues an operation.
    fn push(&mut self, pool: PoolKey, operation: Operation) {
        self.pools[pool].pending.push_back(operation);
        self.list_to_send(pool);
    }

    fn list_to_send(&mut self, pool: PoolKey) {
        if !std::mem::replace(&mut self.pools[pool].listed, true) {
            self.to_send.push(pool);
        }
    }

    /// Writes down the command that has been put together, and notes what its answer is.
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

    /// Logs what Redis says that it should not, but not for each request.
    fn warn_throttled(&mut self, problem: &str, now: Time) {
        if let Some(times) = self.throttles.record(problem, now) {
            let words = printable(problem, self.options.password());
            log::error!("Redis says: {words}{times}");
        }
    }
}
