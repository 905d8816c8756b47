//! The engine and the model side by side: each is told the same, and both must say the same.

use latchd::command::{Command, Reply, Ticket};
use latchd::metrics::Lending;
use latchd::pool::{Engine, Rules, Snapshot};
use latchd::time::Time;

use super::choices::Choices;
use super::journal::Journal;
use super::model::Model;
use super::operations::Operation;
use super::watch::Watch;

/// Stands between the engine and the model, and may lie to both.
pub trait Between {
    /// The rules that the engine is told.
    fn rules(&self, rules: Rules) -> Rules {
        rules
    }

    /// What the engine is told.
    fn operation(&mut self, operation: &Operation, _model: &Model) -> Operation {
        operation.clone()
    }

    /// What time the engine is told that it is.
    fn now(&mut self, now: u64, _model: &Model) -> u64 {
        now
    }

    /// What the engine has counted, when it has done what it was told.
    fn counts(&mut self, _counts: &Lending) {}

    /// What the engine answers.
    fn answers(&mut self, _answers: &mut Vec<(Ticket, Reply)>, _model: &Model) {}
}

/// Says what it hears.
pub struct Honest;

impl Between for Honest {}

/// How many orders are tried of what the contract leaves open. What the engine did is tried first.
const MOST_TRIES: usize = 1_000;

pub struct Duel<B> {
    engine: Engine,
    pub model: Model,
    journal: Journal,
    watch: Watch,
    pub now: u64,
    serial: u64,
    /// What the engine was told.
    rules: Rules,
    between: B,
    /// How many were held when the engine began to count, less those that were removed with their
    /// pool.
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
            serial: 0,
            rules: told,
            between,
            uncounted: 0,
        }
    }

    /// Does one thing to both, and compares all that can be seen of them.
    pub fn step(&mut self, operation: &Operation) -> Result<(), String> {
        self.serial += 1;
        let ticket = Ticket::new(self.serial, 0);
        if let Operation::Pass(ms) = operation {
            self.now += ms;
        }
        let told = self.between.operation(operation, &self.model);
        let answers = self.ask_engine(ticket, &told);
        self.watch(ticket, &answers, operation)?;
        self.ask_model(ticket, &answers, operation)?;
        let (engine, model) = (self.engine.next_timeout(), self.model.next_timeout());
        if engine != model.map(Time::from_ms) {
            return Err(format!("next timeout: engine {engine:?}, model {model:?}"));
        }
        self.between.counts(self.engine.counts());
        self.check_counts(operation)
    }

    /// What was lent and has neither been given back nor expired is held.
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
    fn ask_engine(&mut self, ticket: Ticket, operation: &Operation) -> Vec<(Ticket, Reply)> {
        let now = Time::from_ms(self.between.now(self.now, &self.model));
        let mut answers = Vec::new();
        match operation {
            Operation::Execute(command) => {
                let reply = self.engine.execute(ticket, command.clone(), now);
                answers.extend(reply.map(|reply| (ticket, reply)));
            }
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
        answers
    }

    fn watch(
        &mut self,
        ticket: Ticket,
        answers: &[(Ticket, Reply)],
        operation: &Operation,
    ) -> Result<(), String> {
        for change in self.engine.drain_changes() {
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
        self.watch.asked(ticket, operation);
        if matches!(operation, Operation::Restart) {
            self.watch.restarted();
        }
        // Whoever was served first has the lower fence; those who gave up may have done so before,
        // and what was granted may have been renewed since.
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

    /// Lets the model do the same, in any order that the contract leaves open.
    fn ask_model(
        &mut self,
        ticket: Ticket,
        answers: &[(Ticket, Reply)],
        operation: &Operation,
    ) -> Result<(), String> {
        let Duel {
            model,
            journal,
            now,
            ..
        } = self;
        let before = model.clone();
        let mut choices = Choices::new(journal);
        let mut first_difference = None;
        for _ in 0..MOST_TRIES {
            tell_model(model, ticket, operation, *now, &mut choices);
            match difference(model, journal, answers) {
                Ok(()) => return Ok(()),
                Err(difference) => first_difference.get_or_insert(difference),
            };
            if !choices.advance() {
                break;
            }
            *model = before.clone();
        }
        Err(first_difference.unwrap_or_default())
    }
}

fn tell_model(
    model: &mut Model,
    ticket: Ticket,
    operation: &Operation,
    now: u64,
    choices: &mut Choices<'_>,
) {
    match operation {
        Operation::Execute(command) => {
            model.execute(ticket, command, Time::from_ms(now), choices);
        }
        Operation::Withdraw(ticket) => model.withdraw(*ticket, now),
        Operation::HandleTimeout => model.handle_timeout(now),
        Operation::Pass(_) => {}
        Operation::Restart => model.restart(now),
    }
}

fn difference(
    model: &mut Model,
    journal: &Journal,
    answers: &[(Ticket, Reply)],
) -> Result<(), String> {
    let mut expected = std::mem::take(&mut model.answers);
    expected.sort_by_key(|(ticket, _)| format!("{ticket:?}"));
    if expected != answers {
        return Err(format!("expected {expected:?}\ngot {answers:?}"));
    }
    journal.agrees_with(model)
}
