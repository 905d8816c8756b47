//! One seed's story: a store on a faulty disk, its commands, and its replies.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;

use fastrand::Rng;
use latchd::command::{
    Acquire, Command, Filter, OwnerName, PoolName, Refusal, ReleaseCondition, Renewal, Reply,
    ResourceId, Seed, Selection, Ticket, Ttl,
};
use latchd::pool::{Rules, StepBudget};
use latchd::store::{EmbeddedStore, Journal, JournalPort, Store, Sync};
use latchd::time::Time;

use super::disk::{Fault, FaultyDisk};
use super::ledger::{Found, Known, Pool};
use super::port::LatePort;
use crate::simulation::shrink::{self, Failure, caught};

const POOLS: [&str; 4] = ["A", "B", "C", "D"];
const IDS: [&str; 6] = ["1", "2", "3", "4", "5", "6"];
const OWNERS: [&str; 3] = ["anna", "bert", "carl"];

/// A store tries again within this time.
const RETRY_MS: u64 = 1_100;
/// A commit that takes longer counts as failed.
const COMMIT_TIMEOUT_MS: u64 = 500;

pub struct Story {
    seed: u64,
    random: Rng,
    disk: FaultyDisk,
    sync: Sync,
    /// The part of a seed that is done in one tick.
    slice: StepBudget,
    store: EmbeddedStore,
    /// The way of the store to its journal, and whether that takes its time.
    port: LatePort,
    is_late: bool,
    now: Time,
    serial: u64,
    pools: BTreeMap<&'static str, Pool>,
    asked: HashMap<Ticket, Asked>,
    /// Losses of the store since the last survey happened while it lived.
    undone: bool,
    /// The last events, to find the cause of a failure.
    log: Vec<String>,
}

/// A request, and its subject.
#[derive(Clone, Debug)]
struct Asked {
    pool: &'static str,
    what: What,
    /// It may wait for others.
    may_wait: bool,
}

#[derive(Clone, Debug)]
enum What {
    Add(Vec<String>),
    Set(Vec<String>),
    Remove,
    Acquire(Option<String>),
    /// This resource, which had this fence then.
    Release(String, Option<u64>),
    ReleaseAll(Vec<(String, u64)>),
    Renew,
}

impl Story {
    pub fn new(seed: u64) -> Story {
        let mut random = Rng::with_seed(seed);
        let disk = FaultyDisk::new(random.u64(..));
        let sync = match random.u8(0..4) {
            0 => Sync::Never,
            _ => Sync::Always,
        };
        let slice = match random.bool() {
            true => StepBudget(random.usize(1..60)),
            false => StepBudget::UNLIMITED,
        };
        let now = Time::from_ms(1_000_000);
        let is_late = random.bool();
        let (store, port) = open(&disk, sync, slice, is_late, now).expect("a new disk");
        Story {
            seed,
            random,
            store,
            port,
            is_late,
            disk,
            sync,
            slice,
            now,
            serial: 0,
            pools: POOLS.map(|name| (name, Pool::default())).into(),
            asked: HashMap::new(),
            undone: true,
            log: Vec::new(),
        }
    }

    /// Goes through these steps. Returns how the disk has failed.
    pub fn run(mut self, steps: &[usize]) -> Result<Vec<Fault>, Failure> {
        match caught(|| self.go_through(steps)) {
            Ok(()) => Ok(self.disk.fired()),
            Err(difference) => Err(Failure {
                difference,
                log: self.log,
            }),
        }
    }

    fn go_through(&mut self, steps: &[usize]) -> Result<(), String> {
        for &step in steps {
            self.random = shrink::numbers(self.seed, step);
            match self.random.u8(0..100) {
                0..60 => self.tick()?,
                60..72 => self.break_down(),
                72..82 => self.disk.heal(),
                82..88 => self.survey(false)?,
                88..94 => self.pass(RETRY_MS)?,
                94..96 => self.restart("stops", |_| {})?,
                96..98 => self.restart("is killed", FaultyDisk::kill_process)?,
                _ if self.sync == Sync::Always => self.restart("is off", FaultyDisk::cut_power)?,
                _ => {}
            }
        }
        self.disk.heal();
        self.be_prompt()?;
        self.is_late = false;
        self.pass(RETRY_MS)?;
        self.survey(true)?;
        self.lend_everything()
    }

    fn break_down(&mut self) {
        let fault = self.random.choice(Fault::ALL).expect("there are some");
        // There is one sync a tick, and little is read while a store is open.
        let wait = match fault {
            Fault::Write | Fault::TornWrite | Fault::Full => self.random.u32(0..12),
            Fault::Sync | Fault::Read | Fault::ShortRead => self.random.u32(0..2),
        };
        let fails = [1, 1, 2, 5, u32::MAX][self.random.usize(0..5)];
        self.log.push(format!("{fault:?}: {fails}, after {wait}"));
        self.disk.break_down(fault, wait, fails);
    }

    /// Lets time pass; the store handles its due deadlines.
    fn pass(&mut self, ms: u64) -> Result<(), String> {
        self.now = self.now.after_ms(ms);
        self.advance()?;
        // Work of several ticks completes, or other commands arrive meanwhile.
        let most = self.random.choice([0, 1, 4, 100]).unwrap_or_default();
        for _ in 0..most {
            if self.store.next_timeout() == Some(Time::default()) {
                self.advance()?;
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), String> {
        // A disk may be slow, so that a commit takes several ticks, or more time than it has.
        for _ in 0..self.random.u8(0..3) {
            self.port.advance();
        }
        self.store.handle_timeout(self.now);
        self.store.commit(self.now);
        self.hear().map(|_| ())
    }

    /// Completes pending work, and lets nothing be late for now.
    fn be_prompt(&mut self) -> Result<(), String> {
        self.port.set_prompt(true);
        self.advance()?;
        // A batch may wait for more, and another one may be behind it.
        for _ in 0..100 {
            if self.store.is_quiescent() {
                break;
            }
            self.now = self.now.after_ms(1);
            self.advance()?;
        }
        Ok(())
    }

    /// Whether a seed of this pool is not answered yet.
    fn is_seeded(&self, pool: &str) -> bool {
        let is_seed = |asked: &Asked| matches!(asked.what, What::Add(_) | What::Set(_));
        let mut asked = self.asked.values();
        asked.any(|asked| asked.pool == pool && is_seed(asked))
    }

    /// Whether a command about this pool has no answer yet, and may be other than queued.
    fn has_asked(&self, pool: &str) -> bool {
        let is_late = self.port.is_busy() || !self.store.is_quiescent();
        let mut asked = self.asked.values();
        asked.any(|asked| asked.pool == pool && (is_late || !asked.may_wait))
    }

    /// All seeds are answered. False if one cannot be yet.
    fn settle(&mut self, must_be_up: bool) -> Result<bool, String> {
        let is_seeded = |story: &Story| POOLS.iter().any(|pool| story.is_seeded(pool));
        for _ in 0..1_000 {
            if self.store.next_timeout() == Some(Time::default()) {
                self.advance()?;
            } else if is_seeded(self) && must_be_up {
                self.pass(RETRY_MS)?;
            } else {
                return Ok(!is_seeded(self));
            }
        }
        Err("seeds do not come to their end".into())
    }

    /// Some requests, each about another pool, and the answers to them.
    fn tick(&mut self) -> Result<(), String> {
        let mut pools = POOLS;
        self.random.shuffle(&mut pools);
        let count = self.random.usize(1..=pools.len());
        for &pool in &pools[..count] {
            if self.has_asked(pool) {
                continue;
            }
            let (command, what) = self.draw(pool);
            let may_wait = command.may_wait();
            let asked = Asked {
                pool,
                what,
                may_wait,
            };
            self.ask(command, Some(asked));
        }
        let ms = self.random.u64(0..200);
        self.pass(ms)
    }

    fn ask(&mut self, command: Command<'_>, asked: Option<Asked>) {
        let ticket = Ticket::new(self.serial, 0);
        self.serial += 1;
        self.log.push(format!("{}: {command:?}", ticket.serial()));
        self.store.submit(ticket, command, self.now);
        if let Some(asked) = asked {
            let pool = self.pools.get_mut(asked.pool).expect("all pools are known");
            // A waiter may hear of it before the client that asked.
            match &asked.what {
                What::Release(..) | What::ReleaseAll(_) | What::Remove => doubt(pool, &asked.what),
                _ => {}
            }
            self.asked.insert(ticket, asked);
        }
    }

    fn draw(&mut self, pool: &'static str) -> (Command<'static>, What) {
        let name = PoolName::parse(pool).expect("a pool's name is well formed");
        let state = &self.pools[pool];
        let held: Vec<String> = state.locks.keys().cloned().collect();
        match self.random.u8(0..100) {
            0..14 => {
                let ids = self.ids();
                (Command::AddMembers(seed(&name, &ids)), What::Add(ids))
            }
            14..18 => {
                let ids = self.ids();
                (Command::SetMembers(seed(&name, &ids)), What::Set(ids))
            }
            18..20 => (Command::RemovePool(name), What::Remove),
            20..60 => {
                let acquire = self.acquire();
                let owner = acquire
                    .owner
                    .as_ref()
                    .map(|owner| owner.as_str().to_owned());
                (Command::Acquire(name, acquire), What::Acquire(owner))
            }
            60..66 => {
                let command = Command::ReleaseAll(name, Filter::default());
                (command, What::ReleaseAll(state.fences()))
            }
            66..72 => {
                let renewal = Renewal {
                    owner: self.owner(),
                    ttl: Ttl::from_s(self.random.u32(3_000..4_000)),
                    ..Renewal::default()
                };
                (Command::RenewOwned(name, renewal), What::Renew)
            }
            _ => {
                let id = self.random.choice(held).unwrap_or_else(|| "1".into());
                let fence = state.locks.get(&id).map(|lock| lock.fence);
                let condition = ReleaseCondition {
                    force: true,
                    ..ReleaseCondition::default()
                };
                let command = Command::Release(name, resource(&id), condition);
                (command, What::Release(id, fence))
            }
        }
    }

    fn ids(&mut self) -> Vec<String> {
        let count = self.random.usize(1..=IDS.len());
        let ids = self.random.choose_multiple(IDS, count);
        // Some rows are as long as can be.
        ids.into_iter().map(str::to_owned).collect()
    }

    fn owner(&mut self) -> Option<OwnerName<'static>> {
        let name = self.random.choice(OWNERS).expect("there are some");
        self.random
            .bool()
            .then(|| OwnerName::parse(name).expect("it is well formed"))
    }

    fn acquire(&mut self) -> Acquire<'static> {
        let selection = match self.random.u8(0..10) {
            0..7 => Selection::Any(NonZeroU32::MIN),
            7 => Selection::Any(NonZeroU32::MIN.saturating_add(1)),
            _ => Selection::Named(resource(self.random.choice(IDS).expect("there are some"))),
        };
        Acquire {
            selection,
            owner: self.owner(),
            ttl: Ttl::from_s(self.random.choice([0, 3_600]).unwrap_or_default()),
            wait_ms: self.random.choice([0, 0, 2_000]).unwrap_or_default(),
            may_queue: true,
        }
    }

    /// Takes the replies, and notes their effects. Returns those to commands of the story itself.
    fn hear(&mut self) -> Result<Vec<Reply>, String> {
        let mut others = Vec::new();
        while let Some((ticket, reply)) = self.store.poll_reply() {
            self.log.push(format!("  {}: {reply:?}", ticket.serial()));
            match self.asked.remove(&ticket) {
                Some(asked) => self.note(&asked, &reply)?,
                None => others.push(reply),
            }
        }
        Ok(others)
    }

    fn note(&mut self, asked: &Asked, reply: &Reply) -> Result<(), String> {
        let pool = self.pools.get_mut(asked.pool).expect("all pools are known");
        match (&asked.what, reply) {
            (_, Reply::Refused(Refusal::StoreDown)) => doubt(pool, &asked.what),
            (_, Reply::Refused(Refusal::NoPool)) if pool.exists == Some(Known::Yes) => {
                return Err("the pool is lost".into());
            }
            (What::Acquire(_), Reply::Granted(granted)) => {
                for lease in &granted.leases {
                    pool.granted(lease)?;
                }
            }
            (What::Add(ids), Reply::Seeded(_)) => {
                pool.exists = Some(Known::Yes);
                let ids = ids.iter().map(|id| (id.clone(), Known::Yes));
                pool.members.extend(ids);
            }
            (What::Set(ids), Reply::Seeded(_)) => {
                pool.exists = Some(Known::Yes);
                pool.members = ids.iter().map(|id| (id.clone(), Known::Yes)).collect();
            }
            (What::Remove, Reply::Done) => pool.removed(),
            (What::Release(id, Some(fence)), Reply::Done) => pool.released(id, *fence),
            (What::ReleaseAll(all), Reply::Released(_)) => {
                all.iter().for_each(|(id, fence)| pool.released(id, *fence));
            }
            _ => {}
        }
        Ok(())
    }

    /// Compares the whole state with the expected one. Skips that if the store is down, unless it must be up.
    fn survey(&mut self, must_be_up: bool) -> Result<(), String> {
        self.be_prompt()?;
        let surveyed = self.survey_promptly(must_be_up);
        self.port.set_prompt(!self.is_late);
        surveyed
    }

    fn survey_promptly(&mut self, must_be_up: bool) -> Result<(), String> {
        if !self.settle(must_be_up)? {
            return Ok(());
        }
        let mut found = BTreeMap::new();
        for name in POOLS {
            let pool = || PoolName::parse(name).expect("a pool's name is well formed");
            let members = self.answer_to(Command::ListMembers(pool()))?;
            let locks = self.answer_to(Command::ListLocks(pool()))?;
            let pool = match (members, locks) {
                (Reply::Members(ids), Reply::Leases(leases)) => Some(Found {
                    members: ids.iter().map(|id| id.as_str().to_owned()).collect(),
                    leases: leases.into_vec(),
                }),
                (Reply::Refused(Refusal::StoreDown), _) if !must_be_up => return Ok(()),
                (Reply::Refused(Refusal::NoPool), _) => None,
                (members, _) => return Err(format!("service does not go on: {members:?}")),
            };
            found.insert(name, pool);
        }
        for (name, pool) in &mut self.pools {
            let found = found.remove(name).flatten();
            let compared = pool.compare(found, self.undone);
            compared.map_err(|problem| format!("pool {name}: {problem}"))?;
        }
        self.undone = true;
        Ok(())
    }

    fn answer_to(&mut self, command: Command<'_>) -> Result<Reply, String> {
        self.ask(command, None);
        loop {
            self.store.commit(self.now);
            let reply = self.hear()?.pop();
            match reply {
                Some(reply) => return Ok(reply),
                // There is more to do, or a batch waits for more.
                None if self
                    .store
                    .next_timeout()
                    .is_some_and(|at| at <= self.now.after_ms(1)) =>
                {
                    self.now = self.now.after_ms(1);
                }
                None => return Err("it is not answered".into()),
            }
        }
    }

    /// Ends the process in some way, and opens the disk in another one.
    fn restart(&mut self, how: &str, end: impl FnOnce(&FaultyDisk)) -> Result<(), String> {
        self.log.push(format!("it {how}"));
        let is_orderly = how == "stops";
        if is_orderly && !self.store.close() {
            self.log.push("  not well".into());
        }
        end(&self.disk);
        for asked in std::mem::take(&mut self.asked).into_values() {
            let pool = self.pools.get_mut(asked.pool).expect("all pools are known");
            doubt(pool, &asked.what);
        }
        self.undone = false;
        // The disk decides on the writes of the old store while it is dropped.
        let placeholder = EmbeddedStore::in_memory(Rules::default());
        drop(std::mem::replace(&mut self.store, placeholder));
        self.disk.heal();
        let (disk, sync, slice) = (&self.disk, self.sync, self.slice);
        (self.store, self.port) = open(disk, sync, slice, self.is_late, self.now)?;
        self.survey(true)
    }

    /// Everything is given back, and then lent once.
    fn lend_everything(&mut self) -> Result<(), String> {
        for name in POOLS {
            let pool = || PoolName::parse(name).expect("a pool's name is well formed");
            if self.pools[name].exists.is_none() {
                continue;
            }
            // Waiters are granted resources, and have to release them in turn.
            for _ in 0..2 {
                let what = What::ReleaseAll(self.pools[name].fences());
                let command = Command::ReleaseAll(pool(), Filter::default());
                let asked = Asked {
                    pool: name,
                    what,
                    may_wait: false,
                };
                self.ask(command, Some(asked));
                self.pass(RETRY_MS)?;
            }
            let mut lent = BTreeSet::new();
            for _ in 0..self.pools[name].members.len() {
                let acquire = Acquire {
                    selection: Selection::Any(NonZeroU32::MIN),
                    owner: None,
                    ttl: None,
                    wait_ms: 0,
                    may_queue: true,
                };
                match self.answer_to(Command::Acquire(pool(), acquire))? {
                    Reply::Granted(granted) => {
                        lent.extend(granted.leases.iter().map(|lease| lease.id.to_string()));
                    }
                    other => return Err(format!("a free resource of {name}: {other:?}")),
                }
            }
            if !lent.iter().eq(self.pools[name].members.keys()) {
                return Err(format!("of {name} only these can be lent: {lent:?}"));
            }
        }
        Ok(())
    }
}

/// It is not known whether this has happened.
fn doubt(pool: &mut Pool, what: &What) {
    match what {
        What::Add(ids) => pool.doubt_members(ids),
        What::Set(ids) => {
            pool.doubt_members(ids);
            pool.doubt_all_members();
        }
        What::Remove => {
            pool.exists = pool.exists.map(|_| Known::Doubtful);
            pool.doubt_all_members();
            pool.doubt_locks();
        }
        What::Acquire(owner) => pool.doubt_grant(owner.as_deref()),
        What::Release(id, _) => pool.doubt_lock(id),
        What::ReleaseAll(_) => pool.doubt_locks(),
        What::Renew => {}
    }
}

/// A store on this disk, and its way to the journal.
fn open(
    disk: &FaultyDisk,
    sync: Sync,
    slice: StepBudget,
    is_late: bool,
    now: Time,
) -> Result<(EmbeddedStore, LatePort), String> {
    let mut port = None;
    let start = |worker| {
        let started = port.insert(LatePort::new(worker, !is_late)).clone();
        Ok(Box::new(started) as Box<dyn JournalPort>)
    };
    let journal = Journal::open_on(disk.into(), sync);
    let store = journal.and_then(|journal| EmbeddedStore::with_port(journal, rules(), now, start));
    let store = store.map_err(|error| error.to_string())?;
    let mut store = store
        .with_slice(slice)
        .with_commit_timeout(COMMIT_TIMEOUT_MS);
    let prepared = store.prepare(false, None, now);
    prepared.map_err(|refusal| format!("a start without orders: {refusal:?}"))?;
    Ok((store, port.expect("it was started")))
}

fn rules() -> Rules {
    Rules {
        queue_grace_ms: 300,
        ..Rules::default()
    }
}

fn seed(pool: &PoolName<'_>, ids: &[String]) -> Seed {
    Seed::of(pool, ids.iter().map(|id| resource(id)).collect())
}

fn resource(id: &str) -> ResourceId<'static> {
    ResourceId::parse(id.to_owned()).expect("an id is well formed")
}
