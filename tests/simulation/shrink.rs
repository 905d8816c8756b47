//! Cuts a failing story down to the steps that it needs.
//!
//! Each step draws from numbers of its own, so that the effect of a step depends on the steps before only by the state
//! that they leave.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::{Duration, Instant};

/// The longest time for cutting a story down. After that it is shown as it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// A failure: the first difference, in one line, and the steps that have led to it.
pub struct Failure {
    pub difference: String,
    pub log: Vec<String>,
}

impl Failure {
    /// Failures are of the same kind if they begin with the same words, whatever the numbers there.
    fn kind(&self) -> String {
        let words = self.difference.split([':', '\n']).next();
        let words = words.unwrap_or_default().chars();
        words.filter(|c| !c.is_ascii_digit()).collect()
    }
}

/// The numbers of a step.
pub fn numbers(seed: u64, step: usize) -> fastrand::Rng {
    fastrand::Rng::with_seed(fastrand::Rng::with_seed(seed).u64(..) ^ step as u64)
}

/// Runs all steps of a story. If it fails, returns a text that says how, and which steps are needed for that.
pub fn tell(
    step_count: usize,
    run: impl Fn(&[usize]) -> Result<(), Failure>,
) -> Result<(), String> {
    let mut steps: Vec<usize> = (0..step_count).collect();
    let Err(mut failure) = run(&steps) else {
        return Ok(());
    };
    IS_QUIET.set(true);
    cut_down(&mut steps, &mut failure, run);
    IS_QUIET.set(false);
    let Failure { difference, log } = failure;
    Err(format!(
        "{difference}\n{} of {step_count} steps are left:\n  {}",
        steps.len(),
        log.join("\n  ")
    ))
}

/// Leaves out steps, first many at a time, as long as the rest fails in the same way.
fn cut_down(
    steps: &mut Vec<usize>,
    failure: &mut Failure,
    run: impl Fn(&[usize]) -> Result<(), Failure>,
) {
    let (end, kind) = (Instant::now() + PATIENCE, failure.kind());
    let mut size = steps.len() / 2;
    while size > 0 {
        let count_before = steps.len();
        // From the last to the first: behind the failure there is nothing that is needed.
        for start in (0..steps.len()).step_by(size).rev() {
            if Instant::now() > end {
                return;
            }
            let mut fewer = steps.clone();
            fewer.drain(start..steps.len().min(start + size));
            match run(&fewer) {
                Err(other) if other.kind() == kind => (*steps, *failure) = (fewer, other),
                _ => {}
            }
        }
        let goes_on = size > 1 || steps.len() < count_before;
        size = if goes_on { (size / 2).max(1) } else { 0 };
    }
}

thread_local! {
    /// Panics of this thread are not printed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Makes a failure of a panic. Only that of the whole story is printed, and not those while it is cut down.
pub fn caught(act: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                print(panic);
            }
        }));
    });
    panic::catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(text.unwrap_or("a panic without words").to_owned())
    })
}

#[test]
fn what_a_failure_does_not_need_is_cut_out() {
    let story = |steps: &[usize]| {
        let has = |step| steps.contains(&step);
        let difference = match (has(3) && has(77), has(50)) {
            (true, _) => format!("fence: {}, in the grant", steps.len()),
            // Another failure, that would be shorter.
            (false, true) => "a panic".to_owned(),
            (false, false) => return Ok(()),
        };
        let log = steps.iter().map(|step| format!("step {step}")).collect();
        Err(Failure { difference, log })
    };
    let text = "fence: 2, in the grant\n2 of 100 steps are left:\n  step 3\n  step 77";
    assert_eq!(tell(100, story), Err(text.to_owned()));
    assert_eq!(tell(3, story), Ok(()));
}
