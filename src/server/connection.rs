//! A socket with its session: as few system calls as will do.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;
#[cfg(target_os = "linux")]
use rustix::net::{SendFlags, send};

use crate::session::{Context, Ending, Session, Settings};
use crate::time::Time;

pub(super) struct Connection {
    socket: TcpStream,
    pub(super) session: Session,
    /// Something may be there to be read. Events come only when this changes, so it is remembered.
    readable: bool,
    /// The client has closed its side, which a read will find after all that was sent before.
    end_is_near: bool,
    /// The session knows that.
    told_of_end: bool,
    writable: bool,
    /// The connection is of no more use.
    broken: bool,
    /// It is to be read from again in the next tick, and stands in the list for that.
    listed: bool,
    /// It is to be written to in this tick, and stands in the list for that.
    listed_to_write: bool,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, settings: &Settings, now: Time) -> Connection {
        Connection {
            socket,
            session: Session::new(settings, now),
            readable: false,
            end_is_near: false,
            told_of_end: false,
            writable: true,
            broken: false,
            listed: false,
            listed_to_write: false,
        }
    }

    pub(super) fn note_event(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed();
        self.end_is_near |= event.is_read_closed();
        self.writable |= event.is_writable();
        self.broken |= event.is_error();
    }

    /// Has the socket looked at, event or not.
    pub(super) fn look_for_input(&mut self) {
        self.readable = true;
    }

    pub(super) fn has_output(&self) -> bool {
        !self.session.output().is_empty()
    }

    /// Lets the session go on: with what it has, and with what one read brings.
    pub(super) fn read(&mut self, buffer: &mut [u8], context: &mut Context<'_>) {
        self.listed = false;
        if self.session.wants_resume(context.settings) {
            self.session.resume(context);
        }
        self.fill(buffer, context);
        self.note_hangup(context);
    }

    fn fill(&mut self, buffer: &mut [u8], context: &mut Context<'_>) {
        while self.readable && !self.broken && self.session.wants_input(context.settings) {
            match self.socket.read(buffer) {
                Ok(0) => {
                    self.readable = false;
                    self.session.receive_end(context);
                }
                Ok(count) => {
                    // A short read has emptied the socket; a further one would only be told so.
                    let emptied = count < buffer.len();
                    self.readable = !emptied || self.end_is_near;
                    self.session.receive(&buffer[..count], context);
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

    /// Tells the session what it cannot see while it does not read.
    pub(super) fn note_hangup(&mut self, context: &mut Context<'_>) {
        if self.end_is_near && !self.told_of_end {
            self.told_of_end = true;
            self.session.handle_hangup(context);
        }
    }

    /// Sends what the session has to say, as far as the socket takes it.
    pub(super) fn write(&mut self, context: &mut Context<'_>) {
        self.listed_to_write = false;
        while self.writable && !self.broken && self.has_output() {
            match self.send_output() {
                Ok(count) => self.session.handle_sent(count, context),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.fail(&error),
            }
        }
    }

    /// The last answer waits for the end that `is_over` announces right behind it, so that both leave in
    /// one segment: half as many for the network and for both sides to deal with.
    #[cfg(target_os = "linux")]
    fn send_output(&mut self) -> io::Result<usize> {
        if self.session.output_is_last() {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            return Ok(send(&self.socket, self.session.output(), flags)?);
        }
        self.socket.write(self.session.output())
    }

    #[cfg(not(target_os = "linux"))]
    fn send_output(&mut self) -> io::Result<usize> {
        self.socket.write(self.session.output())
    }

    /// Whether the connection is to be closed. Shuts down the sending side when it is time to.
    pub(super) fn is_over(&mut self, settings: &Settings, now: Time) -> bool {
        if self.broken {
            return true;
        }
        match self.session.poll_ending(settings, now) {
            Ending::NotYet => false,
            Ending::Close => true,
            Ending::CloseSending => {
                if let Err(error) = self.socket.shutdown(Shutdown::Write) {
                    self.fail(&error);
                }
                self.broken
            }
        }
    }

    /// Since when it has been idle. `None` if it is not, or may have something to be read.
    pub(super) fn idle_since(&self, settings: &Settings, now: Time) -> Option<Time> {
        let may_say_something = self.readable && self.session.wants_input(settings);
        if may_say_something {
            return None;
        }
        self.session.idle_since(settings, now)
    }

    /// Whether there is more to read although no event will say so. True once for each `read`.
    pub(super) fn take_wish_to_read(&mut self, settings: &Settings) -> bool {
        let more = self.readable && self.session.wants_input(settings);
        let wish = !self.listed && (more || self.session.wants_resume(settings));
        self.listed |= wish;
        wish
    }

    /// Whether it is to be put into the list of those that are written to. True once for each time
    /// that it leaves the list.
    pub(super) fn enlist_to_write(&mut self) -> bool {
        !std::mem::replace(&mut self.listed_to_write, true)
    }

    fn fail(&mut self, error: &io::Error) {
        log::debug!("a connection broke: {error}");
        self.broken = true;
    }
}
