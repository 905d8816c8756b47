//! Signals as events.
//!
//! A signal that was ignored when latch started, as `nohup` does, stays ignored, also for the command.

use std::sync::mpsc::Sender;
use std::{fs, io, thread};

use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::Signals;

use super::event::Event;

const LISTENED: [i32; 10] = [
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
];

/// Sends an event for each signal from now on.
pub(super) fn listen(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new(not_ignored(&LISTENED))?;
    thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Returns those of `signals` that were not ignored when latch started.
pub(super) fn not_ignored(signals: &[i32]) -> Vec<i32> {
    let ignored = ignored_mask();
    let is_listened = |signal: &i32| *signal == SIGCHLD || ignored & (1 << (*signal - 1)) == 0;
    signals.iter().copied().filter(is_listened).collect()
}

/// Ends latch by this signal, so that the parent process sees the cause: a bash script goes on after a
/// Ctrl-C that its command reports only by exit code. Returns that code if the signal cannot end a
/// process.
pub(super) fn end_by(signal: i32) -> u8 {
    // The core dump of interest is that of the command.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// Returns whether a signal ends a wait for a lock.
pub(super) fn ends_waiting(signal: i32) -> bool {
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM].contains(&signal)
}

/// Returns the ignored signals, a bit each; 0 where the system does not report them.
fn ignored_mask() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
