//! A dump on its way to a client. A chunk is written when all earlier bytes are sent, and the store is asked for more
//! pools when those at hand are written. So the largest pool bounds the memory, however slow the client is.

use super::exchange::State;
use super::{Context, Outcome, Session};
use crate::api::DumpWriter;
use crate::command::{Command, DumpPlace, Reply, Ticket};
use crate::http::{self, Fields};

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
            std::mem::replace(&mut exchange.state, State::Dumping)
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
        if self.output.capacity() == 0 {
            self.output = context.buffers.lend();
        }
        if !std::mem::replace(&mut dump.has_head, true) {
            let site = exchange.site_fields(context.settings);
            http::write_stream_head(&mut self.output, style, Fields::JsonLines, site);
        }
        let mut piece = context.buffers.lend_body();
        // A HEAD request gets its head at once.
        let is_written = style.omits_body || dump.writer.write(CHUNK_NAMES, &mut piece);
        let next = dump.next.take_if(|_| is_written && !style.omits_body);
        let is_last = is_written && next.is_none();
        if is_last {
            dump.writer.finish(&mut piece);
            http::write_last_chunk(&mut self.output, style, &piece);
        } else {
            http::write_chunk(&mut self.output, style, &piece);
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
