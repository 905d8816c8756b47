//! A request in flight.

use super::{Outcome, ResponseShape, Settings};
use crate::api::Problem;
use crate::command::Ticket;
use crate::http::{SiteFields, Style};
use crate::metrics::RequestRecord;

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) style: Style,
    pub(super) shape: ResponseShape,
    pub(super) record: RequestRecord,
    /// The session takes no further request in flight until this one is answered.
    pub(super) blocks: bool,
    /// The request may be queued in the store, and was not withdrawn yet.
    pub(super) can_withdraw: bool,
    /// The origin of the requesting page, if it is the server's own and the answer must name it.
    pub(super) own_origin: Option<Box<str>>,
    pub(super) state: State,
}

#[derive(Debug, PartialEq)]
pub(super) enum State {
    /// The command was submitted to the store.
    Submitted(Ticket),
    /// The store has replied; the part that the key may see is being determined.
    Filtered,
    /// A chunk of a dump is being written. The session itself submits the next one.
    Dumping,
    /// The answer can be written.
    Ready(Outcome),
}

impl Exchange {
    /// Returns the exchange of a request that needs no store.
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

    /// Returns the exchange of a probe or scrape. It blocks, since its answer may be long.
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

    /// Returns the header fields that do not depend on the outcome.
    #[inline]
    pub(super) fn site_fields<'a>(&'a self, settings: &'a Settings) -> SiteFields<'a> {
        let own_origin = self.own_origin.as_deref();
        SiteFields {
            server: settings.server_name.as_deref(),
            cors: own_origin.or_else(|| settings.browsers.cors.allowed_origin()),
        }
    }

    /// Returns whether the request is refused because a browser sent it.
    pub(super) fn is_refused_browser(&self) -> bool {
        matches!(
            self.state,
            State::Ready(Outcome::Problem(Problem::Browser(_)))
        )
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Returns whether the request is queued as far as known, or would queue if it had to wait.
    pub(super) fn is_queued(&self) -> bool {
        self.can_withdraw && matches!(self.state, State::Submitted(_))
    }
}
