//! The end of a session, and its reason: also the ends and failures of a TLS connection.

use super::exchange::State;
use super::{Awaits, Context, Peer, Phase, Session, Settings, Shutdown};
use crate::api::{Outcome, Problem};
use crate::metrics::Closed;
use crate::time::Time;

/// The time that a request in transit may still take to arrive when the server stops, in ms.
const LAST_REQUEST_MS: u64 = 1_000;

/// The time that the last answers may stay unacknowledged, in ms: longer than the system tries to send them.
const ACKNOWLEDGEMENT_MS: u64 = 150_000;

/// The input that is buffered in bytes while there is no room for requests. A TLS connection is read all the
/// same: only a read can find the end of its stream.
const MAX_BUFFERED_BYTES: usize = 16 << 10;

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
            Phase::Over(why) => Ending::Close(why),
            Phase::Closing if self.exchanges.is_empty() && self.output.is_empty() => {
                // The client closed its side before its answer: it has gone, or it still reads.
                if self.output.has_undelivered() {
                    self.phase = Phase::Unacknowledged;
                    self.timer.deadline = now.after_ms(ACKNOWLEDGEMENT_MS);
                    return Ending::CloseSending;
                }
                if self.peer >= Peer::Ended {
                    return Ending::Close(self.end(Closed::Client));
                }
                self.phase = Phase::Lingering;
                self.timer.awaits = Awaits::End;
                self.timer.deadline = now.after_ms(settings.linger_ms);
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
        if let Some(undelivered) = self.output.take_undelivered() {
            context.buffers.take_back_undelivered(undelivered);
        }
        self.end(Closed::Client)
    }

    /// Ends the session, for this reason unless the server stops. Returns the reason.
    fn end(&mut self, why: Closed) -> Closed {
        let why = self.or_stopping(why);
        self.phase = Phase::Over(why);
        why
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
            if self.phase == Phase::Unacknowledged {
                self.output.take_undelivered();
            }
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
                self.timer.deadline = self.timer.deadline.min(until);
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

    /// Takes an end of the stream that the client may not have sent: any attacker on the path can forge one.
    /// Complete requests are answered; a request that may be cut off is not carried out.
    pub fn receive_truncation(&mut self, context: &mut Context<'_>) {
        self.peer = Peer::Truncated;
        self.receive_end(context);
    }

    /// Returns whether a TLS connection may be read although `wants_input` is false, to find the end of the
    /// stream.
    pub fn may_buffer_more(&self) -> bool {
        self.phase == Phase::Open
            && self.shutdown != Shutdown::Stopping
            && self.input.len() < MAX_BUFFERED_BYTES
    }

    /// Gives up the exchanges and the unsent output: the connection carries nothing more. Withdraws and
    /// undoes them as `abandon` does. Further input is dropped until `poll_ending` says to close.
    pub fn abort(&mut self, context: &mut Context<'_>) {
        // All is sent, and the socket still tells whether the peer has acknowledged it.
        if self.phase == Phase::Unacknowledged {
            return;
        }
        self.abandon(context);
        self.exchanges.clear();
        self.output.clear();
        self.input.clear();
        self.partial = None;
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
    }
}
