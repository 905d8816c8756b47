//! `latch dump`: the backup, and the message about one that is cut off.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use super::support::{latch, printed, run};
use crate::support::programs::seeded;
use crate::support::{Server, StoreKind, run_command};

#[test]
fn dump_prints_a_line_for_each_pool_between_two() {
    for store in StoreKind::ALL {
        let server = seeded(store);
        printed(&server, &["lock", "A", "--owner", "me", "--ttl", "60"]);
        let dump = printed(&server, &["dump"]);
        let lines: Vec<Value> = dump
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!(lines.len(), 3, "{dump}");
        assert_eq!(lines[0]["dump"], 1);
        assert_eq!(lines[1]["free"], serde_json::json!(["3", "2", "1"]));
        assert_eq!(lines[1]["locks"][0]["owner"], "me");
        assert_eq!(lines[1]["locks"][0]["lease"], 60);
        assert_eq!(
            (&lines[2]["pools"], &lines[2]["locks"]),
            (&1.into(), &1.into())
        );
    }
}

/// A pool is larger than one read of it, and the dump larger than one write.
#[test]
fn a_large_pool_is_dumped_whole() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let count: usize = match store {
            StoreKind::Redis => 5_000,
            StoreKind::Memory | StoreKind::File => 30_000,
        };
        let ids: Vec<String> = (0..count).map(|id| id.to_string()).collect();
        let mut client = server.connect();
        assert!(
            client
                .ask(&format!("POST /pool {{\"A\":{ids:?}}}"))
                .starts_with("200 ")
        );
        assert!(
            client
                .ask("POST /pool/A/lock?n=100")
                .starts_with(&format!("200 {}\t", count - 1))
        );
        let dump = run(&server, &["dump"]).stdout;
        let pool = dump.lines().nth(1).expect("there is a pool");
        let pool: Value = serde_json::from_str(pool).expect("JSON");
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().expect("a list").iter();
            list.map(|id| id.as_str().expect("an id").to_owned())
                .collect()
        };
        assert_eq!(texts(&pool["members"]), ids);
        let mut free = texts(&pool["free"]);
        free.reverse();
        assert_eq!(free, ids[..count - 100]);
        let locks = pool["locks"].as_array().expect("a list");
        assert_eq!(locks.len(), 100);
        assert_eq!(locks[99]["id"], ids[count - 100]);
        let last = format!("\"members\":{count},\"locks\":100,\"retired_fence\":0}}\n");
        assert!(dump.ends_with(&last), "{}", &dump[dump.len() - 100..]);
    }
}

#[test]
fn a_dump_that_is_cut_off_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        for body in [
            "{\"latchd\":\"1\",\"dump\":1}\n",
            "{\"latchd\":\"1\",\"dump\":1}\n{\"pools\":0",
        ] {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 4096];
            let count = stream.read(&mut request).expect("a request");
            assert!(request[..count].starts_with(b"GET /dump HTTP/1.0\r\n"));
            let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).expect("it reads");
        }
    });
    for _ in 0..2 {
        let mut command = latch(&url);
        command.arg("dump");
        let ended = run_command(command);
        let told = (ended.code, &*ended.stderr);
        let cut = "latch: the dump is cut off: its last line, with the counts, has not come\n";
        assert_eq!(told, (Some(6), cut));
    }
    server.join().expect("it has served");
}
