//! Any configuration: a file and a flag with the same value are accepted or refused alike. No
//! reader panics, and no password of a URL is ever shown.

#![no_main]

use arbitrary::Arbitrary;
use latchd::client::Trust;
use latchd::config::fuzzing::{read_file, read_flags, read_store};
use latchd::ping::Target;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    File(&'a str),
    Flags(Vec<&'a str>),
    /// One setting, by its index in `NUMBERS`.
    Number(u8, u64),
    /// One setting, by its index in `TEXTS`.
    Text(u8, &'a str),
    Url(&'a str),
    /// The text before and behind a password.
    Secret(&'a str, &'a str),
    Ping(&'a str),
    PingAnswer(&'a [u8]),
}

/// Flags that take a number, and their section and key in a file.
const NUMBERS: [(&str, &str, &str); 9] = [
    ("--max-connections", "server", "maxConnections"),
    ("--max-body", "server", "maxBody"),
    ("--header-timeout", "server", "headerTimeout"),
    ("--idle-timeout", "server", "idleTimeout"),
    ("--default-ttl", "lending", "defaultTtl"),
    ("--max-wait", "lending", "maxWait"),
    ("--max-waiters", "lending", "maxWaiters"),
    ("--queue-grace", "lending", "queueGrace"),
    ("--redis-timeout", "redis", "timeout"),
];

const TEXTS: [(&str, &str, &str); 5] = [
    ("--cors", "server", "cors"),
    ("--sync", "store", "sync"),
    ("--redis-prefix", "redis", "prefix"),
    ("--store", "store", "url"),
    ("--log-level", "logging", "level"),
];

const SECRET: &str = "Zq7xSecretx7qZ";

fuzz_target!(|input: Input<'_>| match input {
    Input::File(text) => same_as_canonical(text),
    Input::Flags(mut arguments) => {
        arguments.insert(0, "latchd");
        let _ = read_flags(&arguments);
    }
    Input::Number(place, number) => {
        let (flag, section, key) = NUMBERS[usize::from(place) % NUMBERS.len()];
        let flags = read_flags(&["latchd", flag, &number.to_string()]);
        let file = read_file(&format!("{{{section}:{{{key}:{number}}}}}"));
        assert_eq!(flags.ok(), file.ok(), "{flag} {number}");
    }
    Input::Text(place, text) => {
        let (flag, section, key) = TEXTS[usize::from(place) % TEXTS.len()];
        let flags = read_flags(&["latchd", &format!("{flag}={text}")]);
        let file = read_file(&serde_json::json!({section: {key: text}}).to_string());
        assert_eq!(flags.ok(), file.ok(), "{flag} {text:?}");
    }
    Input::Url(url) => {
        if let Ok(store) = read_store(url) {
            // A shown URL can be read again, unless a password is masked.
            let shown = store.to_string();
            if !shown.contains("***") {
                assert_eq!(
                    read_store(&shown),
                    Ok(store),
                    "{url:?} is shown as {shown:?}"
                );
            }
        }
    }
    Input::Secret(before, behind) => {
        let url = format!("redis://{before}:{SECRET}@{behind}");
        let shown = match read_store(&url) {
            Ok(store) => store.to_string(),
            Err(problem) => problem,
        };
        assert!(!shown.contains(SECRET), "{url:?} is shown as {shown:?}");
        // In a wrong place, too.
        let problem = read_flags(&["latchd", &url]).expect_err("there are no such arguments");
        assert!(!problem.contains(SECRET), "{url:?} is shown as {problem:?}");
        let file = serde_json::json!({"redis": {"url": url}}).to_string();
        if let Err(problem) = read_file(&file) {
            assert!(
                !problem.contains(SECRET),
                "{file:?} is shown as {problem:?}"
            );
        }
    }
    Input::Ping(url) => {
        let trust = Trust::System { instead: "" };
        if let Ok(target) = Target::parse(url, trust) {
            assert_eq!(
                Target::parse(&target.to_string(), trust).as_ref(),
                Ok(&target)
            );
        }
    }
    Input::PingAnswer(line) => {
        if latchd::ping::fuzz_is_ok(line) {
            let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
            assert!(words[0].starts_with(b"HTTP/1.") && words[1] == b"200");
        }
    }
});

/// Asserts that a file means the same as plain JSON.
fn same_as_canonical(text: &str) {
    let read = read_file(text);
    if let Ok(said) = read {
        let json: serde_json::Value = json5::from_str(text).expect("it was just read");
        assert_eq!(read_file(&json.to_string()).as_ref(), Ok(&said), "{text:?}");
    }
}
