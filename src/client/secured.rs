//! TLS on a socket that waits: a handshake, then plaintext both ways. Every step has the deadline of the
//! socket.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use super::connection::Socket;
use crate::tls::{Channel, Failure, MAX_RECORD_BYTES};

/// What the first byte of a server that speaks TLS is: an alert or a handshake (RFC 8446, 5.1).
const FIRST_BYTES: [u8; 2] = [21, 22];

/// The client's end of TLS.
pub(super) struct Secured {
    channel: Channel,
    /// What has been understood.
    plaintext: Vec<u8>,
    /// How much of it has been read.
    taken: usize,
}

impl Secured {
    /// Does the handshake. `InvalidData` says that there is somebody else, or no TLS.
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

    /// What it answers has left, for the socket at least.
    pub(super) fn write(&mut self, socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
        self.channel.send(bytes).map_err(broken)?;
        self.flush(socket)
    }

    /// Says that nothing more comes, if it can be said at once.
    pub(super) fn close(&mut self, socket: &mut Socket) {
        // Behind a part of a record it would be nonsense.
        if self.channel.output().is_empty() {
            self.channel.close();
            socket.send_last(self.channel.output());
        }
    }

    /// Takes in what has come.
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
        // Why it has failed counts for more than that it could not be told so.
        result.map_err(broken)?;
        flushed.map(|_| ())
    }

    /// Sends all that there is to send, and answers how much plaintext has left with it.
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

/// A socket with a time-out is interrupted by signals, whatever was asked for when they were set up.
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
