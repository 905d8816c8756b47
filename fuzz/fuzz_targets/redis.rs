//! Any conversation with a Redis that sends anything at any time: no request is answered twice,
//! every request is answered in the end, and only whole commands are sent to Redis.

#![no_main]

use std::collections::HashSet;

use arbitrary::{Result, Unstructured};
use latchd::api::{self, Access, ListenerRole, RequestAction};
use latchd::command::Ticket;
use latchd::http::{Media, Method, Request};
use latchd::keys::Caller;
use latchd::pool::Rules;
use latchd::store::redis_fuzzing::{FuzzPeer, reply_texts, values};
use latchd::time::Time;
use libfuzzer_sys::fuzz_target;
use redis::{PushKind, Value};

const MAX_STEPS: usize = 200;
const MAX_WAIT_MS: u64 = 300_000;

const REQUESTS: [(Method, &str, &str); 20] = [
    (Method::Post, "/pool/A/lock", ""),
    (Method::Post, "/pool/A/lock?wait=9", ""),
    (Method::Post, "/pool/A/lock?wait=9&owner=o", ""),
    (Method::Post, "/pool/A/lock?owner=o&ttl=5", ""),
    (Method::Post, "/pool/A/lock?n=2&wait=300", ""),
    (Method::Post, "/pool/A/lock/1?wait=5", ""),
    (Method::Post, "/pool/B/lock", ""),
    (Method::Put, "/pool/A/lock/1", ""),
    (Method::Put, "/pool/A/lock?owner=o", ""),
    (Method::Delete, "/pool/A/lock/1", ""),
    (Method::Delete, "/pool/A/lock", ""),
    (Method::Delete, "/pool/A", ""),
    (Method::Get, "/pool", ""),
    (Method::Get, "/pool/A", ""),
    (Method::Get, "/pool/A/lock", ""),
    (Method::Get, "/pool/A/lock/1", ""),
    (Method::Get, "/pool/A/queue", ""),
    (Method::Post, "/pool", r#"{"A":["1","2"],"B":["x"]}"#),
    (Method::Put, "/pool", r#"{"A":["1"]}"#),
    (Method::Post, "/pool/A", "1"),
];

/// Texts that are near misses of replies, or replies to no operation.
const OTHER_TEXTS: [&str; 5] = ["late", "", "0", "1764000000", "18446744073709551615"];

struct World<'a> {
    source: Unstructured<'a>,
    peer: FuzzPeer,
    now: Time,
    next_serial: u64,
    open: HashSet<Ticket>,
    connected: bool,
}

impl World<'_> {
    fn step(&mut self) -> Result<()> {
        match self.source.int_in_range(0..=18)? {
            0..=3 => self.submit()?,
            4..=9 => {
                let value = value(&mut self.source, 3)?;
                if self.connected && self.peer.receive(value, self.now).is_err() {
                    self.lose();
                }
            }
            10 => {
                let ms = *self.source.choose(&[0, 1, 50, 1000, 2500, 10_000])?;
                self.now = self.now.after_ms(ms);
                if self.peer.pass_time(self.now).is_err() {
                    self.lose();
                }
            }
            11 => self.lose(),
            12 | 13 if !self.connected => {
                self.peer.connect(self.now);
                self.connected = true;
            }
            12 | 13 => self.greet(),
            14 => {
                let serial = self.source.int_in_range(0..=self.next_serial)?;
                let ticket = Ticket::new(serial, 0);
                if self.open.contains(&ticket) {
                    self.peer.withdraw(ticket);
                }
            }
            15..=17 => self.answer()?,
            _ => {}
        }
        self.speak();
        Ok(())
    }

    /// Answers the batch whose reply is next with replies that fit its operations.
    fn answer(&mut self) -> Result<()> {
        let Some(fitting) = self.peer.fitting_replies().filter(|_| self.connected) else {
            return Ok(());
        };
        let mut batch = vec![
            Value::Int(self.now.as_ms() as i64),
            Value::Int(self.source.int_in_range(-1..=5)?),
            Value::Array(vec![]),
        ];
        for texts in fitting {
            batch.push(match texts.is_empty() {
                true => Value::Array(vec![]),
                false => Value::BulkString((*self.source.choose(&texts)?).into()),
            });
        }
        if self.peer.receive(Value::Array(batch), self.now).is_err() {
            self.lose();
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<()> {
        let &(method, target, body) = self.source.choose(&REQUESTS)?;
        let request = Request {
            method,
            target,
            media: Media::Other,
            body: body.as_bytes(),
        };
        let RequestAction::Submit(command, ..) = api::route(
            &request,
            &Access::new(ListenerRole::All, Caller::AuthDisabled),
        ) else {
            panic!("{target} is a good request");
        };
        let ticket = Ticket::new(self.next_serial, 0);
        self.next_serial += 1;
        self.open.insert(ticket);
        self.peer.submit(ticket, &command, self.now);
        Ok(())
    }

    /// Sends all the first replies as a Redis does.
    fn greet(&mut self) {
        let text = |text: &str| Value::BulkString(text.into());
        let hello = [
            Value::Okay,
            Value::Okay,
            text("redis_version:7.0.15\r\nrun_id:a\r\nmaster_replid:b\r\n"),
        ];
        let hashes = (0..FuzzPeer::script_count()).map(|_| text("a"));
        let channel = Value::Push {
            kind: PushKind::Subscribe,
            data: vec![],
        };
        let history = [text("903168000000000"), text("0")];
        let history = Value::Array([&[Value::Int(1_764_000_000_000)], &history[..]].concat());
        let trial = Value::Array(vec![]);
        let last = [trial, history, channel];
        for value in hello.into_iter().chain(hashes).chain(last) {
            if self.peer.receive(value, self.now).is_err() {
                return self.lose();
            }
        }
    }

    fn lose(&mut self) {
        if self.connected {
            self.connected = false;
            self.peer.lose(self.now.as_ms() % 2 == 0, self.now);
        }
    }

    fn speak(&mut self) {
        let said = self.peer.send(self.now);
        if self.connected {
            let (commands, is_whole) = values(&[&said]);
            let is_command =
                |value: &Value| matches!(value, Value::Array(words) if !words.is_empty());
            assert!(
                is_whole && commands.iter().all(is_command),
                "{}",
                said.escape_ascii()
            );
        }
        while let Some((ticket, _)) = self.peer.poll_reply() {
            assert!(self.open.remove(&ticket), "{ticket:?} is answered twice");
        }
    }

    /// Ends the run: Redis is gone for good, and every time limit has passed.
    fn end(&mut self) {
        self.lose();
        self.peer.lose(false, self.now);
        self.now = self.now.after_ms(MAX_WAIT_MS + 20_000);
        let _ = self.peer.pass_time(self.now);
        self.speak();
        assert!(self.open.is_empty(), "never answered: {:?}", self.open);
    }
}

/// Returns a value that Redis could send, mostly a reply of the scripts.
fn value(source: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let texts = [reply_texts(), OTHER_TEXTS.to_vec()].concat();
    Ok(match source.int_in_range(0..=11)? {
        0..=3 => Value::BulkString((*source.choose(&texts)?).into()),
        4 => Value::BulkString(source.arbitrary::<&[u8]>()?.to_vec()),
        5 => Value::Int(*source.choose(&[-1, 0, 1, 1_764_000_000_000, i64::MIN, i64::MAX])?),
        6 => Value::Nil,
        7 => Value::Okay,
        8 => {
            let words = source.choose(&[
                "pool:{A}\n\nlapsed",
                "pool:{A}\n\n-",
                "pool:{A}\n1\nE no pool",
                "\n\n",
            ])?;
            let data = vec![
                Value::BulkString("c".into()),
                Value::BulkString((*words).into()),
            ];
            Value::Push {
                kind: PushKind::Message,
                data,
            }
        }
        9 if depth > 0 => {
            let bytes = *source.choose(&[
                "-NOSCRIPT x\r\n",
                "-ERR unknown\r\n",
                "-OOM x\r\n",
                "-x\r\n",
            ])?;
            values(&[bytes.as_bytes()]).0.remove(0)
        }
        // A reply to a batch, with an answer to each of a few operations.
        10 if depth > 0 => {
            let mut batch = vec![
                Value::Int(1_764_000_000_000),
                Value::Int(source.int_in_range(-1..=5)?),
                Value::Array(vec![]),
            ];
            for _ in 0..source.int_in_range(1..=3)? {
                batch.push(Value::BulkString((*source.choose(&texts)?).into()));
            }
            Value::Array(batch)
        }
        _ if depth > 0 => {
            let count = source.int_in_range(0..=4)?;
            let values = (0..count).map(|_| value(source, depth - 1));
            Value::Array(values.collect::<Result<_>>()?)
        }
        _ => Value::Nil,
    })
}

fuzz_target!(|input: &[u8]| {
    let mut world = World {
        source: Unstructured::new(input),
        peer: FuzzPeer::new(Rules::default()),
        now: Time::from_ms(1_764_000_000_000),
        next_serial: 0,
        open: HashSet::new(),
        connected: false,
    };
    for _ in 0..MAX_STEPS {
        if world.source.is_empty() || world.step().is_err() {
            break;
        }
    }
    world.end();
});
