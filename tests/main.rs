//! All integration tests in one binary: one link, and one place for shared code.

#![allow(
    unreachable_pub,
    reason = "the modules of a test binary have no other user"
)]

mod support;

mod abuse;
mod architecture;
mod buffers;
mod clients;
mod configuration;
mod conformance;
mod curl;
mod damage;
mod displaced;
mod documents;
mod durability;
mod eviction;
mod expiry;
mod faults;
mod formats;
mod full_disk;
mod handover;
mod history;
mod keys;
mod latch;
mod ledger;
mod limits;
mod listening;
mod logs;
mod memory;
mod metrics;
mod mistakes;
mod moved_over;
mod names;
mod node_config;
mod old_names;
mod openapi;
mod page;
mod ping;
mod process;
mod proxies;
mod queue;
mod recipes;
mod redis;
mod redis_settings;
mod restart;
mod restoring;
mod reuse_port;
mod seeding;
mod simulation;
mod slices;
mod slow_disk;
mod splits;
mod stalls;
mod starting;
mod static_binary;
#[cfg(feature = "tls")]
mod tls;
mod told;
mod writes;
