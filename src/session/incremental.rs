//! Answers that are too long to render in one tick, such as a list of a million ids.
//!
//! The body is rendered in chunks, one a tick, before the first byte of the answer leaves, since the head
//! states its length. The buffer reserves room for the head in front, so the body is not moved.

use super::exchange::{Exchange, State};
use super::{Context, Outcome, Session, memory_budget};
use crate::api::{self, ListCursor, Problem};
use crate::command::Reply;
use crate::http::{self, Format, Response};

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
    /// Returns whether `resume` would continue an incremental response.
    pub(super) fn writes_incremental(&self) -> bool {
        let incremental = self.incremental.as_ref();
        incremental.is_some_and(|incremental| !incremental.is_whole() || self.output.is_empty())
    }

    /// Returns whether the answer that is next in order can be written now. Begins a long answer or a dump
    /// instead, which `resume` continues.
    pub(super) fn can_write_next_response(&mut self, context: &mut Context<'_>) -> bool {
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
