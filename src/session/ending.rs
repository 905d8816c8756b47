//! The end of a session, and its reason.

use super::exchange::State;
use super::{Awaits, Context, Peer, Phase, Session, Settings, Shutdown};
use crate::api::{Outcome, Problem};
use crate::metrics::Closed;
use crate::time::Time;

/// The time that a request in transit may still take to arrive when the server stops, in ms.
const LAST_REQUEST_MS: u64 = 1_000;

/// The time that the last answers may stay unacknowledged, in ms: longer than the system tries to send them.
const ACKNOWLEDGEMENT_MS: u64 = 150_000;

/// The next step with the connection, from [`Session::poll_ending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: the session continues.
    NotYet,
    /// Shut down the sending side. Returned at most once.
    CloseSending,
    /// Call [`Session::handle_acknowledged`] and close the connection once the peer has acknowledged all
    /// bytes. If the peer refuses them, call only [`Session::abandon`] and close it.
    CloseWhenAcknowledged,
    /// Close the connection, for this reason.
    Close(Closed),
}

impl Session {
    /// Returns the caller's next step, once all bytes that the socket takes are sent. This call advances the
    /// session: see [`Session`].
    pub fn poll_ending(&mut self, settings: &Settings, now: Time) -> Ending {
        match self.phase {
            Phase::Over => Ending::Close(self.why_over),
            Phase::Closing if self.exchanges.is_empty() && self.output.is_empty() => {
                // The client closed its side before its answer: it has gone, or it still reads.
                if self.undelivered.is_some() {
                    self.phase = Phase::Unacknowledged;
                    self.deadline = now.after_ms(ACKNOWLEDGEMENT_MS);
                    return Ending::CloseSending;
                }
                if self.peer >= Peer::Ended {
                    self.end(Closed::Client);
                    return Ending::Close(self.why_over);
                }
                self.phase = Phase::Lingering;
                self.awaits = Awaits::End;
                self.deadline = now.after_ms(settings.linger_ms);
                Ending::CloseSending
            }
            Phase::Unacknowledged => Ending::CloseWhenAcknowledged,
            Phase::Lingering if self.peer >= Peer::Ended => {
                Ending::Close(self.or_stopping(Closed::Server))
            }
            Phase::Open | Phase::Closing | Phase::Lingering => Ending::NotYet,
        }
    }

    /// Counts all answers as delivered: the peer has acknowledged them. Returns the reason for the end of the
    /// connection.
    pub fn handle_acknowledged(&mut self, context: &mut Context<'_>) -> Closed {
        if let Some(undelivered) = self.undelivered.take() {
            context.buffers.take_back_undelivered(undelivered);
        }
        self.end(Closed::Client);
        self.why_over
    }

    /// Ends the session, for this reason unless the server stops.
    fn end(&mut self, why: Closed) {
        self.phase = Phase::Over;
        self.why_over = self.or_stopping(why);
    }

    fn or_stopping(&self, why: Closed) -> Closed {
        match self.shutdown {
            Shutdown::Serving => why,
            Shutdown::LastRequest | Shutdown::Stopping => Closed::Stopping,
        }
    }

    /// Ends the session if its deadline has passed, without an answer to the silent client. Earlier calls do
    /// nothing.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            // Neither acknowledged nor refused: an undo could lend the resource twice.
            self.undelivered
                .take_if(|_| self.phase == Phase::Unacknowledged);
            self.end(match self.phase {
                Phase::Lingering => Closed::Server,
                _ => Closed::Timeout,
            });
        }
    }

    /// Starts the shutdown. Complete requests that were received are answered by `resume`. A request in
    /// transit gets 1 s to arrive, also the first one of a new connection. The session reads nothing else.
    pub fn stop(&mut self, context: &mut Context<'_>) {
        self.withdraw_and_stop(context);
        let in_flight =
            self.has_unparsed_input || !self.exchanges.is_empty() || !self.output.is_empty();
        let on_its_way =
            self.previous.is_none() || !self.input.is_empty() || self.partial.is_some();
        match (self.phase, in_flight) {
            (Phase::Open, false) if on_its_way && self.peer < Peer::Ended => {
                self.shutdown = Shutdown::LastRequest;
                let until = context.now.after_ms(LAST_REQUEST_MS);
                self.deadline = self.deadline.min(until);
            }
            (Phase::Open, false) => {
                self.shutdown = Shutdown::Stopping;
                self.end(Closed::Stopping);
            }
            _ => self.shutdown = Shutdown::Stopping,
        }
    }

    /// Withdraws queued requests and answers that the server stops, whatever the store still replies.
    pub(super) fn withdraw_and_stop(&mut self, context: &mut Context<'_>) {
        for exchange in &mut self.exchanges {
            if let State::Submitted(ticket) = exchange.state
                && exchange.can_withdraw
            {
                context.sink.withdraw(ticket);
                exchange.state = State::Ready(Outcome::Problem(Problem::Stopping));
            }
        }
        self.write_ready_answers(context);
    }
}
