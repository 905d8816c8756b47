//! Trials of this server's rights in Redis: at each greeting, for a readiness check, and after Redis refused
//! a command of a script.

use redis::{ServerError, Value};

use super::batches::{UNUSABLE_CODES, describe};
use super::{LossReason, PendingReply, Pipeline, RedisPhase, key};
use crate::command::{Refusal, Reply, Ticket};
use crate::store::redis::arguments::{self, ArgumentValue};
use crate::store::redis::operations::{ArgumentId, TRIAL_HEAD};
use crate::store::redis::reply::{self, Garbled};
use crate::store::redis::script::Script;
use crate::time::Time;

/// The time for which the result of a trial counts, in ms.
const TRIAL_MS: u64 = 1_000;

/// The error codes of a Redis that refuses writes for a while, from any user.
const STATES: [&str; 3] = ["OOM", "NOREPLICAS", "MISCONF"];

/// Optional commands, each with the consequence of a missing right.
const OPTIONAL: [(&str, &str); 2] = [
    ("PUBLISH", "clients that wait are served up to 1.5 s late"),
    (
        "HSCAN",
        "a long list of locks holds up all clients of this Redis",
    ),
];

/// The trials on a connection.
#[derive(Debug, Default)]
pub(super) struct Trials {
    /// Clients to answer with the next result.
    asking: Vec<Ticket>,
    is_in_flight: bool,
    /// The time of the latest result, and whether Redis lets this server lend.
    latest: Option<(Time, bool)>,
}

/// The result of a trial.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Locks can be lent. The text says which rights are still missing.
    Able(Option<String>),
    /// Redis refuses writes for now, with this error.
    Unwritable(String),
    /// Rights are missing; the text says which.
    Unallowed(String),
}

impl Pipeline {
    /// Answers whether Redis lets this server lend. Probes within a second share an answer. Without a
    /// connection the answer is no at once; during a greeting it waits for the end of that.
    pub(super) fn probe(&mut self, ticket: Ticket, now: Time) {
        match (self.phase, self.trials.latest) {
            (RedisPhase::Down, _) => self.refuse(ticket, Refusal::StoreDown),
            (RedisPhase::Trying | RedisPhase::Greeting | RedisPhase::Preparing, _) => {
                self.trials.asking.push(ticket);
            }
            (RedisPhase::Ready, Some((ended_at, is_able))) if ended_at.after_ms(TRIAL_MS) > now => {
                self.answer_probe(ticket, is_able);
            }
            (RedisPhase::Ready, _) => {
                self.trials.asking.push(ticket);
                self.start_trial(now);
            }
        }
    }

    /// Answers the probes that waited for Redis to be ready.
    pub(super) fn answer_early_probes(&mut self, now: Time) {
        if !self.trials.asking.is_empty() {
            self.start_trial(now);
        }
    }

    /// Starts a trial if an error may be due to missing rights.
    pub(super) fn check_rights(&mut self, error: &ServerError, now: Time) {
        let words = describe(error);
        if words.contains("NOPERM") || words.contains("executing the script can't") {
            self.start_trial(now);
        }
    }

    fn start_trial(&mut self, now: Time) {
        if !std::mem::replace(&mut self.trials.is_in_flight, true) {
            self.send_trial(PendingReply::Trial, now);
        }
    }

    pub(super) fn send_trial(&mut self, pending: PendingReply, now: Time) {
        let prefix = &self.options.prefix;
        self.command
            .arg("EVALSHA")
            .arg(self.scripts.hash(Script::Trial))
            .arg(1)
            .arg(key::trial(prefix, &self.server));
        let channel = key::channels(prefix);
        arguments::write(
            &mut self.command,
            TRIAL_HEAD,
            &[(ArgumentId::Channel, ArgumentValue::Text(&channel))],
        );
        self.send(pending, now);
    }

    pub(super) fn handle_trial(&mut self, value: Value, now: Time) -> Result<(), LossReason> {
        if let Value::ServerError(error) = &value
            && error.code() == "NOSCRIPT"
        {
            self.load_scripts(|_| PendingReply::Load, now);
            self.send_trial(PendingReply::Trial, now);
            return Ok(());
        }
        let problem = match self.verdict(value)? {
            Verdict::Able(_) => None,
            Verdict::Unwritable(problem) | Verdict::Unallowed(problem) => Some(problem),
        };
        self.trials.is_in_flight = false;
        self.trials.latest = Some((now, problem.is_none()));
        for ticket in std::mem::take(&mut self.trials.asking) {
            self.answer_probe(ticket, problem.is_none());
        }
        match problem {
            Some(problem) if is_unusable(&problem) => Err(problem),
            Some(problem) => {
                self.warn_throttled(&problem, now);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Handles the trial of the greeting. A full Redis is usable, since releases still work.
    pub(super) fn handle_first_trial(&mut self, value: Value, now: Time) -> Result<(), LossReason> {
        match self.verdict(value)? {
            Verdict::Able(None) => {}
            Verdict::Unwritable(problem) if is_unusable(&problem) => return Err(problem),
            Verdict::Able(Some(problem)) | Verdict::Unwritable(problem) => {
                self.warn_throttled(&problem, now);
            }
            Verdict::Unallowed(problem) => return Err(problem),
        }
        Ok(())
    }

    /// Refuses all probes after a loss.
    pub(super) fn fail_trials(&mut self) {
        for ticket in std::mem::take(&mut self.trials).asking {
            self.refuse(ticket, Refusal::StoreDown);
        }
    }

    fn answer_probe(&mut self, ticket: Ticket, is_able: bool) {
        match is_able {
            true => self.replies.push_back((ticket, Reply::Ready)),
            false => self.refuse(ticket, Refusal::StoreDown),
        }
    }

    fn verdict(&self, value: Value) -> Result<Verdict, LossReason> {
        if let Value::ServerError(error) = &value {
            return Ok(Verdict::Unwritable(describe(error)));
        }
        let refused = read_refused(value).map_err(|_| "a trial of an unknown form")?;
        let is_state = |words: &str| STATES.iter().any(|state| words.contains(state));
        let states = refused.iter().map(|(_, words)| words);
        if let Some(words) = { states }.find(|words| is_state(words) || is_unusable(words)) {
            return Ok(Verdict::Unwritable(words.clone()));
        }
        let cost_of = |name: &str| OPTIONAL.iter().find(|(optional, _)| *optional == name);
        let costs: Option<Vec<&str>> = { refused.iter() }
            .map(|(name, _)| cost_of(name).map(|(_, cost)| *cost))
            .collect();
        let missing = || self.missing(&refused);
        Ok(match costs {
            None => Verdict::Unallowed(missing()),
            Some(costs) if costs.is_empty() => Verdict::Able(None),
            Some(costs) => {
                let costs = costs.join(", and ");
                Verdict::Able(Some(format!("{}; until then {costs}", missing())))
            }
        })
    }

    /// Returns which rights are missing, and how to grant them.
    fn missing(&self, refused: &[(String, String)]) -> String {
        let user = self.options.user();
        let names: Vec<&str> = refused.iter().map(|(name, _)| &**name).collect();
        let prefix = &self.options.prefix;
        let mut rights: Vec<String> = refused
            .iter()
            .map(|(name, words)| match words {
                words if words.contains("keys") => format!("~{prefix}*"),
                words if words.contains("channel") => format!("&{}*", key::channels(prefix)),
                _ => format!("+{}", name.to_lowercase()),
            })
            .collect();
        rights.dedup();
        format!(
            "its user {user} may not use {}; ACL SETUSER {user} {} lets it",
            names.join(", "),
            rights.join(" ")
        )
    }
}

fn is_unusable(words: &str) -> bool {
    UNUSABLE_CODES.iter().any(|code| words.contains(code))
}

/// Reads names of commands, and the error of Redis for each.
fn read_refused(value: Value) -> Result<Vec<(String, String)>, Garbled> {
    let mut texts = reply::array(value)?.into_iter().map(reply::text);
    let mut refused = Vec::new();
    while let Some(name) = texts.next() {
        refused.push((name?, texts.next().ok_or(Garbled)??));
    }
    Ok(refused)
}
