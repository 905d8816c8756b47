//! The connection for messages of Redis: that a waiter may be served, or that its request failed.
//!
//! It is a connection of its own, since Redis limits the unsent bytes to a subscriber (32 MB) and closes the
//! connection beyond that: a long listing must not be on it. While it is down, waiters are served by polls.

use std::mem;

use mio::Token;
use mio::event::Event;
use redis::{Cmd, PushKind, Value};

use super::link::{Link, LinkProgress};
use super::loss::{Loss, pause_ms};
use super::options::RedisOptions;
use crate::time::Time;

/// The time between checks that Redis still answers, in ms.
const CHECK_MS: u64 = 3_000;

/// The connection for messages of Redis.
pub(super) struct Subscription {
    link: Link,
    token: Token,
    options: RedisOptions,
    channel: String,
    state: SubscriptionState,
    /// The time to connect again, to check the connection, or to give up an attempt or a check.
    timer: Option<Time>,
    /// Failures in a row before the first answered check.
    failures: u32,
    output: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriptionState {
    Down,
    Trying,
    Listening,
    /// A check is in flight.
    Checking,
}

/// An event of the subscription.
pub(super) enum SubscriptionEvent {
    /// Notices arrive from now on. Earlier ones may be lost.
    Listening,
    Notice(Vec<Value>),
}

impl Subscription {
    /// Returns a subscription that is down, with events under `token`.
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

    /// Connects, if it is down and its pause is over.
    pub(super) fn connect_if_due(&mut self, now: Time) -> Result<(), Loss> {
        if self.state != SubscriptionState::Down || self.timer.is_some_and(|at| at > now) {
            return Ok(());
        }
        self.state = SubscriptionState::Trying;
        self.timer = Some(now.after_ms(self.options.timeout_ms));
        Ok(self.link.connect()?)
    }

    /// Notes an event of this connection. Returns false for one of another.
    pub(super) fn note_event(&mut self, event: &Event) -> bool {
        let is_own = event.token() == self.token;
        if is_own {
            self.link.note_event(event);
        }
        is_own
    }

    /// Returns true if an attempt is in progress.
    pub(super) fn is_trying(&self) -> bool {
        self.state == SubscriptionState::Trying
    }

    /// Returns true if bytes have arrived that no event will report.
    pub(super) fn has_more(&self) -> bool {
        self.link.has_more()
    }

    pub(super) fn begin_turn(&mut self) {
        self.link.begin_turn();
    }

    /// Returns the next event of this turn.
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
                    // A connection that is cut after each greeting keeps its long pauses.
                    self.failures = 0;
                }
                Value::ServerError(error) => {
                    return Err(Loss::unusable(self.options.lacking(&error, "+subscribe")));
                }
                _ if self.state != SubscriptionState::Trying => {
                    return Err(Loss::unusable("an unexpected answer".into()));
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

    /// Subscribes. On a subscribed connection that changes nothing, and the answer shows that Redis lives. A PING
    /// would need one more right.
    fn ask_to_listen(&mut self) {
        let mut subscribe = Cmd::new();
        subscribe.arg("SUBSCRIBE").arg(&self.channel);
        subscribe.write_packed_command(&mut self.output);
    }

    /// Returns the time of the next `handle_timeout`; `connect_if_due` uses the same time.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.timer
    }

    /// Checks the connection if it is time. An attempt or a check without an answer in time is a loss.
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

    /// Closes it after a loss. Returns the pause before the next attempt, in ms.
    pub(super) fn lose(&mut self, now: Time) -> u64 {
        let pause_ms = pause_ms(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.close();
        self.timer = Some(now.after_ms(pause_ms));
        pause_ms
    }

    /// Closes it, until the other connection has greeted.
    pub(super) fn close(&mut self) {
        self.link.close();
        self.output.clear();
        (self.state, self.timer) = (SubscriptionState::Down, None);
    }
}
