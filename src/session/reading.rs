//! Parses received bytes to requests, one after the other, as far as there is room.

use std::mem;

use super::buffers::drop_first;
use super::exchange::{Exchange, State};
use super::partial_request::{MinimumRate, PartialRequest, line_of_start};
use super::{Context, Peer, Phase, Session, Shutdown};
use crate::api::{self, Access, Outcome, Problem, RequestAction};
use crate::command::Command;
use crate::contract::{RequestLabel, Route};
use crate::http::{
    self, BodyLength, BrowserFields, Format, Head, Method, Progress, Rejected, Request, Scan,
    Style, Wire,
};
use crate::keys::{AuthFailure, Caller};
use crate::metrics::RequestRecord;

/// The bytes that a session parses in one tick. Only one-line requests can exceed it, since they are received as a
/// whole.
const TURN_BYTES: usize = 64 << 10;

impl Session {
    pub(super) fn consume_input(&mut self, context: &mut Context<'_>) -> usize {
        let mut input = mem::take(&mut self.input);
        let used = self.consume(&input, context);
        if used < input.len() {
            drop_first(&mut input, used);
            self.input = input;
        }
        used
    }

    /// Parses as many requests from `input` as there is room for, and returns the number of bytes used. Long input
    /// continues in the next tick.
    pub(super) fn consume(&mut self, input: &[u8], context: &mut Context<'_>) -> usize {
        let mut used = 0;
        while used < input.len() && self.has_room(context.settings) {
            if used >= TURN_BYTES {
                self.has_unparsed_input = true;
                return used;
            }
            let rest = &input[used..];
            let step = match self.partial.take() {
                Some(partial) => self.continue_request(partial, rest, context),
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

    /// Parses a head at the start of `input`, and returns the bytes used; 0 if more are needed.
    fn start_request(
        &mut self,
        input: &[u8],
        context: &mut Context<'_>,
    ) -> Result<usize, Rejected> {
        let skipped = http::skip_between(input, self.previous, &context.settings.limits);
        if skipped > 0 {
            self.scan = Scan::default();
            return Ok(skipped);
        }
        if context.settings.keys.is_some()
            && let Some(start) = http::find_long_body(input, self.scan, &context.settings.limits)
            && self.drops_unauthenticated_body(&input[..start], context)?
        {
            self.scan = Scan::default();
            return Ok(start);
        }
        // It is used in place: moving it costs as much as routing the request.
        let read = http::read_head(input, self.scan, &context.settings.limits);
        let head = match &read {
            Ok(Progress::Whole(head)) => head,
            Ok(Progress::Partial(scan)) => {
                self.scan = *scan;
                return Ok(0);
            }
            Err(rejected) => return Err(*rejected),
        };
        self.scan = Scan::default();
        if head.inline_body.len() > TURN_BYTES {
            let access = self.access(head, context);
            let minimum_rate = MinimumRate::begin(context.settings, context.now);
            let (partial, start) =
                PartialRequest::from_line(head, &input[..head.length], &access, minimum_rate);
            self.partial = Some(Box::new(partial));
            return Ok(start);
        }
        let rest = &input[head.length..];
        match head.body {
            BodyLength::Fixed(length) if length <= rest.len() => {
                let body = if length > 0 {
                    &rest[..length]
                } else {
                    head.inline_body
                };
                self.handle_whole(head, body, context);
                Ok(head.length + length)
            }
            BodyLength::Fixed(_) | BodyLength::Chunked => {
                let access = self.access(head, context);
                if head.expects_continue && access.ignores_body() {
                    self.respond_without_body(head, context);
                    return Ok(input.len());
                }
                let minimum_rate = MinimumRate::begin(context.settings, context.now);
                let partial =
                    PartialRequest::new(head, &input[..head.length], &access, minimum_rate);
                self.partial = Some(Box::new(partial));
                Ok(head.length)
            }
        }
    }

    /// Authenticates a long one-line request before its body is complete. Returns whether the client is
    /// unauthenticated, so that the body is dropped.
    #[cold]
    fn drops_unauthenticated_body(
        &mut self,
        start: &[u8],
        context: &mut Context<'_>,
    ) -> Result<bool, Rejected> {
        let line = line_of_start(start);
        let Progress::Whole(head) =
            http::read_head(&line, Scan::default(), &context.settings.limits)?
        else {
            return Ok(false);
        };
        let access = self.access(&head, context);
        if !matches!(access.caller, Caller::Unauthenticated { .. }) {
            return Ok(false);
        }
        let minimum_rate = MinimumRate::begin(context.settings, context.now);
        let partial = PartialRequest::from_dropped_line(&head, &line, &access, minimum_rate);
        self.partial = Some(Box::new(partial));
        Ok(true)
    }

    /// Takes the available bytes of a body, and handles the request once it is complete.
    fn continue_request(
        &mut self,
        mut partial: Box<PartialRequest>,
        input: &[u8],
        context: &mut Context<'_>,
    ) -> Result<usize, Rejected> {
        let limits = &context.settings.limits;
        let piece = &input[..input.len().min(TURN_BYTES)];
        let decoded = partial.receive(piece, context.settings, context.now)?;
        if decoded.whole {
            let auth_failure = partial.auth_failure();
            let (head, body) = partial.into_parts();
            // Parsing it again is cheaper than keeping the parsed head.
            let Ok(Progress::Whole(head)) = http::read_head(&head, Scan::default(), limits) else {
                unreachable!("a head that was whole stays whole");
            };
            // The present keys decide. But the body of an unauthenticated client was not kept.
            let access = match auth_failure {
                None => self.access(&head, context),
                Some(auth_failure) => Access {
                    caller: Caller::Unauthenticated(auth_failure),
                    ..context
                        .settings
                        .access(&head, self.listener_role, self.has_tls, context.now)
                },
            };
            let action = api::route_read(head.method, head.target, body, &access);
            self.handle(&head, action, access.caller, context);
        } else {
            self.partial = Some(partial);
        }
        Ok(decoded.used)
    }

    /// Handles a head that the end of the stream has cut off, if its last line is complete and it has no body.
    pub(super) fn take_truncated_head(&mut self, context: &mut Context<'_>) {
        let mut completed = mem::take(&mut self.input);
        if self.partial.take().is_none()
            && let Some(head) = http::read_head_at_end(&mut completed, &context.settings.limits)
            && head.body == BodyLength::Fixed(0)
        {
            self.handle_whole(&head, head.inline_body, context);
        }
    }

    /// Handles one complete request.
    #[inline(always)]
    fn handle_whole(&mut self, head: &Head<'_>, body: &[u8], context: &mut Context<'_>) {
        let request = Request {
            method: head.method,
            target: head.target,
            media: head.media,
            body,
        };
        let access = self.access(head, context);
        let action = api::route(&request, &access);
        self.handle(head, action, access.caller, context);
    }

    /// Answers a request that expects `100 Continue` and whose body does not count. The client may send the body or
    /// not, so nothing can be parsed after it.
    #[cold]
    fn respond_without_body(&mut self, head: &Head<'_>, context: &mut Context<'_>) {
        let style = Style {
            closes: true,
            ..head.style
        };
        self.handle_whole(&Head { style, ..*head }, b"", context);
    }

    #[inline]
    fn access<'c>(&mut self, head: &Head<'_>, context: &mut Context<'c>) -> Access<'c> {
        let mut access =
            (context.settings).access(head, self.listener_role, self.has_tls, context.now);
        if !matches!(access.caller, Caller::AuthDisabled) {
            access.caller = self.limit_wrong_keys(access.caller, context);
        }
        access
    }

    /// Returns the caller, but as unauthenticated if its address has shown too many wrong keys.
    #[inline(never)]
    fn limit_wrong_keys<'c>(
        &mut self,
        caller: Caller<'c>,
        context: &mut Context<'_>,
    ) -> Caller<'c> {
        match caller {
            Caller::AuthDisabled
            | Caller::Unauthenticated(AuthFailure::NoKey | AuthFailure::Unchecked) => caller,
            Caller::Authenticated(key) if context.sink.admits_key(key) => {
                self.note_authenticated(context);
                caller
            }
            Caller::Unauthenticated(AuthFailure::WrongKey) if context.sink.admits_wrong_key() => {
                context.metrics.requests.wrong_keys += 1;
                caller
            }
            Caller::Authenticated(_) | Caller::Unauthenticated(AuthFailure::WrongKey) => {
                context.metrics.requests.unchecked_keys += 1;
                Caller::Unauthenticated(AuthFailure::Unchecked)
            }
        }
    }

    /// Carries out the action of a request: submits its command, or answers it.
    fn handle(
        &mut self,
        head: &Head<'_>,
        action: RequestAction<'_>,
        caller: Caller<'_>,
        context: &mut Context<'_>,
    ) {
        self.previous = Some(head.style.wire);
        let mut style = head.style;
        style.closes |= self.shutdown == Shutdown::LastRequest;
        if style.wire == Wire::Http10
            && matches!(action, RequestAction::Submit(Command::Dump(_), ..))
        {
            // The end of the connection ends the body.
            style.closes = true;
        }
        let at = context.metrics.requests.tick_at();
        let record = |label, may_queue| RequestRecord {
            label,
            may_queue,
            at,
        };
        let exchange = match action {
            RequestAction::Submit(command, mut shape, label) => {
                if style.as_leases {
                    shape = shape.as_leases(&command);
                }
                let (blocks, may_queue) = (command.blocks(), command.may_wait());
                if shape.filtered.is_some() || may_queue {
                    self.note_key(caller, &command);
                }
                let ticket = context.sink.submit(command);
                Exchange {
                    style,
                    shape,
                    record: record(label, may_queue),
                    // A client's requests stay in order even where the store would reorder them.
                    blocks: blocks || context.sink.holds(ticket),
                    can_withdraw: may_queue,
                    own_origin: None,
                    state: State::Submitted(ticket),
                }
            }
            RequestAction::Probe(label) if context.settings.stopping => {
                let outcome = Outcome::Problem(Problem::Stopping);
                Exchange::ready(style, record(label, false), outcome)
            }
            RequestAction::Probe(label) => {
                let ticket = context.sink.submit(Command::Probe);
                Exchange::of_server(style, record(label, false), ticket)
            }
            RequestAction::Scrape(label) => {
                let most = context.settings.metrics_pools;
                let ticket = context.sink.submit(Command::Survey(most));
                Exchange::of_server(style, record(label, false), ticket)
            }
            RequestAction::Respond(Outcome::Version, label)
                if style.format == Format::Html && self.listener_role.has_page() =>
            {
                Exchange::ready(style, record(label, false), Outcome::Page)
            }
            RequestAction::Respond(outcome, label) => {
                Exchange::ready(style, record(label, false), outcome)
            }
        };
        self.push(exchange, context);
        if let Some(head_bytes) = head.browser {
            self.set_own_origin(head_bytes, context);
        }
        if self.peer >= Peer::HungUp {
            self.withdraw(context);
        }
        if style.closes {
            self.phase = Phase::Closing;
        }
        if self.shutdown == Shutdown::LastRequest {
            self.withdraw_and_stop(context);
        }
    }

    /// Makes the answer to the newest request name the origin of its page, if that is the server's own.
    #[cold]
    fn set_own_origin(&mut self, head_bytes: &[u8], context: &Context<'_>) {
        if let Some(exchange) = self.exchanges.back_mut()
            && !exchange.is_refused_browser()
        {
            let marks = BrowserFields::read(head_bytes);
            let own_origin = context.settings.browsers.own_origin(&marks, self.has_tls);
            exchange.own_origin = own_origin.map(Box::from);
        }
    }

    fn reject(&mut self, rejected: Rejected, context: &mut Context<'_>) {
        let mut style = rejected.style;
        // An HTTP client reads only HTTP: the bad line may be the rest of its body.
        if let (Wire::Line, Some(previous)) = (style.wire, self.previous) {
            style.wire = previous;
        }
        self.refuse(style, Problem::Http(rejected.error), context);
    }

    /// Refuses a request that cannot be read to its end and so has no known route. Nothing more is read.
    pub(super) fn refuse(&mut self, style: Style, problem: Problem, context: &mut Context<'_>) {
        let record = RequestRecord {
            label: RequestLabel {
                route: Route::None,
                method: Method::Other,
            },
            may_queue: false,
            at: context.metrics.requests.tick_at(),
        };
        self.push(
            Exchange::ready(style, record, Outcome::Problem(problem)),
            context,
        );
        self.phase = Phase::Closing;
    }
}
