//! Too many wrong keys from one address: only keys that have worked there are looked at.

use std::net::Ipv4Addr;

use super::serve;
use crate::eviction::connect_from;
use crate::metrics::scrape_as;

const KEYS: &str = "all secret-for-all-of-them read *\nnew secret-that-is-new-at-it read *\n";

#[test]
fn after_too_many_wrong_keys_only_those_are_taken_that_have_worked_from_the_address() {
    let mut server = serve(KEYS, &["--max-wrong-keys", "3"]);
    let worked = "key=secret-for-all-of-them GET /pool";
    let unused = "key=secret-that-is-new-at-it GET /pool";
    let mut client = server.connect();
    assert_eq!(client.ask(worked), "200");
    for guess in 1..=3 {
        let request = format!("key=guess-{guess} GET /pool");
        assert_eq!(client.ask(&request), "401 wrong key");
    }
    // Right or wrong makes no difference, and a body neither.
    for request in [unused, "key=guess-4 GET /pool", "key=guess-5 PUT /pool/A 1"] {
        assert_eq!(client.ask(request), "401 too many wrong keys", "{request}");
        assert_eq!(server.connect().ask(request), "401 too many wrong keys");
    }
    server.connect().send("key=guess-6 GET /pool\n");
    assert_eq!(client.ask("GET /pool"), "401 no key");
    assert_eq!(client.ask("key=guess-7 GET /ping"), "200 pong");
    assert_eq!(server.connect().ask(worked), "200");
    let mut elsewhere = connect_from(Ipv4Addr::new(127, 0, 0, 2), server.address);
    assert_eq!(elsewhere.ask(unused), "200");
    assert_eq!(elsewhere.ask("key=guess-8 GET /pool"), "401 wrong key");

    let page = scrape_as(server.address, "secret-for-all-of-them");
    assert_eq!(page.value("latchd_wrong_keys_total", &[]), 4.0);
    assert!(page.value("latchd_unchecked_keys_total", &[]) >= 7.0);
    let log = server.wait_for_log("wrong keys in a minute");
    assert!(log.contains("127.0.0.1 has shown 3 wrong keys"), "{log}");
    assert!(!log.contains("guess"), "{log}");
}

#[test]
fn without_a_limit_any_number_of_wrong_keys_is_told() {
    let server = serve(KEYS, &["--max-wrong-keys", "0"]);
    let mut client = server.connect();
    for guess in 0..100 {
        let request = format!("key=guess-{guess} GET /pool");
        assert_eq!(client.ask(&request), "401 wrong key");
    }
    assert_eq!(client.ask("key=secret-that-is-new-at-it GET /pool"), "200");
}
