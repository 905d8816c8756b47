//! One request in flight, and how its answer is written down.

use super::{Context, Outcome, ResponseShape, Settings};
use crate::api::{self, Problem};
use crate::command::{Reply, Ticket};
use crate::http::{self, Fields, Format, Response, SiteFields, Style};
use crate::metrics::{RequestRecord, Route};

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) style: Style,
    pub(super) shape: ResponseShape,
    pub(super) record: RequestRecord,
    /// No further request is taken in flight before this one is answered.
    pub(super) blocks: bool,
    /// It may be queued, and nobody has taken it out yet.
    pub(super) can_withdraw: bool,
    /// The origin of the page that asks, if it is the server's own and the answer is to say so.
    pub(super) own_origin: Option<Box<str>>,
    pub(super) state: State,
}

#[derive(Debug, PartialEq)]
pub(super) enum State {
    /// The store has been asked.
    Submitted(Ticket),
    /// The store has replied, and the part of the reply that the key may see is being found.
    Filtered,
    /// A part of a dump is being written, and the session asks for the next one itself.
    Dumping,
    /// It can be answered.
    Ready(Outcome),
}

impl Exchange {
    /// A request that needs no store.
    pub(super) fn ready(style: Style, record: RequestRecord, outcome: Outcome) -> Exchange {
        Exchange {
            style,
            shape: ResponseShape::default(),
            record,
            blocks: false,
            can_withdraw: false,
            own_origin: None,
            state: State::Ready(outcome),
        }
    }

    /// A question about the server: no further request comes before its answer, which may be long.
    pub(super) fn of_server(style: Style, record: RequestRecord, ticket: Ticket) -> Exchange {
        Exchange {
            style,
            shape: ResponseShape::default(),
            record,
            blocks: true,
            can_withdraw: false,
            own_origin: None,
            state: State::Submitted(ticket),
        }
    }

    /// The header fields that do not depend on what the answer says.
    #[inline]
    pub(super) fn site_fields<'a>(&'a self, settings: &'a Settings) -> SiteFields<'a> {
        let own_origin = self.own_origin.as_deref();
        SiteFields {
            server: settings.server_name.as_deref(),
            cors: own_origin.or_else(|| settings.browsers.cors.allowed_origin()),
        }
    }

    /// Whether it is not carried out since a browser has sent it.
    pub(super) fn is_refused_browser(&self) -> bool {
        matches!(
            self.state,
            State::Ready(Outcome::Problem(Problem::Browser(_)))
        )
    }

    /// Whether it can be answered.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Whether it is queued, as far as is known, or would if it had to wait.
    pub(super) fn is_queued(&self) -> bool {
        self.can_withdraw && matches!(self.state, State::Submitted(_))
    }

    /// Appends the answer to `output`, and answers its status, which is still to be counted.
    pub(super) fn write(
        &self,
        outcome: &Outcome,
        output: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> u16 {
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
            // A person reads it, who can do something about it.
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
