//! Redis, or a program in its place, sends what no Redis would send: bytes outside its protocol, answers
//! to nothing, too little, or without end. The client gets `store down`, or the right answer; nothing is
//! lost or lent twice by it. The server reconnects, logs the reason, and stays small.

use std::thread;

use tempfile::TempDir;

use super::liar::{Harm, Liar};
use super::*;
use crate::memory::peak_bytes_of;
use crate::support::launch::latchd_in;
use crate::support::redis::Logged;

const MEBIBYTE: usize = 1 << 20;

/// The memory that a server may take for a reply that never ends, in bytes. It keeps 256 MiB of it at
/// most, in a buffer that is moved when it grows.
const MAX_MEMORY: usize = 600 * MEBIBYTE;

/// A server of its own behind a liar, and a pool with a lock.
struct Stage {
    liar: Liar,
    latchd: Logged,
    client: Client,
    peak_before: usize,
}

impl Stage {
    fn new(redis: &RedisServer, prefix: &str) -> Stage {
        redis.count_from_one(&format!("{prefix}:"));
        Stage::behind(Liar::before(redis), prefix)
    }

    fn behind(liar: Liar, prefix: &str) -> Stage {
        let folder = TempDir::new().expect("a folder");
        let (url, prefix) = (liar.url(), format!("{prefix}:"));
        let arguments = ["--listen", "127.0.0.1:0", "--store", &url];
        let arguments = [
            &arguments[..],
            &["--redis-timeout", "1", "--redis-prefix", &prefix],
        ];
        let latchd = Logged::start(latchd_in(&folder, &arguments.concat()));
        let mut client = Client::connect(latchd.address);
        await_service(&mut client);
        assert_eq!(client.ask("PUT /pool/A [1,2,3]"), r#"200 ["1","2","3"]"#);
        assert_eq!(client.ask("POST /pool/A/lock?lease"), "200 1 - 3");
        Stage {
            peak_before: peak_bytes_of(latchd.pid()),
            liar,
            latchd,
            client,
        }
    }

    /// All is as before, and works: of three resources one is held, and each of the others is lent once.
    /// The log gives `told` as the reason for a lost connection; `None` if none was lost.
    #[track_caller]
    fn expect_recovery(mut self, told: Option<&str>, most_memory: usize) {
        expect_ping(&mut self.client);
        await_service(&mut self.client);
        await_answer(&mut self.client, "GET /pool/A/lock", "200 1 - 3");
        assert_eq!(self.client.ask("GET /pool"), "200 3 1 0 A");
        let (fence, id) = grant(&self.client.ask("POST /pool/A/lock?lease"));
        let (later, other) = grant(&self.client.ask("POST /pool/A/lock?lease"));
        assert!(1 < fence && fence < later, "fences rise: {fence}, {later}");
        let mut both = [id, other];
        both.sort_unstable();
        assert_eq!(both, ["1", "2"], "each is lent once");
        assert_eq!(self.client.ask("POST /pool/A/lock"), "409 busy");
        let grown = peak_bytes_of(self.latchd.pid()) - self.peak_before;
        assert!(grown < most_memory, "it took {} MiB", grown / MEBIBYTE);
        let log = self.latchd.end();
        let lost: Vec<&String> = log.iter().filter(|line| line.contains("is lost")).collect();
        match told {
            Some(words) => {
                let is_told = lost.iter().any(|line| line.contains(words));
                assert!(is_told, "nothing of {words:?} in {log:#?}");
                assert!(lost.len() < 20, "it connects without pause: {lost:#?}");
            }
            None => assert_eq!(lost, Vec::<&String>::new()),
        }
        let longest = log.iter().map(String::len).max();
        assert!(longest < Some(1000), "the log has long lines: {longest:?}");
    }
}

/// A lie with its name, the words of the log about it, and the bytes that it may cost.
type Lie<'a> = (&'a str, Harm, &'a str, usize);

/// Each on a server of its own, all at the same time.
#[track_caller]
fn tell_all(lies: Vec<Lie>) {
    let redis = RedisServer::start();
    let redis = &redis;
    thread::scope(|scope| {
        let threads: Vec<_> = lies
            .into_iter()
            .enumerate()
            .map(|(number, lie)| (lie.0, scope.spawn(move || tell(redis, number, lie))))
            .collect();
        let failed: Vec<&str> = threads
            .into_iter()
            .filter_map(|(what, thread)| thread.join().is_err().then_some(what))
            .collect();
        assert_eq!(failed, Vec::<&str>::new());
    });
}

#[track_caller]
fn tell(redis: &RedisServer, number: usize, (what, harm, told, most_memory): Lie) {
    let mut stage = Stage::new(redis, &number.to_string());
    stage.liar.order(harm);
    let (answer, time) = ask_timed(&mut stage.client, "POST /pool/A/lock?lease");
    assert_eq!(answer, DOWN, "{what}");
    assert!(time < TIMEOUT + MARGIN * 2, "{what}: told after {time:?}");
    stage.expect_recovery(Some(told), most_memory);
}

fn replaced(bytes: impl AsRef<[u8]>) -> Harm {
    Harm::Replaced(bytes.as_ref().to_vec())
}

const UNKNOWN: &str = "a reply of an unknown form";
const NOT_REDIS: &str = "it does not speak Redis' protocol (";
const NO_ANSWER: &str = "no answer for 1000 ms";

/// A message of a channel. It belongs on the other connection.
const NOTICE: &str = ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n";

#[test]
fn what_is_no_reply_to_what_was_asked() {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let nested = "*1\r\n".repeat(10_000);
    let lies = [
        (
            "a page of another server",
            replaced("HTTP/1.1 400 Bad Request\r\n\r\n"),
            NOT_REDIS,
        ),
        ("every byte", replaced(all_bytes), NOT_REDIS),
        ("a line end", replaced("\r\n"), NOT_REDIS),
        ("a length without digits", replaced("$x\r\n"), NOT_REDIS),
        (
            "a length beyond all numbers",
            replaced("$99999999999999999999\r\n"),
            NOT_REDIS,
        ),
        (
            "a text that is longer than it says",
            replaced("$2\r\nabcdef\r\n"),
            NOT_REDIS,
        ),
        ("arrays in arrays", replaced(nested), NOT_REDIS),
        ("a text that is no UTF-8", replaced(b"+\xff\r\n"), NOT_REDIS),
        ("a word", replaced("+OK\r\n"), UNKNOWN),
        ("a number", replaced(":1\r\n"), UNKNOWN),
        ("nothing", replaced("_\r\n"), UNKNOWN),
        ("no text", replaced("$-1\r\n"), UNKNOWN),
        ("no array", replaced("*-1\r\n"), UNKNOWN),
        (
            "a text of negative length",
            replaced("$-9223372036854775808\r\n"),
            UNKNOWN,
        ),
        ("an array of negative length", replaced("*-5\r\n"), UNKNOWN),
        ("a map", replaced("%1\r\n:1\r\n:2\r\n"), UNKNOWN),
        ("an empty array", replaced("*0\r\n"), UNKNOWN),
        (
            "a time before all times",
            replaced("*4\r\n:-1\r\n:0\r\n*0\r\n$1\r\nD\r\n"),
            UNKNOWN,
        ),
        ("no answers", replaced("*3\r\n:1\r\n:0\r\n*0\r\n"), UNKNOWN),
        (
            "too many answers",
            replaced("*5\r\n:1\r\n:0\r\n*0\r\n$1\r\nD\r\n$1\r\nD\r\n"),
            UNKNOWN,
        ),
        (
            "an answer that is not RESP",
            replaced("*4\r\n:1\r\n:0\r\n*0\r\n$1\r\nQ\r\n"),
            UNKNOWN,
        ),
        (
            "a grant of nothing",
            replaced("*4\r\n:1\r\n:0\r\n*0\r\n$1\r\nG\r\n"),
            UNKNOWN,
        ),
        (
            "an answer before the answer",
            Harm::Preceded(b"+OK\r\n".to_vec()),
            UNKNOWN,
        ),
    ];
    tell_all(
        lies.map(|(what, harm, told)| (what, harm, told, 16 * MEBIBYTE))
            .into(),
    );
}

#[test]
fn a_reply_that_breaks_off() {
    let lies = [
        ("a reset instead of a reply", Harm::CutOff(0), "reset"),
        ("a reset within a reply", Harm::CutOff(9), "reset"),
        ("silence within a reply", Harm::Swallowed(9), NO_ANSWER),
        ("nothing at all", Harm::Swallowed(0), NO_ANSWER),
        (
            "a text of nine exabytes",
            replaced("$9223372036854775807\r\nabc"),
            NO_ANSWER,
        ),
        (
            "an array of as many parts",
            replaced("*9223372036854775807\r\n"),
            NO_ANSWER,
        ),
        (
            "a notice of as many parts",
            replaced(">9223372036854775807\r\n"),
            NO_ANSWER,
        ),
        (
            "a text of less than no length",
            replaced("=-5\r\n"),
            NO_ANSWER,
        ),
    ];
    tell_all(
        lies.map(|(what, harm, told)| (what, harm, told, 16 * MEBIBYTE))
            .into(),
    );
}

/// It is cut off when it is too large, or when its time is over, whichever is first.
#[test]
fn a_reply_without_end() {
    let endless = |start: &str, more: &str| Harm::Endless(start.into(), more.into());
    let lies = [
        ("a text", endless("$99999999999\r\n", "x"), ""),
        ("a line", endless("+", "x"), ""),
        (
            "an array of numbers",
            endless("*999999999\r\n", ":1\r\n"),
            "",
        ),
        ("notices", endless("", NOTICE), "unexpected "),
        ("answers", endless("", ":1\r\n"), UNKNOWN),
    ];
    // One after another: each takes both processors.
    let redis = RedisServer::start();
    for (number, (what, harm, told)) in lies.into_iter().enumerate() {
        tell(&redis, number, (what, harm, told, MAX_MEMORY));
    }
}

/// No client has asked for anything, so no time-out ends it.
#[test]
fn what_comes_unasked() {
    let endless = |start: &str, more: &str| Harm::Endless(start.into(), more.into());
    let lies = [
        ("an answer", replaced("+OK\r\n"), "unexpected "),
        ("nonsense", replaced("nonsense"), NOT_REDIS),
        ("answers without end", endless("", ":1\r\n"), "unexpected "),
        ("notices without end", endless("", NOTICE), "unexpected "),
        (
            "a text without end",
            endless("$99999999999\r\n", "x"),
            "a reply of more than 1 MiB",
        ),
        (
            "a line without end",
            endless("+", "x"),
            "a reply of more than 1 MiB",
        ),
        (
            "an array without end",
            endless("*999999999\r\n", ":1\r\n"),
            "a reply of more than 1 MiB",
        ),
        ("a reset", Harm::CutOff(0), "reset"),
    ];
    let redis = RedisServer::start();
    for (number, (what, harm, told)) in lies.into_iter().enumerate() {
        let mut stage = Stage::new(&redis, &number.to_string());
        eprintln!("{what}");
        stage.liar.order_at_once(harm);
        stage
            .latchd
            .wait_for(|line| line.contains("is lost") && line.contains(told));
        stage.expect_recovery(Some(told), 32 * MEBIBYTE);
    }
}

/// It is no Redis from the first word on. The next attempt finds a Redis.
#[test]
fn a_greeting_that_is_none() {
    let lies = [
        (replaced("HTTP/1.1 400 Bad Request\r\n\r\n"), NOT_REDIS),
        (
            replaced("-ERR unknown command 'HELLO'\r\n"),
            "older than Redis 6",
        ),
        (
            replaced("+OK\r\n+OK\r\n+OK\r\n"),
            "a greeting of an unknown form",
        ),
        (
            replaced("+OK\r\n+OK\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n"),
            "a greeting of an unknown form",
        ),
        // Its next reply may be taken for another answer.
        (replaced("+OK\r\n"), ""),
        (Harm::Doubled, ""),
        (Harm::Swallowed(9), ""),
        (Harm::CutOff(9), "reset"),
        (
            Harm::Endless(b"$99999999999\r\n".to_vec(), b"x".to_vec()),
            "",
        ),
    ];
    let redis = RedisServer::start();
    for (number, (harm, told)) in lies.into_iter().enumerate() {
        eprintln!("{number}: {told}");
        redis.count_from_one(&format!("{number}:"));
        let liar = Liar::before(&redis);
        liar.order(harm);
        let stage = Stage::behind(liar, &number.to_string());
        stage.expect_recovery(Some(told), MAX_MEMORY);
    }
}

/// There is no bound for legitimate replies of Redis.
#[test]
fn a_right_answer_may_be_long() {
    let redis = RedisServer::start();
    let liar = Liar::before(&redis);
    let arguments = ["--redis-timeout", "15", "--max-body", "20000000"];
    let server = Server::start_at(&liar.url(), &arguments);
    let ids: Vec<String> = (0..40_000).map(|id| format!("{id:0100}")).collect();
    let mut client = server.connect();
    let list = format!("[\"{}\"]", ids.join("\",\""));
    client.send(format!("PUT /pool/A {list}\nGET /pool/A\n"));
    client.expect(format!("200 {list}\n200 {}\n", ids.join("\t")));
    // The last named is lent first.
    let lent: Vec<&str> = ids.iter().rev().map(String::as_str).collect();
    client.send("POST /pool/A/lock?n=40000\n");
    client.expect(format!("200 {}\n", lent.join("\t")));
    assert_eq!(client.ask("DELETE /pool/A/lock"), "200 40000");
}

/// The replies are right; only their pieces are small.
#[test]
fn replies_that_come_byte_by_byte() {
    let redis = RedisServer::start();
    let stage = Stage::new(&redis, "t");
    stage.liar.pass_on_byte_by_byte();
    stage.expect_recovery(None, 16 * MEBIBYTE);
}

/// The right answer counts, whatever comes behind it.
#[test]
fn an_answer_with_another_one_behind_it() {
    let redis = RedisServer::start();
    let harms = [Harm::Doubled, Harm::Followed(b"+OK\r\n".to_vec())];
    for (number, harm) in harms.into_iter().enumerate() {
        let mut stage = Stage::new(&redis, &number.to_string());
        stage.liar.order(harm);
        let (fence, id) = grant(&stage.client.ask("POST /pool/A/lock?lease"));
        assert_eq!((fence, &*id), (2, "2"));
        await_service(&mut stage.client);
        let release = format!("DELETE /pool/A/lock/2?fence={fence}");
        await_answer(&mut stage.client, "GET /pool/A/lock", "200 1 - 3\t2 - 2");
        assert_eq!(stage.client.ask(&release), "200");
        stage.expect_recovery(Some("unexpected "), 16 * MEBIBYTE);
    }
}

/// They stay queued over all of it, and are served in turn.
#[test]
fn a_waiter_keeps_its_place_whatever_is_said() {
    let redis = RedisServer::start();
    let mut stage = Stage::new(&redis, "t");
    assert_eq!(stage.client.ask("PUT /pool/A [3]"), r#"200 ["3"]"#);
    let mut line: Vec<Client> = Vec::new();
    for place in 1..=3 {
        let mut waiter = Client::connect(stage.latchd.address);
        waiter.send(format!("{WAIT}\n"));
        await_line_of(&mut stage.client, place);
        line.push(waiter);
    }
    for harm in [
        replaced("nonsense"),
        replaced("+OK\r\n"),
        Harm::CutOff(9),
        Harm::Swallowed(9),
    ] {
        stage.liar.order(harm);
        // The answer to this, or to a waiter's sign of life.
        let mut last = String::new();
        eventually("it has happened", || {
            last = stage.client.ask("GET /pool/A");
            stage.liar.has_obeyed().then_some(())
        });
        assert!([DOWN, "200 3"].contains(&&*last), "{last}");
        await_service(&mut stage.client);
    }
    line.iter_mut().for_each(expect_silence);
    await_line_of(&mut stage.client, 3);
    assert_eq!(stage.client.ask("DELETE /pool/A/lock/3?fence=1"), "200");
    pass_through(&mut line, 1);
    await_answer(&mut stage.client, "GET /pool", "200 1 0 0 A");
}
