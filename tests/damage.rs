//! A damaged store file is either refused, with exit code 1 and a line that names the file, or served
//! with every pool and lock in it. Nothing lies between: no panic, and no pool that has lost an
//! answered change.

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use fastrand::Rng;
use redb::{Database, TableDefinition, WriteTransaction};
use tempfile::TempDir;

use crate::support::launch::{Start, addresses_in, latchd_in, refused, try_start};
use crate::support::{Client, Server, StoreKind, signal};

/// A store file, and the state in it.
struct Known {
    file: Vec<u8>,
    /// All that was answered.
    state: State,
    /// The state before the last commit.
    state_before: State,
}

struct State {
    /// Requests that change nothing, with their answers.
    answers: Vec<(&'static str, String)>,
    /// The next grant in pool A.
    next: &'static str,
}

/// The end of the server that wrote the file.
#[derive(Clone, Copy, Debug)]
enum Ended {
    Well,
    Killed,
}

const QUESTIONS: [&str; 5] = [
    "GET /pool",
    "GET /pool/A",
    "GET /pool/A/lock",
    "GET /pool/B",
    "GET /pool/B/lock",
];

/// A store that has been used for a while. All tests damage copies of the same two.
fn used_store(end: Ended) -> &'static Known {
    static WELL: OnceLock<Known> = OnceLock::new();
    static KILLED: OnceLock<Known> = OnceLock::new();
    match end {
        Ended::Well => WELL.get_or_init(|| use_store(end)),
        Ended::Killed => KILLED.get_or_init(|| use_store(end)),
    }
}

fn use_store(end: Ended) -> Known {
    let mut server = Server::start(StoreKind::File);
    let mut client = server.connect();
    let ids: Vec<String> = (0..300).map(|n| format!("resource {n}")).collect();
    let seed = serde_json::json!({"A": ["1", "2", "3", "4"], "B": ids});
    assert!(
        client
            .ask(&format!("POST /pool {seed}"))
            .starts_with("200 ")
    );
    for _ in 0..12 {
        assert_eq!(client.ask("POST /pool/A/lock?n=4"), "200 4\t3\t2\t1");
        for id in ["1", "2", "3", "4"] {
            assert_eq!(client.ask(&format!("DELETE /pool/A/lock/{id}")), "200");
        }
        // Released in this order, they are lent in this order: 1 first.
        assert_eq!(client.ask("POST /pool/A/lock?n=4"), "200 1\t2\t3\t4");
        for id in ["4", "3", "2", "1"] {
            assert_eq!(client.ask(&format!("DELETE /pool/A/lock/{id}")), "200");
        }
        assert!(client.ask("POST /pool/B/lock?n=3").starts_with("200 "));
    }
    let mut look = |next| State {
        answers: QUESTIONS
            .map(|question| (question, client.ask(question)))
            .to_vec(),
        next,
    };
    // After a kill fences skip ahead, so that the two that a lost commit has given do not return.
    let (next_before, next) = match end {
        Ended::Well => ("200 25 - 4", "200 26 - 2"),
        Ended::Killed => ("200 1001 - 4", "200 1001 - 2"),
    };
    let state_before = look(next_before);
    assert_eq!(
        server.connect().ask("POST /pool/A/lock?n=2&lease"),
        "200 25 - 4\t25 - 3"
    );
    let state = look(next);
    match end {
        Ended::Well => assert_eq!(server.terminate().code(), Some(0)),
        Ended::Killed => server.kill(),
    }
    let file = fs::read(server.folder.path().join("latchd.redb")).expect("the store's file");
    Known {
        file,
        state,
        state_before,
    }
}

/// Starts on `file`; whether it was served, in one of these states. The error describes a forbidden
/// result.
fn try_file(file: &[u8], states: &[&State]) -> Result<bool, String> {
    let folder = folder_in_memory();
    fs::write(folder.path().join("pools.redb"), file).expect("the damaged file");
    let arguments = ["--listen", "127.0.0.1:0", "--store", "file:pools.redb"];
    let (mut process, line) = match try_start(latchd_in(&folder, &arguments)) {
        Start::Serves(process, line) => (process, line),
        Start::Ended(ended) => {
            let message = ended.stderr;
            let clear = message.lines().count() == 1 && message.contains("pools.redb");
            return match (ended.code, clear) {
                (Some(1), true) => Ok(false),
                (code, _) => Err(format!("ended with {code:?}, saying {message}")),
            };
        }
    };
    let talk = AssertUnwindSafe(|| {
        let mut client = Client::connect(addresses_in(&line)[0]);
        let answers = QUESTIONS.map(|question| (question, client.ask(question)));
        let state = states.iter().find(|state| state.answers == answers)?;
        assert_eq!(client.ask("POST /pool/A/lock?lease"), state.next);
        let id = &state.next[state.next.len() - 1..];
        assert_eq!(client.ask(&format!("DELETE /pool/A/lock/{id}")), "200");
        assert_eq!(client.ask("PUT /pool/B []"), "200 []");
        Some(())
    });
    let kept = catch_unwind(talk);
    signal(process.child.id(), "TERM");
    let log = process.rest_of_log().join("\n");
    let code = process.wait().code();
    match kept {
        Ok(Some(())) if code == Some(0) && !log.contains("panicked") => Ok(true),
        Ok(Some(())) => Err(format!("served, but ended with {code:?}: {log}")),
        Ok(None) => Err(format!("served, but not with all that it had: {log}")),
        Err(_) => Err(format!("served, but wrongly (see above): {log}")),
    }
}

/// Tries variants of a file; how many of them were served.
#[track_caller]
fn try_all(states: &[&State], variants: impl Iterator<Item = (String, Vec<u8>)>) -> usize {
    let (mut served, mut failures) = (0, Vec::new());
    for (name, file) in variants {
        match try_file(&file, states) {
            Ok(was_served) => served += usize::from(was_served),
            Err(problem) => failures.push(format!("{name}: {problem}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    served
}

impl Known {
    /// The states that a damaged copy may come back in. A commit that a kill interrupted was not
    /// answered and is undone; damage to the last commit looks the same.
    fn possible(&self, end: Ended) -> Vec<&State> {
        match end {
            Ended::Well => vec![&self.state],
            Ended::Killed => vec![&self.state, &self.state_before],
        }
    }
}

#[test]
fn an_undamaged_file_is_served() {
    for end in [Ended::Well, Ended::Killed] {
        let known = used_store(end);
        let file = known.file.clone();
        assert_eq!(
            try_all(&[&known.state], [(format!("{end:?}"), file)].into_iter()),
            1
        );
    }
}

#[test]
fn what_is_no_store_is_refused() {
    let mut random = Rng::with_seed(5);
    let mut garbage = |length: usize| (0..length).map(|_| random.u8(..)).collect::<Vec<u8>>();
    let files = [
        ("a text", b"pools: none yet\n".repeat(300)),
        ("one byte", b"x".to_vec()),
        ("a line", b"hello\n".to_vec()),
        ("zeros", vec![0; 1 << 20]),
        ("half a page of garbage", garbage(2048)),
        ("a megabyte of garbage", garbage(1 << 20)),
        (
            "the name of redb and garbage",
            [b"redb\x1a\x0a\xa9\x0d\x0a".to_vec(), garbage(100_000)].concat(),
        ),
    ];
    for (name, file) in files {
        let folder = folder_in_memory();
        fs::write(folder.path().join("pools.redb"), &file).expect("a file");
        let store = ["--listen", "127.0.0.1:0", "--store", "file:pools.redb"];
        let ended = refused(latchd_in(&folder, &store));
        let message = &ended.stderr;
        assert_eq!(ended.code, Some(1), "{name}: {message}");
        assert!(
            message.contains("pools.redb is damaged or no latchd store"),
            "{name}: {message}"
        );
        assert_eq!(message.lines().count(), 1, "{name}: {message}");
        let after = fs::read(folder.path().join("pools.redb")).expect("the file");
        assert!(
            after == file,
            "{name}: a file of another program is left as it is"
        );
    }
}

#[test]
fn a_file_of_another_format_is_refused() {
    const OLD: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
    const NEW: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("numbers");
    refused_for_its_format(
        "is not in a format that this latchd knows: ",
        |transaction| {
            let mut numbers = transaction.open_table(OLD).expect("a table");
            numbers.insert("format", 3).expect("a number");
        },
    );
    let words = "has format 1000, and this latchd knows the formats 4 and 5; ";
    refused_for_its_format(words, |transaction| {
        let mut numbers = transaction.open_table(NEW).expect("a table");
        let format = &1000_u64.to_be_bytes()[..];
        numbers.insert(&b"format"[..], format).expect("a number");
    });
}

#[track_caller]
fn refused_for_its_format(words: &str, write: impl FnOnce(&WriteTransaction)) {
    let folder = folder_in_memory();
    let database = Database::create(folder.path().join("pools.redb")).expect("a file");
    let transaction = database.begin_write().expect("a transaction");
    write(&transaction);
    transaction.commit().expect("a commit");
    drop(database);
    let store = ["--listen", "127.0.0.1:0", "--store", "file:pools.redb"];
    let ended = refused(latchd_in(&folder, &store));
    assert_eq!(ended.code, Some(1));
    let words = format!("pools.redb {words}");
    assert!(ended.stderr.contains(&words), "{}", ended.stderr);
}

#[test]
fn a_file_that_was_cut_off_is_refused_or_complete() {
    for end in [Ended::Well, Ended::Killed] {
        let known = used_store(end);
        let length = known.file.len();
        let lengths = [
            64,
            320,
            512,
            4095,
            4096,
            length / 4,
            length / 2,
            length - 4096,
            length - 1,
        ];
        let variants = lengths.map(|length| {
            (
                format!("{length} bytes, {end:?}"),
                known.file[..length].to_vec(),
            )
        });
        try_all(&known.possible(end), variants.into_iter());
    }
}

/// The part of the header that describes the latest commits, redb's two commit slots.
const COMMIT_SLOTS: Range<usize> = 64..320;

#[test]
fn flipped_bytes_in_the_header_are_found_or_harmless() {
    for end in [Ended::Well, Ended::Killed] {
        let known = used_store(end);
        let places = (0..64)
            .chain(COMMIT_SLOTS.step_by(7))
            .chain((320..4096).step_by(399));
        try_all(&known.possible(end), flips(known, places));
    }
}

#[test]
fn a_flipped_byte_in_any_page_is_found_or_harmless() {
    for end in [Ended::Well, Ended::Killed] {
        let known = used_store(end);
        let mut random = Rng::with_seed(7);
        let places = written_pages(known).map(|(page, written)| {
            let place = random.choice(written).expect("it is not empty");
            page * PAGE + place
        });
        try_all(&known.possible(end), flips(known, places));
    }
}

#[test]
fn an_overwritten_page_is_found_or_harmless() {
    for end in [Ended::Well, Ended::Killed] {
        let known = used_store(end);
        let mut random = Rng::with_seed(8);
        let variants = written_pages(known).map(|(page, _)| {
            let mut file = known.file.clone();
            let zeros = random.bool();
            let noise = || if zeros { 0 } else { random.u8(..) };
            file[page * PAGE..][..PAGE].fill_with(noise);
            (format!("page {page}, zeros {zeros}, {end:?}"), file)
        });
        let served = try_all(&known.possible(end), variants);
        let all = written_pages(known).count();
        assert!(
            (1..all).contains(&served),
            "{served} of {all} are not in use"
        );
    }
}

const PAGE: usize = 4096;

/// The pages behind the header that were ever written, with the places in them that are not zero.
fn written_pages(known: &Known) -> impl Iterator<Item = (usize, Vec<usize>)> {
    let pages = known.file.chunks_exact(PAGE).enumerate().skip(1);
    let pages = pages.map(|(page, bytes)| {
        let written = (0..PAGE).filter(|&place| bytes[place] != 0);
        (page, written.collect::<Vec<usize>>())
    });
    pages.filter(|(_, written)| !written.is_empty())
}

/// Copies of a file with one byte changed in each.
fn flips(
    known: &Known,
    places: impl Iterator<Item = usize>,
) -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut random = Rng::with_seed(3);
    places.map(move |place| {
        let flip = [0xff, 1 << random.u8(..8)][random.usize(..2)];
        let mut file = known.file.clone();
        file[place] ^= flip;
        (format!("byte {place} ^ {flip:#x}"), file)
    })
}

/// Files are damaged here on purpose, so none of them needs to reach a disk.
fn folder_in_memory() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .expect("a folder")
}
