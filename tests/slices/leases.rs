//! Very many leases that end together do so in slices. Until its slice, a lease counts as ended wherever a
//! client asks, and all else is answered at once.

use std::num::NonZeroU32;

use latchd::command::{
    Acquire, Command, Filter, OwnerName, PoolQuery, Refusal, ReleaseCondition, Renewal, Reply,
    Selection, Ttl,
};
use latchd::pool::{Rules, StepBudget};
use latchd::store::{EmbeddedStore, Journal, Sync};
use latchd::time::Time;
use tempfile::TempDir;

use super::{ANY, StoreClient, acquire, id, pool, seed};

/// The number of held resources in `A`, in grants of several.
const HELD: usize = 6_000;
const IN_A_GRANT: u32 = 20;

const LEASE_S: u32 = 60;
const LEASE_MS: u64 = LEASE_S as u64 * 1000;

/// The number of leases that a tick ends at most.
fn slice() -> usize {
    Rules::default().max_ends
}

fn lease_of(selection: Selection<'static>) -> Acquire<'static> {
    Acquire {
        ttl: Ttl::from_s(LEASE_S),
        ..acquire(selection, 0)
    }
}

/// All of `A` is held with one lease, by fences in the order of the ids. `B` has one resource that is free.
fn hold_all(client: &mut StoreClient) {
    let ids = (1..=HELD).rev().collect();
    client.ask(Command::AddMembers(seed(&[("A", ids), ("B", vec![1])])));
    let some = NonZeroU32::new(IN_A_GRANT).expect("it is not 0");
    for _ in 0..HELD / IN_A_GRANT as usize {
        client.submit(Command::Acquire(pool("A"), lease_of(Selection::Any(some))));
    }
    client.settle();
    assert_eq!(client.held(), HELD);
}

impl StoreClient {
    /// The held resources of `A` by the list of pools, which trails behind.
    fn held(&mut self) -> usize {
        match self.ask_once(Command::ListPools(PoolQuery::ALL)) {
            Reply::Pools(pools) => pools[0].held,
            other => panic!("{other:?}"),
        }
    }

    fn ask_a(&mut self, selection: Selection<'static>) -> Reply {
        self.ask_once(Command::Acquire(pool("A"), acquire(selection, 0)))
    }
}

fn ids_of(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Granted(granted) => granted.leases.iter().map(|l| l.id.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

fn refused(refusal: Refusal) -> Reply {
    Reply::Refused(refusal)
}

fn with_owner(name: &'static str) -> Acquire<'static> {
    Acquire {
        owner: OwnerName::parse(name).ok(),
        ..acquire(ANY, 0)
    }
}

/// Ticks until all ended leases are gone. Each tick ends some, and answers requests about another pool.
fn end_in_slices(client: &mut StoreClient, mut left: usize) {
    let mut ticks = 0;
    while left > 0 {
        let lent = client.ask_once(Command::Acquire(pool("B"), acquire(ANY, 0)));
        assert_eq!(ids_of(&lent), ["1"]);
        let given_back = client.ask_once(Command::Release(
            pool("B"),
            id(1),
            ReleaseCondition::default(),
        ));
        assert_eq!(given_back, Reply::Done);
        let held = client.held();
        // Those were three ticks.
        assert!(held < left && held + 3 * slice() >= left, "{left}, {held}");
        left = held;
        ticks += 3;
    }
    assert!(ticks >= HELD / slice() - 2, "{ticks} ticks");
}

#[test]
fn each_tick_ends_some_of_many_leases_and_answers_all_else() {
    let mut client = StoreClient::in_memory(StepBudget(20_000));
    hold_all(&mut client);
    client.now = client.now.after_ms(LEASE_MS + 2);
    client.tick();
    let held = client.held();
    assert_eq!(held, HELD - slice());
    end_in_slices(&mut client, held);
}

/// All leases of a file restart with the server, and so they end together.
#[test]
fn leases_that_restart_with_the_server_end_in_slices() {
    let folder = TempDir::new_in("/dev/shm").expect("a folder in memory");
    let path = folder.path().join("file");
    let mut before = StoreClient::on_file(&path, StepBudget(20_000));
    hold_all(&mut before);
    drop(before);
    let journal = Journal::open(&path, Sync::Always).expect("the file is opened");
    let now = Time::from_ms(5_000_000);
    let store = EmbeddedStore::with_journal(journal, Rules::default(), now);
    let mut client = StoreClient::of(store.expect("the file is read"));
    client.now = now.after_ms(LEASE_MS + 1);
    assert_eq!(client.held(), HELD - slice());
    end_in_slices(&mut client, HELD - slice());
    drop(client);
    let mut after = StoreClient::on_file(&path, StepBudget(20_000));
    assert_eq!(after.held(), 0, "what has ended is in the file");
}

/// A request while ended leases wait for their slice is answered as if they were gone.
#[test]
fn what_waits_for_its_slice_is_over() {
    let mut client = StoreClient::in_memory(StepBudget(20_000));
    hold_all(&mut client);
    let renewal = Renewal {
        owner: None,
        fence: None,
        ttl: None,
    };
    // The lease of the last grant still runs.
    let last = HELD - 1;
    client.now = client.now.after_ms(10_000);
    let renewed = client.ask_once(Command::Renew(pool("A"), id(last), renewal.clone()));
    assert!(matches!(renewed, Reply::Leases(_)), "{renewed:?}");
    client.now = client.now.after_ms(LEASE_MS - 9_000);
    client.tick();
    let over = HELD / 2;

    let renewed = client.ask_once(Command::Renew(pool("A"), id(over), renewal.clone()));
    assert_eq!(renewed, refused(Refusal::NotHeld));
    let released = client.ask_once(Command::Release(
        pool("A"),
        id(over),
        ReleaseCondition::default(),
    ));
    assert_eq!(released, refused(Refusal::NotHeld));
    let shown = client.ask_once(Command::ShowLock(pool("A"), id(over)));
    assert_eq!(shown, refused(Refusal::NotHeld));
    let Reply::Leases(locks) = client.ask_once(Command::ListLocks(pool("A"))) else {
        panic!("locks are listed");
    };
    assert_eq!(locks.len(), IN_A_GRANT as usize);
    let named = client.ask_a(Selection::Named(id(over)));
    assert_eq!(ids_of(&named), [over.to_string()]);
    // More than have ended so far.
    let many = NonZeroU32::new(HELD as u32 - 2_000).expect("it is not 0");
    assert_eq!(
        ids_of(&client.ask_a(Selection::Any(many))).len(),
        HELD - 2_000
    );
    let held_still = client.ask_a(Selection::Named(id(last)));
    assert_eq!(held_still, refused(Refusal::Busy));
    let all = Command::ReleaseAll(pool("A"), Filter::default());
    // Ended leases are not released any more.
    let released = HELD - 2_000 + 1 + IN_A_GRANT as usize;
    assert_eq!(client.ask_once(all), Reply::Released(released));
}

/// An owner whose lease has ended gets another lock, with a higher fence, and waiters come first.
#[test]
fn waiters_and_owners_get_what_waits_for_its_slice_in_their_order() {
    let mut client = StoreClient::in_memory(StepBudget(20_000));
    let rules = Rules {
        max_ends: 1,
        ..Rules::default()
    };
    client.store = EmbeddedStore::in_memory(rules);
    client.ask(Command::AddMembers(seed(&[("A", vec![3, 2, 1])])));
    for name in ["anna", "bert", "carl"] {
        let mut request = with_owner(name);
        request.ttl = Ttl::from_s(1);
        client.ask_once(Command::Acquire(pool("A"), request));
    }
    let first = client.submit(Command::Acquire(pool("A"), acquire(ANY, 9_000)));
    let second = client.submit(Command::Acquire(pool("A"), acquire(ANY, 9_000)));
    client.tick();
    client.now = client.now.after_ms(1_001);
    // The slice of this tick ends the lease of 1, and this that of 3: both are for waiters.
    let renewal = Renewal {
        owner: OwnerName::parse("bert").ok(),
        fence: None,
        ttl: None,
    };
    let renewed = client.ask_once(Command::RenewOwned(pool("A"), renewal));
    assert_eq!(renewed, refused(Refusal::NotHeld));
    let lent = client.ask_once(Command::Acquire(pool("A"), with_owner("carl")));
    let first = client.reply(first).expect("it was served");
    let second = client.reply(second).expect("it was served");
    assert_eq!(ids_of(&first), ["1"]);
    assert_eq!(ids_of(&second), ["2"]);
    assert_eq!(ids_of(&lent), ["3"]);
    let Reply::Granted(granted) = lent else {
        panic!("it was granted");
    };
    assert_eq!(granted.leases[0].fence.number(), 6);
}
