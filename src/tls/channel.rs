//! One end of one connection with TLS: ciphertext in, plaintext out, and back.
//!
//! Its memory is bounded: it keeps less than a record of the input, and one batch of the output. An idle
//! channel holds no buffers.

use std::fmt;
use std::mem;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{AlertDescription, CertificateError, Error};

use super::output::Output;
use super::{Failure, MAX_RECORD_BYTES, Received};

/// The longest record on the wire: RFC 8446, 5.2, and the 2048 bytes that RFC 5246, 6.2.3, leaves to a
/// cipher. Also the limit of a handshake message in several records.
const MAX_PARTIAL_BYTES: usize = 5 + MAX_RECORD_BYTES as usize + 2048;

/// The most plaintext that is encrypted at a time, which bounds the memory for a peer that does not
/// read.
const BATCH_BYTES: usize = 64 << 10;

/// One end of one connection with TLS.
pub struct Channel(Box<State>);

struct State {
    side: Side,
    /// The received part of a record, or of a message in several records.
    partial: Vec<u8>,
    output: Output,
    record_bytes: usize,
    phase: Phase,
    /// True once the handshake is over, so that plaintext can be sent.
    is_ready: bool,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The peer has sent its last data. This end may still send.
    PeerEnded,
    /// This end has sent its last data: input is ignored, and nothing more is sent.
    Over,
}

/// The work to do on a connection in its present state.
enum ChannelWork<'a> {
    /// Process the received bytes.
    Receive(&'a mut dyn FnMut(&[u8])),
    /// Encrypt this.
    Send(&'a [u8]),
    /// Send the notice that nothing more follows.
    Close,
    /// Send the alert of a failure.
    Alert,
}

enum ChannelStep {
    /// Another step is due.
    Again,
    /// The peer has sent its last data.
    PeerEnded,
    /// No step is possible for now.
    Blocked,
    /// No step is possible for now, but plaintext could be sent, and was sent if there was any.
    Ready,
}

impl Channel {
    pub(super) fn server(connection: UnbufferedServerConnection, record_bytes: u16) -> Channel {
        Channel::new(Side::Server(connection), record_bytes)
    }

    pub(super) fn client(connection: UnbufferedClientConnection) -> Channel {
        let mut channel = Channel::new(Side::Client(connection), MAX_RECORD_BYTES);
        // A client sends first. Without input this cannot fail.
        let _ = channel.receive(&mut [], &mut |_| {});
        channel
    }

    fn new(side: Side, record_bytes: u16) -> Channel {
        Channel(Box::new(State {
            side,
            partial: Vec::new(),
            output: Output::default(),
            record_bytes: usize::from(record_bytes),
            phase: Phase::Open,
            is_ready: false,
        }))
    }

    /// Processes bytes from the peer, and overwrites `bytes`. Passes the plaintext to `take`, in order
    /// and in pieces. The reply is in `output`, also after a failure. After the end and after a failure,
    /// input is ignored.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Received, Failure> {
        let state = &mut *self.0;
        if state.phase != Phase::Open {
            return Ok(Received::More);
        }
        let result = if state.partial.is_empty() {
            let (used, result) = state.process(bytes, &mut ChannelWork::Receive(take));
            state.partial.extend_from_slice(&bytes[used..]);
            result
        } else {
            let mut partial = mem::take(&mut state.partial);
            partial.extend_from_slice(bytes);
            let (used, result) = state.process(&mut partial, &mut ChannelWork::Receive(take));
            partial.drain(..used);
            partial.shrink_to(MAX_PARTIAL_BYTES);
            state.partial = partial;
            result
        };
        result.map_err(|error| state.fail(&error))?;
        if state.phase == Phase::PeerEnded {
            state.partial = Vec::new();
            return Ok(Received::End);
        }
        if state.partial.is_empty() {
            state.partial = Vec::new();
        } else if state.partial.len() > MAX_PARTIAL_BYTES {
            state.phase = Phase::Over;
            return Err(Failure("its handshake has too long a message".into()));
        }
        Ok(Received::More)
    }

    /// Encrypts the start of `plaintext`, unless earlier plaintext is unsent or the handshake is not
    /// over. [`Channel::handle_sent`] returns the number of bytes that were sent.
    pub fn send(&mut self, plaintext: &[u8]) -> Result<(), Failure> {
        let state = &mut *self.0;
        if state.phase == Phase::Over || !state.is_ready || state.output.plaintext_bytes() > 0 {
            return Ok(());
        }
        let batch = &plaintext[..plaintext.len().min(BATCH_BYTES)];
        state.work(ChannelWork::Send(batch))
    }

    /// Returns whether the handshake is over, so that plaintext can be sent.
    pub fn is_ready(&self) -> bool {
        self.0.is_ready
    }

    /// Returns whether the peer has sent its last data, and this end may still send.
    pub fn has_ended(&self) -> bool {
        self.0.phase == Phase::PeerEnded
    }

    /// Returns the bytes of plaintext in the output: those of records that were not sent completely.
    pub fn unsent_plaintext(&self) -> usize {
        self.0.output.plaintext_bytes()
    }

    /// Returns whether this end sends nothing more and ignores input.
    pub fn is_over(&self) -> bool {
        self.0.phase == Phase::Over
    }

    /// Sends the notice that nothing more follows. Later input is ignored.
    pub fn close(&mut self) {
        let state = &mut *self.0;
        if state.phase != Phase::Over {
            // The channel is over in any case.
            let _ = state.work(ChannelWork::Close);
            state.phase = Phase::Over;
        }
    }

    /// Returns the bytes to send.
    pub fn output(&self) -> &[u8] {
        self.0.output.unsent()
    }

    /// Removes `count` sent bytes from the output. Returns the bytes of plaintext sent with them: those
    /// of complete records.
    pub fn handle_sent(&mut self, count: usize) -> usize {
        self.0.output.handle_sent(count)
    }
}

impl State {
    /// Does any work but receiving.
    fn work(&mut self, mut work: ChannelWork<'_>) -> Result<(), Failure> {
        let mut partial = mem::take(&mut self.partial);
        let (used, result) = self.process(&mut partial, &mut work);
        partial.drain(..used);
        self.partial = partial;
        result.map_err(|error| self.fail(&error))
    }

    /// Takes steps until none is possible. Returns the number of input bytes that are used up.
    fn process(
        &mut self,
        input: &mut [u8],
        work: &mut ChannelWork<'_>,
    ) -> (usize, Result<(), Error>) {
        let mut used = 0;
        loop {
            let (discard, step) = self.step(&mut input[used..], work);
            used += discard;
            match step {
                Ok(ChannelStep::Again) => {}
                Ok(ChannelStep::PeerEnded) => self.phase = Phase::PeerEnded,
                Ok(ChannelStep::Blocked) => return (used, Ok(())),
                Ok(ChannelStep::Ready) => {
                    self.is_ready = true;
                    return (used, Ok(()));
                }
                Err(error) => {
                    // Only while there is an alert to send: further input must not be processed.
                    while self.side.wants_write() {
                        used += self.step(&mut input[used..], &mut ChannelWork::Alert).0;
                    }
                    return (used, Err(error));
                }
            }
        }
    }

    fn step(
        &mut self,
        input: &mut [u8],
        work: &mut ChannelWork<'_>,
    ) -> (usize, Result<ChannelStep, Error>) {
        let State {
            side,
            output,
            record_bytes,
            ..
        } = self;
        match side {
            Side::Server(connection) => {
                let status = connection.process_tls_records(input);
                advance(status, work, output, *record_bytes)
            }
            Side::Client(connection) => {
                let status = connection.process_tls_records(input);
                advance(status, work, output, *record_bytes)
            }
        }
    }

    /// Ends the channel. The alert is sent, unless it follows unsent plaintext: that must not be sent
    /// after it was reported as unsent.
    fn fail(&mut self, error: &Error) -> Failure {
        self.phase = Phase::Over;
        self.partial = Vec::new();
        if self.output.plaintext_bytes() > 0 {
            self.output = Output::default();
        }
        Failure(describe(error))
    }
}

impl Side {
    fn wants_write(&self) -> bool {
        match self {
            Side::Server(connection) => connection.wants_write(),
            Side::Client(connection) => connection.wants_write(),
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

/// Takes a step in the present state, and returns the number of input bytes that it has used up.
fn advance<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    work: &mut ChannelWork<'_>,
    output: &mut Output,
    record_bytes: usize,
) -> (usize, Result<ChannelStep, Error>) {
    let mut discard = status.discard;
    let step = status.state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                discard += record.discard;
                if let ChannelWork::Receive(take) = work {
                    take(record.payload);
                }
            }
            Ok(ChannelStep::Again)
        }
        ConnectionState::EncodeTlsData(message) => {
            output.encode(message);
            Ok(ChannelStep::Again)
        }
        ConnectionState::TransmitTlsData(message) => {
            // The message is in the output, which keeps the order.
            message.done();
            Ok(ChannelStep::Again)
        }
        ConnectionState::PeerClosed => Ok(ChannelStep::PeerEnded),
        ConnectionState::WriteTraffic(mut traffic) => {
            match work {
                ChannelWork::Send(plaintext)
                    if !output.encrypt(plaintext, record_bytes, &mut traffic) =>
                {
                    return Err(Error::EncryptError);
                }
                ChannelWork::Close => output.close(&mut traffic),
                ChannelWork::Send(_) | ChannelWork::Receive(_) | ChannelWork::Alert => {}
            }
            Ok(ChannelStep::Ready)
        }
        // No peer is offered to send early data.
        _ => Ok(ChannelStep::Blocked),
    });
    (discard, step)
}

/// Describes an error in an operator's terms.
fn describe(error: &Error) -> String {
    let certificate = |problem: &str| format!("its certificate {problem}");
    match error {
        Error::InvalidMessage(_) => "what it sends is not TLS, or broken".into(),
        Error::AlertReceived(alert) => format!("it refuses: {}", describe_alert(*alert)),
        Error::InvalidCertificate(error) => match error {
            // Two authorities can have the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                certificate("is signed by no authority that is trusted here")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                certificate("has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                certificate("is not valid yet")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                certificate(&format!("has another name: {error}"))
            }
            // The certificate that openssl makes by default.
            CertificateError::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
                certificate(
                    "is one of an authority, and none of a server; wanted basicConstraints CA:FALSE",
                )
            }
            _ => certificate(&format!("is not accepted: {error}")),
        },
        error => error.to_string(),
    }
}

fn describe_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => "it does not trust who has signed our certificate".into(),
        AlertDescription::BadCertificate => "it does not like our certificate".into(),
        AlertDescription::CertificateExpired => "our certificate has expired".into(),
        AlertDescription::CertificateRequired => "it wants a certificate of us".into(),
        alert => format!("{alert:?}"),
    }
}
