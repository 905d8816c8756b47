//! A Redis store whose time a test sets: the scripts ask a key for the time instead of Redis' clock, so that hours
//! go by in a moment.

use std::collections::BTreeSet;
use std::time::Duration;

use latchd::command::{Reply, Ticket};
use latchd::pool::Rules;
use latchd::store::redis_operations::{ArgumentKind, BATCH_HEAD, OPERATIONS, Run};
use latchd::store::{RedisAddress, RedisOptions, RedisStore, Store};
use latchd::time::Time;
use mio::{Events, Poll, Token};

use crate::support::PATIENCE;
use crate::support::redis::RedisServer;

/// The time at which it connects.
pub const START_MS: u64 = 1_000_000;
/// The key of the arguments that the scripts have seen.
const DRAWN: &str = "latchd-test:drawn";

/// A store in a Redis, with the time that its scripts see.
pub struct ClockedStore {
    pub store: RedisStore,
    poll: Poll,
    events: Events,
    clock: std::net::TcpStream,
    shown: u64,
}

impl ClockedStore {
    pub fn connect(redis: &RedisServer, rules: Rules, prefix: &str) -> ClockedStore {
        let address = redis.address();
        let options = RedisOptions {
            address: RedisAddress::Tcp(address.ip().to_string(), address.port()),
            tls: None,
            login: None,
            database: 0,
            prefix: prefix.into(),
            timeout_ms: 1_000_000,
        };
        let poll = Poll::new().expect("a poll");
        let mut store = RedisStore::with_clock(options, rules, &clock());
        store
            .attach(
                poll.registry(),
                [Token(0), Token(1)],
                Time::from_ms(START_MS),
            )
            .expect("a socket");
        let clock = std::net::TcpStream::connect(address).expect("Redis accepts");
        clock.set_nodelay(true).expect("nodelay");
        clock.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut store = ClockedStore {
            store,
            poll,
            events: Events::with_capacity(8),
            clock,
            shown: 0,
        };
        store.show(START_MS);
        store
    }

    /// Commits and reads until the store is quiescent.
    pub fn settle(&mut self, answers: &mut Vec<(Ticket, Reply)>) {
        let now = Time::from_ms(self.shown);
        loop {
            self.store.commit(now);
            answers.extend(std::iter::from_fn(|| self.store.poll_reply()));
            if self.store.is_quiescent() {
                return;
            }
            self.take_events(PATIENCE);
            assert!(!self.events.is_empty(), "Redis does not answer");
        }
    }

    pub fn take_events(&mut self, patience: Duration) {
        let now = Time::from_ms(self.shown);
        self.poll
            .poll(&mut self.events, Some(patience))
            .expect("the poll works");
        for event in &self.events {
            self.store.handle_event(event, now);
        }
    }

    /// Sets the time of the scripts.
    pub fn show(&mut self, now: u64) {
        use std::io::{Read, Write};
        self.shown = now;
        let text = now.to_string();
        let command = format!(
            "*3\r\n$3\r\nSET\r\n$17\r\nlatchd-test:clock\r\n${}\r\n{text}\r\n",
            text.len()
        );
        self.clock
            .write_all(command.as_bytes())
            .expect("Redis takes it");
        let mut reply = [0; 5];
        self.clock.read_exact(&mut reply).expect("Redis answers");
        assert_eq!(&reply, b"+OK\r\n");
    }
}

/// Returns the fragment of the clock, in Lua. It also notes which arguments the operations of a batch have, with a
/// value and without.
fn clock() -> String {
    let shape = |row: &latchd::store::redis_operations::OperationRow| {
        let argument = row.arguments.iter().map(|argument| match argument.kind {
            ArgumentKind::Flag => format!("'{} = '", argument.name),
            _ => format!("'{}'", argument.name),
        });
        let arguments: Vec<String> = argument.collect();
        format!("{} = {{{}}}", row.letter, arguments.join(", "))
    };
    let shapes: Vec<String> = OPERATIONS.iter().map(shape).collect();
    let first = BATCH_HEAD.len() + 1;
    format!(
        "\
local function clock()
  local shapes = {{{}}}
  local at, seen = {first}, {{'{DRAWN}', ''}}
  -- Only a batch has the name of a server at this place.
  while ARGV[4] and #ARGV[4] == 16 and shapes[ARGV[at]] do
    local letter, shape = ARGV[at], shapes[ARGV[at]]
    seen[#seen + 1] = letter
    for place, name in ipairs(shape) do
      local value = ARGV[at + place]
      local shown = name:find('=') and value or value == '' and ' without' or ' with'
      seen[#seen + 1] = letter .. ' ' .. name .. shown
    end
    at = at + 1 + #shape + (letter == '{}' and ARGV[at + 1] or 0)
  end
  redis.call('SADD', unpack(seen))
  return tonumber(redis.call('GET', 'latchd-test:clock'))
end
",
        shapes.join(", "),
        OPERATIONS
            .iter()
            .find(|row| matches!(row.run, Run::ForEach(_)))
            .expect("releases are a run of ids")
            .letter,
    )
}

/// Returns the operations and arguments that the scripts of this Redis have seen.
pub fn drawn(redis: &RedisServer) -> BTreeSet<String> {
    let script = "return table.concat(redis.call('SMEMBERS', KEYS[1]), '\\n')";
    let text = redis.ask(&["EVAL", script, "1", DRAWN]);
    text.lines().map(str::to_owned).collect()
}

/// Returns all that stories may draw from the table: each operation, and each argument with a value and without, or
/// with both values of a flag.
pub fn drawable() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for row in &OPERATIONS {
        all.insert(row.letter.to_owned());
        for argument in row.arguments {
            let values: &[&str] = match argument.kind {
                ArgumentKind::Flag => &[" = 0", " = 1"],
                _ if argument.is_optional => &[" without", " with"],
                _ => &[" with"],
            };
            let named = |value: &&str| format!("{} {}{value}", row.letter, argument.name);
            all.extend(values.iter().map(named));
        }
    }
    all
}

#[test]
fn time_stands_still_unless_it_is_moved() {
    let redis = RedisServer::start();
    let mut store = ClockedStore::connect(&redis, Rules::default(), "pool:");
    store.settle(&mut Vec::new());
    assert_eq!(redis.ask(&["GET", "latchd-test:clock"]), "1000000");
    std::thread::sleep(Duration::from_millis(2));
    assert_eq!(redis.ask(&["GET", "latchd-test:clock"]), "1000000");
}
