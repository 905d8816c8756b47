//! Waiting for events, and noting them.

use std::io;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Interest, Registry, Token};

use super::stalls::MAX_SLEEP_MS;
use super::{LISTENERS, SIGNALS, STORE, Server};
use crate::time::Time;

impl Server {
    /// Waits for events or the next deadline; `now` is the end of the previous tick. Returns the latest time
    /// at which the wait should end; `None` for no limit.
    pub(super) fn wait(&mut self, events: &mut Events, now: Time) -> io::Result<Option<Time>> {
        let wake_at = if self.host.has_work() {
            Some(now)
        } else {
            self.next_timeout(now)
        };
        let timeout = wake_at.map(|at| Duration::from_millis(at.ms_since(now)));
        self.poll_events(events, timeout)?;
        Ok(wake_at)
    }

    pub(super) fn poll_events(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    /// Returns the next deadline, not before `now`.
    fn next_timeout(&self, now: Time) -> Option<Time> {
        let times = [
            self.host.next_timeout(),
            self.admission.accept_at(),
            self.admin.accept_at(),
            self.stop_at,
        ];
        let next = times.into_iter().flatten().min()?;
        Some(next.clamp(now, now.after_ms(MAX_SLEEP_MS)))
    }

    pub(super) fn note_events(&mut self, events: &Events, now: Time) {
        for event in events {
            match event.token() {
                SIGNALS => self.handle_signals(now),
                token if STORE.contains(&token) => {
                    self.host.store_mut().handle_event(event, now);
                }
                Token(token) if token > LISTENERS - self.admission.listeners.len() => {
                    self.admission.note_event(now);
                }
                Token(token) if self.admin.has(token) => self.admin.note_event(now),
                Token(slot) => {
                    let has_output = self.host.change(slot, |connection, _| {
                        connection.note_event(event);
                        Some(event.is_writable() && connection.has_output())
                    });
                    if let Some(has_output) = has_output {
                        let has_hung_up = event.is_read_closed();
                        self.host.note_event(slot, has_hung_up, has_output);
                    }
                }
            }
        }
    }
}

/// Registers listeners with the poll; `first_listener` is the index of the first among all listeners.
pub(super) fn watch_listeners<'a>(
    listeners: impl Iterator<Item = &'a mut TcpListener>,
    first_listener: usize,
    registry: &Registry,
) -> io::Result<()> {
    for (index, listener) in listeners.enumerate() {
        let token = Token(LISTENERS - first_listener - index);
        registry.register(listener, token, Interest::READABLE)?;
    }
    Ok(())
}
