//! latchd lends resources from named pools, one holder at a time, over plain HTTP.
//!
//! This page is the map. The core is pure: bytes and time go in as arguments, commands and bytes come out.
//! Only `server`, the journal and the link to Redis under `store`, `client`, `config`, `logging` and `latch`
//! touch the system. So a test can replay every conversation and every fault, byte for byte.
//!
//! ```text
//! socket -> session (bytes) -> http (Head) -> keys (Caller) -> api (Command) -> store (Reply)
//!        <- session (bytes) <- http (Response) <- api (Outcome) <-
//! ```
//!
//! # Rooms
//!
//! Each room imports only from rooms above it in this list; `tests/architecture.rs` checks that.
//!
//! | room | what it is |
//! | --- | --- |
//! | [`contract`] | what clients may rely on, as tables: paths, parameters, refusals |
//! | [`time`] | moments, sets of deadlines, and limits on log messages |
//! | [`histogram`] | durations counted in buckets |
//! | [`command`] | the vocabulary of all other rooms: names, commands, replies, refusals |
//! | [`http`] | bytes to requests, answers to bytes |
//! | [`pool`] | the lock engine: order of lending, leases, owners, fences, the queue |
//! | [`tls`] | bytes to plaintext and back, for connections with TLS |
//! | [`store`] | the pools: the engine in this process with its journal (redb), or a Redis |
//! | [`metrics`] | the counters of requests and connections, and the page that shows all counters |
//! | [`keys`] | access rights: the keys of a file, their roles and pools |
//! | [`api`] | routes, parameters, messages: requests to commands, replies to answers |
//! | [`session`] | one client's connection: order, pipelining, limits, time-outs |
//! | [`host`] | the tick without sockets: the sessions of many connections on one store |
//! | [`client`] | asks a latchd over HTTP: one request, one answer, one deadline |
//! | [`ping`] | the health check: asks a latchd whether it lives |
//! | [`config`] | flags, environment and files to one checked configuration |
//! | [`logging`] | the destination of the log |
//! | [`server`] | the event loop: sockets, signals, the clock |
//! | [`latch`] | the client command: takes, holds and shows locks of a latchd over HTTP |
//!
//! # One tick of the server
//!
//! The server waits for events, accepts connections, and lets sessions read. Each session submits all
//! complete requests that it has room for, without waiting for replies. Then connections, leases and waiters
//! expire, and the store commits once: all changes of the tick share one transaction and one sync, or leave
//! for Redis in one write. Then sessions get their replies, put them in order by their tickets, and each
//! connection writes once. [`Server::run`](server::Server::run) has the steps and their reasons, and
//! [`Session`](session::Session) the protocol of a session.
//!
//! If very many leases end at once, a tick ends some hundred of them; the others count as ended until their
//! turn. A large seed is applied in slices, one a tick.
//!
//! # Invariants
//!
//! - Nothing is lent twice, and a fence never falls: the engine asserts it, in release builds too.
//! - No answer leaves before its change is as durable as the store promises: a store holds its replies back
//!   until it has committed. If the commit fails, the replies say so, and the changes are dropped.
//! - A reply reaches only the session that asked for it: a ticket is never used twice. A grant without its
//!   session is undone, unless it has an owner.
//! - No waiter stays queued that could be served, and none is served out of turn.
//! - No client can block the others: a large seed or listing is processed in slices, one a tick, and no
//!   client sees a part of it. Leases that end together do so in slices, too. After a crash, a seed is
//!   applied completely or not at all.
//! - No client can make memory grow: requests, bodies, pipelines and unsent answers are bounded.
//! - A page of another site changes nothing and reads nothing, unless `--cors` names it: `api` checks the
//!   header fields that a browser adds to a request.
//! - Where there are keys, `api` passes no command that its caller's key does not allow, from any listener.
//!   No secret leaves `keys`, and only hashes stay in it.
//!
//! # Surprising decisions
//!
//! - Fences are counted for each pool, and need no memory of removed pools: a new pool starts above the
//!   highest fence of any pool that was removed.
//! - The order of lending survives a restart, so that wear stays even: each resource has a rank.
//! - Redis carries out operations one pool at a time, in batches: while one is under way, the next one
//!   gathers. So a lost connection can leave at most one batch of a pool in doubt.
//! - Redis keeps a fence for each pool too. A restarted Redis may have lost grants, so the fences of a new
//!   history start from the time: above all earlier ones, whichever server saw them.
//! - Times in Redis are by its clock less the jumps that servers have seen beside their monotonic clocks.
//! - A tick does not loop until no work is left. Work that is left makes the next tick start at once, so that
//!   a client with a deep pipeline does not delay the others.

pub mod api;
pub mod client;
pub mod command;
pub mod config;
pub mod contract;
pub mod histogram;
pub mod host;
pub mod http;
pub mod keys;
pub mod latch;
pub mod logging;
pub mod metrics;
pub mod ping;
pub mod pool;
pub mod server;
pub mod session;
pub mod store;
pub mod time;
pub mod tls;
