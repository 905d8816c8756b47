//! One client's conversation, pure: bytes and the time go in, commands and bytes come out.
//!
//! It keeps the order: answers leave in the order of their requests, whatever order replies come
//! in. It bounds itself: a client that sends without reading is not read from (`wants_input`), so
//! it can make nothing grow. It knows neither the socket nor the store.

mod buffers;
mod dump;
mod ending;
mod exchange;
mod idleness;
mod incremental;
mod memory_budget;
mod minimum_rate;
mod partial_request;
mod pending_key;
mod reading;
mod settings;
mod timing;
mod transport_end;
mod undelivered_grants;
mod visible;

use std::collections::VecDeque;
use std::mem;

pub use buffers::Buffers;
use dump::DumpResponse;
pub use ending::Ending;
use exchange::{Exchange, State};
use incremental::IncrementalResponse;
use partial_request::PartialRequest;
use pending_key::PendingKey;
pub use settings::Settings;
use timing::Awaits;
use undelivered_grants::UndeliveredGrants;

use crate::api::{self, ListenerRole, Outcome, ResponseShape, VisiblePools};
use crate::command::{Command, Reply, Survey, Ticket};
use crate::http::{CONTINUE, Scan, Wire};
use crate::keys::Key;
use crate::metrics::{Closed, Metrics};
use crate::time::Time;

/// What a session needs of its surroundings while it works.
pub struct Context<'a> {
    /// What all sessions have in common.
    pub settings: &'a Settings,
    /// Memory that is lent out.
    pub buffers: &'a mut Buffers,
    /// The time.
    pub now: Time,
    /// Where requests are counted.
    pub metrics: &'a mut Metrics,
    /// Where the store is asked.
    pub sink: &'a mut dyn CommandSink,
}

/// Where a session asks the store, and takes back what it has asked.
pub trait CommandSink {
    /// Hands a command to the store and answers the ticket that the reply will have.
    fn submit(&mut self, command: Command<'_>) -> Ticket;

    /// Whether the command with this ticket, the last one that was handed over, is carried out later
    /// than others that may follow it.
    fn holds(&self, _ticket: Ticket) -> bool {
        false
    }

    /// Whoever asked with this ticket no longer wants to wait.
    fn withdraw(&mut self, ticket: Ticket);

    /// Whether a key that the server knows may be used from the client's address.
    fn admits_key(&mut self, _key: &Key) -> bool {
        true
    }

    /// Notes that the client has shown a wrong key. Returns whether it may be told so.
    fn admits_wrong_key(&mut self) -> bool {
        true
    }

    /// Appends all figures to a page. A sink without a server around it has none.
    fn write_page(&mut self, _survey: Option<&Survey>, _metrics: &Metrics, _page: &mut Vec<u8>) {}
}

/// One client's conversation. An idle one holds no memory but itself.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    /// Why there is nothing left to do, once that is so.
    why_over: Closed,
    /// The role of the listener that accepted this connection.
    listener_role: ListenerRole,
    /// Its bytes come and go with TLS.
    has_tls: bool,
    peer: Peer,
    shutdown: Shutdown,
    /// Something that was received could not be looked at for lack of room.
    has_unparsed_input: bool,
    /// The form of the last request; `None` before the first.
    previous: Option<Wire>,
    deadline: Time,
    awaits: Awaits,
    /// What has been received and not yet understood.
    input: Vec<u8>,
    scan: Scan,
    /// A request whose body is still coming.
    partial: Option<Box<PartialRequest>>,
    /// Requests in flight, the oldest first.
    exchanges: VecDeque<Exchange>,
    /// The key of the newest of them, if it counts until the reply. That one blocks, so no other one can
    /// have been asked for since.
    pending_key: Option<Box<PendingKey>>,
    /// That reply, as long as it takes several ticks to find what the key may see of it.
    visible: Option<Box<VisiblePools>>,
    /// The answer to the oldest of them, if it takes several ticks to write it down.
    incremental: Option<Box<IncrementalResponse>>,
    /// The answer to the oldest of them, if it is a dump, whose parts leave as they come.
    dump: Option<Box<DumpResponse>>,
    output: Vec<u8>,
    /// How much of `output` has been sent.
    sent: usize,
    /// Grants that must be undone if their answers cannot be sent, or are refused by a client that has
    /// closed its side.
    undelivered: Option<Box<UndeliveredGrants>>,
    /// How much of what it holds counts in `Buffers::charged_bytes`.
    charged: u32,
    /// There are keys, and the client has shown none of them: what it holds counts as a stranger's, too.
    is_unauthenticated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Requests are read.
    Open,
    /// No further request is read; what is in flight is answered.
    Closing,
    /// All is answered and our side is closed. The client had closed its side before, and was granted
    /// what is undone if its system refuses the answer.
    Unacknowledged,
    /// All is answered and our side is closed. What still comes is dropped, so that no reset eats
    /// the answer.
    Lingering,
    /// There is nothing left to do.
    Over,
}

/// What is known of the client's side of the connection. Each state includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    /// The client may send more.
    Connected,
    /// The client has closed its side, or is about to as far as the system can tell: it does not
    /// wait in the queue any more.
    HungUp,
    /// The client has closed its side, and all that it sent was received.
    Ended,
    /// That may not have been its own doing: what is unfinished is not carried out.
    Truncated,
}

/// Whether the server stops, and what that means for this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    /// The server serves.
    Serving,
    /// The server stops, and this client has not had its first request answered, or is in the middle of
    /// one: that one is still read.
    LastRequest,
    /// The server stops: what has been received is still dealt with.
    Stopping,
}

/// The requests of a client that are not answered yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// How many requests.
    pub requests: u32,
    /// The last of them waits for others, so that it may take long.
    pub is_queued: bool,
}

impl Session {
    /// A session with a client that has just connected.
    pub fn new(settings: &Settings, listener_role: ListenerRole, now: Time) -> Session {
        Session {
            phase: Phase::Open,
            why_over: Closed::Server,
            listener_role,
            has_tls: false,
            peer: Peer::Connected,
            shutdown: Shutdown::Serving,
            has_unparsed_input: false,
            previous: None,
            deadline: now.after_ms(settings.header_timeout_ms),
            awaits: Awaits::Request,
            input: Vec::new(),
            scan: Scan::default(),
            partial: None,
            exchanges: VecDeque::new(),
            pending_key: None,
            visible: None,
            incremental: None,
            dump: None,
            output: Vec::new(),
            sent: 0,
            undelivered: None,
            charged: 0,
            is_unauthenticated: settings.keys.is_some(),
        }
    }

    /// The same session, if its bytes come and go with TLS: the origin of its own page begins with
    /// `https` then.
    pub fn with_tls(mut self, has_tls: bool) -> Session {
        self.has_tls = has_tls;
        self
    }

    /// The role of the listener that accepted this connection.
    pub fn listener_role(&self) -> ListenerRole {
        self.listener_role
    }

    /// Takes what the client has sent.
    pub fn receive(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        if self.phase != Phase::Open {
            return;
        }
        let was_idle = self.is_idle();
        let used = if self.input.is_empty() {
            let used = self.consume(bytes, context);
            self.input.extend_from_slice(&bytes[used..]);
            used
        } else {
            self.input.extend_from_slice(bytes);
            self.consume_input(context)
        };
        self.refuse_if_out_of_memory(context);
        self.write_ready_answers(context);
        // A head has one time-out, from its first byte on; each piece of a body starts it anew.
        if was_idle || used > 0 {
            self.restart_timeout(context);
        }
    }

    /// Takes the end of what the client sends. It may still read: what is in flight is answered.
    pub fn receive_end(&mut self, context: &mut Context<'_>) {
        self.peer = self.peer.max(Peer::Ended);
        self.handle_hangup(context);
        self.resume(context);
    }

    /// The client waits no longer: what is queued for it is withdrawn. It is told `busy` then.
    pub fn handle_hangup(&mut self, context: &mut Context<'_>) {
        self.peer = self.peer.max(Peer::HungUp);
        self.withdraw(context);
    }

    /// The connection is gone: what the client cannot be told of any more is taken back.
    pub fn abandon(&mut self, context: &mut Context<'_>) {
        self.clear_charge(context);
        self.withdraw(context);
        if let Some(mut undelivered) = self.undelivered.take() {
            undelivered.undo(context.sink);
            context.buffers.take_back_undelivered(undelivered);
        }
        context.metrics.requests.abandoned += self.exchanges.len() as u64;
        for exchange in &self.exchanges {
            if let State::Ready(Outcome::Reply(Reply::Granted(granted))) = &exchange.state {
                granted.undo().map(|command| context.sink.submit(command));
            }
        }
    }

    fn withdraw(&mut self, context: &mut Context<'_>) {
        for exchange in &mut self.exchanges {
            if let State::Submitted(ticket) = exchange.state
                && mem::take(&mut exchange.can_withdraw)
            {
                context.sink.withdraw(ticket);
            }
        }
    }

    /// Takes the reply to a command. Gives it back if nobody here waits for it.
    pub fn handle_reply(
        &mut self,
        ticket: Ticket,
        reply: Reply,
        context: &mut Context<'_>,
    ) -> Result<(), Reply> {
        if self.dump.is_some() && self.aborts_dump(ticket, &reply, context) {
            return Ok(());
        }
        let is_submitted = |exchange: &&mut Exchange| matches!(exchange.state, State::Submitted(submitted) if submitted == ticket);
        let Some(exchange) = self.exchanges.iter_mut().find(is_submitted) else {
            return Err(reply);
        };
        exchange.state = State::Ready(Outcome::Reply(reply));
        let pending = match exchange.blocks {
            true => self.pending_key.take(),
            false => None,
        };
        if exchange.shape.filtered.is_some() {
            self.begin_filter(pending);
        } else if exchange.shape.is_old_name
            && let State::Ready(outcome) = &mut exchange.state
        {
            api::refuse_old_name(outcome);
        }
        self.write_ready_answers(context);
        // The client could not be at fault while the store had its request.
        self.restart_timeout(context);
        Ok(())
    }

    /// How many of its requests are in flight, and whether the last of them is queued, or would.
    pub fn outstanding(&self) -> Outstanding {
        let last = self.exchanges.back();
        Outstanding {
            requests: self.exchanges.len() as u32,
            is_queued: last.is_some_and(Exchange::is_queued),
        }
    }

    /// Whether `resume` would do something.
    pub fn wants_resume(&self, settings: &Settings) -> bool {
        let is_due = self.has_unparsed_input || self.shutdown == Shutdown::Stopping;
        is_due && self.phase == Phase::Open && self.has_room(settings)
            || self.writes_incremental()
            || self.writes_dump()
            || self.visible.is_some()
    }

    /// Goes on with what has waited for room, which replies and sending may have made.
    pub fn resume(&mut self, context: &mut Context<'_>) {
        self.has_unparsed_input = false;
        self.advance_filter();
        if let Some(incremental) = &mut self.incremental
            && let Some(exchange) = self.exchanges.front()
        {
            incremental.advance(exchange);
        }
        self.write_dump(context);
        if self.phase == Phase::Open && !self.input.is_empty() {
            self.consume_input(context);
        }
        if self.phase == Phase::Open && !self.has_unparsed_input && self.has_room(context.settings)
        {
            if self.peer == Peer::Ended {
                self.take_truncated_head(context);
            }
            if self.peer >= Peer::Ended || self.shutdown == Shutdown::Stopping {
                self.phase = Phase::Closing;
            }
        }
        self.write_ready_answers(context);
    }

    /// The bytes that are to be sent.
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// Whether our side is closed behind this output.
    pub fn output_is_last(&self) -> bool {
        self.phase == Phase::Closing && self.exchanges.is_empty()
    }

    /// `count` bytes of the output have been sent.
    pub fn handle_sent(&mut self, count: usize, context: &mut Context<'_>) {
        self.sent += count;
        assert!(
            self.sent <= self.output.len(),
            "no more is sent than there is"
        );
        if let Some(undelivered) = self
            .undelivered
            .take_if(|undelivered| undelivered.handle_sent(count, self.peer >= Peer::HungUp))
        {
            context.buffers.take_back_undelivered(undelivered);
        }
        if self.sent == self.output.len() {
            self.sent = 0;
            context.buffers.take_back(mem::take(&mut self.output));
        }
        self.update_charge(context);
        self.restart_timeout(context);
    }

    /// A client that always leaves a little untaken must not keep all that it has taken in memory.
    fn drop_sent_output(&mut self) {
        if self.sent > self.output.len() / 2 {
            buffers::drop_first(&mut self.output, self.sent);
            self.sent = 0;
        }
    }

    /// Whether more should be read from the client.
    pub fn wants_input(&self, settings: &Settings) -> bool {
        match self.phase {
            Phase::Open => {
                self.has_room(settings)
                    && !self.has_unparsed_input
                    && self.shutdown != Shutdown::Stopping
            }
            Phase::Closing | Phase::Unacknowledged | Phase::Lingering => true,
            Phase::Over => false,
        }
    }

    /// Whether another request may be taken in flight.
    fn has_room(&self, settings: &Settings) -> bool {
        self.exchanges.len() < settings.max_pipeline
            && self.output().len() < settings.max_backlog_bytes
            && !self
                .exchanges
                .back()
                .is_some_and(|exchange| exchange.blocks)
    }

    #[inline]
    fn push(&mut self, exchange: Exchange, context: &mut Context<'_>) {
        if self.exchanges.capacity() == 0 {
            self.exchanges = context.buffers.lend_queue();
        }
        self.exchanges.push_back(exchange);
    }

    /// Writes down the answer that is next in order, if it is ready; false if a long one is begun
    /// instead, which goes on in `resume`. Most often there is none when it is looked for, so this is kept
    /// out of the way.
    #[inline(never)]
    fn write_next_response(&mut self, context: &mut Context<'_>) -> bool {
        if !self.can_write_next_response(context) {
            return false;
        }
        if let Some(exchange) = self.exchanges.front()
            && let State::Ready(outcome) = &exchange.state
        {
            if let Some(incremental) = self.incremental.take() {
                (self.output, self.sent) = incremental.finish(exchange, outcome, context);
            } else {
                if self.output.capacity() == 0 {
                    self.output = context.buffers.lend();
                }
                let output = &mut self.output;
                memory_budget::write_response(
                    exchange,
                    outcome,
                    output,
                    self.is_unauthenticated,
                    context,
                );
            }
            let unsent = self.output.len() - self.sent;
            if let Some(Exchange { state, .. }) = self.exchanges.pop_front() {
                undelivered_grants::note(&mut self.undelivered, unsent, state, context.buffers);
            }
        }
        true
    }

    /// Writes down the answers that are ready and next in order.
    fn write_ready_answers(&mut self, context: &mut Context<'_>) {
        self.has_unparsed_input |= !self.has_room(context.settings);
        self.drop_sent_output();
        while self.exchanges.front().is_some_and(Exchange::is_ready)
            && self.write_next_response(context)
        {}
        if self.exchanges.is_empty() && self.exchanges.capacity() > 0 {
            context
                .buffers
                .take_back_queue(mem::take(&mut self.exchanges));
        }
        if self.exchanges.is_empty()
            && let Some(partial) = &mut self.partial
            && partial.take_expectation()
        {
            self.output.extend_from_slice(CONTINUE);
        }
        self.update_charge(context);
    }
}
