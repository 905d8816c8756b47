//! Any operations: the engine does what the shadow model does, and its invariants hold.
//!
//! The bytes are the choices that the simulation in `tests/simulation` makes with a seed: the next
//! operation, and its values. They depend on the state, so that most have an effect.

#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/simulation/difference.rs"]
mod difference;
#[path = "../../tests/simulation/duel.rs"]
mod duel;
#[path = "../../tests/simulation/journal.rs"]
mod journal;
#[path = "../../tests/simulation/model.rs"]
mod model;
#[path = "../../tests/simulation/model_lock.rs"]
mod model_lock;
#[path = "../../tests/simulation/model_pool.rs"]
mod model_pool;
#[path = "../../tests/simulation/operations.rs"]
mod operations;
#[path = "../../tests/simulation/watch.rs"]
mod watch;

use duel::{Duel, Honest};
use operations::{Operations, Source};

/// Long sequences find no more than short ones.
const MAX_OPERATIONS: usize = 300;

impl Source for Unstructured<'_> {
    fn below(&mut self, end: u32) -> u32 {
        // Zeros once the bytes are used up.
        self.int_in_range(0..=end - 1).unwrap_or(0)
    }
}

fuzz_target!(|input: &[u8]| {
    let mut source = Unstructured::new(input);
    let mut duel = Duel::new(operations::rules(&mut source), Honest);
    let mut done = Vec::new();
    while !source.is_empty() && done.len() < MAX_OPERATIONS {
        let (model, now) = (&duel.model, duel.now);
        let source = &mut source;
        let operation = Operations { source, model, now }.draw();
        done.push(duel.describe(&operation));
        if let Err(difference) = duel.step(&operation) {
            panic!("{}\n{difference}\nmodel: {:?}", done.join("\n"), duel.model);
        }
    }
});
