//! The first words on a new connection: who we are, which database, the clock, the scripts, and
//! the channel that this server is told things on.

use redis::Value;

use super::seeding::Members;
use super::{Loss, Phase, Pipeline, Question, key};
use crate::command::{Refusal, Reply};
use crate::store::redis::reply;
use crate::store::redis::script::Script;
use crate::time::Time;

use super::batches::in_words;

/// One of the first words.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Hello,
    Database,
    Clock,
    Script(Script),
    Channel,
}

impl Pipeline {
    /// A connection is there.
    pub(in super::super) fn handle_connected(&mut self, now: Time) {
        self.phase = Phase::Greeting;
        self.command.arg("HELLO").arg(3);
        if let Some(login) = &self.options.login {
            let user = login.user.as_deref().unwrap_or("default");
            self.command.arg("AUTH").arg(user).arg(&*login.password);
        }
        self.command.arg("SETNAME").arg("latchd");
        self.send(Question::Greeting(Step::Hello), now);
        self.command.arg("SELECT").arg(self.options.database);
        self.send(Question::Greeting(Step::Database), now);
        self.command.arg("TIME");
        self.send(Question::Greeting(Step::Clock), now);
        self.load_scripts(|script| Question::Greeting(Step::Script(script)), now);
        let channel = key::channels(&self.options.prefix) + &self.server;
        self.command.arg("SUBSCRIBE").arg(channel);
        self.send(Question::Greeting(Step::Channel), now);
    }

    /// Takes the answer to one of the first words.
    pub(super) fn handle_greeting(
        &mut self,
        step: Step,
        value: Value,
        now: Time,
    ) -> Result<(), Loss> {
        if let Value::ServerError(error) = &value {
            return Err(match (step, error.details()) {
                (Step::Hello, Some(details)) if details.contains("unknown command") => {
                    "it is older than Redis 6, which is needed".into()
                }
                _ => in_words(error),
            });
        }
        let unknown = |_| "a greeting of an unknown form";
        match step {
            Step::Hello | Step::Database => {}
            Step::Clock => self.set_redis_ms(read_time(value).map_err(unknown)?, now),
            Step::Script(script) => {
                let hash = reply::text(value).map_err(unknown)?;
                self.scripts.set_hash(script, hash);
            }
            Step::Channel => self.start_to_serve(now),
        }
        Ok(())
    }

    /// Everything is said. What was ordered for the start comes first, once.
    fn start_to_serve(&mut self, now: Time) {
        self.phase = Phase::Preparing;
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

    /// Serves, if all that comes first can be sent now.
    pub(super) fn serve_if_prepared(&mut self, now: Time) {
        if self.phase == Phase::Preparing && self.start.open == 0 {
            self.phase = Phase::Ready;
            self.take_up_all();
            for job in std::mem::take(&mut self.early_jobs) {
                self.begin(job, now);
            }
        }
    }

    /// What came of a seed at the start.
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

/// TIME: seconds and microseconds, as texts.
fn read_time(value: Value) -> Result<u64, reply::Garbled> {
    let mut parts = reply::array(value)?.into_iter();
    let mut next = || reply::number::<u64>(&reply::text(parts.next().ok_or(reply::Garbled)?)?);
    let (seconds, microseconds) = (next()?, next()?);
    Ok(seconds
        .saturating_mul(1000)
        .saturating_add(microseconds / 1000))
}
