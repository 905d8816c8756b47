//! Output: results to standard output, failures to standard error.

use std::io::{self, ErrorKind, Write};

use serde_json::json;

use super::failure::{Cause, Failure};

/// The form of results and failures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    /// Writes a result and a line feed. The caller has made names fit for a terminal.
    pub(super) fn print(self, text: &str) -> Result<(), Failure> {
        self.write(&format!("{text}\n"))
    }

    pub(super) fn print_lines(self, lines: &[String]) -> Result<(), Failure> {
        let mut text = lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        self.write(&text)
    }

    /// Writes `text` as it is, and flushes it.
    pub(super) fn write(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        written.map_err(|error| {
            let cause = match error.kind() {
                ErrorKind::BrokenPipe => Cause::Unread,
                _ => Cause::Failed,
            };
            Failure::new(cause, "no output", format!("cannot write: {error}"))
        })
    }

    /// Reports progress to the user.
    pub(super) fn note(self, message: &str) {
        self.report(&Failure::new(Cause::Failed, "note", message));
    }

    /// Reports a failure. Without a reader latch still returns the exit code, where `eprintln!` would
    /// panic.
    pub(super) fn report(self, failure: &Failure) {
        let Failure { code, message, .. } = failure;
        let line = match self.json {
            true => json!({"code": code, "message": message}).to_string(),
            false => format!("latch: {message}"),
        };
        let _ = writeln!(io::stderr(), "{line}");
    }
}
