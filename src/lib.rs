//! latchd lends out resources from named pools, one holder at a time, over plain HTTP.
//!
//! This page is the map. All that thinks is pure: bytes and the time go in as arguments, commands
//! and bytes come out. Only `server`, the journal and the link to Redis under `store`, `client`,
//! `config`, `logging` and `latch` touch the system. So every conversation and every fault can be replayed in
//! a test, byte for byte.
//!
//! ```text
//! socket -> session (bytes) -> http (Head) -> keys (Caller) -> api (Command) -> store (Reply)
//!        <- session (bytes) <- http (Answer) <- api (Outcome) <-
//! ```
//!
//! # Rooms
//!
//! Each imports only from rooms above it in this list; `tests/architecture.rs` holds that.
//!
//! | room | what it is |
//! | --- | --- |
//! | [`time`] | moments, sets of deadlines, and limits on log messages |
//! | [`command`] | the vocabulary that all else speaks: names, commands, replies, refusals |
//! | [`http`] | bytes to requests, answers to bytes |
//! | [`metrics`] | what is counted, and the page that tells it |
//! | [`pool`] | the lock engine: order of lending, leases, owners, fences, the waiting line |
//! | [`tls`] | bytes to plaintext and back, where a connection has TLS |
//! | [`store`] | where pools live: the engine in this process with its journal (redb), or a Redis |
//! | [`keys`] | who may do what: the keys of a file, their roles and pools |
//! | [`api`] | routes, parameters, words: requests to commands, replies to answers |
//! | [`session`] | one client's conversation: order, pipelining, limits, time-outs |
//! | [`client`] | asks a latchd over HTTP: one request, one answer, one deadline |
//! | [`ping`] | the health check: asks a latchd whether it lives |
//! | [`config`] | flags, environment and files to one checked configuration |
//! | [`logging`] | where the log goes |
//! | [`server`] | the event loop: sockets, signals, the clock |
//! | [`latch`] | the client command: takes, holds and shows locks of a latchd over HTTP |
//!
//! # One tick of the server
//!
//! 1. Wait for events; read the clock. What Redis has answered is taken in.
//! 2. Accept who has come. Who has hung up leaves the line.
//! 3. Sessions read, and hand over each whole request that they have room for; the store decides. If the
//!    server stood still, all that has come meanwhile is read, and no lease that was due then has ended yet.
//!    Before a commit that has to be synced, see whether more has come meanwhile: it shares the commit.
//! 4. See whose time is over: connections, leases, waiters. What came in time was read before. If very many
//!    leases are over at once, a tick ends some hundred of them. The others count as over until their turn.
//! 5. The store does a slice of a large seed, if there is one, and commits once. All changes of the
//!    tick share one transaction and one sync, or leave for Redis in one write. If that took long, see
//!    which clients have hung up meanwhile.
//! 6. Replies are handed out, and each connection writes once.
//! 7. What has ended is closed, and what its client can no longer be told of is undone. A client that had
//!    hung up before its answer was sent counts as told when its system acknowledges it. Whoever has
//!    found no room gets the place of who has been idle for longest.
//! 8. Read the clock once more: as long as the tick took, its requests did.
//!
//! A session asks for all its pipelined requests without waiting for replies, so a burst of them
//! costs one commit, too. It puts the answers back in order by their tickets.
//!
//! # Invariants
//!
//! - Nothing is lent twice, and a fence never falls: asserted by the engine, in release builds too.
//! - No answer leaves before what it says is as durable as the store promises: a store holds its
//!   replies back until it has committed. If the commit fails it says so instead, and forgets.
//! - A reply finds only who asked for it: a ticket is never used twice. A grant that finds nobody is
//!   undone, unless it has an owner.
//! - Nobody stands in line who could be served, and nobody is served out of turn.
//! - No client can stop the others: a large seed or listing is carried out in slices, one a tick, and
//!   nobody sees a part of it. Leases that are over together end in slices, too. A crash leaves all of a seed or nothing.
//! - No client can make memory grow: requests, bodies, pipelines and unsent answers are bounded.
//! - No page of another site changes anything, and none reads anything, unless `--cors` names it: `api` looks at
//!   the marks that a browser leaves on a request.
//! - Where there are keys, `api` lets no command pass that its caller's key does not allow, whatever
//!   endpoint it came from. No secret leaves `keys`, and only hashes stay in it.
//!
//! # Where this differs from what one might expect
//!
//! - Fences are counted for each pool, and need no memory of pools that are gone: a new pool starts
//!   above the highest fence of any pool that was removed.
//! - The order of lending survives a restart, so that wear stays even: each resource has a rank.
//! - Redis carries out operations one pool at a time, in batches: while one is under way, the next
//!   one gathers. So a lost connection can leave at most one batch of a pool in doubt.
//! - Redis keeps a fence for each pool too. It may have lost grants when it was started again, so fences of a
//!   new history go on at the time: above all of before, whoever saw them.
//! - Times in Redis are by its clock less the jumps that servers have seen beside their monotonic clocks.
//! - A tick does not loop until nothing is left to do. What is left makes the next tick start at
//!   once, so that one client with a deep pipeline does not hold up the others.

pub mod api;
pub mod client;
pub mod command;
pub mod config;
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
