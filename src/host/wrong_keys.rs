//! A limit on wrong keys by address and minute, so that secrets cannot be guessed fast.
//!
//! Many clients may share an address, for instance behind a proxy. So a key that has worked from an address
//! within a day works there even at the limit. Any other key, right or wrong, is not checked until the minute
//! is over. So an attacker locks out only clients that are new at its own address. It can try many secrets
//! only of keys that are in use there.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::network::Network;
use crate::keys::Key;
use crate::time::{LogThrottle, Time};

const MINUTE_MS: u64 = 60_000;

/// The time in ms for which a key that has worked from an address is remembered.
const WORKED_MS: u64 = 24 * 60 * MINUTE_MS;

/// The maximum number of addresses that are counted one by one in a minute. Further ones count as one.
const MAX_ADDRESSES: usize = 4096;

/// The maximum number of remembered pairs of an address and a key.
const MAX_WORKED: usize = 16_384;

/// The wrong keys of this minute, and the keys that have worked.
#[derive(Debug, Default)]
pub(super) struct WrongKeys {
    /// The maximum number of wrong keys of one address in a minute; 0 for no limit.
    max: usize,
    minute_began: Time,
    /// Wrong keys by address. `None` counts those of `--admin-listen`, and of addresses beyond the maximum.
    counts: HashMap<Option<Network>, usize>,
    /// The time at which each key last worked, by a hash of its name and the address.
    worked: HashMap<u64, Time>,
    hasher: RandomState,
    logged: LogThrottle,
}

impl WrongKeys {
    pub(super) fn new(max: usize) -> WrongKeys {
        WrongKeys {
            max,
            ..WrongKeys::default()
        }
    }

    /// Returns whether a valid key may be used from this address.
    pub(super) fn admits(&mut self, network: Option<Network>, key: &Key, now: Time) -> bool {
        if self.max == 0 {
            return true;
        }
        let pair = self.hasher.hash_one((network, key.name()));
        if let Some(at) = self.worked.get_mut(&pair)
            && at.after_ms(WORKED_MS) > now
        {
            *at = now;
            return true;
        }
        if self.count(network, now) >= self.max {
            return false;
        }
        if self.worked.len() >= MAX_WORKED {
            self.worked.retain(|_, at| at.after_ms(WORKED_MS) > now);
        }
        if self.worked.len() >= MAX_WORKED {
            self.worked.clear();
        }
        self.worked.insert(pair, now);
        true
    }

    /// Counts a wrong key from this address. Returns whether the answer may say that it is wrong.
    pub(super) fn admits_wrong(&mut self, network: Option<Network>, now: Time) -> bool {
        if self.max == 0 {
            return true;
        }
        let count = self.count(network, now);
        if count < self.max {
            let counted = self.counted_as(network);
            *self.counts.entry(counted).or_default() += 1;
            return true;
        }
        if let Some(occurrences) = self.logged.record(now) {
            let address = network.map_or("--admin-listen".into(), |network| network.to_string());
            let max = self.max;
            log::warn!(
                "{address} has shown {max} wrong keys in a minute (--max-wrong-keys): keys that have not \
                 worked from there are not looked at until it is over{occurrences}"
            );
        }
        false
    }

    /// Returns the wrong keys of this address in this minute.
    fn count(&mut self, network: Option<Network>, now: Time) -> usize {
        if self.minute_began.after_ms(MINUTE_MS) <= now {
            self.counts.clear();
            self.minute_began = now;
        }
        let counted = self.counted_as(network);
        self.counts.get(&counted).copied().unwrap_or(0)
    }

    fn counted_as(&self, network: Option<Network>) -> Option<Network> {
        let has_place = self.counts.len() < MAX_ADDRESSES || self.counts.contains_key(&network);
        network.filter(|_| has_place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Credentials;
    use crate::keys::{Caller, Keys};

    fn network(number: u32) -> Option<Network> {
        Some(Network::of(std::net::Ipv4Addr::from(number).into()))
    }

    #[test]
    fn an_address_that_shows_wrong_keys_uses_only_keys_that_have_worked_there() {
        let keys = Keys::parse(b"a secret-of-a read *\nb secret-of-b read *\n").expect("two keys");
        let now = Time::default();
        let key = |secret: &str| match keys.caller(Credentials::Word(secret.as_bytes()), now) {
            Caller::Authenticated(key) => key.clone(),
            other => panic!("{other:?}"),
        };
        let (a, b) = (key("secret-of-a"), key("secret-of-b"));
        let (here, there) = (network(1), network(2));
        let at = |s: u64| Time::from_ms(1_000_000 + 1000 * s);
        let mut wrong = WrongKeys::new(2);
        assert!(wrong.admits(here, &a, at(0)));
        assert!(wrong.admits_wrong(here, at(1)) && wrong.admits_wrong(here, at(2)));
        assert!(!wrong.admits_wrong(here, at(3)) && !wrong.admits(here, &b, at(3)));
        assert!(wrong.admits(here, &a, at(3)) && wrong.admits(there, &b, at(3)));
        assert!(wrong.admits_wrong(there, at(3)));
        assert!(wrong.admits(here, &b, at(61)) && wrong.admits_wrong(here, at(61)));
        // A day later it has to work once more.
        let later = 61 + 24 * 60 * 60;
        assert!(wrong.admits_wrong(here, at(later)) && wrong.admits_wrong(here, at(later)));
        assert!(!wrong.admits(here, &a, at(later)));
    }

    #[test]
    fn any_number_of_addresses_takes_little_memory_and_has_a_limit() {
        let mut wrong = WrongKeys::new(1);
        let now = Time::from_ms(1_000_000);
        let told = (0..100_000).filter(|&number| wrong.admits_wrong(network(number), now));
        assert_eq!(told.count(), MAX_ADDRESSES + 1);
        assert_eq!(wrong.counts.len(), MAX_ADDRESSES + 1);
    }
}
