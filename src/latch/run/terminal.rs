//! Which signals the terminal has sent to the command already.

use std::fs::File;

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGINT, SIGQUIT, SIGWINCH};

/// Whether the command has got this signal itself. A terminal sends what its keys and its size mean to
/// the whole process group in its foreground, in which the command is, too: sent on, it would arrive
/// twice, and many programs take a second SIGINT for impatience. Who sends one of these with kill(1) to
/// a latch in the foreground is taken for the terminal.
pub(super) fn has_sent(signal: i32) -> bool {
    [SIGINT, SIGQUIT, SIGWINCH].contains(&signal) && is_in_foreground()
}

fn is_in_foreground() -> bool {
    let terminal = File::open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp()))
}
