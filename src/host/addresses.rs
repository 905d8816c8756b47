//! The addresses of the clients: the connections of each, the oldest first, and how many of them are queued.
//!
//! This module knows connections by their slots, and nothing of their requests.

use std::collections::HashMap;

use slab::Slab;

use super::network::Network;
use super::wrong_keys::WrongKeys;
use crate::keys::Key;
use crate::time::Time;

/// The connections of all addresses.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    entries: Slab<AddressEntry>,
    by_network: HashMap<Network, u32>,
    /// The links of each slot; meaningless for a slot without a connection.
    links: Vec<ListLinks>,
    queued: usize,
    wrong_keys: WrongKeys,
}

/// All connections of one address. Never empty.
#[derive(Debug)]
struct AddressEntry {
    network: Network,
    count: u32,
    queued: u32,
    first: u32,
    last: u32,
}

/// A connection in the list of its address.
#[derive(Clone, Copy, Debug)]
struct ListLinks {
    entry: u32,
    earlier: u32,
    later: u32,
}

const NIL: u32 = u32::MAX;

const UNLINKED: ListLinks = ListLinks {
    entry: NIL,
    earlier: NIL,
    later: NIL,
};

impl Addresses {
    /// Returns an empty set. `max_wrong_keys` is the limit of one address in a minute; 0 for no limit.
    pub(super) fn new(max_wrong_keys: usize) -> Addresses {
        Addresses {
            wrong_keys: WrongKeys::new(max_wrong_keys),
            ..Addresses::default()
        }
    }

    /// Returns whether the connection in this slot may use a valid key.
    pub(super) fn admits_key(&mut self, slot: usize, key: &Key, now: Time) -> bool {
        let network = self.network_of(slot);
        self.wrong_keys.admits(network, key, now)
    }

    /// Counts a wrong key of the connection in this slot. Returns whether the answer may say that it is
    /// wrong.
    pub(super) fn admits_wrong_key(&mut self, slot: usize, now: Time) -> bool {
        let network = self.network_of(slot);
        self.wrong_keys.admits_wrong(network, now)
    }

    /// Returns the address of the connection in this slot; `None` for one to `--admin-listen`.
    fn network_of(&self, slot: usize) -> Option<Network> {
        let entry = self.links.get(slot)?.entry;
        let entry = self.entries.get(entry as usize)?;
        Some(entry.network)
    }

    /// Returns the number of connections of an address.
    pub(super) fn count(&self, network: Network) -> usize {
        let entry = self.by_network.get(&network);
        entry.map_or(0, |&key| self.entries[key as usize].count as usize)
    }

    /// Returns the slots of an address, the oldest connection first.
    pub(super) fn slots_of(&self, network: Network) -> impl Iterator<Item = usize> + '_ {
        let entry = self.by_network.get(&network);
        let mut next = entry.map_or(NIL, |&key| self.entries[key as usize].first);
        std::iter::from_fn(move || {
            let slot = next;
            (slot != NIL).then(|| {
                next = self.links[slot as usize].later;
                slot as usize
            })
        })
    }

    /// Returns the number of connections that are queued.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Returns the number of queued connections that share the address of this one.
    pub(super) fn queued_beside(&self, slot: usize) -> usize {
        let entry = self.links[slot].entry;
        self.entries[entry as usize].queued as usize
    }

    /// Notes whether the connection in this slot is queued.
    pub(super) fn note_queued(&mut self, slot: usize, is_queued: bool) {
        let entry = self.links[slot].entry;
        let queued = &mut self.entries[entry as usize].queued;
        if is_queued {
            *queued += 1;
            self.queued += 1;
        } else {
            *queued -= 1;
            self.queued -= 1;
        }
    }

    /// Adds the connection in this slot.
    pub(super) fn insert(&mut self, slot: usize, network: Network) {
        if self.links.len() <= slot {
            self.links.resize(slot + 1, UNLINKED);
        }
        let slot = slot as u32;
        let entry = *self.by_network.entry(network).or_insert_with(|| {
            let entry = AddressEntry {
                network,
                count: 0,
                queued: 0,
                first: NIL,
                last: NIL,
            };
            self.entries.insert(entry) as u32
        });
        let all = &mut self.entries[entry as usize];
        self.links[slot as usize] = ListLinks {
            entry,
            earlier: all.last,
            later: NIL,
        };
        match all.last {
            NIL => all.first = slot,
            last => self.links[last as usize].later = slot,
        }
        all.last = slot;
        all.count += 1;
    }

    /// Removes the connection in this slot. It is not queued.
    pub(super) fn remove(&mut self, slot: usize) {
        let ListLinks {
            entry,
            earlier,
            later,
        } = std::mem::replace(&mut self.links[slot], UNLINKED);
        let all = &mut self.entries[entry as usize];
        match earlier {
            NIL => all.first = later,
            earlier => self.links[earlier as usize].later = later,
        }
        match later {
            NIL => all.last = earlier,
            later => self.links[later as usize].earlier = earlier,
        }
        all.count -= 1;
        if all.count == 0 {
            let network = self.entries.remove(entry as usize).network;
            self.by_network.remove(&network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::of(address.parse().expect("this is an address"))
    }

    #[test]
    fn connections_of_an_address_stay_in_the_order_in_which_they_came() {
        let networks = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(network);
        let mut random = fastrand::Rng::with_seed(1);
        let mut addresses = Addresses::default();
        let mut model: Vec<(usize, Network)> = Vec::new();
        for _ in 0..10_000 {
            let slot = random.usize(0..20);
            match model.iter().position(|(taken, _)| *taken == slot) {
                Some(place) => {
                    model.remove(place);
                    addresses.remove(slot);
                }
                None => {
                    let network = networks[random.usize(0..3)];
                    model.push((slot, network));
                    addresses.insert(slot, network);
                }
            }
            for network in networks {
                let of_it = model.iter().filter(|(_, other)| *other == network);
                let slots: Vec<usize> = of_it.map(|(slot, _)| *slot).collect();
                assert_eq!(addresses.count(network), slots.len());
                assert!(addresses.slots_of(network).eq(slots));
            }
        }
        assert!(addresses.entries.len() <= 3, "who is gone is forgotten");
    }
}
