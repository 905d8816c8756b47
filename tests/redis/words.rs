//! Words of a hostile Redis in the log.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use tempfile::TempDir;

use crate::metrics::scrape;
use crate::support::Process;
use crate::support::launch::{eventually, latchd_in};
use crate::support::redis::{Logged, RedisServer};

/// It can neither forge a line, nor clear a terminal, nor make the log show the password that it was sent.
#[test]
fn foreign_words_are_printable_and_hide_the_password() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let long = "x".repeat(5000);
            let words = format!("-ERR \u{1b}[2Jauth 'hidden-word' hidden-w {long}\r\n");
            let _ = stream.write_all(words.as_bytes());
            // Until latchd hangs up.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let folder = TempDir::new().expect("a folder");
    let store = format!("redis://:hidden-word@{address}");
    let arguments = ["--listen", "127.0.0.1:0", "--store", &store];
    let mut process = Process::spawn(latchd_in(&folder, &arguments));
    let line = process.wait_for_line("is lost: ");
    assert!(
        line.contains(r"is lost: ERR \u{1b}[2Jauth '***' *** xxx"),
        "{line}"
    );
    assert!(line.contains("x…; trying again in "), "{line}");
    assert!(!line.contains("hidden"), "{line}");
}

/// It is tried again and again, and the log does not fill up with that.
#[test]
fn a_redis_that_stays_away_is_logged_once_a_minute() {
    let mut redis = RedisServer::absent(&[]);
    let folder = TempDir::new().expect("a folder");
    let arguments = ["--listen", "127.0.0.1:0", "--store", &redis.url()];
    let mut latchd = Logged::start(latchd_in(&folder, &arguments));
    latchd.wait_for(|line| line.contains("is lost: "));
    eventually("it is tried several times", || {
        let losses = scrape(latchd.address).value("latchd_redis_losses_total", &[]);
        (losses >= 4.0).then_some(())
    });
    redis.resume();
    latchd.wait_for(|line| line.contains("connected to redis://"));
    let log = latchd.end();
    for words in ["is lost: ", "connected to "] {
        let lines: Vec<&String> = log.iter().filter(|line| line.contains(words)).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }
}
