//! A parser of a dump that arrives in pieces. A dump is restored completely or not at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use memchr::memchr;
use serde::Deserialize;

use super::FORMAT;
use crate::command::{
    DumpedLock, Fence, OwnerName, PoolDump, PoolName, ResourceId, Restoration, StoredName, Ttl,
};

/// The gap between a dump's fences and those after a restore: more than a pool grants between its dump
/// and its loss.
const SKIPPED_FENCES: u64 = 1 << 24;
/// The highest fence accepted: a double, as Redis counts, has room for those that follow.
const MAX_FENCE: u64 = 1 << 52;

/// The reason why a dump is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DumpError {
    /// The first line is not that of a dump.
    NotADump,
    /// Its format has another number.
    Format(u64),
    /// The line of this number, from 1 on, is malformed.
    Line(usize, Box<str>),
    /// The last line is missing.
    CutOff,
    /// The counts in the last line do not match the lines before it.
    Counts,
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DumpError::NotADump => {
                f.write_str("this is no dump; expected a first line {\"latchd\":\"…\",\"dump\":1}")
            }
            DumpError::Format(format) => {
                write!(f, "the dump has the format {format}; this latchd reads {FORMAT}")
            }
            DumpError::Line(number, problem) => write!(f, "line {number} is damaged: {problem}"),
            DumpError::CutOff => {
                f.write_str("the dump is cut off: its last line, with the counts, is missing")
            }
            DumpError::Counts => f.write_str(
                "lines are missing or came twice: the counts in the last line differ from what stands before it",
            ),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstLine<'a> {
    #[serde(borrow, rename = "latchd")]
    _version: Cow<'a, str>,
    dump: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolLine<'a> {
    #[serde(borrow)]
    pool: Cow<'a, str>,
    fence: u64,
    #[serde(borrow)]
    members: Vec<Text<'a>>,
    #[serde(borrow)]
    free: Vec<Text<'a>>,
    #[serde(borrow)]
    locks: Vec<LockLine<'a>>,
}

/// A text, borrowed if it has no escapes, also within a list.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LockLine<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    fence: u64,
    #[serde(rename = "ttl")]
    _ttl: Option<u64>,
    #[serde(borrow)]
    owner: Option<Cow<'a, str>>,
    age: u64,
    lease: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LastLine {
    pools: usize,
    members: usize,
    locks: usize,
    retired_fence: u64,
}

/// A parser of a dump.
#[derive(Debug, Default)]
pub struct DumpReader {
    /// The start of a line that has not ended.
    tail: Vec<u8>,
    line_count: usize,
    names: HashSet<StoredName>,
    restoration: Restoration,
    has_last: bool,
    wrong: Option<DumpError>,
}

impl DumpReader {
    /// Returns its approximate memory use in bytes.
    pub fn capacity_bytes(&self) -> usize {
        let pools = self.restoration.pools.iter();
        self.tail.capacity() + pools.map(PoolDump::capacity_bytes).sum::<usize>()
    }

    /// Parses the next piece.
    pub fn take(&mut self, mut piece: &[u8]) {
        while self.wrong.is_none()
            && let Some(end) = memchr(b'\n', piece)
        {
            self.tail.extend_from_slice(&piece[..end]);
            piece = &piece[end + 1..];
            let line = std::mem::take(&mut self.tail);
            self.take_line(&line);
        }
        if self.wrong.is_none() {
            self.tail.extend_from_slice(piece);
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        self.line_count += 1;
        if let Err(error) = self.read_line(line.trim_ascii()) {
            self.wrong = Some(error);
        }
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), DumpError> {
        let number = self.line_count;
        let damaged =
            |problem: &dyn fmt::Display| DumpError::Line(number, problem.to_string().into());
        // One kind of input for all that reads JSON here: each takes room in the binary.
        let line = std::str::from_utf8(line).map_err(|error| match number {
            1 => DumpError::NotADump,
            _ => damaged(&error),
        })?;
        if number == 1 {
            let first: FirstLine<'_> =
                serde_json::from_str(line).map_err(|_| DumpError::NotADump)?;
            return match first.dump {
                FORMAT => Ok(()),
                other => Err(DumpError::Format(other)),
            };
        }
        if self.has_last {
            return Err(damaged(&"nothing follows the counts"));
        }
        // Of a pool it reads only as far as the first field.
        if let Ok(last) = serde_json::from_str(line) {
            return self.take_last(&last);
        }
        let line: PoolLine<'_> = serde_json::from_str(line).map_err(|error| damaged(&error))?;
        let pool = read_pool(line).map_err(|problem| damaged(&problem))?;
        if !self.names.insert(pool.name.clone()) {
            return Err(damaged(&"the pool stands twice"));
        }
        self.restoration.pools.push(pool);
        Ok(())
    }

    fn take_last(&mut self, last: &LastLine) -> Result<(), DumpError> {
        self.has_last = true;
        let pools = &self.restoration.pools;
        let counted = (
            pools.len(),
            pools.iter().map(|pool| pool.members.len()).sum(),
            pools.iter().map(|pool| pool.locks.len()).sum(),
        );
        if counted != (last.pools, last.members, last.locks) {
            return Err(DumpError::Counts);
        }
        self.restoration.retired_fence = read_fence(last.retired_fence)
            .map_err(|problem| DumpError::Line(self.line_count, problem.into()))?;
        Ok(())
    }

    /// Ends the dump and returns what it restores, with higher fences.
    pub fn finish(mut self) -> Result<Restoration, DumpError> {
        if !self.tail.is_empty() && self.wrong.is_none() {
            let line = std::mem::take(&mut self.tail);
            self.take_line(&line);
            // The dump ends within this line.
            if let Some(DumpError::Line(..)) = self.wrong {
                self.wrong = Some(DumpError::CutOff);
            }
        }
        match self.wrong {
            Some(error) => return Err(error),
            None if self.line_count == 0 => return Err(DumpError::NotADump),
            None if !self.has_last => return Err(DumpError::CutOff),
            None => {}
        }
        let mut restoration = self.restoration;
        let skip = |fence: Fence| Fence::from_number(fence.number() + SKIPPED_FENCES);
        restoration.retired_fence = skip(restoration.retired_fence);
        for pool in &mut restoration.pools {
            pool.fence = skip(pool.fence);
        }
        Ok(restoration)
    }
}

fn read_fence(number: u64) -> Result<Fence, &'static str> {
    match number {
        0..=MAX_FENCE => Ok(Fence::from_number(number)),
        _ => Err("a fence is too high"),
    }
}

fn read_pool(line: PoolLine<'_>) -> Result<PoolDump, String> {
    let name = PoolName::parse_stored(&*line.pool).map_err(|error| error.to_string())?;
    let mut pool = PoolDump {
        name: StoredName::from(name.as_str()),
        fence: read_fence(line.fence)?,
        ..PoolDump::default()
    };
    let mut places: HashMap<&str, u32> = HashMap::with_capacity(line.members.len());
    for (Text(id), place) in line.members.iter().zip(0..) {
        let checked = ResourceId::parse_stored(&**id).map_err(|error| error.to_string())?;
        pool.members.push(&checked);
        if places.insert(id, place).is_some() {
            return Err(format!("member {id:?} stands twice"));
        }
    }
    let mut is_seen = vec![false; line.members.len()];
    for (Text(id), rank) in line.free.iter().zip(0..) {
        let place = *places
            .get(&**id)
            .ok_or(format!("{id:?} is free and no member"))?;
        if std::mem::replace(&mut is_seen[place as usize], true) {
            return Err(format!("{id:?} is free twice"));
        }
        pool.free.insert(rank, place);
    }
    let mut leaving = HashSet::new();
    // The first lock of each grant, and the fence of each owner.
    let mut grants: BTreeMap<Fence, (Option<&str>, Option<u32>)> = BTreeMap::new();
    let mut owners: HashMap<&str, Fence> = HashMap::new();
    for (lock, order) in line.locks.iter().zip(0..) {
        let id = &*lock.id;
        ResourceId::parse_stored(id).map_err(|error| error.to_string())?;
        let is_twice = match places.get(id) {
            Some(&place) => std::mem::replace(&mut is_seen[place as usize], true),
            None => !leaving.insert(id),
        };
        if is_twice {
            return Err(format!("{id:?} is locked, and free or locked once more"));
        }
        let fence = read_fence(lock.fence)?;
        let owner = lock.owner.as_deref();
        if fence == Fence::default() || fence > pool.fence {
            return Err(format!(
                "the fence of {id:?} is not one that the pool has given"
            ));
        }
        if *grants.entry(fence).or_insert((owner, lock.lease)) != (owner, lock.lease) {
            return Err(format!("the locks with the fence {} differ", lock.fence));
        }
        if let Some(owner) = owner {
            OwnerName::parse(owner).map_err(|error| error.to_string())?;
            if *owners.entry(owner).or_insert(fence) != fence {
                return Err(format!("the owner {owner:?} has two grants"));
            }
        }
        let lease = match lock.lease {
            None => None,
            Some(seconds) => Some(Ttl::from_s(seconds).ok_or(format!("the lease of {id:?}"))?),
        };
        let lock = DumpedLock {
            id: StoredName::from(id),
            lease,
            ttl_s: lease.map(|lease| u64::from(lease.as_s())),
            owner: owner.map(StoredName::from),
            age_s: lock.age,
        };
        pool.locks.insert((fence, order), lock);
    }
    match is_seen.iter().position(|is_seen| !is_seen) {
        None => Ok(pool),
        Some(place) => {
            let Text(id) = &line.members[place];
            Err(format!("member {id:?} is neither free nor locked"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"{"latchd":"0.1.0","dump":1}"#;
    const POOL: &str = r#"{"pool":"A","fence":7,"members":["1","2","3"],"free":["3","1"],"locks":[{"id":"2","fence":7,"ttl":5,"owner":"o","age":9,"lease":60}]}"#;
    const LAST: &str = r#"{"pools":1,"members":3,"locks":1,"retired_fence":4}"#;

    fn read(text: &str) -> Result<Restoration, DumpError> {
        let read = |size: usize| {
            let mut reader = DumpReader::default();
            text.as_bytes()
                .chunks(size)
                .for_each(|piece| reader.take(piece));
            reader.finish()
        };
        let whole = read(usize::MAX >> 1);
        assert_eq!(read(1), whole);
        whole
    }

    fn of(lines: &[&str]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn a_dump_is_read() {
        let whole = read(&of(&[FIRST, POOL, LAST])).expect("a good dump");
        assert_eq!(whole.retired_fence.number(), 4 + (1 << 24));
        let pool = &whole.pools[0];
        assert_eq!((&*pool.name, pool.fence.number()), ("A", 7 + (1 << 24)));
        assert_eq!(pool.free, BTreeMap::from([(0, 2), (1, 0)]));
        let lock = pool.locks.values().next().expect("there is one");
        assert_eq!((&*lock.id, lock.ttl_s, lock.age_s), ("2", Some(60), 9));
        // With the line ends of another system, and without the last one.
        let text = of(&[FIRST, POOL, LAST]);
        assert_eq!(read(&text.replace('\n', "\r\n")), Ok(whole.clone()));
        assert_eq!(read(text.trim_end()), Ok(whole));
    }

    #[test]
    fn wherever_it_is_cut_off_it_is_refused() {
        let text = of(&[FIRST, POOL, LAST]);
        for end in 0..text.len() - 1 {
            let error = read(&text[..end]).expect_err("it is cut");
            let wanted = match end {
                0..27 => DumpError::NotADump,
                _ => DumpError::CutOff,
            };
            assert_eq!(error, wanted, "{}", &text[..end]);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let line = |number, from: &str, to: &str| {
            let text = of(&[FIRST, &POOL.replace(from, to), LAST]);
            match read(&text) {
                Err(DumpError::Line(at, problem)) => assert_eq!(at, number, "{problem}"),
                other => panic!("{to}: {other:?}"),
            }
        };
        line(2, "\"free\":[\"3\",", "\"free\":[");
        line(2, "\"free\":[\"3\",", "\"free\":[\"3\",\"2\",");
        line(2, "\"free\":[\"3\",", "\"free\":[\"3\",\"3\",");
        line(2, "\"free\":[\"3\",", "\"free\":[\"9\",");
        line(2, "\"members\":[\"1\",", "\"members\":[\"2\",");
        line(2, "\"fence\":7,\"ttl\"", "\"fence\":8,\"ttl\"");
        line(2, "\"fence\":7,\"ttl\"", "\"fence\":0,\"ttl\"");
        line(2, "\"lease\":60", "\"lease\":0");
        line(2, "\"owner\":\"o\"", "\"owner\":\"\"");
        line(2, "\"pool\":\"A\"", "\"pool\":\"\"");
        line(2, "\"pool\":\"A\"", "\"pool\":\"A\",\"x\":1");
        line(2, "{\"pool\"", "x{\"pool\"");
        line(2, "\"fence\":7,\"m", "\"fence\":9007199254740993,\"m");
        assert_eq!(read(&of(&[POOL])), Err(DumpError::NotADump));
        let other = FIRST.replace(":1}", ":2}");
        assert_eq!(read(&of(&[&other, POOL, LAST])), Err(DumpError::Format(2)));
        assert_eq!(read(&of(&[FIRST, LAST])), Err(DumpError::Counts));
        for lines in [&[FIRST, POOL, POOL, LAST][..], &[FIRST, POOL, LAST, POOL]] {
            let error = read(&of(lines)).expect_err("it stands twice");
            assert!(matches!(error, DumpError::Line(3 | 4, _)), "{error}");
        }
    }
}
