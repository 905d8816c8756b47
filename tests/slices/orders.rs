//! Commands during a large seed are answered as if all had been done in one go, in some order that the
//! contract allows.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use fastrand::Rng;
use latchd::command::{
    Command, Filter, OwnerName, PoolQuery, ReleaseCondition, Reply, Seed, Selection, Ticket, Ttl,
};
use latchd::pool::StepBudget;
use latchd::store::Store;
use tempfile::TempDir;

use super::{ANY, POOLS, StoreClient, acquire, id, pool, seed};

/// Commands on a few pools, large seeds among them.
fn draw(random: &mut Rng) -> Command<'static> {
    let name = pool(POOLS[random.usize(..3)]);
    let one = id(random.usize(..40));
    match random.u32(..20) {
        0..3 => Command::AddMembers(draw_seed(random)),
        3..5 => Command::SetMembers(draw_seed(random)),
        5 => Command::ListMembers(name),
        6 => Command::ListLocks(name),
        7 => Command::ReleaseAll(name, Filter::default()),
        8 => Command::ListPools(PoolQuery::ALL),
        9..11 => Command::Release(name, one, ReleaseCondition::default()),
        _ => {
            let selection = match random.u32(..4) {
                0 => Selection::Named(one),
                1 => Selection::Any(NonZeroU32::MIN.saturating_add(2)),
                _ => ANY,
            };
            let mut acquire = acquire(selection, [0, 0, 2_000][random.usize(..3)]);
            acquire.ttl = Ttl::from_s([0, 1, 5][random.usize(..3)]);
            if random.bool() {
                let owner = ["anna", "bert", "carl"][random.usize(..3)];
                acquire.owner = Some(OwnerName::parse(owner).expect("a good name"));
            }
            Command::Acquire(name, acquire)
        }
    }
}

fn draw_seed(random: &mut Rng) -> Seed {
    let mut names = POOLS;
    random.shuffle(&mut names);
    let mut pools = Vec::new();
    for name in &names[..random.usize(1..3)] {
        let count = random.usize(..30);
        let ids = (0..count).map(|_| random.usize(..40));
        pools.push((*name, ids.collect()));
    }
    seed(&pools)
}

/// Commands of about the same time, in the order in which they took effect.
#[derive(Clone)]
struct Round {
    asked: Vec<Asked>,
    pause_ms: u64,
}

#[derive(Clone, Debug)]
struct Asked {
    ticket: Ticket,
    command: Command<'static>,
    /// It was not carried out at once.
    is_held: bool,
    is_withdrawn: bool,
}

impl Asked {
    /// Whether it may have taken effect later than what came after it.
    fn may_be_late(&self) -> bool {
        let is_seed = matches!(
            self.command,
            Command::AddMembers(_) | Command::SetMembers(_)
        );
        is_seed || self.is_held
    }
}

/// The replies of the last round from a store that does all in one go, and its state then.
fn answers_in_one_go(rounds: &[Round]) -> (BTreeMap<u64, Reply>, String) {
    let mut client = StoreClient::in_memory(StepBudget::UNLIMITED);
    for round in rounds {
        client.replies.clear();
        for asked in &round.asked {
            let command = asked.command.clone();
            client.store.submit(asked.ticket, command, client.now);
            if asked.is_withdrawn {
                client.store.withdraw(asked.ticket, client.now);
            }
        }
        client.settle();
        client.now = client.now.after_ms(round.pause_ms);
        client.tick();
    }
    let replies = std::mem::take(&mut client.replies);
    (replies, client.state())
}

/// All orders in which `asked` may have taken effect: seeds, and commands that had to wait, as soon as
/// they were submitted or later than some of the later ones.
fn orders(asked: &[Asked]) -> Vec<Vec<Asked>> {
    let mut orders = vec![asked.to_vec()];
    for (place, late) in asked.iter().enumerate().rev() {
        if !late.may_be_late() {
            continue;
        }
        let after = asked[place + 1..].iter();
        let passed: Vec<Ticket> = after.map(|other| other.ticket).collect();
        let mut more = Vec::new();
        for order in &orders {
            for ticket in &passed {
                let mut order = order.clone();
                let at = |order: &[Asked], ticket| {
                    let found = order.iter().position(|asked| asked.ticket == ticket);
                    found.expect("it was asked for")
                };
                let late = order.remove(at(&order, late.ticket));
                let to = at(&order, *ticket) + 1;
                order.insert(to, late);
                more.push(order);
            }
        }
        orders.extend(more);
    }
    orders
}

/// There is an order in which a store that does all in one go answers the same: one in which each seed,
/// and each command that had to wait for one, comes when it was submitted, or later.
#[test]
fn slices_answer_as_one_go_does() {
    let folder = TempDir::new_in("/dev/shm").expect("a folder in memory");
    let (mut held, mut late) = (0, 0);
    for number in 0..30 {
        let mut random = Rng::with_seed(number);
        let slice = StepBudget(random.usize(1..150));
        let mut sliced = match random.bool() {
            true => StoreClient::in_memory(slice),
            false => StoreClient::on_file(&folder.path().join(number.to_string()), slice),
        };
        // All histories that lead to these answers: later ones may show which one it was.
        let mut histories: Vec<Vec<Round>> = vec![Vec::new()];
        for _ in 0..8 {
            let mut asked = Vec::new();
            for _ in 0..random.usize(1..7) {
                let command = match random.u32(..20) {
                    0 => Command::RemovePool(pool(POOLS[random.usize(..3)])),
                    _ => draw(&mut random),
                };
                let ticket = sliced.submit(command.clone());
                let is_held = sliced.store.is_deferred(ticket);
                held += usize::from(is_held);
                let is_withdrawn = random.u32(..4) == 0;
                if is_withdrawn {
                    sliced.store.withdraw(ticket, sliced.now);
                }
                if random.bool() {
                    sliced.tick();
                }
                asked.push(Asked {
                    ticket,
                    command,
                    is_held,
                    is_withdrawn,
                });
            }
            sliced.settle();
            let looks = [
                Command::ListPools(PoolQuery::ALL),
                Command::ListMembers(pool("A")),
            ];
            for command in looks {
                let ticket = sliced.submit(command.clone());
                asked.push(Asked {
                    ticket,
                    command,
                    is_held: false,
                    is_withdrawn: false,
                });
            }
            sliced.settle();
            let pause_ms = random.u64(..3_000);
            sliced.now = sliced.now.after_ms(pause_ms);
            sliced.tick();
            let replies = std::mem::take(&mut sliced.replies);
            let looks = asked.split_off(asked.len() - 2);
            let orders = orders(&asked);
            let mut fitting = Vec::new();
            for history in &histories {
                for (place, order) in orders.iter().enumerate() {
                    let asked = [&order[..], &looks].concat();
                    let history = [&history[..], &[Round { asked, pause_ms }]].concat();
                    let (answers, state) = answers_in_one_go(&history);
                    if answers == replies {
                        fitting.push((state, place > 0, history));
                    }
                }
            }
            let name = format!("seed {number}");
            assert!(
                !fitting.is_empty(),
                "{name}: no order of {asked:#?} leads to {replies:?}"
            );
            late += usize::from(fitting.iter().all(|(_, is_late, _)| *is_late));
            // One of each that may show to differ.
            fitting.sort_by(|(a, ..), (b, ..)| a.cmp(b));
            fitting.dedup_by(|(a, ..), (b, ..)| a == b);
            histories = fitting.into_iter().map(|(.., history)| history).collect();
        }
    }
    assert!(
        held > 60 && late > 10,
        "{held} had to wait, {late} were late"
    );
}
