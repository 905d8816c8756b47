//! Acquires a lock: asks, queues, asks again when the server or its answer is lost, and leaves the queue.
//!
//! With an owner all of this is safe to repeat: the server knows the owner, keeps its place in the queue for
//! `--queue-grace`, and grants the same lock again. Without an owner, a request whose answer was lost, or
//! came from a proxy, is not repeated: it might take a second resource.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::clock;
use super::event::Event;
use super::failure::{Cause, Effect, Failure};
use super::queue_notice;
use super::server::{ANSWER_LIMIT, AcquireRequest, Lease, Parsed, Server, lock, locks};
use super::signals::ends_waiting;
use crate::command::{OwnerName, ResourceId};
use crate::time::Time;

/// The longest wait of one request, below the 300 s that a server allows. The next request resumes the place
/// in the queue, so that it is kept for longer than `--max-wait`.
const MAX_REQUEST_WAIT: Duration = Duration::from_secs(240);
/// The time limit for the first contact with the server.
const CONTACT_LIMIT: Duration = Duration::from_secs(10);
/// The time limit of a request that leaves the queue.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);
/// The time limit for releasing a lock that may have been taken.
pub(super) const RELEASE_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct AcquiredLock {
    pub(super) leases: Vec<Lease>,
    /// The leases as the server's JSON.
    pub(super) json: String,
    /// The time of the request: the lease has not begun earlier.
    pub(super) asked_at: Time,
}

/// The reason why waiting ended without a lock.
#[derive(Debug)]
pub(super) enum NotAcquired {
    Failure(Failure),
    /// This signal ended the wait.
    Signal(i32),
}

/// Waits until the lock is granted or refused, or a signal arrives. Calls `notify` with progress that a user
/// may want to know.
pub(super) fn wait(
    server: &Server,
    acquire_request: &AcquireRequest,
    wait_s: u32,
    (sender, events): (&Sender<Event>, &Receiver<Event>),
    notify: impl Fn(&str),
) -> Result<AcquiredLock, NotAcquired> {
    let is_cancelled = Arc::new(AtomicBool::new(false));
    let acquirer = Acquirer {
        server: server.clone(),
        acquire_request: acquire_request.clone(),
        is_cancelled: is_cancelled.clone(),
        events: sender.clone(),
    };
    let answers = sender.clone();
    let spawned = thread::Builder::new().spawn(move || {
        let wait = Duration::from_secs(wait_s.into());
        let _ = answers.send(Event::Acquired(acquirer.acquire(wait)));
    });
    spawned.map_err(|error| NotAcquired::Failure(no_thread(&error)))?;
    let started = Instant::now();
    let mut notice_at = queue_notice::next_notice(Duration::ZERO);
    loop {
        // The channel cannot end, as `sender` is one of its ends.
        let pause = notice_at.saturating_sub(started.elapsed());
        match events.recv_timeout(pause).ok() {
            Some(Event::Acquired(Ok(acquired))) => return Ok(acquired),
            Some(Event::Acquired(Err(failure))) => {
                return Err(NotAcquired::Failure(match failure.effect {
                    Effect::Unknown => after_unknown(server, acquire_request, failure),
                    _ => failure,
                }));
            }
            Some(Event::Signal(signal)) if ends_waiting(signal) => {
                is_cancelled.store(true, Ordering::SeqCst);
                leave_queue(server, acquire_request);
                return Err(NotAcquired::Signal(signal));
            }
            Some(Event::Trouble(failure)) => {
                notify(&format!("{}; trying again", failure.message));
            }
            Some(Event::QueueNotice(notice)) => notify(&notice),
            #[cfg(target_os = "linux")]
            Some(Event::Guardian(_)) => {}
            Some(Event::Signal(_) | Event::RenewalAttempt(_)) => {}
            None => {
                notice_at = queue_notice::next_notice(started.elapsed());
                queue_notice::send(server, acquire_request, sender.clone());
            }
        }
    }
}

struct Acquirer {
    server: Server,
    acquire_request: AcquireRequest,
    /// True once no further request may be sent.
    is_cancelled: Arc<AtomicBool>,
    events: Sender<Event>,
}

impl Acquirer {
    fn acquire(&self, wait: Duration) -> Result<AcquiredLock, Failure> {
        let started = Instant::now();
        let mut pause = Pause::default();
        let (mut was_reached, mut has_trouble, mut is_unknown) = (false, false, false);
        let mut stale_answers = 0;
        loop {
            let left = wait.saturating_sub(started.elapsed());
            let (asked, asked_at) = (Instant::now(), clock::now());
            let failure = match self.ask(left) {
                Ok(parsed) if self.is_fresh(asked_at) => {
                    return Ok(AcquiredLock {
                        leases: parsed.value,
                        json: parsed.json,
                        asked_at,
                    });
                }
                // Asking once more restarts the lease.
                Ok(_) if stale_answers < 3 => {
                    stale_answers += 1;
                    continue;
                }
                Ok(_) => return Err(too_slow()),
                Err(failure) => failure,
            };
            // An answer of latchd about the pool settles the effect of all earlier requests.
            is_unknown &= failure.cause == Cause::Unreachable;
            is_unknown |= failure.effect == Effect::Unknown;
            was_reached |= failure.effect != Effect::NotAsked;
            let patience = if was_reached {
                wait
            } else {
                wait.min(CONTACT_LIMIT)
            };
            if !self.may_ask_again(&failure) || started.elapsed() >= patience {
                let effect = match is_unknown {
                    true => Effect::Unknown,
                    false => failure.effect,
                };
                return Err(Failure { effect, ..failure });
            }
            // The request was queued for a while, and all was well.
            let was_asked = failure.cause == Cause::Busy || failure.effect == Effect::Unknown;
            if was_asked && asked.elapsed() > Duration::from_millis(500) {
                (pause, has_trouble) = (Pause::default(), false);
            }
            if failure.cause == Cause::Unreachable && !has_trouble {
                has_trouble = true;
                let _ = self.events.send(Event::Trouble(failure));
            }
            thread::sleep(pause.next().min(patience.saturating_sub(started.elapsed())));
            if self.is_cancelled.load(Ordering::SeqCst) {
                return Err(Failure::new(
                    Cause::Failed,
                    "gone",
                    "it is not asked any more",
                ));
            }
        }
    }

    fn ask(&self, left: Duration) -> Result<Parsed<Vec<Lease>>, Failure> {
        let wait = left.min(MAX_REQUEST_WAIT);
        let wait_s = wait.as_millis().div_ceil(1000) as u64;
        let limit = Duration::from_secs(wait_s) + ANSWER_LIMIT;
        self.server
            .ask_for_leases(&self.acquire_request.request(wait_s), limit)
    }

    /// Returns whether more than two thirds of the lease are left, wherever in the queue it began; always
    /// true without an owner or a ttl.
    fn is_fresh(&self, asked_at: Time) -> bool {
        match (&self.acquire_request.owner, self.acquire_request.ttl_s) {
            (Some(_), Some(ttl_s)) => clock::now().ms_since(asked_at) < u64::from(ttl_s) * 1000 / 3,
            _ => true,
        }
    }

    fn may_ask_again(&self, failure: &Failure) -> bool {
        failure.is_transient()
            && (self.acquire_request.owner.is_some() || failure.effect != Effect::Unknown)
    }
}

fn too_slow() -> Failure {
    let message = "the server takes longer to answer than a third of --ttl";
    Failure {
        effect: Effect::Unknown,
        ..Failure::new(Cause::Unreachable, "too slow", message)
    }
}

/// The failure to start a thread.
pub(super) fn no_thread(error: &std::io::Error) -> Failure {
    let message = format!("no thread can be made: {error}");
    Failure::new(Cause::Failed, "no thread", message)
}

/// Releases what may have been taken, if the owner's name is generated. With a name that other clients may
/// share, it only adds a note: releasing by that name would also release their locks.
fn after_unknown(server: &Server, acquire_request: &AcquireRequest, failure: Failure) -> Failure {
    if acquire_request.is_generated && release_all(server, acquire_request).is_ok() {
        return failure;
    }
    match acquire_request.ttl_s {
        Some(ttl_s) => failure.with_note(&format!(
            "a lock may have been taken, which ends after {ttl_s} s"
        )),
        None => failure.with_note("a lock may have been taken; latch ls shows it"),
    }
}

/// Leaves the queue.
///
/// A place in the queue outlives its connection. A request that does not wait does not resume it; one that
/// waits does, and loses it when its wait is over. This takes a second. Without an owner there is nothing to
/// do: the place ends with its connection.
fn leave_queue(server: &Server, acquire_request: &AcquireRequest) {
    if acquire_request.owner.is_none() {
        return;
    }
    let acquire_request = AcquireRequest {
        ttl_s: Some(1),
        ..acquire_request.clone()
    };
    // A request in flight may arrive in between and resume the place in turn.
    for _ in 0..3 {
        let asked = Instant::now();
        match server.ask_for_leases(&acquire_request.request(1), LEAVE_LIMIT) {
            Ok(parsed) => {
                return release(
                    server,
                    &acquire_request,
                    &parsed.value,
                    Duration::from_secs(2),
                )
                .unwrap_or(());
            }
            Err(failure) if failure.cause != Cause::Busy => return,
            Err(_) if asked.elapsed() > Duration::from_millis(900) => return,
            Err(_) => {}
        }
    }
}

/// Releases all that the owner holds in the pool.
fn release_all(server: &Server, acquire_request: &AcquireRequest) -> Result<(), Failure> {
    let owner = acquire_request.owner.as_ref().map(OwnerName::as_str);
    let request = locks("DELETE", &acquire_request.pool).with_some("owner", owner);
    retry_until(RELEASE_LIMIT, || {
        let limit = Duration::from_secs(2);
        server.ask_within::<u64>(&request, limit).map(|_| ())
    })
}

/// Repeats `ask` after transient failures, with pauses, until `limit` is over.
fn retry_until(
    limit: Duration,
    mut ask: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut pause = Pause::default();
    loop {
        match ask() {
            Err(failure) if failure.is_transient() && started.elapsed() < limit => {
                thread::sleep(pause.next());
            }
            result => return result,
        }
    }
}

/// Releases this lock only: another client with the same owner name may have acquired another one since.
/// Tries until `limit` is over; what is then left ends with its lease.
pub(super) fn release(
    server: &Server,
    acquire_request: &AcquireRequest,
    leases: &[Lease],
    limit: Duration,
) -> Result<(), Failure> {
    let started = Instant::now();
    for lease in leases {
        let id = ResourceId::parse(&*lease.id)
            .map_err(|error| Failure::not_understood(&error.to_string()))?;
        let owner = acquire_request.owner.as_ref().map(OwnerName::as_str);
        let request = lock("DELETE", &acquire_request.pool, &id)
            .with_some("owner", owner)
            .with("fence", Some(&lease.fence.to_string()));
        retry_until(limit.saturating_sub(started.elapsed()), || {
            server.change(&request, Duration::from_secs(2))
        })?;
    }
    Ok(())
}

/// Pauses that grow from 50 ms to 2 s, each shortened at random, so that clients do not return at once.
#[derive(Debug, Default)]
pub(super) struct Pause {
    tries: u32,
}

impl Pause {
    pub(super) fn next(&mut self) -> Duration {
        let longest_ms = (50 << self.tries.min(6)).min(2000);
        self.tries += 1;
        Duration::from_millis(fastrand::u64(longest_ms / 2..=longest_ms))
    }
}
