//! The cost of one operation of the lock engine, by size: what grows with the number of resources,
//! waiters or pools?
//!
//! The engine runs in this process, without sockets and without a journal. All sizes of one
//! operation are built first. Then they run in turn, round after round, forwards and backwards, so
//! that a machine that slows down slows all of them. The ratio to the first size is taken within a
//! round.
//!
//! An engine of a million resources does not fit into the caches. Two groups of operations show the
//! cost of that alone: those at the end only touch as much memory, and others always use the same
//! resource, owner or pool of many, which is in the caches.

use std::{
    collections::HashMap,
    hint::black_box,
    time::{Duration, Instant},
};

use latchd::command::StoredName;

use crate::{
    BenchResult,
    spread::Spread,
    table,
    worlds::{self, Random, WorldStep},
};

/// Measure the lock engine inside this process: ns per operation, by size
#[derive(clap::Args)]
pub struct Options {
    /// Use smaller sizes and fewer rounds, to check that it works
    #[arg(long)]
    quick: bool,
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Only operations with this text in their name
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// One size of one operation.
struct Cell {
    size: String,
    step: WorldStep,
    /// The number of steps that take about as long as a sample.
    steps: u32,
    /// Nanoseconds a step, one for each round.
    samples: Vec<f64>,
}

/// One operation, and its constructor for each size. The others are compared with the first size.
struct Family {
    name: &'static str,
    sizes: Vec<(String, Box<dyn Fn() -> WorldStep>)>,
}

impl Family {
    fn new(
        name: &'static str,
        unit: &str,
        sizes: &[u32],
        build: impl Fn(u32) -> WorldStep + Copy + 'static,
    ) -> Self {
        let size = |&size: &u32| {
            let build: Box<dyn Fn() -> WorldStep> = Box::new(move || build(size));
            (format!("{} {unit}", grouped(size)), build)
        };
        Self {
            name,
            sizes: sizes.iter().map(size).collect(),
        }
    }
}

pub fn run(options: &Options) -> BenchResult<()> {
    if cfg!(debug_assertions) {
        return Err("a debug build checks the whole engine after each command: --release".into());
    }
    let (rounds, sample) = match options.quick {
        true => (options.rounds.min(3), Duration::from_millis(5)),
        false => (options.rounds, Duration::from_millis(30)),
    };
    println!("{}.", table::machine());
    println!(
        "{rounds} rounds; ns an operation: median (lowest–highest). The ratio is to the first"
    );
    println!("size of the same operation in the same round.\n");
    println!("| operation | size | ns | ratio |\n| --- | --- | ---: | ---: |");
    let families = families(options.quick);
    for family in families.iter().filter(|f| f.name.contains(&options.only)) {
        eprintln!("{} ...", family.name);
        measure(family, rounds, sample);
    }
    Ok(())
}

fn measure(family: &Family, rounds: u32, sample: Duration) {
    let cells = family.sizes.iter().map(|(size, build)| {
        let mut step = build();
        let steps = steps_in(&mut step, sample);
        Cell {
            size: size.clone(),
            step,
            steps,
            samples: Vec::new(),
        }
    });
    let mut cells: Vec<Cell> = cells.collect();
    for round in 0..rounds as usize {
        for turn in 0..cells.len() {
            let turn = match round % 2 {
                0 => turn,
                _ => cells.len() - 1 - turn,
            };
            cells[turn].sample();
        }
    }
    for cell in &cells {
        let ratios = cell.samples.iter().zip(&cells[0].samples);
        let ns = Spread::of(cell.samples.iter().copied());
        let ratio = Spread::of(ratios.map(|(own, first)| own / first));
        if let (Some(ns), Some(ratio)) = (ns, ratio) {
            let ns = ns.show(|ns| format!("{ns:.0}"));
            let ratio = ratio.show(|ratio| format!("{ratio:.2}"));
            println!("| {} | {} | {ns} | {ratio} |", family.name, cell.size);
        }
    }
}

impl Cell {
    fn sample(&mut self) {
        // The previous cell has filled the caches.
        let warm_up = self.steps / 4;
        (0..warm_up).for_each(|_| (self.step)());
        let start = Instant::now();
        (0..self.steps).for_each(|_| (self.step)());
        let ns = start.elapsed().as_nanos() as f64;
        self.samples.push(ns / f64::from(self.steps));
    }
}

fn steps_in(step: &mut WorldStep, sample: Duration) -> u32 {
    let mut steps = 1;
    loop {
        let start = Instant::now();
        (0..steps).for_each(|_| step());
        if start.elapsed() >= sample / 2 || steps >= 1 << 26 {
            return steps * 2;
        }
        steps *= 2;
    }
}

fn families(quick: bool) -> Vec<Family> {
    let (resources, waiters, pools): (&[u32], &[u32], &[u32]) = match quick {
        true => (&[10, 10_000], &[1, 1000], &[1, 1000]),
        false => (
            &[10, 10_000, 1_000_000],
            &[1, 1000, 100_000],
            &[1, 1000, 100_000],
        ),
    };
    let most_waiters = waiters[waiters.len() - 1];
    let held = if quick { 10 } else { 10_000 };
    // As many leases as in a pool that is half held.
    let halves: Vec<u32> = resources.iter().map(|resources| resources / 2).collect();
    let volumes: &[u32] = match quick {
        true => resources,
        false => &[10, 10_000, 100_000, 1_000_000],
    };
    let mut families = Vec::new();
    for noted in [false, true] {
        let plain_or_noted = |plain, with_changes| if noted { with_changes } else { plain };
        families.extend([
            Family::new(
                plain_or_noted("acquire, release", "acquire, release; changes noted"),
                "resources",
                resources,
                move |size| worlds::take_and_release(noted, size),
            ),
            Family::new(
                plain_or_noted(
                    "any owner asks again",
                    "any owner asks again; changes noted",
                ),
                "resources",
                resources,
                move |size| worlds::renew(noted, size, false),
            ),
            Family::new(
                plain_or_noted("lease ends, acquire", "lease ends, acquire; changes noted"),
                "resources",
                resources,
                move |size| worlds::expire_and_take(noted, size),
            ),
        ]);
        let name = plain_or_noted(
            "release to a waiter, wait",
            "release to a waiter, wait; changes noted",
        );
        families.push(Family::new(
            name,
            "waiters",
            &[waiters, &[0]].concat(),
            move |size| worlds::hand_over(noted, 10, size),
        ));
        let mut by_resources = Family::new(name, "resources", resources, move |size| {
            worlds::hand_over(noted, size, most_waiters)
        });
        for (size, _) in &mut by_resources.sizes {
            size.push_str(&format!(", {} waiters", grouped(most_waiters)));
        }
        families.push(by_resources);
    }
    families.extend([
        Family::new(
            "release to a waiter by name, wait",
            "waiters",
            waiters,
            move |size| worlds::hand_over_named(false, held, size),
        ),
        Family::new("acquire, release; any pool", "pools", pools, |size| {
            worlds::in_pools(false, size, false)
        }),
        Family::new("acquire, release; the same pool", "pools", pools, |size| {
            worlds::in_pools(false, size, true)
        }),
        Family::new(
            "acquire, release by owner",
            "resources",
            resources,
            |size| worlds::release_by_owner(false, size),
        ),
        Family::new(
            "waiting owner asks again",
            "waiters for any",
            waiters,
            move |size| worlds::ask_again_while_queued(held, size, false),
        ),
        Family::new(
            "waiting owner asks again",
            "waiters by name",
            waiters,
            move |size| worlds::ask_again_while_queued(held, size, true),
        ),
        Family::new(
            "the same owner asks again",
            "resources",
            resources,
            |size| worlds::renew(false, size, true),
        ),
        Family::new(
            "acquire, release; the same by name",
            "resources",
            resources,
            |size| worlds::take_and_release_the_same(size),
        ),
        Family::new(
            "HEAP ALONE: first deadline ends, last is set",
            "deadlines",
            &halves,
            worlds::end_and_set,
        ),
        Family::new(
            "MEMORY ALONE: one HashMap look-up",
            "names",
            volumes,
            look_up,
        ),
        Family::new(
            "MEMORY ALONE: one read after another",
            "x 256 bytes",
            volumes,
            read,
        ),
    ]);
    families
}

/// Finds a name in a map from names to numbers: the bare search of a resource by its id.
fn look_up(names: u32) -> WorldStep {
    let mut buffer = [0; 8];
    let mut order: Vec<u32> = (0..names).collect();
    let mut random = Random(1);
    random.shuffle(&mut order);
    let entries = order.iter().map(|&number| {
        let name: StoredName = worlds::name(b'r', number, &mut buffer).into();
        (name, number)
    });
    let map: HashMap<StoredName, u32> = entries.collect();
    Box::new(move || {
        let mut buffer = [0; 8];
        let name = worlds::name(b'r', random.below(names), &mut buffer);
        black_box(map.get(name));
    })
}

/// Reads the place that the last read named: each read is a whole cache miss, if it is one.
fn read(places: u32) -> WorldStep {
    #[derive(Clone, Copy)]
    #[repr(align(256))]
    struct Cell(u32);
    let mut order: Vec<u32> = (0..places).collect();
    Random(1).shuffle(&mut order);
    let mut memory = vec![Cell(0); places as usize];
    for (position, &place) in order.iter().enumerate() {
        memory[place as usize].0 = order[(position + 1) % order.len()];
    }
    let mut at = 0;
    Box::new(move || at = black_box(memory[at as usize].0))
}

/// Formats 1000000 as 1,000,000.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_can_be_repeated() {
        for family in families(true) {
            // The smallest size: a debug build checks the whole engine after each command.
            let (size, build) = &family.sizes[0];
            let mut step = build();
            (0..50).for_each(|_| step());
            assert!(!size.is_empty());
        }
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(grouped(999), "999");
    }
}
