//! Names with a part `.` or `..`, from a store that was written when they were no mistake: they are named in the log,
//! lent as before, and can be released and removed.

use latchd::command::{Command, PoolName, ResourceId, Seed, Ticket};
use latchd::pool::Rules;
use latchd::store::{EmbeddedStore, Journal, Store, Sync};
use latchd::time::Time;
use tempfile::TempDir;

use crate::support::launch::{addresses_in, latchd_in};
use crate::support::{Client, Process};

/// A pool `..` of the resource `x`, and a pool `A` of `..` and `1`.
fn old_seed() -> Seed {
    let mut seed = Seed::default();
    for (pool, ids) in [("..", &["x"][..]), ("A", &["..", "1"])] {
        seed.add_pool(&PoolName::parse_stored(pool).expect("a stored name"));
        for id in ids {
            seed.add_id(&ResourceId::parse_stored(*id).expect("a stored id"));
        }
    }
    seed
}

#[test]
fn they_are_named_and_can_be_removed() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("latchd.redb");
    let now = Time::from_ms(1);
    let journal = Journal::open(&path, Sync::Always).expect("a new file");
    let store = EmbeddedStore::with_journal(journal, Rules::default(), now);
    let mut store: Box<dyn Store> = Box::new(store.expect("nothing to be read"));
    store.submit(Ticket::new(0, 0), Command::AddMembers(old_seed()), now);
    while store.poll_reply().is_none() {
        store.commit(now);
    }
    assert!(store.close());
    drop(store);

    let arguments = ["--listen", "127.0.0.1:0", "--store", "file:latchd.redb"];
    let mut process = Process::spawn(latchd_in(&folder, &arguments));
    let warning = process.wait_for_line("names have a part . or ..");
    let told =
        r#"2 stored names have a part . or .. between slashes, as no new ones may: ["..", ".."]"#;
    assert!(
        warning.contains("WARN") && warning.contains(told),
        "{warning}"
    );
    let listening = process.wait_for_line("listening on");
    let mut client = Client::connect(addresses_in(&listening)[0]);
    for (line, answer) in [
        ("GET /pool", "200 1 0 0 ..\t2 0 0 A"),
        ("POST /pool/../lock", "400 bad name"),
        ("POST /pool/A/lock/..", "400 bad name"),
        // The last named is lent first.
        ("POST /pool/A/lock?n=2", "200 1\t.."),
        ("DELETE /pool/A/lock/..", "200"),
        ("DELETE /pool/A/lock/..", "400 bad name"),
        ("POST /pool/A/lock?owner=o", "200 .."),
        (
            "POST /pool/A/lock/..?_method=DELETE&owner=p",
            "409 not yours",
        ),
        // It is a member no longer, and leaves when it is released.
        ("PUT /pool/A 1", r#"200 ["1"]"#),
        ("DELETE /pool/A/lock/..?force", "200"),
        ("DELETE /pool/A/lock/..", "400 bad name"),
        ("DELETE /pool/%2E%2e", "200"),
        ("DELETE /pool/..", "400 bad name"),
        ("GET /pool", "200 1 1 0 A"),
    ] {
        assert_eq!(client.ask(line), answer, "{line}");
    }
}
