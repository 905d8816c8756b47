//! One request in hand, and how its answer is written down.

use super::{Context, Outcome, Shape};
use crate::api;
use crate::command::Ticket;
use crate::http::{self, Answer, Style};

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) style: Style,
    pub(super) shape: Shape,
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
    pub(super) fn ready(style: Style, outcome: Outcome) -> Exchange {
        Exchange {
            style,
            shape: Shape::default(),
            blocks: false,
            waits: false,
            state: State::Ready(outcome),
        }
    }

    /// Whether it can be answered.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Appends the answer to `output`.
    pub(super) fn write(&self, outcome: &Outcome, output: &mut Vec<u8>, context: &mut Context<'_>) {
        let body = context.buffers.body();
        api::render_text(outcome, self.shape, self.style.json, body);
        let (status, words, fields) = api::render_status(outcome);
        let answer = Answer {
            status,
            words: &words,
            body,
            fields,
        };
        http::write_answer(
            output,
            self.style,
            &answer,
            context.settings.cors.as_deref(),
        );
    }
}
