//! What a session is told of a connection with TLS besides bytes: ends that nobody has signed, and
//! failures.

use super::{Context, Peer, Phase, Session, Shutdown};

/// How much is held of a client whose requests there is no room for. It is read all the same, because
/// an end that is said with TLS is told of by nothing else.
const MAX_BUFFERED_BYTES: usize = 16 << 10;

impl Session {
    /// Takes an end that the client may not have meant: anybody on the way can make one. What has come
    /// whole is answered; what may be cut off is not carried out.
    pub fn receive_truncation(&mut self, context: &mut Context<'_>) {
        self.peer = Peer::Truncated;
        self.receive_end(context);
    }

    /// Whether more may be read although there is no room for requests, to see the end behind it.
    pub fn may_buffer_more(&self) -> bool {
        self.phase == Phase::Open
            && self.shutdown != Shutdown::Stopping
            && self.input.len() < MAX_BUFFERED_BYTES
    }

    /// The connection can carry nothing more: what is in flight is taken back, and our side closed. What
    /// still comes is dropped.
    pub fn abort(&mut self, context: &mut Context<'_>) {
        // All is sent, and the socket still tells whether it was taken.
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
