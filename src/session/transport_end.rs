//! Events of a TLS connection besides bytes: unauthenticated ends and failures.

use super::{Context, Peer, Phase, Session, Shutdown};

/// The input that is buffered in bytes while there is no room for requests. A TLS connection is read all the
/// same: only a read can find the end of its stream.
const MAX_BUFFERED_BYTES: usize = 16 << 10;

impl Session {
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
        self.sent = 0;
        self.input.clear();
        self.partial = None;
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
    }
}
