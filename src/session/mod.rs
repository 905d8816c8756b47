//! One client's connection as a pure state machine: bytes and time go in, commands and bytes come out.
//!
//! [`Session`] is the manual: which methods its caller calls, and in which order. The session knows neither
//! the socket nor the store.

mod answers;
mod buffers;
mod context;
mod ending;
mod exchange;
mod memory_budget;
mod output;
mod partial_request;
mod pending_key;
mod reading;
mod settings;
mod timing;
mod undelivered_grants;

use std::collections::VecDeque;
use std::mem;

use answers::{DumpResponse, IncrementalResponse};
pub use buffers::Buffers;
pub use context::{CommandSink, Context};
pub use ending::Ending;
use exchange::{Exchange, State};
use output::Output;
use partial_request::PartialRequest;
use pending_key::PendingKey;
pub use settings::Settings;
use timing::{Awaits, Timer};

use crate::api::{self, ListenerRole, Outcome, ResponseShape, VisiblePools};
use crate::command::{Reply, Ticket};
use crate::http::{Scan, Wire};
use crate::metrics::Closed;
use crate::time::Time;

/// One client's connection, without its socket. An idle session owns no heap memory.
///
/// The caller moves bytes, time and replies; the session decides. Its methods are of five kinds:
///
/// - Events in: [`receive`](Session::receive), [`receive_end`](Session::receive_end) or
///   [`receive_truncation`](Session::receive_truncation), [`handle_hangup`](Session::handle_hangup),
///   [`handle_reply`](Session::handle_reply), [`handle_sent`](Session::handle_sent),
///   [`handle_acknowledged`](Session::handle_acknowledged), [`handle_timeout`](Session::handle_timeout),
///   [`recheck_key`](Session::recheck_key), [`stop`](Session::stop) and [`abort`](Session::abort).
/// - Commands out: most events submit to [`Context::sink`] during the call, also withdrawals and undos.
/// - Bytes out: [`output`](Session::output), which grows by events, and only shrinks by `handle_sent` and
///   `abort`.
/// - Work left over: [`wants_resume`](Session::wants_resume) and [`resume`](Session::resume).
/// - Questions without effect: [`wants_input`](Session::wants_input), [`deadline`](Session::deadline),
///   [`outstanding`](Session::outstanding), [`idle_since`](Session::idle_since) and others.
///
/// # Order
///
/// A caller repeats these steps, in each tick and for each session that has something to do:
///
/// 1. If the transport reports that the client hung up, call `handle_hangup`, for all sessions and before any
///    `receive`. So a resource that is released in the same tick is not granted to a client that is gone.
/// 2. While `wants_resume`, call `resume`, once a tick: it does one slice of the work, so that no session
///    delays the others.
/// 3. If `wants_input`, read from the socket and call `receive`. At the end of the stream call `receive_end`,
///    or `receive_truncation` if TLS has not authenticated the end.
/// 4. If `deadline` has passed, call `handle_timeout`. Input that came in time is read before.
/// 5. Commit the store. Only then pass each reply to `handle_reply`, in any order: an answer says that its
///    change is durable.
/// 6. Send `output`, and after each write call `handle_sent` with the number of bytes that the socket has
///    taken.
/// 7. Call [`poll_ending`](Session::poll_ending) and do what it says. Ask `deadline`, `wants_input` and
///    `wants_resume` again, since any event may change them.
///
/// # Replies
///
/// Answers leave in the order of the requests, whatever the order of the replies. `handle_reply` gives a
/// reply back if no exchange waits for its ticket, for instance after `stop` or `recheck_key` has withdrawn
/// it. The caller then undoes a grant by [`Granted::undo`](crate::command::Granted::undo).
///
/// # End
///
/// `poll_ending` is not a question: it moves the session on. It returns `CloseSending` at most once, then at
/// last `CloseWhenAcknowledged` or `Close`. `stop` only begins the end: continue the steps until then.
///
/// Before the caller drops a session it calls [`abandon`](Session::abandon) exactly once, also after an error
/// of the socket. `abandon` undoes grants whose answers were not delivered, and returns the memory charge.
/// Treat a later reply like one that `handle_reply` gives back.
///
/// # A call too many
///
/// - `resume`, `handle_hangup`, `receive_end`, `stop` and an early `handle_timeout` are harmless.
/// - `receive` drops bytes once the session reads no further request, so that a late client does not matter.
///   While it does, call `receive` only if `wants_input`, or [`may_buffer_more`](Session::may_buffer_more)
///   with TLS: the input buffer has no other limit. Do not call it after `receive_end`.
/// - `handle_sent` panics if `count` exceeds `output`. A call with 0 bytes restarts the time-out of a client
///   that takes nothing, so do not make it.
/// - `handle_acknowledged` is only for the answer `CloseWhenAcknowledged`: before it, grants would count as
///   delivered.
/// - A second `abandon` would undo grants twice. After `Close`, call only `abandon`, and after it nothing.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    /// The role of the listener that accepted this connection.
    listener_role: ListenerRole,
    /// The connection has TLS.
    has_tls: bool,
    peer: Peer,
    shutdown: Shutdown,
    /// Received bytes could not be parsed for lack of room.
    has_unparsed_input: bool,
    /// The wire form of the last request; `None` before the first.
    previous: Option<Wire>,
    timer: Timer,
    /// Received bytes that are not parsed yet.
    input: Vec<u8>,
    scan: Scan,
    /// A request whose body is still arriving.
    partial: Option<Box<PartialRequest>>,
    /// Requests in flight, the oldest first.
    exchanges: VecDeque<Exchange>,
    /// The key of the newest exchange, if it counts until the reply. That exchange blocks, so none is newer.
    pending_key: Option<Box<PendingKey>>,
    /// The reply to that exchange, while the part that the key may see is being determined.
    visible: Option<Box<VisiblePools>>,
    /// The answer to the oldest exchange, if its rendering takes several ticks.
    incremental: Option<Box<IncrementalResponse>>,
    /// The answer to the oldest exchange, if it is a dump, whose chunks leave as they come.
    dump: Option<Box<DumpResponse>>,
    output: Output,
    /// The bytes of this session in `Buffers::charged_bytes`.
    charged: u32,
    /// There are keys, and the client has shown no valid one: its bytes count as unauthenticated, too.
    is_unauthenticated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Requests are read.
    Open,
    /// No further request is read; those in flight are answered.
    Closing,
    /// All is answered and our side is closed. The client had closed its side before; its grants are undone
    /// if its system refuses the answer.
    Unacknowledged,
    /// All is answered and our side is closed. Further input is dropped, so that no reset destroys the
    /// answer.
    Lingering,
    /// The session has ended, for this reason.
    Over(Closed),
}

/// The known state of the client's side of the connection. Each state includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    /// The client may send more.
    Connected,
    /// The client has closed its side, or is about to as far as the system can tell. It no longer waits in
    /// the queue.
    HungUp,
    /// The client has closed its side, and all its bytes are received.
    Ended,
    /// The end may be forged: an incomplete request is not carried out.
    Truncated,
}

/// The shutdown of the server, as far as it concerns this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    /// The server serves.
    Serving,
    /// The server stops. The client's first request, or the one that it is sending, is still read.
    LastRequest,
    /// The server stops. Only received requests are answered.
    Stopping,
}

/// The requests of a client in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// The number of requests in flight, the queued one included.
    pub requests: u32,
    /// The last request is queued, or would queue if it had to wait.
    pub is_queued: bool,
}

impl Session {
    /// Returns the session of a new connection.
    pub fn new(settings: &Settings, listener_role: ListenerRole, now: Time) -> Session {
        Session {
            phase: Phase::Open,
            listener_role,
            has_tls: false,
            peer: Peer::Connected,
            shutdown: Shutdown::Serving,
            has_unparsed_input: false,
            previous: None,
            timer: Timer {
                deadline: now.after_ms(settings.header_timeout_ms),
                awaits: Awaits::Request,
            },
            input: Vec::new(),
            scan: Scan::default(),
            partial: None,
            exchanges: VecDeque::new(),
            pending_key: None,
            visible: None,
            incremental: None,
            dump: None,
            output: Output::default(),
            charged: 0,
            is_unauthenticated: settings.keys.is_some(),
        }
    }

    /// Sets whether the connection has TLS: then the origin of the server's own page begins with `https`.
    pub fn with_tls(mut self, has_tls: bool) -> Session {
        self.has_tls = has_tls;
        self
    }

    /// Returns the role of the listener that accepted this connection.
    pub fn listener_role(&self) -> ListenerRole {
        self.listener_role
    }

    /// Takes bytes from the client, and submits and answers as many requests as there is room for. Keeps the
    /// rest.
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
        // A head has one time-out from its first byte; each piece of a body restarts it.
        if was_idle || used > 0 {
            self.restart_timeout(context);
        }
    }

    /// Takes the end of the client's stream. The client may still read: requests in flight are answered.
    pub fn receive_end(&mut self, context: &mut Context<'_>) {
        self.peer = self.peer.max(Peer::Ended);
        self.handle_hangup(context);
        self.resume(context);
    }

    /// Withdraws queued requests: the client has hung up, as far as the transport can tell. Their answer is
    /// `busy`, unless a grant came first.
    pub fn handle_hangup(&mut self, context: &mut Context<'_>) {
        self.peer = self.peer.max(Peer::HungUp);
        self.withdraw(context);
    }

    /// Gives up the connection: withdraws all requests in flight, and undoes grants whose answers were not
    /// delivered. Call it exactly once, before the session is dropped.
    pub fn abandon(&mut self, context: &mut Context<'_>) {
        self.clear_charge(context);
        for exchange in &self.exchanges {
            if let State::Submitted(ticket) = exchange.state {
                context.sink.withdraw(ticket);
            }
        }
        if let Some(mut undelivered) = self.output.take_undelivered() {
            for granted in undelivered.drain() {
                granted.undo().map(|command| context.sink.submit(command));
            }
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

    /// Takes the reply to a command. Gives it back if no exchange waits for this ticket.
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
        // The client was not at fault while the store had its request.
        self.restart_timeout(context);
        Ok(())
    }

    /// Returns the number of requests in flight, and whether the last of them is queued or would queue.
    pub fn outstanding(&self) -> Outstanding {
        let last = self.exchanges.back();
        Outstanding {
            requests: self.exchanges.len() as u32,
            is_queued: last.is_some_and(Exchange::is_queued),
        }
    }

    /// Returns whether `resume` has work to do.
    pub fn wants_resume(&self, settings: &Settings) -> bool {
        let is_due = self.has_unparsed_input || self.shutdown == Shutdown::Stopping;
        is_due && self.phase == Phase::Open && self.has_room(settings)
            || self.writes_incremental()
            || self.writes_dump()
            || self.visible.is_some()
    }

    /// Continues work that waited for room or for its next slice.
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

    /// Returns the bytes to send next.
    pub fn output(&self) -> &[u8] {
        self.output.unsent()
    }

    /// Returns whether our side closes after this output.
    pub fn output_is_last(&self) -> bool {
        self.phase == Phase::Closing && self.exchanges.is_empty()
    }

    /// Takes the number of bytes of `output` that the socket has taken.
    ///
    /// # Panics
    ///
    /// If `count` exceeds the length of `output`.
    pub fn handle_sent(&mut self, count: usize, context: &mut Context<'_>) {
        let client_has_closed = self.peer >= Peer::HungUp;
        (self.output).handle_sent(count, client_has_closed, context.buffers);
        self.update_charge(context);
        self.restart_timeout(context);
    }

    /// Returns whether to read from the socket: bytes for a request, or bytes to drop while the session ends.
    pub fn wants_input(&self, settings: &Settings) -> bool {
        match self.phase {
            Phase::Open => {
                self.has_room(settings)
                    && !self.has_unparsed_input
                    && self.shutdown != Shutdown::Stopping
            }
            Phase::Closing | Phase::Unacknowledged | Phase::Lingering => true,
            Phase::Over(_) => false,
        }
    }

    /// Returns whether another request may be taken in flight.
    fn has_room(&self, settings: &Settings) -> bool {
        self.exchanges.len() < settings.max_pipeline
            && self.output().len() < settings.max_backlog_bytes
            && !self
                .exchanges
                .back()
                .is_some_and(|exchange| exchange.blocks)
    }
}
