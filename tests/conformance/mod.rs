//! The contract as a table: request bytes in, answer bytes out, one row for each promise.
//!
//! A row has a name, the sentence of the contract that it holds, and a conversation. Each row runs
//! over real sockets, against a server process of its own, on every store of `StoreKind::ALL`. So a
//! new store is a new variant there and nothing here. After a row, each of its connections must
//! either answer one more `GET /ping`, with nothing before that answer, or have ended without a
//! further byte.
//!
//! Rows about the queue have several connections. `on(1)` continues with the second. `waits` sends a
//! request that gets no answer yet, and polls the pool's queue until it is there. `hears` is the
//! answer when it comes.
//!
//! Read `routes` first, then `locks` and `members`: they are the protocol. The others test its form,
//! and the faults that it forgives.

mod expected;
mod request;
mod runner;
mod secured;
mod table;
mod wire;

mod all_members;
mod browsers;
mod caching;
mod chunked;
mod connection;
mod cors;
mod decisions;
mod decisions_http;
mod decisions_queue;
mod dump;
mod durable;
mod errors;
mod expect;
mod fences;
mod fin;
mod form;
mod framing;
mod health;
mod ids;
mod json_base;
mod leases;
mod leases_timed;
mod limits;
mod limits_counts;
mod locks;
mod members;
mod methods;
mod misspelt;
mod names;
mod negotiation;
mod one_line;
mod owners;
mod parameters;
mod pools;
mod queue;
mod queue_away;
mod queue_lost;
mod queue_members;
mod queue_owners;
mod queue_told;
mod real_clients_bytes;
mod routes;
mod split;
