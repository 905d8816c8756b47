//! Shows that the simulation can fail: a mutation stands between the engine and the model and makes
//! the engine break one promise. Each break must be found within a few seeds.

use std::collections::BTreeSet;
use std::sync::Mutex;

use latchd::command::{Acquire, Command, Fence, Refusal, ReleaseCondition, Reply, Ticket};
use latchd::pool::Rules;

use super::clients;
use super::duel::Between;
use super::model::Model;
use super::operations::Operation;
use super::server::Break;
use super::shrink::Failure;
use super::{STEPS, run_engine};

const SEEDS: u64 = 200;

fn is_caught<B: Between>(name: &str, broken: impl Fn() -> B) {
    some_seed_fails(name, STEPS, |seed, steps| run_engine(seed, steps, broken()));
}

fn some_seed_fails(
    name: &str,
    step_count: usize,
    run: impl Fn(u64, &[usize]) -> Result<(), Failure>,
) {
    let steps: Vec<usize> = (0..step_count).collect();
    let caught = (0..SEEDS).find(|&seed| run(seed, &steps).is_err());
    assert!(caught.is_some(), "{name} is not caught");
}

/// A release is answered and not carried out, now and then.
#[derive(Default)]
struct DropsRelease {
    count: usize,
    dropped: bool,
}

impl Between for DropsRelease {
    fn operation(&mut self, operation: &Operation, _: &Model) -> Operation {
        let is_release = matches!(operation, Operation::Execute(Command::Release(..)));
        self.count += usize::from(is_release);
        self.dropped = is_release && self.count.is_multiple_of(10);
        match operation {
            Operation::Execute(Command::Release(pool, id, condition)) if self.dropped => {
                // With a fence that nothing has.
                let fence = Some(Fence::from_number(u64::MAX));
                let condition = ReleaseCondition {
                    fence,
                    ..condition.clone()
                };
                Operation::Execute(Command::Release(pool.clone(), id.clone(), condition))
            }
            _ => operation.clone(),
        }
    }

    fn answers(&mut self, answers: &mut Vec<(Ticket, Reply)>, _: &Model) {
        let stale = Reply::Refused(Refusal::Stale);
        for (_, reply) in answers.iter_mut() {
            if self.dropped && *reply == stale {
                *reply = Reply::Done;
            }
        }
    }
}

/// Of two waiters that are served at once, each gets the other's grant.
struct LetsOvertake;

impl Between for LetsOvertake {
    fn answers(&mut self, answers: &mut Vec<(Ticket, Reply)>, _: &Model) {
        let is_grant = |(_, reply): &(Ticket, Reply)| matches!(reply, Reply::Granted(_));
        let grants: Vec<usize> = (0..answers.len())
            .filter(|&at| is_grant(&answers[at]))
            .collect();
        if let [first, second, ..] = grants[..] {
            let ticket = answers[first].0;
            answers[first].0 = answers[second].0;
            answers[second].0 = ticket;
        }
    }
}

/// A newcomer is served first: its request is put before the queue.
struct ServesNewcomer;

impl Between for ServesNewcomer {
    fn answers(&mut self, answers: &mut Vec<(Ticket, Reply)>, model: &Model) {
        for (ticket, reply) in answers {
            let Reply::Granted(granted) = reply else {
                continue;
            };
            let mut pools = model.pools.iter();
            let pool = pools.find(|pool| pool.name == granted.pool);
            let last = pool
                .and_then(|pool| pool.line.last())
                .and_then(|waiter| waiter.ticket);
            *ticket = last.unwrap_or(*ticket);
        }
    }
}

/// The clock is a millisecond fast.
struct EndsEarly;

impl Between for EndsEarly {
    fn now(&mut self, now: u64, _: &Model) -> u64 {
        now + 1
    }
}

/// The clock is a millisecond slow, but only when a lease is to end.
struct EndsLate;

impl Between for EndsLate {
    fn now(&mut self, now: u64, model: &Model) -> u64 {
        now - u64::from(model.locks().any(|lock| lock.expires_at == Some(now)))
    }
}

/// A grant has the fence of the one before it.
struct RepeatsFence;

impl Between for RepeatsFence {
    fn answers(&mut self, answers: &mut Vec<(Ticket, Reply)>, _: &Model) {
        for (_, reply) in answers {
            if let Reply::Granted(granted) = reply {
                for lease in granted
                    .leases
                    .iter_mut()
                    .filter(|l| l.fence.number() % 10 == 0)
                {
                    lease.fence = Fence::from_number(lease.fence.number() - 1);
                }
            }
        }
    }
}

/// A place is lost when its owner's connection is.
struct ForgetsOwner;

impl Between for ForgetsOwner {
    fn operation(&mut self, operation: &Operation, _: &Model) -> Operation {
        match operation {
            Operation::Execute(Command::Acquire(pool, acquire)) if acquire.wait_ms == 5_000 => {
                let acquire = Acquire {
                    owner: None,
                    ..acquire.clone()
                };
                Operation::Execute(Command::Acquire(pool.clone(), acquire))
            }
            _ => operation.clone(),
        }
    }
}

/// The operator's rules are not kept.
struct Bends(fn(&mut Rules));

impl Between for Bends {
    fn rules(&self, mut rules: Rules) -> Rules {
        self.0(&mut rules);
        rules
    }
}

/// Notes the events, to show that they occur.
struct Notes<'a>(&'a Mutex<BTreeSet<&'static str>>);

impl Between for Notes<'_> {
    fn operation(&mut self, operation: &Operation, model: &Model) -> Operation {
        let mut seen = self.0.lock().expect("no holder has panicked");
        for pool in &model.pools {
            let kept = pool.kept();
            let absent = pool.line.iter().any(|waiter| waiter.ticket.is_none());
            let present = pool.line.iter().any(|waiter| waiter.ticket.is_some());
            let multiple = pool.locks.iter().any(|lock| lock.ids.len() == 3);
            let gone = |id| !pool.members.contains(id);
            let notes = [
                ("one by name is kept", !kept.named.is_empty()),
                ("one of any kind is kept", kept.any == 1),
                ("three of any kind are kept", kept.any == 3),
                ("both are kept", kept.any > 0 && !kept.named.is_empty()),
                (
                    "one is kept, and another waits",
                    kept.count() > 0 && present,
                ),
                (
                    "one can be lent beside what is kept",
                    kept.count() > 0 && kept.count() < pool.order.len(),
                ),
                ("an owner is away", absent),
                ("five wait", pool.line.len() >= 5),
                ("three are in one lock", multiple),
                (
                    "a lock outlives a member",
                    pool.locks.iter().any(|l| l.ids.iter().any(gone)),
                ),
            ];
            seen.extend(
                notes
                    .iter()
                    .filter(|(_, is_so)| *is_so)
                    .map(|(what, _)| what),
            );
        }
        operation.clone()
    }

    fn answers(&mut self, answers: &mut Vec<(Ticket, Reply)>, _: &Model) {
        let mut seen = self.0.lock().expect("no holder has panicked");
        seen.insert(if answers.len() > 2 {
            "three answers"
        } else {
            "an answer"
        });
        for (_, reply) in answers.iter() {
            seen.insert(match reply {
                Reply::Refused(Refusal::NoPool) => "no pool",
                Reply::Refused(Refusal::NoResource) => "no resource",
                Reply::Refused(Refusal::NotHeld) => "not held",
                Reply::Refused(Refusal::Busy) => "busy",
                Reply::Refused(Refusal::NotYours) => "not yours",
                Reply::Refused(Refusal::Stale) => "stale",
                Reply::Refused(Refusal::OwnerHolds(_)) => "owner holds",
                Reply::Refused(Refusal::OnlyResources(_)) => "only so many",
                Reply::Refused(Refusal::QueueFull) => "queue full",
                Reply::Refused(Refusal::TooManyPools) => "too many pools",
                Reply::Refused(Refusal::TooManyResources) => "too many resources",
                _ => "success",
            });
        }
    }
}

#[test]
fn the_simulation_comes_to_where_it_is_interesting() {
    let seen = Mutex::default();
    let steps: Vec<usize> = (0..STEPS).collect();
    for seed in 0..3 * SEEDS {
        let result = run_engine(seed, &steps, Notes(&seen));
        result.unwrap_or_else(|failure| panic!("{}\nseed {seed}", failure.difference));
    }
    let seen = seen.into_inner().expect("no holder has panicked");
    assert_eq!(seen.len(), 24, "{seen:?}");
}

#[test]
fn the_simulation_catches_what_is_broken() {
    is_caught("a lost release", DropsRelease::default);
    is_caught("two answers in the wrong order", || LetsOvertake);
    is_caught("a new waiter that overtakes", || ServesNewcomer);
    is_caught("a lease that ends early", || EndsEarly);
    is_caught("a lease that ends late", || EndsLate);
    is_caught("a fence used twice", || RepeatsFence);
    is_caught("a place that is lost", || ForgetsOwner);
    is_caught("a place kept too long", || {
        Bends(|rules| rules.queue_grace_ms += 1)
    });
    is_caught("a wait too long", || Bends(|rules| rules.max_wait_ms += 1));
    is_caught("a line too long", || Bends(|rules| rules.max_waiters += 1));
    is_caught("a pool's line too long", || {
        Bends(|rules| rules.max_pool_waiters += 1)
    });
    is_caught("a pool too many", || Bends(|rules| rules.max_pools += 1));
    is_caught("a resource too many", || {
        Bends(|rules| rules.max_resources += 1)
    });
    is_caught("a member too many", || {
        Bends(|rules| rules.max_pool_resources += 1)
    });
    is_caught("more that ends at once", || {
        Bends(|rules| rules.max_ends += 1)
    });
    is_caught("a lease without end", || {
        Bends(|rules| rules.default_ttl = None)
    });
}

#[test]
fn the_simulation_catches_a_broken_server() {
    for broken in [
        Break::KeepsUnsent,
        Break::KeepsUntaken,
        Break::LendsTwice,
        Break::Misdirects,
    ] {
        some_seed_fails(&format!("{broken:?}"), clients::STEPS, |seed, steps| {
            clients::run(seed, steps, Some(broken))
        });
    }
}
