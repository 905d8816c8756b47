//! The engine and the model side by side: each gets the same operations, and both must give the
//! same answers.

use latchd::command::{Command, Reply, Seed, Ticket};
use latchd::pool::Lending;
use latchd::pool::{Engine, Rules, Seeding, Snapshot};
use latchd::time::Time;

use super::difference;
use super::journal::Journal;
use super::model::Model;
use super::operations::{Operation, SlicedSeed};
use super::watch::Watch;

/// Stands between the engine and the model, and may lie to both.
pub trait Between {
    /// The engine's rules.
    fn rules(&self, rules: Rules) -> Rules {
        rules
    }

    /// The engine's operation.
    fn operation(&mut self, operation: &Operation, _model: &Model) -> Operation {
        operation.clone()
    }

    /// The engine's time.
    fn now(&mut self, now: u64, _model: &Model) -> u64 {
        now
    }

    /// Sees the engine's counts after its operation.
    fn counts(&mut self, _counts: &Lending) {}

    /// Sees the engine's answers, and may change them.
    fn answers(&mut self, _answers: &mut Vec<(Ticket, Reply)>, _model: &Model) {}
}

/// Passes all on unchanged.
pub struct Honest;

impl Between for Honest {}

pub struct Duel<B> {
    engine: Engine,
    pub model: Model,
    journal: Journal,
    watch: Watch,
    pub now: u64,
    /// The number of pools of the current seed that were served before the crash in it.
    served: Option<usize>,
    serial: u64,
    /// The engine's rules.
    rules: Rules,
    between: B,
    /// The number of held resources when the engine began to count, less those that were removed
    /// with their pool.
    uncounted: i64,
}

impl<B: Between> Duel<B> {
    pub fn new(rules: Rules, between: B) -> Duel<B> {
        let now = 1_000_000;
        let told = between.rules(rules);
        Duel {
            engine: Engine::restore(Snapshot::default(), told, Time::from_ms(now)),
            model: Model::new(rules),
            journal: Journal::default(),
            watch: Watch::default(),
            now,
            served: None,
            serial: 0,
            rules: told,
            between,
            uncounted: 0,
        }
    }

    /// Names the next step.
    pub fn describe(&self, operation: &Operation) -> String {
        let request = self.serial + 1;
        format!("request {request}, at {} ms: {operation:?}", self.now)
    }

    /// Carries out an operation on both, and compares all that is visible of them.
    pub fn step(&mut self, operation: &Operation) -> Result<(), String> {
        self.serial += 1;
        let ticket = Ticket::new(self.serial, 0);
        if let Operation::Pass(ms) = operation {
            self.now += ms;
        }
        let told = self.between.operation(operation, &self.model);
        let answers = self.ask_engine(ticket, &told)?;
        self.watch(ticket, &answers, operation)?;
        self.ask_model(ticket, &answers, operation)?;
        let (engine, model) = (self.engine.next_timeout(), self.model.next_timeout());
        if engine != model.map(Time::from_ms) {
            return Err(format!("next timeout: engine {engine:?}, model {model:?}"));
        }
        self.between.counts(self.engine.counts());
        self.check_counts(operation)
    }

    /// Checks that resources are held exactly if they were lent, and neither released nor expired.
    fn check_counts(&mut self, operation: &Operation) -> Result<(), String> {
        let counts = self.engine.counts();
        let lent = counts.granted as i64 - counts.released as i64 - counts.expired as i64;
        let held: usize = self.model.locks().map(|lock| lock.ids.len()).sum();
        let uncounted = held as i64 - lent;
        if let Operation::Restart | Operation::Execute(Command::RemovePool(_)) = operation {
            self.uncounted = uncounted;
        }
        if self.uncounted != uncounted {
            return Err(format!("{held} are held, counted: {counts:?}"));
        }
        Ok(())
    }

    /// All answers, sorted by their tickets.
    fn ask_engine(
        &mut self,
        ticket: Ticket,
        operation: &Operation,
    ) -> Result<Vec<(Ticket, Reply)>, String> {
        let now = Time::from_ms(self.between.now(self.now, &self.model));
        let mut answers = Vec::new();
        match operation {
            Operation::Execute(command) => {
                let reply = self.engine.execute(ticket, command.clone(), now);
                answers.extend(reply.map(|reply| (ticket, reply)));
            }
            Operation::Seed(sliced) => self.seed_engine(ticket, sliced, now, &mut answers)?,
            Operation::Withdraw(ticket) => self.engine.withdraw(*ticket, now),
            Operation::HandleTimeout => self.engine.handle_timeout(now),
            Operation::Pass(_) => {}
            Operation::Restart => {
                self.engine = Engine::restore(self.journal.snapshot(), self.rules, now);
            }
        }
        answers.extend(std::iter::from_fn(|| self.engine.poll_answer()));
        self.between.answers(&mut answers, &self.model);
        answers.sort_by_key(|(ticket, _)| format!("{ticket:?}"));
        Ok(answers)
    }

    /// Applies a seed in slices. Changes that have not reached the journal are lost in a crash.
    fn seed_engine(
        &mut self,
        ticket: Ticket,
        sliced: &SlicedSeed,
        now: Time,
        answers: &mut Vec<(Ticket, Reply)>,
    ) -> Result<(), String> {
        self.served = None;
        self.engine.handle_timeout(now);
        if self
            .engine
            .check_seed_limits(&sliced.seed, sliced.kind)
            .is_err()
        {
            let command = sliced.command(sliced.seed.pool_count());
            let reply = self.engine.execute(ticket, command, now);
            answers.extend(reply.map(|reply| (ticket, reply)));
            return Ok(());
        }
        let operation = Operation::Seed(sliced.clone());
        let told = Seed::default();
        let mut seeding = Seeding::new(sliced.kind, sliced.seed.clone()).with_members_now(told);
        let mut turn = 0;
        while !seeding.is_done() {
            if sliced.crash_after == Some(turn) {
                let is_open = matches!(seeding.current_pool(), Some((_, false)));
                self.served = Some(seeding.place() + usize::from(is_open));
                let mut told = seeding.take_members_now();
                told.truncate(seeding.place());
                let (place, order) = (seeding.place(), seeding.order());
                seeding = Seeding::resume(sliced.kind, sliced.seed.clone(), place, order)
                    .with_members_now(told);
                let counts = *self.engine.counts();
                self.engine = Engine::restore(self.journal.snapshot(), self.rules, now);
                self.engine.set_counts(counts);
                self.watch.restarted();
            }
            self.engine.advance_seed(&mut seeding, sliced.slice, now);
            answers.extend(std::iter::from_fn(|| self.engine.poll_answer()));
            self.note_changes(&operation)?;
            turn += 1;
        }
        answers.push((ticket, Reply::Seeded(seeding.take_members_now())));
        Ok(())
    }

    fn watch(
        &mut self,
        ticket: Ticket,
        answers: &[(Ticket, Reply)],
        operation: &Operation,
    ) -> Result<(), String> {
        self.note_changes(operation)?;
        self.watch.asked(ticket, operation);
        if matches!(operation, Operation::Restart) {
            self.watch.restarted();
        }
        self.watch_answers(ticket, answers, operation)
    }

    fn note_changes(&mut self, operation: &Operation) -> Result<(), String> {
        for change in self.engine.take_changes(Vec::new()) {
            use latchd::pool::Change;
            let number = match &change {
                Change::Fence(number, _)
                | Change::ResourceSet(number, ..)
                | Change::ResourceRemoved(number, _) => Some(*number),
                Change::PoolCreated { .. } | Change::PoolRemoved { .. } => None,
            };
            let pool = number.and_then(|number| self.journal.name_of(number));
            let before = self.journal.note(change.clone())?;
            if let Some(pool) = pool {
                let (before, now) = (before.as_ref(), self.now);
                self.watch.changed(&pool, before, &change, operation, now)?;
            }
        }
        Ok(())
    }

    fn watch_answers(
        &mut self,
        ticket: Ticket,
        answers: &[(Ticket, Reply)],
        operation: &Operation,
    ) -> Result<(), String> {
        // An earlier grant has the lower fence; refused waiters may have given up before, and a
        // grant may have been renewed since.
        let mut by_fence: Vec<&(Ticket, Reply)> = answers.iter().collect();
        by_fence.sort_by_key(|(other, reply)| match reply {
            Reply::Granted(granted) => {
                let fence = granted.leases.first().map_or(0, |l| l.fence.number());
                (fence, *other == ticket)
            }
            Reply::Refused(_) => (0, false),
            _ => (u64::MAX, false),
        });
        for (ticket, reply) in by_fence {
            self.watch.answered(*ticket, reply, operation, self.now)?;
        }
        Ok(())
    }

    /// Lets the model do the same.
    fn ask_model(
        &mut self,
        ticket: Ticket,
        answers: &[(Ticket, Reply)],
        operation: &Operation,
    ) -> Result<(), String> {
        let Duel { model, journal, .. } = self;
        tell_model(model, ticket, operation, self.served, self.now);
        compare(model, journal, answers)
    }
}

fn tell_model(
    model: &mut Model,
    ticket: Ticket,
    operation: &Operation,
    served: Option<usize>,
    now: u64,
) {
    match operation {
        Operation::Seed(sliced) => {
            model.handle_timeout(now);
            let execute = |model: &mut Model, pools| {
                let command = sliced.command(pools);
                model.execute(ticket, &command, Time::from_ms(now));
            };
            let rules = model.rules;
            if let Some(served) = served {
                // The limits were checked for the whole seed, before its first pool grew.
                model.rules = Rules {
                    max_pools: usize::MAX,
                    max_resources: usize::MAX,
                    max_pool_resources: usize::MAX,
                    ..rules
                };
                execute(model, served);
                model.answers.retain(|(other, _)| *other != ticket);
                model.restart(now);
            }
            execute(model, sliced.seed.pool_count());
            model.rules = rules;
        }
        Operation::Execute(command) => {
            model.execute(ticket, command, Time::from_ms(now));
        }
        Operation::Withdraw(ticket) => model.withdraw(*ticket, now),
        Operation::HandleTimeout => model.handle_timeout(now),
        Operation::Pass(_) => {}
        Operation::Restart => model.restart(now),
    }
}

fn compare(
    model: &mut Model,
    journal: &Journal,
    answers: &[(Ticket, Reply)],
) -> Result<(), String> {
    let mut expected = std::mem::take(&mut model.answers);
    expected.sort_by_key(|(ticket, _)| format!("{ticket:?}"));
    if let Some(difference) = difference::first(answers, "model", &expected) {
        return Err(difference);
    }
    journal.agrees_with(model)
}
