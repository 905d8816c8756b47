//! The instructions that latchd takes for each step of a request, as valgrind's callgrind counts
//! them, beside the accepted counts.
//!
//! A count says little about time, but it is the same on a busy machine as on an idle one, so it can
//! be a gate. Each step runs in two processes, in one of them more often. The difference is the cost
//! of the step, without that of its setting.
//!
//! Counts depend on the compiler, and on the instructions of the processor: memchr and the C library
//! look for AVX2. Valgrind shows the program one made-up processor, which hides all other
//! differences. Without AVX2, nothing is compared.

mod accepted;
mod callgrind;
mod client;
mod engine;
mod http;
#[path = "../../../tests/support/ticks.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod ticks;

use std::env;
use std::process::ExitCode;

use accepted::Accepted;

/// A repeatable step that does not change the size of its state. The argument is the number of
/// earlier steps.
type Step = Box<dyn FnMut(usize)>;

/// A measured step: its name, and its constructor.
type Measured = (&'static str, fn() -> Step);

/// The largest growth that is not a failure, in percent.
const TOLERATED_PERCENT: f64 = 5.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => compare(false),
        ["--accept"] => compare(true),
        // The form in which valgrind starts this program.
        ["--run", name, steps] => run(name, steps).map(|()| true),
        _ => Err("use: latchd-instructions [--accept]".into()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

fn measured() -> impl Iterator<Item = Measured> {
    let all = [http::MEASURED, engine::MEASURED, client::MEASURED];
    all.into_iter().flatten().copied()
}

fn run(name: &str, steps: &str) -> Result<(), String> {
    let steps: usize = steps.parse().map_err(|_| "STEPS is a number".to_owned())?;
    let (_, build) = measured()
        .find(|(known, _)| *known == name)
        .ok_or("no such thing is measured")?;
    let mut step = build();
    (0..steps).for_each(&mut step);
    Ok(())
}

/// Measures all steps, and prints the counts beside the accepted ones. Returns false if one has
/// grown too much.
fn compare(accept: bool) -> Result<bool, String> {
    if !has_known_instructions() {
        println!("not compared: the accepted counts are those of x86-64 with AVX2");
        return Ok(true);
    }
    let accepted = Accepted::read()?;
    println!(
        "{:<44} {:>10} {:>10} {:>8}",
        "instructions", "accepted", "now", ""
    );
    let mut counts = Vec::new();
    let (mut worse, mut better) = (0, 0);
    for (name, _) in measured() {
        let now = callgrind::count(name)?;
        counts.push((name, now));
        let Some(before) = accepted.of(name) else {
            println!("{name:<44} {:>10} {now:>10.1}      new", "");
            worse += 1;
            continue;
        };
        let percent = (now / before - 1.0) * 100.0;
        let verdict = if percent > TOLERATED_PERCENT {
            worse += 1;
            "  TOO MANY"
        } else if percent < -TOLERATED_PERCENT {
            better += 1;
            "  better"
        } else {
            ""
        };
        println!("{name:<44} {before:>10.1} {now:>10.1} {percent:>+7.1}%{verdict}");
    }
    if accept {
        accepted::write(&counts)?;
        println!("accepted, in {}", accepted::PATH);
        return Ok(true);
    }
    accepted.tell_other_tools();
    const HOW: &str = "cargo run --release -p latchd-instructions -- --accept";
    if worse > 0 {
        println!("{worse} more than {TOLERATED_PERCENT} % above what was accepted, or new.");
        println!("If that is meant, accept it, and say why in the commit: {HOW}");
    }
    if better > 0 {
        println!(
            "{better} more than {TOLERATED_PERCENT} % below. Accept it, so that it stays: {HOW}"
        );
    }
    Ok(worse == 0)
}

#[cfg(target_arch = "x86_64")]
fn has_known_instructions() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_known_instructions() -> bool {
    false
}
