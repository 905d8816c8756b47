//! TLS on a blocking socket: a handshake, then plaintext both ways. Every step has the deadline of the
//! socket.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use super::socket::Socket;
use crate::tls::{Channel, Failure, MAX_RECORD_BYTES};

/// The first byte of a server that speaks TLS: an alert or a handshake (RFC 8446, 5.1).
const FIRST_BYTES: [u8; 2] = [21, 22];

/// The client's end of TLS.
pub(super) struct Secured {
    channel: Channel,
    /// Decrypted bytes.
    plaintext: Vec<u8>,
    /// The number of bytes of `plaintext` that were read.
    taken: usize,
}

impl Secured {
    /// Makes the handshake. `InvalidData` means another server, or one without TLS.
    pub(super) fn handshake(channel: Channel, socket: &mut Socket) -> io::Result<Secured> {
        let mut tls = Secured {
            channel,
            plaintext: Vec::new(),
            taken: 0,
        };
        let mut shake_hands = || {
            tls.flush(socket)?;
            let mut is_first = true;
            while !tls.channel.is_ready() {
                tls.receive(socket, is_first)?;
                is_first = false;
            }
            Ok(())
        };
        match shake_hands() {
            Ok(()) => Ok(tls),
            Err(error) => Err(in_handshake(error)),
        }
    }

    pub(super) fn read(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plaintext.len() && !self.channel.has_ended() {
            self.plaintext.clear();
            self.taken = 0;
            self.receive(socket, false)?;
        }
        let count = (&self.plaintext[self.taken..]).read(buffer)?;
        self.taken += count;
        Ok(count)
    }

    /// Encrypts and sends. Returns the number of plaintext bytes that the socket has taken.
    pub(super) fn write(&mut self, socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
        self.channel.send(bytes).map_err(broken)?;
        self.flush(socket)
    }

    /// Sends the close notice, if that is possible at once.
    pub(super) fn close(&mut self, socket: &mut Socket) {
        // After a part of a record it would be invalid.
        if self.channel.output().is_empty() {
            self.channel.close();
            socket.send_last(self.channel.output());
        }
    }

    /// Reads and decrypts once.
    fn receive(&mut self, socket: &mut Socket, is_first: bool) -> io::Result<()> {
        let mut bytes = [0; MAX_RECORD_BYTES as usize];
        let count = retried(|| socket.read(&mut bytes))?;
        let received = match &mut bytes[..count] {
            [] => return Err(ErrorKind::UnexpectedEof.into()),
            [first, ..] if is_first && !FIRST_BYTES.contains(first) => {
                let problem = "it does not speak TLS; wanted http://";
                return Err(io::Error::new(ErrorKind::InvalidData, problem));
            }
            received => received,
        };
        let plaintext = &mut self.plaintext;
        let mut take = |piece: &[u8]| plaintext.extend_from_slice(piece);
        let result = self.channel.receive(received, &mut take);
        let flushed = self.flush(socket);
        // The reason of the failure matters more than a failure to send the alert.
        result.map_err(broken)?;
        flushed.map(|_| ())
    }

    /// Sends all pending output. Returns the number of plaintext bytes in it.
    fn flush(&mut self, socket: &mut Socket) -> io::Result<usize> {
        let mut plaintext_bytes = 0;
        while !self.channel.output().is_empty() {
            let sent = retried(|| socket.write(self.channel.output()))?;
            plaintext_bytes += self.channel.handle_sent(sent);
        }
        Ok(plaintext_bytes)
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").finish_non_exhaustive()
    }
}

/// Repeats an interrupted call: signals interrupt a socket with a time-out, even with `SA_RESTART`.
fn retried(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn broken(failure: Failure) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, failure.to_string())
}

fn in_handshake(error: io::Error) -> io::Error {
    let problem = match error.kind() {
        ErrorKind::TimedOut => "no TLS handshake in time; does it speak TLS at all?",
        ErrorKind::UnexpectedEof => "it closed the connection in the TLS handshake",
        _ => return error,
    };
    io::Error::new(error.kind(), problem)
}
