//! The whole table once more, with every request sent byte by byte, and once more with TLS: however a
//! conversation is cut or wrapped, the bytes that come out are the same.

use super::runner::{Cut, run_on};
use super::secured::Dialer;
use super::table::Row;
use super::*;
use crate::support::StoreKind;

#[test]
fn rows_hold_byte_by_byte() {
    let mut rows = all_rows();
    rows.retain(|row| !row.kept_whole);
    run_on(&[StoreKind::Memory], rows, Cut::Bytes, &Dialer::Plain);
}

#[cfg(feature = "tls")]
#[test]
fn rows_hold_with_tls() {
    let mut rows = all_rows();
    // While the server is stopped, a new client has no peer for its handshake.
    rows.retain(|row| {
        !row.steps
            .iter()
            .any(|step| matches!(step, table::RowStep::Signal("STOP")))
    });
    let dialer = Dialer::with_tls();
    run_on(&[StoreKind::Memory], rows, Cut::AsWritten, &dialer);
}

fn all_rows() -> Vec<Row> {
    let topics = [
        ("caching", caching::rows()),
        ("chunked", chunked::rows()),
        ("connection", connection::rows()),
        ("all_members", all_members::rows()),
        ("browsers", browsers::rows()),
        ("cors", cors::rows()),
        ("decisions", decisions::rows()),
        ("decisions_http", decisions_http::rows()),
        ("decisions_queue", decisions_queue::rows()),
        ("dump", dump::rows()),
        ("errors", errors::rows()),
        ("expect", expect::rows()),
        ("fences", fences::rows()),
        ("fin", fin::rows()),
        ("form", form::rows()),
        ("framing", framing::rows()),
        ("health", health::rows()),
        ("ids", ids::rows()),
        ("leases", leases::rows()),
        ("limits", limits::rows()),
        ("locks", locks::rows()),
        ("members", members::rows()),
        ("methods", methods::rows()),
        ("misspelt", misspelt::rows()),
        ("names", names::rows()),
        ("negotiation", negotiation::rows()),
        ("one_line", one_line::rows()),
        ("owners", owners::rows()),
        ("parameters", parameters::rows()),
        ("pools", pools::rows()),
        ("queue", queue::rows()),
        ("queue_lost", queue_lost::rows()),
        ("queue_members", queue_members::rows()),
        ("queue_owners", queue_owners::rows()),
        ("queue_told", queue_told::rows()),
        ("real_clients_bytes", real_clients_bytes::rows()),
        ("routes", routes::rows()),
    ];
    let mut rows = Vec::new();
    for (topic, of_topic) in topics {
        for mut row in of_topic {
            row.name = format!("{topic}: {}", row.name);
            rows.push(row);
        }
    }
    rows
}
