//! The ledger: no id is held twice at once, as seen by the clients.
//!
//! An id is held from the moment that its lock's answer is read until the moment that its release
//! is SENT. It cannot be until the release's answer is read: the server may grant the id again
//! before that, and another connection may read its grant first.
//!
//! Nor does it hurt that an answer is read later than it was written. While the first holder's
//! answer is unread, no client has sent a release. So any other client that is granted the id
//! collides with it, whichever answer is read first.
//!
//! It cannot see an id that is granted again between the sending of its release and the release's
//! arrival. That shows later, as a release that is refused with `not held`, since two grants bring
//! two releases.

use std::fmt;

/// An id that was granted while it had a holder.
#[derive(Debug, PartialEq, Eq)]
pub struct DoubleGrant {
    pub resource: u32,
    pub holder: u32,
    pub second: u32,
}

impl fmt::Display for DoubleGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resource,
            holder,
            second,
        } = self;
        write!(
            f,
            "LENT TWICE: connection {second} was given {}, which connection {holder} holds and has not released",
            resource + 1
        )
    }
}

impl std::error::Error for DoubleGrant {}

/// The holders by resource; resources and connections are numbered from 0.
pub struct Ledger {
    holders: Vec<u32>,
}

const NOT_HELD: u32 = u32::MAX;

impl Ledger {
    pub fn new(resources: u32) -> Self {
        Self {
            holders: vec![NOT_HELD; resources as usize],
        }
    }

    /// Records that the answer that grants `resource` to `connection` was read.
    pub fn lent(&mut self, resource: u32, connection: u32) -> Result<(), DoubleGrant> {
        let holder = &mut self.holders[resource as usize];
        if *holder != NOT_HELD {
            return Err(DoubleGrant {
                resource,
                holder: *holder,
                second: connection,
            });
        }
        *holder = connection;
        Ok(())
    }

    /// Records that the release of `resource` is about to be written.
    pub fn release_sent(&mut self, resource: u32) {
        let holder = std::mem::replace(&mut self.holders[resource as usize], NOT_HELD);
        assert_ne!(holder, NOT_HELD, "a client releases only what it holds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_lent_again_once_its_release_is_sent() {
        let mut ledger = Ledger::new(2);
        ledger.lent(0, 7).unwrap();
        ledger.lent(1, 7).unwrap();
        ledger.release_sent(0);
        ledger.lent(0, 8).unwrap();
    }

    #[test]
    fn an_id_that_is_held_must_not_be_lent() {
        let mut ledger = Ledger::new(1);
        ledger.lent(0, 7).unwrap();
        let twice = DoubleGrant {
            resource: 0,
            holder: 7,
            second: 8,
        };
        assert_eq!(ledger.lent(0, 8), Err(twice));
    }

    #[test]
    #[should_panic(expected = "only what it holds")]
    fn a_free_resource_cannot_be_released() {
        Ledger::new(1).release_sent(0);
    }
}
