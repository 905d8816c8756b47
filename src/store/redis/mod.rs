//! The store in a Redis that many servers share.
//!
//! Redis decides: every operation is a script there, and times are those of its clock. This process keeps
//! only its waiters and the tickets to answer. Without Redis it refuses commands, keeps its waiters queued,
//! and connects again after pauses that double.
//!
//! `pipeline` is the protocol without a socket, and `link` is the socket without the protocol.
//! `subscription` is a second connection, for messages of Redis. `scripts` run in Redis.

mod arguments;
mod foreign;
#[cfg(fuzzing)]
pub mod fuzzing;
mod info;
mod key;
mod link;
mod list_reading;
mod loss;
mod operation;
pub mod operations;
mod options;
mod pipeline;
mod prologue;
mod reply;
mod resolver;
mod script;
mod slice;
mod stream;
mod subscription;
mod waiters;

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::event::Event;
use mio::{Registry, Token, Waker};

use super::{Backing, Store, StoreFigures};
use crate::command::{Command, Refusal, Reply, Restoration, Seed, Ticket};
use crate::histogram::Histogram;
use crate::pool::Rules;
use crate::time::Time;
use foreign::{ReasonThrottles, printable};
use link::{Link, LinkProgress};
use loss::{Loss, pause_ms};
pub use options::{Login, RedisAddress, RedisOptions, RedisTls};
use pipeline::Pipeline;
use script::Scripts;
use subscription::{Subscription, SubscriptionEvent};

/// The store in a Redis that many servers share: a `Pipeline` on a `Link`, and a `Subscription` beside
/// them.
///
/// The event loop calls it as [`Store`] says. [`attach`](Store::attach) comes first, exactly once: it starts
/// to connect and does not wait. [`restore`](Store::restore) (at most once) and [`prepare`](Store::prepare)
/// (once) follow before the first event is handled, as a greeting reads their orders. In each tick come
/// `handle_event`, `submit` and `withdraw` in any order, then `handle_timeout` if it is due, one `commit`,
/// and `poll_reply` until it returns `None`. A further call of `handle_event`, `handle_timeout`, `commit` or
/// `poll_reply` has nothing to do and does no harm. A ticket must never be submitted twice; a `withdraw` of
/// an unknown ticket is ignored.
///
/// Without a connection commands are refused with `store down`, except that an undo is kept; those
/// submitted while one is being made are kept for it. A command in flight when the connection is lost is
/// refused, too, although Redis may carry it out: an owner can repeat it, and a grant without an owner
/// is undone. Waiters stay queued over a loss.
///
/// These hold between two calls:
///
/// - `try_at` is `Some` only while there is no connection and no attempt. `give_up_at` is `Some` only from
///   the start of an attempt to the end of its greeting.
/// - Every error of the link or the pipeline goes through `lose`, which closes both connections.
/// - The subscription is connected only after the pipeline has greeted, and no command depends on it:
///   without its notices waiters are served by polls.
pub struct RedisStore {
    options: RedisOptions,
    pipeline: Pipeline,
    /// `None` until `attach`.
    link: Option<Link>,
    /// `None` until `attach`. It is there only while `link` is.
    subscription: Option<Subscription>,
    /// The time of the next attempt; `None` while there is a connection or an attempt.
    try_at: Option<Time>,
    /// The time at which an attempt without a complete greeting counts as failed.
    give_up_at: Option<Time>,
    /// Failed attempts in a row.
    failures: u32,
    /// Connections lost, and failures to connect.
    losses: u64,
    throttles: ReasonThrottles,
    /// Whether the loss of the connection was logged.
    is_loss_logged: bool,
    /// Sent batches of commands without a complete reply: the time, and the total of replies by which each
    /// is complete.
    unanswered: VecDeque<(Instant, u64)>,
    round_trips: Histogram,
}

impl RedisStore {
    /// Returns a store that connects as soon as it is attached to an event loop.
    pub fn new(options: RedisOptions, rules: Rules) -> RedisStore {
        RedisStore::with_scripts(options, rules, Scripts::new())
    }

    /// Returns a store whose scripts take the time from this Lua fragment, which defines `clock()`. It lets
    /// tests move the clock.
    pub fn with_clock(options: RedisOptions, rules: Rules, clock: &str) -> RedisStore {
        RedisStore::with_scripts(options, rules, Scripts::with_clock(clock))
    }

    /// Refuses all requests until Redis has shown a list of pools once: `--must-exist`.
    #[must_use]
    pub fn expecting_pools(mut self) -> RedisStore {
        self.pipeline.expect_pools();
        self
    }

    fn with_scripts(options: RedisOptions, rules: Rules, scripts: Scripts) -> RedisStore {
        // The names of servers in one Redis must differ.
        let server = format!("{:016x}", fastrand::u64(..));
        RedisStore {
            pipeline: Pipeline::new(options.clone(), rules, server, scripts),
            options,
            link: None,
            subscription: None,
            try_at: None,
            give_up_at: None,
            failures: 0,
            losses: 0,
            throttles: ReasonThrottles::default(),
            is_loss_logged: true,
            unanswered: VecDeque::new(),
            round_trips: Histogram::default(),
        }
    }

    fn try_to_connect(&mut self, now: Time) {
        let Some(link) = &mut self.link else { return };
        self.try_at = None;
        self.give_up_at = Some(now.after_ms(self.options.timeout_ms));
        self.pipeline.handle_attempt();
        if let Err(error) = link.connect() {
            self.lose(&error.into(), now);
        }
    }

    /// Handles what has arrived on the link, as much as one turn may.
    fn receive(&mut self, now: Time) -> Result<(), Loss> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        while link.progress()? == LinkProgress::Connected {
            self.pipeline.handle_connected(now);
        }
        link.begin_turn();
        while let Some(value) = link.read(self.pipeline.awaits())? {
            self.pipeline
                .handle_value(value, now)
                .map_err(Loss::unusable)?;
        }
        self.note_answers();
        if self.give_up_at.is_some() && self.pipeline.has_greeted() {
            self.give_up_at = None;
            if std::mem::take(&mut self.is_loss_logged) {
                log::info!("connected to {}", self.options);
            }
        }
        if self.pipeline.take_success() {
            self.failures = 0;
        }
        Ok(())
    }

    /// Handles the messages of Redis, as many as one turn may.
    fn receive_notices(&mut self, now: Time) {
        let Some(subscription) = &mut self.subscription else {
            return;
        };
        subscription.begin_turn();
        let result = loop {
            match subscription.receive(now) {
                Ok(Some(SubscriptionEvent::Listening)) => self.pipeline.handle_listening(),
                Ok(Some(SubscriptionEvent::Notice(data))) => self.pipeline.handle_notice(data),
                Ok(None) => break Ok(()),
                Err(loss) => break Err(loss),
            }
        };
        self.check_subscription(result, now);
    }

    /// Connects the subscription if it is down and due. Redis has accepted this server by then.
    fn subscribe(&mut self, now: Time) {
        if !self.pipeline.has_greeted() {
            return;
        }
        if let Some(subscription) = &mut self.subscription {
            let result = subscription.connect_if_due(now);
            self.check_subscription(result, now);
        }
    }

    fn check_subscription(&mut self, result: Result<(), Loss>, now: Time) {
        let (Some(subscription), Err(loss)) = (&mut self.subscription, result) else {
            return;
        };
        let pause_ms = subscription.lose(now);
        let reason = format!("the connection for notices failed: {}", loss.reason);
        if let Some(times) = self.throttles.record(&reason, now) {
            let reason = printable(&reason, self.options.password());
            let options = &self.options;
            log::error!("{options}: {reason}; trying again in {pause_ms} ms{times}");
        }
    }

    fn send_output(&mut self, now: Time) -> Result<(), Loss> {
        self.pipeline.flush(now);
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        if !self.pipeline.output().is_empty() {
            let (answered, awaited) = self.pipeline.answered_and_awaited();
            self.unanswered
                .push_back((Instant::now(), answered + awaited as u64));
        }
        Ok(link.send(self.pipeline.output())?)
    }

    /// Measures round trips: one ends with the last reply to what was sent together. Beside the network two
    /// readings of the clock cost nothing.
    fn note_answers(&mut self) {
        let (answered, _) = self.pipeline.answered_and_awaited();
        while let Some((sent_at, last)) = self.unanswered.front()
            && *last <= answered
        {
            let took_us = sent_at.elapsed().as_micros() as u64;
            self.round_trips.note(took_us, 1);
            self.unanswered.pop_front();
        }
    }

    /// Handles the loss of the connection, or a failure to connect.
    fn lose(&mut self, loss: &Loss, now: Time) {
        let Loss {
            reason,
            may_be_alive,
        } = loss;
        let Some(link) = &mut self.link else { return };
        link.close();
        if let Some(subscription) = &mut self.subscription {
            subscription.close();
        }
        self.losses += 1;
        self.unanswered.clear();
        let pause_ms = pause_ms(self.failures);
        self.failures = self.failures.saturating_add(1);
        if let Some(times) = self.throttles.record(reason, now) {
            log::error!(
                "{} is lost: {}; trying again in {pause_ms} ms{times}",
                self.options,
                printable(reason, self.options.password())
            );
            self.is_loss_logged = true;
        }
        self.give_up_at = None;
        self.try_at = Some(now.after_ms(pause_ms));
        self.pipeline.handle_loss(*may_be_alive, now);
    }

    fn check(&mut self, result: Result<(), Loss>, now: Time) {
        if let Err(loss) = result {
            self.lose(&loss, now);
        }
    }
}

impl Store for RedisStore {
    fn attach(
        &mut self,
        registry: &Registry,
        [token, notices]: [Token; 2],
        now: Time,
    ) -> io::Result<()> {
        let RedisOptions { address, tls, .. } = &self.options;
        let tls = tls.as_ref().map(|tls| tls.settings.clone());
        let waker = Arc::new(Waker::new(registry, token)?);
        let link = |token| Link::new(address.clone(), tls.clone(), registry, token, waker.clone());
        let (own, other) = (link(token)?, link(notices)?);
        self.link = Some(own);
        let (options, channel) = (self.options.clone(), self.pipeline.channel());
        self.subscription = Some(Subscription::new(other, notices, options, channel));
        self.try_to_connect(now);
        Ok(())
    }

    fn restore(&mut self, restoration: Rc<Restoration>, _: Time) -> Result<(), Refusal> {
        self.pipeline.restore_first(restoration);
        Ok(())
    }

    fn prepare(&mut self, purge: bool, seed: Option<Seed>, _: Time) -> Result<(), Refusal> {
        self.pipeline.prepare(purge, seed);
        Ok(())
    }

    fn handle_event(&mut self, event: &Event, now: Time) {
        if let Some(subscription) = &mut self.subscription
            && subscription.note_event(event)
        {
            return self.receive_notices(now);
        }
        if let Some(link) = &mut self.link {
            link.note_event(event);
        }
        let result = self.receive(now);
        self.check(result, now);
        self.subscribe(now);
        // A waker wakes both connections, as either may be looking up a name.
        if self
            .subscription
            .as_ref()
            .is_some_and(Subscription::is_trying)
        {
            self.receive_notices(now);
        }
    }

    fn submit(&mut self, ticket: Ticket, command: Command<'_>, now: Time) {
        self.pipeline.submit(ticket, &command, now);
    }

    fn withdraw(&mut self, ticket: Ticket, _: Time) {
        self.pipeline.withdraw(ticket);
    }

    fn commit(&mut self, now: Time) {
        let result = self.send_output(now);
        self.check(result, now);
    }

    fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        self.pipeline.poll_reply()
    }

    fn next_timeout(&self) -> Option<Time> {
        let subscription = self.subscription.as_ref();
        let has_more = self.link.as_ref().is_some_and(Link::has_more)
            || subscription.is_some_and(Subscription::has_more);
        let at_once = has_more.then_some(Time::from_ms(0));
        let timeout = self.pipeline.next_timeout();
        let notices = subscription.and_then(Subscription::next_timeout);
        [at_once, timeout, notices, self.try_at, self.give_up_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.link.as_ref().is_some_and(Link::has_more) {
            let result = self.receive(now);
            self.check(result, now);
        }
        if let Some(subscription) = &mut self.subscription {
            let has_more = subscription.has_more();
            let result = subscription.handle_timeout(now);
            self.check_subscription(result, now);
            self.subscribe(now);
            if has_more {
                self.receive_notices(now);
            }
        }
        let result = self.pipeline.handle_timeout(now);
        self.check(result.map_err(Loss::unusable), now);
        if self.give_up_at.is_some_and(|at| at <= now) {
            let waits_for_tls = self.link.as_ref().is_some_and(Link::waits_for_tls);
            let reason = match waits_for_tls {
                true => "no TLS handshake in time; does it speak TLS at all?",
                false => "no connection in time",
            };
            self.lose(&Loss::unusable(reason.into()), now);
        }
        if self.try_at.is_some_and(|at| at <= now) {
            self.try_to_connect(now);
        }
    }

    fn is_quiescent(&self) -> bool {
        self.pipeline.is_quiescent()
    }

    fn figures(&self) -> StoreFigures {
        StoreFigures {
            is_up: self.pipeline.is_ready(),
            lending: *self.pipeline.counts(),
            waiting: self.pipeline.waiting_count() as u64,
            backing: Backing::Redis {
                round_trips: self.round_trips.clone(),
                commands: self.pipeline.answered_and_awaited().0,
                losses: self.losses,
                histories: self.pipeline.histories(),
                clock_jumps: self.pipeline.clock_jumps(),
            },
        }
    }

    fn close(&mut self) -> bool {
        true
    }
}
