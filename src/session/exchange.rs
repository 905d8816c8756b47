//! One request in hand, and how its answer is written down.

use super::{Context, Outcome, Shape};
use crate::api;
use crate::command::{Reply, Ticket};
use crate::http::{self, Answer, Fields, Format, Style};
use crate::metrics::{Asked, Route};

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) style: Style,
    pub(super) shape: Shape,
    pub(super) asked: Asked,
    /// No further request is taken in hand before this one is answered.
    pub(super) blocks: bool,
    /// It may stand in line, and nobody has taken it out yet.
    pub(super) waits: bool,
    pub(super) state: State,
}

#[derive(Debug, PartialEq)]
pub(super) enum State {
    /// The store has been asked.
    Asked(Ticket),
    /// It can be answered.
    Ready(Outcome),
}

impl Exchange {
    /// A request that needs no store.
    pub(super) fn ready(style: Style, asked: Asked, outcome: Outcome) -> Exchange {
        Exchange {
            style,
            shape: Shape::default(),
            asked,
            blocks: false,
            waits: false,
            state: State::Ready(outcome),
        }
    }

    /// A question about the server: no further request comes before its answer, which may be long.
    pub(super) fn of_server(style: Style, asked: Asked, ticket: Ticket) -> Exchange {
        Exchange {
            style,
            shape: Shape::default(),
            asked,
            blocks: true,
            waits: false,
            state: State::Asked(ticket),
        }
    }

    /// Whether it can be answered.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Whether it stands in line, as far as is known, or would if it had to wait.
    pub(super) fn stands_in_line(&self) -> bool {
        self.waits && matches!(self.state, State::Asked(_))
    }

    /// Appends the answer to `output`, and answers its status, which is still to be counted.
    pub(super) fn write(
        &self,
        outcome: &Outcome,
        output: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> u16 {
        let mut body = context.buffers.lend_body();
        let (status, words, mut fields) = api::render_status(outcome);
        if self.asked.kind.route == Route::Metrics
            && let Outcome::Reply(Reply::Survey(survey)) = outcome
        {
            fields = Fields::Metrics;
            let (desk, metrics) = (&mut context.desk, &*context.metrics);
            desk.write_page(survey.as_ref(), metrics, &mut body);
        } else {
            let json = self.style.format == Format::Json;
            api::render_text(outcome, self.shape, json, &mut body);
        }
        let answer = Answer {
            status,
            words: &words,
            body: &body,
            fields,
        };
        http::write_answer(output, self.style, &answer, context.settings.site_fields());
        context.buffers.take_back_body(body);
        status
    }
}
