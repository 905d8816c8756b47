//! The greeting of a new connection: login, database, `INFO` and scripts. Once the scripts are loaded, a trial
//! of this server's rights and the history of the data follow.

use redis::Value;

use super::history::{KnownHistory, read_history};
use super::index::read_retired_fence;
use super::seeding::Members;
use super::{Info, LossReason, PendingReply, Pipeline, RedisPhase, key, printable};
use crate::command::{Refusal, Reply};
use crate::store::redis::reply;
use crate::store::redis::script::Script;
use crate::time::Time;

/// A step of the greeting.
#[derive(Clone, Copy, Debug)]
pub(super) enum GreetingStep {
    Hello,
    Database,
    Info,
    Script(Script),
    Trial,
    /// The check for a list of pools.
    List,
    History,
}

impl GreetingStep {
    /// Returns the right that a user needs for it.
    fn right(self) -> &'static str {
        match self {
            GreetingStep::Hello => "+hello",
            GreetingStep::Database => "+select",
            GreetingStep::Info => "+info",
            GreetingStep::Script(_) => "+script|load",
            GreetingStep::Trial | GreetingStep::List | GreetingStep::History => "+evalsha",
        }
    }
}

/// The difference of Redis' clock that is not warned of, besides the time to the reply, in ms.
const MAX_CLOCK_DIFFERENCE_MS: u64 = 2_000;

impl Pipeline {
    /// Returns the channel on which Redis sends notices to this server.
    pub(in super::super) fn channel(&self) -> String {
        key::channels(&self.options.prefix) + &self.server
    }

    /// Starts the greeting on a new connection.
    pub(in super::super) fn handle_connected(&mut self, now: Time) {
        self.phase = RedisPhase::Greeting;
        self.options.write_hello("latchd", &mut self.command);
        self.send(PendingReply::Greeting(GreetingStep::Hello), now);
        self.command.arg("SELECT").arg(self.options.database);
        self.send(PendingReply::Greeting(GreetingStep::Database), now);
        self.command.arg("INFO");
        self.send(PendingReply::Greeting(GreetingStep::Info), now);
        self.load_scripts(
            |script| PendingReply::Greeting(GreetingStep::Script(script)),
            now,
        );
    }

    /// Handles the reply to a step sent at `sent_at`.
    pub(super) fn handle_greeting(
        &mut self,
        step: GreetingStep,
        value: Value,
        sent_at: Time,
        now: Time,
    ) -> Result<(), LossReason> {
        if let Value::ServerError(error) = &value {
            return Err(match (step, error.details()) {
                // The user lacks the right to `INFO`: `Info` warns of that.
                (GreetingStep::Info, _) if error.code() == "NOPERM" => {
                    self.info = Info::default();
                    return Ok(());
                }
                (GreetingStep::Hello, Some(details)) if details.contains("unknown command") => {
                    "it is older than Redis 6, which is needed".into()
                }
                _ => self.options.lacking(error, step.right()),
            });
        }
        let unknown = |_| "a greeting of an unknown form";
        match step {
            GreetingStep::Hello => refuse_other_modes(&value)?,
            GreetingStep::Database => {}
            GreetingStep::Info => {
                let text = reply::text(value).map_err(unknown)?;
                self.info = text.parse().map_err(|_| "a greeting of an unknown form")?;
            }
            GreetingStep::Script(script) => {
                let hash = reply::text(value).map_err(unknown)?;
                self.scripts.set_hash(script, hash);
                if Some(&script) == Script::ALL.last() {
                    self.send_trial(PendingReply::Greeting(GreetingStep::Trial), now);
                    match self.start.must_exist {
                        true => self
                            .ask_for_retired_fence(PendingReply::Greeting(GreetingStep::List), now),
                        false => self.ask_for_history(now),
                    }
                }
            }
            GreetingStep::Trial => self.handle_first_trial(value, now)?,
            GreetingStep::List => {
                if read_retired_fence(value).map_err(unknown)? == 0 {
                    return Err(self.no_pools());
                }
                self.start.must_exist = false;
                self.ask_for_history(now);
            }
            GreetingStep::History => {
                let KnownHistory {
                    redis_ms,
                    above,
                    jumps_ms,
                } = read_history(value).map_err(unknown)?;
                self.handle_history(above, now);
                self.warn(redis_ms.saturating_add_signed(jumps_ms), sent_at, now);
                self.greet_clock(redis_ms, jumps_ms, sent_at, now);
                self.start_to_serve(now);
            }
        }
        Ok(())
    }

    fn ask_for_history(&mut self, now: Time) {
        self.write_history(0);
        self.send(PendingReply::Greeting(GreetingStep::History), now);
    }

    fn no_pools(&self) -> LossReason {
        let prefix = &self.options.prefix;
        format!(
            "it has no list of pools under {prefix}, and --must-exist wants one; name the right Redis, database and \
             --redis-prefix, or start once without --must-exist to create it"
        )
    }

    /// Warns of settings that lose locks, unless the last greeting did.
    fn warn(&mut self, redis_ms: u64, sent_at: Time, now: Time) {
        let mut warnings = self.info.warnings();
        let sent_ms = sent_at.as_ms();
        let difference = match redis_ms < sent_ms {
            true => (sent_ms - redis_ms, "behind"),
            false => (redis_ms.saturating_sub(now.as_ms()), "ahead of"),
        };
        if let (MAX_CLOCK_DIFFERENCE_MS.., side) = difference {
            let seconds = difference.0 / 1000;
            warnings.push(format!(
                "its clock is {seconds} s {side} this machine's; leases follow its clock"
            ));
        }
        // Clocks that drift further apart give the same warning.
        let kind = |warning: &String| warning.split([' ', ',']).take(3).collect::<String>();
        let last: Vec<String> = self.warnings.iter().map(kind).collect();
        for warning in warnings
            .iter()
            .filter(|warning| !last.contains(&kind(warning)))
        {
            let warning = printable(warning, self.options.password());
            log::warn!("{}: {warning}", self.options);
        }
        self.warnings = warnings;
    }

    /// Ends the greeting, and carries out the orders for the start.
    fn start_to_serve(&mut self, now: Time) {
        self.phase = RedisPhase::Preparing;
        match self.start.restoration.clone() {
            Some(restoration) => {
                self.start.open += 1;
                self.start_restore(None, restoration, now);
            }
            None => self.prepare_others(now),
        }
    }

    /// Carries out the orders for the start besides a restore.
    pub(super) fn prepare_others(&mut self, now: Time) {
        if self.start.purge {
            self.start.open += 1;
            self.start_purge(None, now);
        }
        if let Some(seed) = self.start.seed.clone() {
            self.start.open += 1;
            self.start_seed(None, seed, Members::Added, now);
        }
        self.serve_if_prepared(now);
    }

    /// Starts to serve once all orders for the start are sent.
    pub(super) fn serve_if_prepared(&mut self, now: Time) {
        if self.phase == RedisPhase::Preparing && self.start.open == 0 {
            self.phase = RedisPhase::Ready;
            self.answer_early_probes(now);
            self.reconcile_all();
            for job in std::mem::take(&mut self.early_jobs) {
                self.begin(job, now);
            }
        }
    }

    /// Handles the result of the seed at the start.
    pub(super) fn handle_first_seed(&mut self, reply: &Reply) {
        match reply {
            Reply::Refused(Refusal::StoreDown) => {
                log::error!("the pools of --seed could not be added yet");
            }
            Reply::Refused(refusal) => {
                log::error!("the pools of --seed are not added: {refusal:?}");
                self.start.seed = None;
            }
            _ => self.start.seed = None,
        }
    }
}

/// Refuses a server that answers a greeting like Redis and cannot hold pools.
fn refuse_other_modes(hello: &Value) -> Result<(), LossReason> {
    let Value::Map(fields) = hello else {
        return Ok(());
    };
    let is = |value: &Value, word: &str| match value {
        Value::BulkString(bytes) => bytes == word.as_bytes(),
        Value::SimpleString(text) => text == word,
        _ => false,
    };
    let mode = fields.iter().find(|(name, _)| is(name, "mode"));
    match mode.map(|(_, mode)| mode) {
        Some(mode) if is(mode, "sentinel") => {
            Err("it is a Sentinel, which holds no data; point --store at the master itself".into())
        }
        Some(mode) if is(mode, "cluster") => Err(
            "it is a node of a Redis Cluster, which is not supported yet; point --store at a Redis without cluster mode"
                .into(),
        ),
        _ => Ok(()),
    }
}
