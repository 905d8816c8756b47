//! The signals that the terminal has sent to the command already.

use std::fs::File;

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGWINCH};

/// Returns whether the command has received this signal itself. A terminal sends the signals of its
/// keys and its size to the whole foreground process group, which includes the command. Sent on, the
/// signal would arrive twice, and many programs take a second SIGINT for impatience. A signal sent by
/// kill(1) to a latch in the foreground is taken for the terminal's.
pub(super) fn has_sent(signal: i32) -> bool {
    [SIGINT, SIGQUIT, SIGWINCH].contains(&signal) && is_in_foreground()
}

fn is_in_foreground() -> bool {
    let terminal = File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}
