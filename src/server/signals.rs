//! Signals: SIGTERM and SIGINT stop the server, SIGHUP reloads its files.

use signal_hook::consts::SIGHUP;

use super::Server;
use crate::config;
use crate::logging;
use crate::time::Time;

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
        log::info!("stopping: {} connections", self.host.len());
        self.stop_at = Some(now.after_ms(self.drain_ms));
        self.host.settings.stopping = true;
        self.accept_last(now);
        self.admin.stop();
        for slot in self.slots() {
            self.host.change(slot, |connection, _| {
                connection.assume_readable();
                Some(())
            });
            self.host.queue_to_read(slot);
        }
        self.read(now);
        for slot in self.slots() {
            self.host.with(slot, now, |connection, context| {
                connection.session.stop(context);
            });
            self.host.queue_to_read(slot);
        }
    }

    fn slots(&self) -> Vec<usize> {
        self.host.iter().map(|(slot, _)| slot).collect()
    }

    /// Reopens the log file, which may have been moved, and reads keys and certificates again.
    fn reload_files(&mut self, now: Time) {
        if let Some(folder) = &self.log_dir
            && let Err(error) = logging::redirect(folder)
        {
            log::error!("the log file could not be opened again: {error}");
        }
        self.reload_keys(now);
        let Some(tls) = &mut self.admission.tls else {
            return;
        };
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
                self.host.settings.keys = Some(keys);
                for slot in self.slots() {
                    self.host.act_on(slot, now, |connection, context| {
                        connection.session.recheck_key(context);
                    });
                }
            }
            Err(problem) => log::error!("{problem}; the keys stay as they were"),
        }
    }
}
