//! How a conversation comes to its end, and why.

use super::exchange::State;
use super::{Awaits, Context, Peer, Phase, Session, Settings, Shutdown};
use crate::api::{Outcome, Problem};
use crate::metrics::Closed;
use crate::time::Time;

/// How long a request that is on its way when the server stops may take to arrive.
const LAST_REQUEST_MS: u64 = 1_000;

/// How long the last answers may stay unacknowledged: longer than the system tries to send them.
const ACKNOWLEDGEMENT_MS: u64 = 150_000;

/// What is to be done with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: it goes on.
    NotYet,
    /// Shut down the sending side, once.
    CloseSending,
    /// Close it as soon as all that was sent is acknowledged, and call `handle_acknowledged` before. If it
    /// is refused, call `abandon` alone.
    CloseWhenAcknowledged,
    /// Close it, for this reason.
    Close(Closed),
}

impl Session {
    /// What is to be done with the connection, now that what could be sent has been sent.
    pub fn poll_ending(&mut self, settings: &Settings, now: Time) -> Ending {
        match self.phase {
            Phase::Over => Ending::Close(self.why_over),
            Phase::Closing if self.exchanges.is_empty() && self.output.is_empty() => {
                // The client closed its side before it was answered: it has gone, or it reads on.
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

    /// The client's system has all answers: the client counts as told. Answers why the connection is
    /// closed.
    pub fn handle_acknowledged(&mut self, context: &mut Context<'_>) -> Closed {
        if let Some(undelivered) = self.undelivered.take() {
            context.buffers.take_back_undelivered(undelivered);
        }
        self.end(Closed::Client);
        self.why_over
    }

    /// There is nothing left to do, for this reason if it is not the end of the server.
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

    /// Gives up if the deadline has passed. A silent client is left without a word.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            // Neither acknowledged nor refused: to undo it might lend it twice.
            self.undelivered
                .take_if(|_| self.phase == Phase::Unacknowledged);
            self.end(match self.phase {
                Phase::Lingering => Closed::Server,
                _ => Closed::Timeout,
            });
        }
    }

    /// The server stops. What was received is brought to its end by `resume`; a request that is on its
    /// way, also the first one of a client that has just connected, has a moment to arrive. Nothing
    /// else is read.
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

    /// Whoever is queued is told that the server stops, whatever the store may still reply.
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
