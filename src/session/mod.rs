//! One client's conversation, pure: bytes and the time go in, commands and bytes come out.
//!
//! It keeps the order: answers leave in the order of their requests, whatever order replies come
//! in. It bounds itself: a client that sends without reading is not read from (`wants_input`), so
//! it can make nothing grow. It knows neither the socket nor the store.

mod buffers;
mod exchange;
mod settings;
mod unfinished;

use std::collections::VecDeque;
use std::mem;

pub use buffers::Buffers;
use exchange::{Exchange, State};
pub use settings::Settings;
use unfinished::Unfinished;

use crate::api::{self, Action, Outcome, Problem, Shape};
use crate::command::{Command, Reply, Ticket};
use crate::http::{self, BodyLength, CONTINUE, Head, Progress, Rejected, Request, Scan, Wire};
use crate::time::Time;

/// What a session needs of its surroundings while it works.
pub struct Context<'a> {
    /// What all sessions have in common.
    pub settings: &'a Settings,
    /// Memory that is lent out.
    pub buffers: &'a mut Buffers,
    /// The time.
    pub now: Time,
    /// Hands a command to the store and answers its ticket.
    pub submit: &'a mut dyn FnMut(Command<'_>) -> Ticket,
}

/// One client's conversation. An idle one holds no memory but itself.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    /// The client has closed its side.
    ended: bool,
    /// The server stops: what has been received is still dealt with.
    stopping: bool,
    /// Something that was received could not be looked at for lack of room.
    stalled: bool,
    /// The last request was a one-line request: header lines behind it are skipped.
    after_line: bool,
    deadline: Time,
    /// What has been received and not yet understood.
    input: Vec<u8>,
    scan: Scan,
    /// A request whose body is still coming.
    unfinished: Option<Box<Unfinished>>,
    /// Requests in hand, the oldest first.
    exchanges: VecDeque<Exchange>,
    output: Vec<u8>,
    /// How much of `output` has been sent.
    sent: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Requests are read.
    Open,
    /// No further request is read; what is in hand is answered.
    Closing,
    /// All is answered and our side is closed. What still comes is dropped, so that no reset eats
    /// the answer.
    Lingering,
    /// There is nothing left to do.
    Over,
}

/// What is to be done with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: it goes on.
    NotYet,
    /// Shut down the sending side, once.
    CloseSending,
    /// Close it.
    Close,
}

impl Session {
    /// A session with a client that has just connected.
    pub fn new(settings: &Settings, now: Time) -> Session {
        Session {
            phase: Phase::Open,
            ended: false,
            stopping: false,
            stalled: false,
            after_line: false,
            deadline: now.after_ms(settings.header_timeout_ms),
            input: Vec::new(),
            scan: Scan::default(),
            unfinished: None,
            exchanges: VecDeque::new(),
            output: Vec::new(),
            sent: 0,
        }
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
        self.settle(context);
        // A head has one time-out, from its first byte on; each piece of a body starts it anew.
        if was_idle || used > 0 {
            self.restart_timeout(context);
        }
    }

    /// Takes the end of what the client sends. It may still read: what is in hand is answered.
    pub fn receive_end(&mut self, context: &mut Context<'_>) {
        self.ended = true;
        self.resume(context);
    }

    /// Takes the reply to a command. False if nobody here has asked for it.
    pub fn handle_reply(
        &mut self,
        ticket: Ticket,
        reply: Reply,
        context: &mut Context<'_>,
    ) -> bool {
        let asked = |exchange: &&mut Exchange| exchange.state == State::Asked(ticket);
        let Some(exchange) = self.exchanges.iter_mut().find(asked) else {
            return false;
        };
        exchange.state = State::Ready(Outcome::Reply(reply));
        self.settle(context);
        // The client could not be at fault while the store had its request.
        self.restart_timeout(context);
        true
    }

    /// Whether `resume` would do something.
    pub fn wants_resume(&self, settings: &Settings) -> bool {
        let waits = self.stalled || self.stopping;
        waits && self.phase == Phase::Open && self.has_room(settings)
    }

    /// Goes on with what has waited for room, which replies and sending may have made.
    pub fn resume(&mut self, context: &mut Context<'_>) {
        self.stalled = false;
        if self.phase == Phase::Open && !self.input.is_empty() {
            self.consume_input(context);
        }
        if self.phase == Phase::Open && self.has_room(context.settings) {
            if self.ended {
                self.take_cut_off_head(context);
            }
            if self.ended || self.stopping {
                self.phase = Phase::Closing;
            }
        }
        self.settle(context);
    }

    /// The bytes that are to be sent.
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// `count` bytes of the output have been sent.
    pub fn handle_sent(&mut self, count: usize, context: &mut Context<'_>) {
        self.sent += count;
        assert!(
            self.sent <= self.output.len(),
            "no more is sent than there is"
        );
        if self.sent == self.output.len() {
            self.sent = 0;
            context.buffers.take_back(mem::take(&mut self.output));
        }
        self.restart_timeout(context);
    }

    /// A client that always leaves a little untaken must not keep all that it has taken in memory.
    fn drop_sent_output(&mut self) {
        if self.sent > self.output.len() / 2 {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// What is to be done with the connection, now that what could be sent has been sent.
    pub fn poll_ending(&mut self, settings: &Settings, now: Time) -> Ending {
        match self.phase {
            Phase::Over => Ending::Close,
            Phase::Closing if self.exchanges.is_empty() && self.output.is_empty() => {
                if self.ended {
                    self.phase = Phase::Over;
                    return Ending::Close;
                }
                self.phase = Phase::Lingering;
                self.deadline = now.after_ms(settings.linger_ms);
                Ending::CloseSending
            }
            Phase::Lingering if self.ended => Ending::Close,
            Phase::Open | Phase::Closing | Phase::Lingering => Ending::NotYet,
        }
    }

    /// Whether more should be read from the client.
    pub fn wants_input(&self, settings: &Settings) -> bool {
        match self.phase {
            Phase::Open => self.has_room(settings) && !self.stalled && !self.stopping,
            Phase::Closing | Phase::Lingering => true,
            Phase::Over => false,
        }
    }

    /// When `handle_timeout` is to be called. A session that waits for a store has no deadline of
    /// its own.
    pub fn deadline(&self) -> Option<Time> {
        let waits_for_store = self.output.is_empty() && !self.exchanges.is_empty();
        (!waits_for_store).then_some(self.deadline)
    }

    /// Gives up if the deadline has passed. A silent client is left without a word.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.phase = Phase::Over;
        }
    }

    /// The server stops: nothing further is read, and `resume` brings what was read to its end.
    pub fn stop(&mut self) {
        self.stopping = true;
        let in_hand = self.stalled || !self.exchanges.is_empty() || !self.output.is_empty();
        if self.phase == Phase::Open && !in_hand {
            self.phase = Phase::Over;
        }
    }

    fn is_idle(&self) -> bool {
        self.input.is_empty()
            && self.unfinished.is_none()
            && self.exchanges.is_empty()
            && self.output.is_empty()
    }

    fn restart_timeout(&mut self, context: &Context<'_>) {
        let receives = !self.input.is_empty() || self.unfinished.is_some();
        let timeout_ms = match self.phase {
            Phase::Lingering => return,
            // Requests that wait unread behind answers that are not taken are no head on its way.
            _ if receives && self.output.is_empty() => context.settings.header_timeout_ms,
            _ => context.settings.idle_timeout_ms,
        };
        self.deadline = context.now.after_ms(timeout_ms);
    }

    /// Whether another request may be taken in hand.
    fn has_room(&self, settings: &Settings) -> bool {
        self.exchanges.len() < settings.max_pipeline
            && self.output().len() < settings.max_backlog_bytes
            && !self
                .exchanges
                .back()
                .is_some_and(|exchange| exchange.blocks)
    }

    fn consume_input(&mut self, context: &mut Context<'_>) -> usize {
        let mut input = mem::take(&mut self.input);
        let used = self.consume(&input, context);
        if used < input.len() {
            input.drain(..used);
            self.input = input;
        }
        used
    }

    /// Understands what it can of `input`, and answers how many bytes that were.
    fn consume(&mut self, input: &[u8], context: &mut Context<'_>) -> usize {
        let mut used = 0;
        while used < input.len() && self.has_room(context.settings) {
            let rest = &input[used..];
            let step = match self.unfinished.take() {
                Some(unfinished) => self.continue_request(unfinished, rest, context),
                None => self.start_request(rest, context),
            };
            match step {
                Ok(0) => break,
                Ok(count) => used += count,
                Err(rejected) => self.reject(rejected, context),
            }
            if self.phase != Phase::Open {
                return input.len();
            }
        }
        used
    }

    /// Reads a head at the start of `input`; 0 if more bytes are needed.
    fn start_request(
        &mut self,
        input: &[u8],
        context: &mut Context<'_>,
    ) -> Result<usize, Rejected> {
        let skipped = http::skip_between(input, self.after_line, &context.settings.limits);
        if skipped > 0 {
            self.scan = Scan::default();
            return Ok(skipped);
        }
        let head = match http::read_head(input, self.scan, &context.settings.limits)? {
            Progress::Whole(head) => head,
            Progress::Partial(scan) => {
                self.scan = scan;
                return Ok(0);
            }
        };
        self.scan = Scan::default();
        let rest = &input[head.length..];
        match head.body {
            BodyLength::Fixed(length) if length <= rest.len() => {
                let body = if length > 0 {
                    &rest[..length]
                } else {
                    head.inline_body
                };
                self.handle(&head, body, context);
                Ok(head.length + length)
            }
            BodyLength::Fixed(_) | BodyLength::Chunked => {
                let unfinished = Unfinished::new(&head, &input[..head.length]);
                self.unfinished = Some(Box::new(unfinished));
                Ok(head.length)
            }
        }
    }

    /// Takes what there is of a body, and handles the request if it is whole then.
    fn continue_request(
        &mut self,
        mut unfinished: Box<Unfinished>,
        input: &[u8],
        context: &mut Context<'_>,
    ) -> Result<usize, Rejected> {
        let decoded = unfinished.receive(input, &context.settings.limits)?;
        if decoded.whole {
            let (head, body) = unfinished.request(&context.settings.limits);
            self.handle(&head, body, context);
        } else {
            self.unfinished = Some(unfinished);
        }
        Ok(decoded.used)
    }

    /// A head that the end of the stream has cut off counts, if its last line is whole and no body
    /// is missing.
    fn take_cut_off_head(&mut self, context: &mut Context<'_>) {
        let mut completed = mem::take(&mut self.input);
        if self.unfinished.take().is_none()
            && let Some(head) = http::read_head_at_end(&mut completed, &context.settings.limits)
            && head.body == BodyLength::Fixed(0)
        {
            self.handle(&head, head.inline_body, context);
        }
    }

    /// Deals with one whole request.
    fn handle(&mut self, head: &Head<'_>, body: &[u8], context: &mut Context<'_>) {
        self.after_line = head.style.wire == Wire::Line;
        let request = Request {
            method: head.method,
            target: head.target,
            body,
        };
        let exchange = match api::route(&request) {
            Action::Ask(command, shape) => Exchange {
                style: head.style,
                shape,
                blocks: command.may_have_a_long_reply(),
                state: State::Asked((context.submit)(command)),
            },
            Action::Answer(outcome) => Exchange::ready(head.style, outcome),
        };
        self.push(exchange, context);
        if head.style.closes {
            self.phase = Phase::Closing;
        }
    }

    fn reject(&mut self, rejected: Rejected, context: &mut Context<'_>) {
        let outcome = Outcome::Problem(Problem::Http(rejected.error));
        self.push(Exchange::ready(rejected.style, outcome), context);
        self.phase = Phase::Closing;
    }

    fn push(&mut self, exchange: Exchange, context: &mut Context<'_>) {
        if self.exchanges.capacity() == 0 {
            self.exchanges = context.buffers.lend_queue();
        }
        self.exchanges.push_back(exchange);
    }

    /// Writes down the answers that are ready and next in order.
    fn settle(&mut self, context: &mut Context<'_>) {
        self.stalled |= !self.has_room(context.settings);
        self.drop_sent_output();
        while let Some(exchange) = self.exchanges.front()
            && let State::Ready(outcome) = &exchange.state
        {
            if self.output.capacity() == 0 {
                self.output = context.buffers.lend();
            }
            exchange.write(outcome, &mut self.output, context);
            self.exchanges.pop_front();
        }
        if self.exchanges.is_empty() && self.exchanges.capacity() > 0 {
            context
                .buffers
                .take_back_queue(mem::take(&mut self.exchanges));
        }
        if self.exchanges.is_empty()
            && let Some(unfinished) = &mut self.unfinished
            && unfinished.take_expectation()
        {
            self.output.extend_from_slice(CONTINUE);
        }
    }
}
