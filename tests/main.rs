//! All integration tests in one binary: one link, and one place for what they share.

#![allow(
    unreachable_pub,
    reason = "the modules of a test binary are nobody else's"
)]

mod support;

mod architecture;
mod conformance;
mod full_disk;
mod splits;
