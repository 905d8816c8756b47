//! Signals: SIGTERM and SIGINT stop the server, SIGHUP reloads its files.

use signal_hook::consts::SIGHUP;

use super::Server;
use crate::config;
use crate::logging;
use crate::time::Time;

/// The maximum number of connections that are still accepted when the server stops. A faster stream of them
/// must not keep it from stopping.
const MAX_LAST_ACCEPTS: usize = 64 << 10;

impl Server {
    pub(super) fn handle_signals(&mut self, now: Time) {
        let signals: Vec<i32> = self.signals.pending().collect();
        for signal in signals {
            match signal {
                SIGHUP => self.reload_files(now),
                _ if self.stop_at.is_some() => self.stop_at = Some(now),
                _ => self.stop(now),
            }
        }
    }

    /// Reads all that was sent up to now, then lets every session come to its end.
    fn stop(&mut self, now: Time) {
        log::info!("stopping: {} connections", self.connections.len());
        self.stop_at = Some(now.after_ms(self.drain_ms));
        self.settings.stopping = true;
        self.accept_from = Some(now);
        self.accept_up_to(MAX_LAST_ACCEPTS, true, now);
        self.listeners.clear();
        self.admin.stop();
        for (slot, connection) in &mut self.connections {
            connection.assume_readable();
            self.to_read.push(slot);
        }
        self.read(now);
        let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.with_connection(slot, now, |connection, _, context| {
                connection.session.stop(context)
            });
            self.to_read.push(slot);
        }
    }

    /// Reopens the log file, which may have been moved, and reads keys and certificates again.
    fn reload_files(&mut self, now: Time) {
        if let Some(folder) = &self.log_dir
            && let Err(error) = logging::redirect(folder)
        {
            log::error!("the log file could not be opened again: {error}");
        }
        self.reload_keys(now);
        let Some(tls) = &mut self.tls else { return };
        match tls.reload() {
            Ok(()) => log::info!("the certificate was read again: new connections get it"),
            Err(problem) => {
                log::error!("the certificate was not read again, the old one stays: {problem}");
            }
        }
    }

    /// Reads the keys again. A queued request is withdrawn if its key no longer permits it.
    fn reload_keys(&mut self, now: Time) {
        let Some(path) = &self.keys_file else { return };
        match config::read_keys(path) {
            Ok(keys) => {
                for warning in config::key_warnings(&keys) {
                    log::warn!("{warning}");
                }
                log::info!("read {} keys again from {}", keys.len(), path.display());
                self.settings.keys = Some(keys);
                let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
                for slot in slots {
                    self.act_on(slot, now, |connection, _, context| {
                        connection.session.recheck_key(context);
                    });
                }
            }
            Err(problem) => log::error!("{problem}; the keys stay as they were"),
        }
    }
}
