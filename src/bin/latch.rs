//! The client command's process: an exit code and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    latchd::latch::main()
}
