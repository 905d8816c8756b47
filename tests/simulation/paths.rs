//! The three paths of a batch in Redis, beside each other: each gives the same replies, and leaves the same keys.
//!
//! `quick.lua` repeats a part of the rules of the other two. A batch takes it only if it is plain, so an operation
//! that changes nothing, before the others, puts the same batch on another path.

use std::num::NonZeroU32;

use latchd::command::{
    Acquire, Command, OwnerName, PoolName, ReleaseCondition, Reply, ResourceId, Seed, Selection,
    Ticket, Ttl,
};
use latchd::pool::Rules;
use latchd::store::Store;
use latchd::time::Time;

use super::clocked_store::{ClockedStore, START_MS};
use crate::support::redis::RedisServer;

const SEEDS: u64 = 20;
const ROUNDS: usize = 40;
const MAX_OPERATIONS: usize = 12;
const IDS: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];

/// Returns all keys that begin like this, with their values. The last grants of a server bear its name, which is
/// random, and the history is of the Redis.
const STATE: &str = "
local shown, prefix = {}, ARGV[1]
for _, key in ipairs(redis.call('KEYS', prefix .. '*')) do
  local kind, rows = redis.call('TYPE', key).ok, {}
  if kind == 'zset' then
    rows = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'hash' then
    local all = redis.call('HGETALL', key)
    for at = 1, #all, 2 do
      rows[#rows + 1] = all[at] .. '=' .. all[at + 1]
    end
    table.sort(rows)
  else
    rows = {redis.call('GET', key)}
  end
  if not key:find(':last:') and not key:find('history') then
    shown[#shown + 1] = key:sub(#prefix + 1) .. ' ' .. table.concat(rows, ',')
  end
end
table.sort(shown)
return table.concat(shown, '; ')";

#[derive(Clone, Copy, Debug)]
enum Path {
    Quick,
    Alone,
    Queued,
}

const PATHS: [Path; 3] = [Path::Quick, Path::Alone, Path::Queued];

impl Path {
    fn prefix(self) -> &'static str {
        match self {
            Path::Quick => "quick:",
            Path::Alone => "alone:",
            Path::Queued => "queued:",
        }
    }

    /// The operation by which a batch takes this path.
    fn first(self) -> Option<Command<'static>> {
        match self {
            Path::Quick => None,
            Path::Alone => Some(Command::ShowLock(pool(), id("1"))),
            Path::Queued => Some(Command::ListWaiters(pool())),
        }
    }
}

#[test]
fn a_plain_batch_is_carried_out_alike_on_each_path() {
    let redis = RedisServer::start();
    for seed in 0..SEEDS {
        run(&redis, &mut fastrand::Rng::with_seed(seed), seed);
    }
}

fn run(redis: &RedisServer, source: &mut fastrand::Rng, seed: u64) {
    redis.order(&["FLUSHALL"]);
    let rules = Rules {
        default_ttl: source.choice([None, Ttl::from_s(3)]).flatten(),
        ..Rules::default()
    };
    let mut stores = PATHS.map(|path| {
        redis.count_from_one(path.prefix());
        ClockedStore::connect(redis, rules, path.prefix())
    });
    let (mut now, mut serial) = (START_MS, 0);
    for round in 0..ROUNDS {
        now += source.u64(0..800);
        let commands = match round % 4 {
            0 => vec![other(source)],
            _ => (0..source.usize(1..=MAX_OPERATIONS))
                .map(|_| plain(source))
                .collect(),
        };
        let mut results = Vec::new();
        for (path, store) in PATHS.into_iter().zip(&mut stores) {
            store.show(now);
            let first = path.first().filter(|_| round % 4 > 0);
            let skipped = usize::from(first.is_some());
            let commands = first.into_iter().chain(commands.iter().cloned());
            let replies = carry_out(store, commands, now, serial);
            let state = redis.ask(&["EVAL", STATE, "0", path.prefix()]);
            assert!(!state.starts_with('-'), "{state}");
            results.push((replies[skipped..].to_vec(), state));
        }
        serial += 100;
        for (path, result) in PATHS.into_iter().zip(&results).skip(1) {
            assert_eq!(
                result, &results[0],
                "{path:?} beside quick, seed {seed}, round {round}: {commands:?}"
            );
        }
    }
}

/// Carries out these commands in one batch, and returns the replies in their order.
fn carry_out(
    store: &mut ClockedStore,
    commands: impl Iterator<Item = Command<'static>>,
    now: u64,
    serial: u64,
) -> Vec<Reply> {
    for (serial, command) in (serial..).zip(commands) {
        let ticket = Ticket::new(serial, 0);
        store.store.submit(ticket, command, Time::from_ms(now));
    }
    let mut answers = Vec::new();
    store.settle(&mut answers);
    answers.sort_by_key(|(ticket, _)| ticket.serial());
    answers.into_iter().map(|(_, reply)| reply).collect()
}

fn plain(source: &mut fastrand::Rng) -> Command<'static> {
    match source.bool() {
        true => Command::Acquire(pool(), acquire(1, None)),
        false => Command::Release(pool(), any_id(source), ReleaseCondition::default()),
    }
}

/// Draws a command that makes grants of several resources or of an owner, or changes the members.
fn other(source: &mut fastrand::Rng) -> Command<'static> {
    match source.u32(0..6) {
        0 => Command::Acquire(pool(), acquire(2, None)),
        1 => Command::Acquire(pool(), acquire(2, OwnerName::parse("anna").ok())),
        2 => Command::RemovePool(pool()),
        3 => Command::SetMembers(seed(source)),
        _ => Command::AddMembers(seed(source)),
    }
}

fn acquire(count: u32, owner: Option<OwnerName<'static>>) -> Acquire<'static> {
    Acquire {
        selection: Selection::Any(NonZeroU32::new(count).expect("it is above 0")),
        owner,
        ttl: None,
        wait_ms: 0,
        may_queue: false,
    }
}

fn seed(source: &mut fastrand::Rng) -> Seed {
    let mut seed = Seed::default();
    seed.add_pool(&pool());
    for _ in 0..source.u32(0..8) {
        seed.add_id(&any_id(source));
    }
    seed
}

fn any_id(source: &mut fastrand::Rng) -> ResourceId<'static> {
    id(source.choice(IDS).expect("there are ids"))
}

fn id(name: &'static str) -> ResourceId<'static> {
    ResourceId::parse(name).expect("an id is well formed")
}

fn pool() -> PoolName<'static> {
    PoolName::parse("A").expect("a pool's name is well formed")
}
