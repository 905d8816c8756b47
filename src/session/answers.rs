//! Writes the answers in the order of the requests. Long lists and dumps take several ticks.
//!
//! The body of a list is rendered in chunks, one a tick, before the first byte of the answer leaves, since the head
//! states its length. The buffer reserves room for the head in front, so the body is not moved.
//!
//! A chunk of a dump is written when all earlier bytes are sent, and the store is asked for more
//! pools when those at hand are written. So the largest pool bounds the memory, however slow the client is.

use std::mem;

use super::exchange::{Exchange, State};
use super::{Context, Outcome, Session, memory_budget};
use crate::api::{self, DumpWriter, ListCursor, Problem};
use crate::command::{Command, DumpPlace, Reply, Ticket};
use crate::contract::Route;
use crate::http::{self, CONTINUE, Fields, Format, Response};

/// The number of list elements that are rendered in one tick. A longer list makes an incremental response.
const TURN_ELEMENTS: usize = 16 << 10;

/// More than a head takes, unless the operator allows an origin with a very long name.
const HEAD_ROOM: usize = 512;

/// A long answer that is being rendered.
#[derive(Debug)]
pub(super) struct IncrementalResponse {
    /// Room for the head, then the body so far.
    body: Vec<u8>,
    cursor: ListCursor,
    is_whole: bool,
}

impl Default for IncrementalResponse {
    fn default() -> IncrementalResponse {
        IncrementalResponse {
            body: vec![0; HEAD_ROOM],
            cursor: ListCursor::default(),
            is_whole: false,
        }
    }
}

impl Session {
    #[inline]
    pub(super) fn push(&mut self, exchange: Exchange, context: &mut Context<'_>) {
        if self.exchanges.capacity() == 0 {
            self.exchanges = context.buffers.lend_queue();
        }
        self.exchanges.push_back(exchange);
    }

    /// Writes the answer that is next in order, if it is ready. Returns false if it began a long one instead,
    /// which `resume` continues. Rarely called compared with the check for it, so not inlined.
    #[inline(never)]
    fn write_next_response(&mut self, context: &mut Context<'_>) -> bool {
        if !self.can_write_next_response(context) {
            return false;
        }
        if let Some(exchange) = self.exchanges.front()
            && let State::Ready(outcome) = &exchange.state
        {
            if let Some(incremental) = self.incremental.take() {
                let (bytes, start) = incremental.finish(exchange, outcome, context);
                self.output.take_long(bytes, start);
            } else {
                let output = self.output.bytes_mut(context.buffers);
                write_response(exchange, outcome, output, self.is_unauthenticated, context);
            }
            let written = self.exchanges.pop_front().map(|exchange| exchange.state);
            if let Some(State::Ready(Outcome::Reply(Reply::Granted(granted)))) = written {
                self.output.note_grant(granted, context.buffers);
            }
        }
        true
    }

    /// Writes the answers that are ready and next in order.
    pub(super) fn write_ready_answers(&mut self, context: &mut Context<'_>) {
        self.has_unparsed_input |= !self.has_room(context.settings);
        self.output.drop_sent();
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
            self.output.append(CONTINUE);
        }
        self.update_charge(context);
    }

    /// Returns whether `resume` would continue an incremental response.
    pub(super) fn writes_incremental(&self) -> bool {
        let incremental = self.incremental.as_ref();
        incremental.is_some_and(|incremental| !incremental.is_whole() || self.output.is_empty())
    }

    /// Returns whether the answer that is next in order can be written now. Begins a long answer or a dump
    /// instead, which `resume` continues.
    fn can_write_next_response(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(exchange) = self.exchanges.front_mut()
            && let State::Ready(outcome) = &exchange.state
            && self.incremental.is_none()
            && IncrementalResponse::is_for(outcome)
        {
            if self.dump.is_none()
                && memory_budget::exceeds_memory(outcome, self.is_unauthenticated, context)
            {
                exchange.state = State::Ready(Outcome::Problem(Problem::NoMemory));
            } else if matches!(outcome, Outcome::Reply(Reply::Dumped(_))) {
                self.take_dump_chunk(context);
                return false;
            } else {
                self.incremental = Some(Box::default());
            }
        }
        let incremental = self.incremental.as_ref();
        incremental.is_none_or(|incremental| incremental.is_whole() && self.output.is_empty())
    }
}

impl IncrementalResponse {
    /// Returns whether an outcome is too long for one tick.
    pub(super) fn is_for(outcome: &Outcome) -> bool {
        api::element_count(outcome) > TURN_ELEMENTS
    }

    /// Returns the memory that it holds, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.body.capacity()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Renders the next chunk of the body.
    pub(super) fn advance(&mut self, exchange: &Exchange) {
        let State::Ready(outcome) = &exchange.state else {
            return;
        };
        if !self.is_whole {
            let start = self.body.len();
            self.is_whole = api::render_chunk(
                outcome,
                exchange.shape,
                exchange.style.format == Format::Json,
                &mut self.cursor,
                TURN_ELEMENTS,
                &mut self.body,
            );
            http::fit_body(exchange.style, &mut self.body[start..]);
        }
    }

    /// Returns the complete answer, and the index of its first byte.
    pub(super) fn finish(
        self,
        exchange: &Exchange,
        outcome: &Outcome,
        context: &mut Context<'_>,
    ) -> (Vec<u8>, usize) {
        let style = exchange.style;
        let (status, reason, fields) = api::render_status(outcome);
        (context.metrics.requests).note_answer(exchange.record, status);
        let mut bytes = self.body;
        let answer = Response {
            status,
            reason: &reason,
            body: &bytes[HEAD_ROOM..],
            fields,
        };
        let mut head = Vec::with_capacity(HEAD_ROOM);
        let site_fields = exchange.site_fields(context.settings);
        http::write_head(&mut head, style, &answer, site_fields);
        if style.omits_body {
            bytes.truncate(HEAD_ROOM);
        }
        bytes.extend_from_slice(http::end_of_response(style));
        match HEAD_ROOM.checked_sub(head.len()) {
            Some(start) => {
                bytes[start..HEAD_ROOM].copy_from_slice(&head);
                (bytes, start)
            }
            None => {
                bytes.splice(..HEAD_ROOM, head);
                (bytes, 0)
            }
        }
    }
}

/// The number of names that are written in one tick.
const CHUNK_NAMES: usize = 16 << 10;

/// The dump that answers the oldest exchange.
#[derive(Debug, Default)]
pub(super) struct DumpResponse {
    writer: DumpWriter,
    /// The place at which the store continues; `None` after its last pool.
    next: Option<DumpPlace>,
    /// The head is written, so an error can no longer be reported.
    has_head: bool,
}

impl DumpResponse {
    /// Returns the approximate memory that the dump holds, in bytes.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.writer.capacity_bytes()
    }
}

impl Session {
    /// Returns whether `resume` would write more of a dump.
    pub(super) fn writes_dump(&self) -> bool {
        self.dump.is_some() && self.output.is_empty() && self.is_dump_at_hand()
    }

    fn is_dump_at_hand(&self) -> bool {
        let first = self.exchanges.front();
        first.is_some_and(|exchange| exchange.state == State::Dumping)
    }

    /// Takes a chunk of a dump: the store's reply to the oldest exchange.
    pub(super) fn take_dump_chunk(&mut self, context: &mut Context<'_>) {
        let Some(exchange) = self.exchanges.front_mut() else {
            return;
        };
        let State::Ready(Outcome::Reply(Reply::Dumped(part))) =
            mem::replace(&mut exchange.state, State::Dumping)
        else {
            unreachable!("it is looked at before it is taken");
        };
        let mut part = *part;
        let dump = self.dump.get_or_insert_default();
        dump.next = part.next.take();
        dump.writer.add(part);
        self.write_dump(context);
    }

    /// Aborts a dump if the store refuses its next chunk, and returns whether it did. The bytes sent so far end neither
    /// as a dump nor as a complete body.
    pub(super) fn aborts_dump(
        &mut self,
        ticket: Ticket,
        reply: &Reply,
        context: &mut Context<'_>,
    ) -> bool {
        let oldest = self.exchanges.front();
        let is_asked = oldest.is_some_and(|exchange| exchange.state == State::Submitted(ticket));
        let is_refused = is_asked && matches!(reply, Reply::Refused(_));
        if is_refused {
            self.dump = None;
            self.abort(context);
        }
        is_refused
    }

    /// Writes the next chunk of a dump if all earlier bytes are sent.
    pub(super) fn write_dump(&mut self, context: &mut Context<'_>) {
        if !self.writes_dump() {
            return;
        }
        let (Some(dump), Some(exchange)) = (&mut self.dump, self.exchanges.front_mut()) else {
            return;
        };
        let style = exchange.style;
        let output = self.output.bytes_mut(context.buffers);
        if !mem::replace(&mut dump.has_head, true) {
            let site = exchange.site_fields(context.settings);
            http::write_stream_head(output, style, Fields::JsonLines, site);
        }
        let mut piece = context.buffers.lend_body();
        // A HEAD request gets its head at once.
        let is_written = style.omits_body || dump.writer.write(CHUNK_NAMES, &mut piece);
        let next = dump.next.take_if(|_| is_written && !style.omits_body);
        let is_last = is_written && next.is_none();
        if is_last {
            dump.writer.finish(&mut piece);
            http::write_last_chunk(output, style, &piece);
        } else {
            http::write_chunk(output, style, &piece);
        }
        context.buffers.take_back_body(piece);
        if let Some(next) = next {
            exchange.state = State::Submitted(context.sink.submit(Command::Dump(next)));
        } else if is_last {
            (context.metrics.requests).note_answer(exchange.record, 200);
            self.exchanges.pop_front();
            self.dump = None;
        }
    }
}

/// Appends an answer to `output`, or a refusal instead of a long list if the budget is used up.
fn write_response(
    exchange: &Exchange,
    outcome: &Outcome,
    output: &mut Vec<u8>,
    is_unauthenticated: bool,
    context: &mut Context<'_>,
) {
    let start = output.len();
    let mut status = exchange.write(outcome, output, context);
    let is_long = output.len() - start > memory_budget::FREE_BYTES;
    if is_long && memory_budget::exceeds_memory(outcome, is_unauthenticated, context) {
        output.truncate(start);
        let problem = Outcome::Problem(Problem::NoMemory);
        status = exchange.write(&problem, output, context);
    }
    context
        .metrics
        .requests
        .note_answer(exchange.record, status);
}

impl Exchange {
    /// Appends the answer to `output`, and returns its status, which the caller counts.
    fn write(&self, outcome: &Outcome, output: &mut Vec<u8>, context: &mut Context<'_>) -> u16 {
        let mut body = context.buffers.lend_body();
        let (status, reason, mut fields) = api::render_status(outcome);
        if self.record.label.route == Route::Metrics
            && let Outcome::Reply(Reply::Survey(survey)) = outcome
        {
            fields = Fields::Metrics;
            let (sink, metrics) = (&mut context.sink, &*context.metrics);
            sink.write_page(survey.as_ref(), metrics, &mut body);
        } else if self.style.format == Format::Html
            && let Outcome::Problem(problem @ Problem::Browser(_)) = outcome
        {
            // A person reads it and can act on it.
            body.extend_from_slice(format!("{reason}: {}", problem.message()).as_bytes());
        } else {
            let json = self.style.format == Format::Json;
            api::render_text(outcome, self.shape, json, &mut body);
        }
        let answer = Response {
            status,
            reason: &reason,
            body: &body,
            fields,
        };
        let fields = self.site_fields(context.settings);
        http::write_response(output, self.style, &answer, fields);
        context.buffers.take_back_body(body);
        status
    }
}
