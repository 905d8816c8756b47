//! The operator's view: `GET /metrics`, and the health of the server and its store.
//!
//! Every page in these tests is read by `support::exposition`, which is stricter than any scraper.

mod counts;
pub mod listeners;
mod outages;
mod pools;
mod times;

use std::io::Read;
use std::net::SocketAddr;

use crate::support::exposition::Page;
use crate::support::{Client, Server, StoreKind};

/// The header field that Prometheus sends.
const ACCEPT: &str = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,\
    text/plain;version=0.0.4;q=0.4,*/*;q=0.1\r\n";

/// Asks for the metrics on a connection of their own.
#[track_caller]
pub fn scrape(address: SocketAddr) -> Page {
    let mut client = Client::connect(address);
    let (head, page) = get(&mut client, "/metrics", ACCEPT);
    let length = page.len();
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\
         Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Cache-Control: no-store\r\n\r\n"
    );
    assert_eq!(head, expected);
    Page::read(&page)
}

/// The same with the secret of a key.
#[track_caller]
pub fn scrape_as(address: SocketAddr, secret: &str) -> Page {
    let mut client = Client::connect(address);
    let (head, page) = get(
        &mut client,
        "/metrics",
        &format!("Authorization: Bearer {secret}\r\n"),
    );
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    Page::read(&page)
}

/// An answer in two parts: up to the blank line, and the body.
#[track_caller]
pub fn get(client: &mut Client, path: &str, fields: &str) -> (String, String) {
    client.send(format!("GET {path} HTTP/1.1\r\n{fields}\r\n"));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head = head + &client.read_line() + "\n";
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok())
        .expect("an answer says how long it is");
    let mut body = vec![0; length];
    client
        .stream
        .read_exact(&mut body)
        .expect("the body comes whole");
    (head, String::from_utf8(body).expect("the body is UTF-8"))
}

/// Sends one line after the other, and expects each answer.
#[track_caller]
fn converse(client: &mut Client, conversation: &[(&str, &str)]) {
    for (request, answer) in conversation {
        assert_eq!(client.ask(request), *answer, "{request}");
    }
}

#[track_caller]
fn expect_lines(page: &Page, start: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|rest| format!("{start}{rest}"))
        .collect();
    assert_eq!(page.lines(start), expected);
}
