//! The connection on which Redis tells this server what it did not ask for: that a client that waits may be
//! served, or what it waits for is gone.
//!
//! It is a connection of its own, since Redis limits what may be on its way to a subscriber (32 MB), and closes
//! the connection beyond that: a long listing must not be on it. While it is away, clients that wait are looked
//! after by the clock.

use std::mem;

use mio::Token;
use mio::event::Event;
use redis::{Cmd, PushKind, Value};

use super::link::{Link, LinkProgress};
use super::options::RedisOptions;
use super::{Loss, pause_ms};
use crate::time::Time;

/// How often Redis is asked for a sign of life, in milliseconds.
const CHECK_MS: u64 = 3_000;

/// The connection on which Redis tells this server what it did not ask for.
pub(super) struct Subscription {
    link: Link,
    token: Token,
    options: RedisOptions,
    channel: String,
    state: SubscriptionState,
    /// When to try again, when to ask for a sign of life, or when an attempt or such a question counts as failed.
    timer: Option<Time>,
    /// How many connections have failed in a row before a first sign of life.
    failures: u32,
    output: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriptionState {
    Down,
    Trying,
    Listening,
    /// A sign of life is awaited.
    Checking,
}

/// A message of Redis.
pub(super) enum SubscriptionEvent {
    /// Redis tells from now on. What it had to tell before may be lost.
    Listening,
    Notice(Vec<Value>),
}

impl Subscription {
    /// One that is down, whose events come under `token`.
    pub(super) fn new(
        link: Link,
        token: Token,
        options: RedisOptions,
        channel: String,
    ) -> Subscription {
        Subscription {
            link,
            token,
            options,
            channel,
            state: SubscriptionState::Down,
            timer: None,
            failures: 0,
            output: Vec::new(),
        }
    }

    /// Connects, if it is down and not just waiting for a better time.
    pub(super) fn connect_if_due(&mut self, now: Time) -> Result<(), Loss> {
        if self.state != SubscriptionState::Down || self.timer.is_some_and(|at| at > now) {
            return Ok(());
        }
        self.state = SubscriptionState::Trying;
        self.timer = Some(now.after_ms(self.options.timeout_ms));
        Ok(self.link.connect()?)
    }

    /// Notes an event, if it is one of this connection. Returns whether it is.
    pub(super) fn note_event(&mut self, event: &Event) -> bool {
        let is_own = event.token() == self.token;
        if is_own {
            self.link.note_event(event);
        }
        is_own
    }

    /// Whether it is being connected.
    pub(super) fn is_trying(&self) -> bool {
        self.state == SubscriptionState::Trying
    }

    /// Whether something has come that no event tells of any more.
    pub(super) fn has_more(&self) -> bool {
        self.link.has_more()
    }

    pub(super) fn begin_turn(&mut self) {
        self.link.begin_turn();
    }

    /// The next thing that has come in this turn.
    pub(super) fn receive(&mut self, now: Time) -> Result<Option<SubscriptionEvent>, Loss> {
        while self.link.progress()? == LinkProgress::Connected {
            self.greet();
        }
        if self.state != SubscriptionState::Down {
            self.link.send(&mut self.output)?;
        }
        while let Some(value) = self.link.read(false)? {
            match value {
                Value::Push {
                    kind: PushKind::Message,
                    data,
                } => return Ok(Some(SubscriptionEvent::Notice(data))),
                Value::Push {
                    kind: PushKind::Subscribe,
                    ..
                } => {
                    let before = mem::replace(&mut self.state, SubscriptionState::Listening);
                    self.timer = Some(now.after_ms(CHECK_MS));
                    if before == SubscriptionState::Trying {
                        return Ok(Some(SubscriptionEvent::Listening));
                    }
                    // A connection that is cut right after each greeting is tried ever more patiently.
                    self.failures = 0;
                }
                Value::ServerError(error) => {
                    return Err(Loss::unusable(self.options.lacking(&error, "+subscribe")));
                }
                _ if self.state != SubscriptionState::Trying => {
                    return Err(Loss::unusable("an answer that was not asked for".into()));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn greet(&mut self) {
        let mut hello = Cmd::new();
        self.options.write_hello("latchd-notices", &mut hello);
        hello.write_packed_command(&mut self.output);
        self.ask_to_listen();
    }

    /// Once it is done, this changes nothing, and the answer is a sign of life. A PING would take one more right.
    fn ask_to_listen(&mut self) {
        let mut subscribe = Cmd::new();
        subscribe.arg("SUBSCRIBE").arg(&self.channel);
        subscribe.write_packed_command(&mut self.output);
    }

    /// When `handle_timeout` wants to be called at the latest, apart from the time to connect.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.timer
    }

    /// Asks for a sign of life if it is time. An attempt or an answer that takes too long is lost.
    pub(super) fn handle_timeout(&mut self, now: Time) -> Result<(), Loss> {
        if self.timer.is_none_or(|at| at > now) {
            return Ok(());
        }
        match self.state {
            SubscriptionState::Down => Ok(()),
            SubscriptionState::Trying | SubscriptionState::Checking => {
                Err(Loss::unusable("no answer in time".into()))
            }
            SubscriptionState::Listening => {
                self.ask_to_listen();
                self.state = SubscriptionState::Checking;
                self.timer = Some(now.after_ms(self.options.timeout_ms));
                Ok(self.link.send(&mut self.output)?)
            }
        }
    }

    /// It is lost. Returns after how many milliseconds it is tried again.
    pub(super) fn lose(&mut self, now: Time) -> u64 {
        let pause_ms = pause_ms(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.close();
        self.timer = Some(now.after_ms(pause_ms));
        pause_ms
    }

    /// Closes it, until the other connection is there.
    pub(super) fn close(&mut self) {
        self.link.close();
        self.output.clear();
        (self.state, self.timer) = (SubscriptionState::Down, None);
    }
}
