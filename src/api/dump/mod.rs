//! A dump: all pools with their locks, one JSON object a line.
//!
//! The first line names the format. The last one has the counts of the lines between, which shows if a dump was cut
//! off. Each pool is one line:
//!
//! ```text
//! {"latchd":"0.1.0","dump":1}
//! {"pool":"A","fence":7,"members":["1","2"],"free":["2"],"locks":[{"id":"1","fence":7,…}]}
//! {"pools":1,"members":2,"locks":1,"retired_fence":0}
//! ```

mod read;

use std::rc::Rc;

use super::body::Form;
use super::render::{field, number, object, or_null, string};
use super::{Body, Problem, RequestAction, ResponseShape, access};
pub use read::{DumpError, DumpReader};

use crate::command::{Command, DumpPart, DumpPlace, DumpedLock, Fence, PoolDump, Ttl};
use crate::contract::RequestLabel;
use crate::http::Method;
use crate::keys::Caller;

/// The number of the format.
const FORMAT: u64 = 1;

/// Routes `/dump`.
pub(super) fn dump<'a>(
    label: RequestLabel,
    body: Body<'_>,
    caller: Caller<'_>,
) -> Result<RequestAction<'a>, Problem> {
    access::check_all_pools(caller, label)?;
    let command = match label.method {
        Method::Get | Method::Head => {
            body.take(Form::Nothing)?;
            Command::Dump(DumpPlace::Start)
        }
        Method::Put => Command::Restore(Rc::new(body.take_dump()?)),
        _ => return Err(Problem::BadMethod(label.route)),
    };
    let shape = ResponseShape::default();
    Ok(RequestAction::Submit(command, shape, label))
}

/// Writes a dump in pieces, so that neither many pools nor a large one hold up other clients.
#[derive(Debug, Default)]
pub struct DumpWriter {
    has_begun: bool,
    /// The pools not written yet, the next one last.
    pools: Vec<PoolDump>,
    /// The pool that is partly written.
    pool: Option<PoolWriter>,
    pool_count: u64,
    member_count: u64,
    lock_count: u64,
    retired_fence: Fence,
}

impl DumpWriter {
    /// Adds the next pools.
    pub fn add(&mut self, part: DumpPart) {
        self.pools.extend(part.pools.into_iter().rev());
        self.retired_fence = part.retired_fence;
    }

    /// Returns its approximate memory use in bytes.
    pub fn capacity_bytes(&self) -> usize {
        let pool = self.pool.iter().map(|writer| &writer.pool);
        pool.chain(&self.pools).map(PoolDump::capacity_bytes).sum()
    }

    /// Writes up to `count` names, and a little more. Returns true if all pools added so far are written.
    pub fn write(&mut self, count: usize, out: &mut Vec<u8>) -> bool {
        if !std::mem::replace(&mut self.has_begun, true) {
            object(out, |out| {
                field(out, "latchd", |out| string(out, env!("CARGO_PKG_VERSION")));
                field(out, "dump", |out| number(out, FORMAT));
            });
            out.push(b'\n');
        }
        let mut left = count;
        while left > 0 {
            let Some(writer) = &mut self.pool else {
                match self.pools.pop() {
                    Some(pool) => self.begin_pool(pool),
                    None => return true,
                }
                continue;
            };
            if writer.write(&mut left, out) {
                self.pool = None;
            }
        }
        false
    }

    fn begin_pool(&mut self, pool: PoolDump) {
        self.pool_count += 1;
        self.member_count += pool.members.len() as u64;
        self.lock_count += pool.locks.len() as u64;
        self.pool = Some(PoolWriter {
            pool,
            step: PoolStep::Begin,
            is_behind_element: false,
        });
    }

    /// Writes the last line. Call it after all pools are written.
    pub fn finish(&self, out: &mut Vec<u8>) {
        object(out, |out| {
            field(out, "pools", |out| number(out, self.pool_count));
            field(out, "members", |out| number(out, self.member_count));
            field(out, "locks", |out| number(out, self.lock_count));
            field(out, "retired_fence", |out| {
                number(out, self.retired_fence.number())
            });
        });
        out.push(b'\n');
    }
}

/// A pool that is being written. Written parts are freed, except for its members.
#[derive(Debug)]
struct PoolWriter {
    pool: PoolDump,
    step: PoolStep,
    /// Whether the current array has an element. A piece may begin in the middle of one.
    is_behind_element: bool,
}

/// The next line to write.
#[derive(Debug)]
enum PoolStep {
    Begin,
    /// The members from this index on.
    Members(usize),
    Free,
    Locks,
}

impl PoolWriter {
    /// Writes as much as `left` allows. Returns true if the pool is complete.
    fn write(&mut self, left: &mut usize, out: &mut Vec<u8>) -> bool {
        let PoolDump {
            name,
            fence,
            members,
            free,
            locks,
        } = &mut self.pool;
        while *left > 0 {
            *left -= 1;
            match self.step {
                PoolStep::Begin => {
                    out.push(b'{');
                    field(out, "pool", |out| string(out, name));
                    field(out, "fence", |out| number(out, fence.number()));
                    field(out, "members", |out| out.push(b'['));
                    self.step = PoolStep::Members(0);
                }
                PoolStep::Members(place) if place < members.len() => {
                    separate(&mut self.is_behind_element, out);
                    string(out, members.iter().at(place));
                    self.step = PoolStep::Members(place + 1);
                }
                PoolStep::Members(_) => {
                    out.push(b']');
                    field(out, "free", |out| out.push(b'['));
                    self.is_behind_element = false;
                    self.step = PoolStep::Free;
                }
                PoolStep::Free => match free.pop_first() {
                    Some((_, place)) => {
                        separate(&mut self.is_behind_element, out);
                        string(out, members.iter().at(place as usize));
                    }
                    None => {
                        out.push(b']');
                        field(out, "locks", |out| out.push(b'['));
                        self.is_behind_element = false;
                        self.step = PoolStep::Locks;
                    }
                },
                PoolStep::Locks => match locks.pop_first() {
                    Some(((fence, _), lock)) => {
                        separate(&mut self.is_behind_element, out);
                        write_lock(fence, &lock, out);
                    }
                    None => {
                        out.extend_from_slice(b"]}\n");
                        return true;
                    }
                },
            }
        }
        false
    }
}

fn separate(is_behind_element: &mut bool, out: &mut Vec<u8>) {
    if std::mem::replace(is_behind_element, true) {
        out.push(b',');
    }
}

/// Writes a lease object that includes the length of the lease.
fn write_lock(fence: Fence, lock: &DumpedLock, out: &mut Vec<u8>) {
    object(out, |out| {
        field(out, "id", |out| string(out, &lock.id));
        field(out, "fence", |out| number(out, fence.number()));
        field(out, "ttl", |out| or_null(out, lock.ttl_s, number));
        field(out, "owner", |out| {
            or_null(out, lock.owner.as_deref(), string);
        });
        field(out, "age", |out| number(out, lock.age_s));
        let lease_s = lock.lease.map(|lease| u64::from(Ttl::as_s(lease)));
        field(out, "lease", |out| or_null(out, lease_s, number));
    });
}
