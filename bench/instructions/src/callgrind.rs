//! Counting with valgrind.

use std::env;
use std::process::Command;

/// Enough steps for every buffer and map to reach its size.
const FEW: usize = 1000;
const MANY: usize = 5000;

/// Returns the instructions of one step.
pub fn count(name: &str) -> Result<f64, String> {
    let (few, many) = (total(name, FEW)?, total(name, MANY)?);
    Ok(many.saturating_sub(few) as f64 / (MANY - FEW) as f64)
}

/// Returns the instructions of a process that takes `steps`.
fn total(name: &str, steps: usize) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let path = env::var_os("PATH").unwrap_or_default();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--run", name, &steps.to_string()])
        // The environment is on the stack; without it the stack has the same place on every
        // machine.
        .env_clear()
        .env("PATH", path)
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    match count {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("{name} could not be counted: {report}")),
    }
}
