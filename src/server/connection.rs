//! A socket with its session, and TLS between them where there is any: with as few system calls as possible.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::ops::Range;

use mio::event::Event;
use mio::net::TcpStream;
#[cfg(target_os = "linux")]
use rustix::net::{SendFlags, send};

#[cfg(target_os = "linux")]
use super::listener;
use crate::host::{self, Connection as _};
use crate::metrics::Closed;
use crate::session::{Context, Ending, Session, Settings};
use crate::time::Time;
use crate::tls::{Channel, Failure, Received};

/// The maximum number of bytes that are sent to one client in one tick.
const TURN_BYTES: usize = 1 << 20;

pub(super) struct Connection {
    socket: TcpStream,
    /// The TLS channel between session and socket; `None` without TLS.
    channel: Option<Channel>,
    pub(super) session: Session,
    /// The socket may have input. Events report only changes, so it is remembered.
    readable: bool,
    /// The client has closed its side: a read finds the end after all earlier input.
    end_is_near: bool,
    /// The session was told so.
    is_end_handled: bool,
    writable: bool,
    /// Our side is shut down when all output is sent.
    shutdown_is_due: bool,
    /// The socket has failed.
    broken: bool,
    /// The system probes its client as often as a waiter.
    #[cfg(target_os = "linux")]
    is_probed_often: bool,
}

/// The bytes that one call has sent.
struct Sent {
    /// Bytes that the socket has taken.
    bytes: usize,
    /// Bytes of the session's output among them.
    plaintext_bytes: usize,
}

impl host::Connection for Connection {
    fn session(&self) -> &Session {
        &self.session
    }

    fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Reports a hang-up to the session, which does not see it while it does not read.
    fn note_hangup(&mut self, context: &mut Context<'_>) {
        if self.end_is_near && !self.is_end_handled {
            self.is_end_handled = true;
            self.session.handle_hangup(context);
        }
    }

    /// A very long answer continues in the next tick, so that other clients do not wait for it.
    fn write(&mut self, context: &mut Context<'_>) -> Option<Closed> {
        self.encrypt(context);
        let mut left = TURN_BYTES;
        while left > 0 && self.can_write() {
            let Some(sent) = self.send(left) else {
                continue;
            };
            left -= sent.bytes;
            context.metrics.connections.sent_bytes += sent.bytes as u64;
            if !self.session.output().is_empty() {
                self.session.handle_sent(sent.plaintext_bytes, context);
                self.encrypt(context);
            }
        }
        if self.shutdown_is_due {
            self.shut_down();
        }
        self.poll_ending(context)
    }

    fn can_write(&self) -> bool {
        self.writable && !self.broken && !self.unsent().is_empty()
    }

    fn has_input(&self, settings: &Settings) -> bool {
        self.readable && self.wants_input(settings)
    }

    /// Probes a waiter more often than other clients.
    #[cfg(target_os = "linux")]
    fn note_queued(&mut self, is_queued: bool) {
        if is_queued == self.is_probed_often {
            return;
        }
        self.is_probed_often = is_queued;
        if let Err(error) = listener::set_probes(&self.socket, is_queued) {
            log::debug!("the probes of a connection stay as they are: {error}");
        }
    }
}

impl Connection {
    pub(super) fn new(socket: TcpStream, channel: Option<Channel>, session: Session) -> Connection {
        Connection {
            socket,
            channel,
            session,
            readable: false,
            end_is_near: false,
            is_end_handled: false,
            writable: true,
            shutdown_is_due: false,
            broken: false,
            #[cfg(target_os = "linux")]
            is_probed_often: false,
        }
    }

    pub(super) fn note_event(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed();
        self.end_is_near |= event.is_read_closed();
        self.writable |= event.is_writable();
        self.broken |= event.is_error();
    }

    /// Makes the next read try the socket without an event.
    pub(super) fn assume_readable(&mut self) {
        self.readable = true;
    }

    pub(super) fn has_output(&self) -> bool {
        !self.unsent().is_empty() || !self.session.output().is_empty()
    }

    /// Reads once, for `receive_range`. Returns `None` if there is no input, or if `read` must do more than
    /// that.
    pub(super) fn try_read(&mut self, room: &mut [u8], settings: &Settings) -> Option<usize> {
        let is_plain = self.readable && !self.broken && !self.end_is_near && self.channel.is_none();
        let session = &self.session;
        if !is_plain || session.wants_resume(settings) || !session.wants_input(settings) {
            return None;
        }
        match self.socket.read(room) {
            Ok(count) if count > 0 => {
                // A short read has emptied the socket; a further one would only be told so.
                self.readable = count == room.len();
                return Some(count);
            }
            // `read` finds the end again.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.fail(&error),
        }
        None
    }

    /// Passes the bytes that `try_read` has put into `range` of the buffer to the session.
    pub(super) fn receive_range(
        &mut self,
        buffer: &mut [u8],
        range: Range<usize>,
        context: &mut Context<'_>,
    ) {
        context.metrics.connections.received_bytes += range.len() as u64;
        self.session.receive(&buffer[range], context);
        // The input has filled the buffer, so it is the last of its batch, and the buffer is free.
        if self.readable {
            self.read(buffer, context);
        }
    }

    /// Resumes the session, then reads until the socket is empty or the buffer was filled once.
    pub(super) fn read(&mut self, buffer: &mut [u8], context: &mut Context<'_>) {
        if self.session.wants_resume(context.settings) {
            self.session.resume(context);
        }
        self.fill(buffer, context);
        self.note_hangup(context);
    }

    fn fill(&mut self, buffer: &mut [u8], context: &mut Context<'_>) {
        while !self.broken && self.has_input(context.settings) {
            match self.socket.read(buffer) {
                Ok(0) => {
                    self.readable = false;
                    self.receive_end(context);
                }
                Ok(count) => {
                    context.metrics.connections.received_bytes += count as u64;
                    // A short read has emptied the socket; a further one would only be told so.
                    let emptied = count < buffer.len();
                    self.readable = !emptied || self.end_is_near;
                    self.receive(&mut buffer[..count], context);
                    if !emptied {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.fail(&error),
            }
        }
    }

    /// With TLS only a read finds the authenticated end, so input is read a little longer.
    fn wants_input(&self, settings: &Settings) -> bool {
        self.session.wants_input(settings)
            || self.channel.is_some() && self.session.may_buffer_more()
    }

    fn receive(&mut self, bytes: &mut [u8], context: &mut Context<'_>) {
        let session = &mut self.session;
        let Some(channel) = &mut self.channel else {
            return session.receive(bytes, context);
        };
        match channel.receive(bytes, &mut |bytes| session.receive(bytes, context)) {
            Ok(Received::More) => {}
            Ok(Received::End) => session.receive_end(context),
            Err(failure) => self.fail_tls(&failure, context),
        }
    }

    /// Passes the end of the stream to the session.
    fn receive_end(&mut self, context: &mut Context<'_>) {
        match &self.channel {
            Some(channel) if !channel.has_ended() => self.session.receive_truncation(context),
            _ => self.session.receive_end(context),
        }
    }

    /// Encrypts the session's output. The close notice follows the last answer.
    fn encrypt(&mut self, context: &mut Context<'_>) {
        let Some(channel) = &mut self.channel else {
            return;
        };
        let output = self.session.output();
        let result = channel.send(output);
        if self.session.output_is_last() && channel.unsent_plaintext() == output.len() {
            channel.close();
        }
        if let Err(failure) = result {
            self.fail_tls(&failure, context);
        }
    }

    /// Returns the bytes that the socket must take next.
    fn unsent(&self) -> &[u8] {
        match &self.channel {
            None => self.session.output(),
            Some(channel) => channel.output(),
        }
    }

    /// Sends at most `max` bytes in one call. Returns what was sent; `None` if the socket took nothing.
    fn send(&mut self, max: usize) -> Option<Sent> {
        match self.send_unsent(max) {
            Ok(bytes) => {
                let channel = self.channel.as_mut();
                let plaintext_bytes = channel.map_or(bytes, |channel| channel.handle_sent(bytes));
                return Some(Sent {
                    bytes,
                    plaintext_bytes,
                });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.fail(&error),
        }
        None
    }

    /// Sends the last answer so that the system holds it back for the end that `poll_ending` sends right
    /// behind it. Both leave in one segment, which halves the work of the network and of both sides.
    #[cfg(target_os = "linux")]
    fn send_unsent(&mut self, max: usize) -> io::Result<usize> {
        let is_all_encrypted = self.channel.as_ref().is_none_or(Channel::is_over);
        if is_all_encrypted && self.unsent().len() <= max && self.session.output_is_last() {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            return Ok(send(&self.socket, self.unsent(), flags)?);
        }
        self.write_unsent(max)
    }

    #[cfg(not(target_os = "linux"))]
    fn send_unsent(&mut self, max: usize) -> io::Result<usize> {
        self.write_unsent(max)
    }

    fn write_unsent(&mut self, max: usize) -> io::Result<usize> {
        let unsent = self.unsent();
        (&self.socket).write(&unsent[..unsent.len().min(max)])
    }

    /// Returns the reason to close the connection; `None` to keep it. Shuts down the sending side when it is
    /// time.
    fn poll_ending(&mut self, context: &mut Context<'_>) -> Option<Closed> {
        if self.broken {
            return Some(Closed::Error);
        }
        match self.session.poll_ending(context.settings, context.now) {
            Ending::NotYet => None,
            Ending::Close(why) => {
                self.announce_end();
                Some(why)
            }
            Ending::CloseSending => {
                self.announce_end();
                self.shut_down();
                self.broken.then_some(Closed::Error)
            }
            Ending::CloseWhenAcknowledged if self.is_acknowledged() => {
                Some(self.session.handle_acknowledged(context))
            }
            Ending::CloseWhenAcknowledged => self.broken.then_some(Closed::Error),
        }
    }

    /// Returns whether the peer has acknowledged all bytes and our end. A refusal fails the connection. Linux
    /// removes the peer of a socket that both sides have closed when the last byte is acknowledged or
    /// refused, and an event reports it.
    fn is_acknowledged(&mut self) -> bool {
        let is_over = self
            .socket
            .peer_addr()
            .is_err_and(|error| error.kind() == io::ErrorKind::NotConnected);
        match self.socket.take_error() {
            Ok(None) => is_over,
            Ok(Some(error)) | Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    /// Sends TLS' close notice after the last output. Bytes that do not leave now count as not sent.
    pub(super) fn announce_end(&mut self) {
        if let Some(channel) = &mut self.channel
            && self.session.output().is_empty()
        {
            channel.close();
            while self.writable && !self.broken && !self.unsent().is_empty() {
                self.send(usize::MAX);
            }
        }
    }

    /// Shuts down the sending side, or leaves it to `write` while output is left.
    fn shut_down(&mut self) {
        self.shutdown_is_due = !self.unsent().is_empty();
        if !self.shutdown_is_due
            && let Err(error) = self.socket.shutdown(Shutdown::Write)
        {
            self.fail(&error);
        }
    }

    /// Returns since when it has been idle. `None` if it is not, or may have input.
    pub(super) fn idle_since(&self, settings: &Settings, now: Time) -> Option<Time> {
        if self.has_input(settings) {
            return None;
        }
        self.session.idle_since(settings, now)
    }

    /// Gives up a failed TLS channel. Its alert is sent all the same.
    fn fail_tls(&mut self, failure: &Failure, context: &mut Context<'_>) {
        let peer = self.socket.peer_addr();
        let peer = peer.map_or_else(|error| error.to_string(), |peer| peer.to_string());
        log::debug!("a connection with TLS broke, {peer}: {failure}");
        self.session.abort(context);
    }

    fn fail(&mut self, error: &io::Error) {
        log::debug!("a connection broke: {error}");
        self.broken = true;
    }
}
