//! The resources of all pools: found by pool and id, and chained in the order of lending and in seeding order,
//! in constant time.
//!
//! It knows which resources are free, in what order they are lent, and which are members. It does not know why a
//! resource is held.

use std::num::NonZeroU32;

use super::index::{Index, Named};
use super::slots::{Chain, Key, Links, Slots, walk, walk_back};
use super::{GrantKey, PoolKey};
use crate::command::StoredName;

/// The key of a resource. Valid until the resource is removed.
pub(super) type ResourceKey = Key<Resource>;

#[derive(Debug)]
pub(super) struct Resource {
    pub(super) id: StoredName,
    /// Index in seeding order, or `NOT_A_MEMBER`.
    seed_index: u64,
    pub(super) rank: i64,
    pub(super) pool: PoolKey,
    /// `FREE`, `RESERVED`, or the number of a grant's key.
    holder: u32,
    /// The neighbours among the free and reserved resources of its pool, or in its grant.
    lending_links: Links<Resource>,
    /// The neighbours among the members of its pool.
    member_links: Links<Resource>,
}

/// A million resources take megabytes, so the size is kept small.
const _: () = assert!(size_of::<Resource>() == 56 && size_of::<Option<Resource>>() == 56);

const NOT_A_MEMBER: u64 = u64::MAX;
const FREE: u32 = 0;
const RESERVED: u32 = u32::MAX;

/// The holder of a resource, which decides the chain that the resource is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Free,
    /// Reserved for an absent owner that waits for it by name. It stays in the chain of free ones.
    Reserved,
    Grant(GrantKey),
}

impl Resource {
    /// Its index in seeding order; `None` if it is not a member.
    pub(super) fn seed_index(&self) -> Option<u64> {
        (self.seed_index != NOT_A_MEMBER).then_some(self.seed_index)
    }

    pub(super) fn is_member(&self) -> bool {
        self.seed_index != NOT_A_MEMBER
    }

    pub(super) fn holder(&self) -> Holder {
        match (self.holder, NonZeroU32::new(self.holder)) {
            (RESERVED, _) => Holder::Reserved,
            (_, Some(grant)) => Holder::Grant(GrantKey::from_number(grant)),
            (_, None) => Holder::Free,
        }
    }

    fn lending_links(&mut self) -> &mut Links<Resource> {
        &mut self.lending_links
    }

    fn member_links(&mut self) -> &mut Links<Resource> {
        &mut self.member_links
    }
}

impl Named for Resource {
    fn scope(&self) -> u32 {
        self.pool.number().get()
    }

    fn name(&self) -> &str {
        &self.id
    }
}

/// The resources of one pool: the ends of its chains.
#[derive(Debug, Default)]
pub(super) struct PoolResources {
    /// The order of lending. Reserved resources keep their place here.
    free: Chain<Resource>,
    /// The members in seeding order.
    members: Chain<Resource>,
    /// The number of free resources, without the reserved ones.
    free_count: u32,
    member_count: u32,
}

impl PoolResources {
    pub(super) fn free_count(&self) -> usize {
        self.free_count as usize
    }

    /// The first member in seeding order.
    pub(super) fn first_member(&self) -> Option<ResourceKey> {
        self.members.first()
    }

    pub(super) fn member_count(&self) -> usize {
        self.member_count as usize
    }
}

/// The order of the ids of a seed for one pool. The index of an id among them gives its seed index and its rank.
/// So a seed that was applied in part can be applied again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedOrder {
    /// The seed index of the first id. All earlier members have lower ones.
    pub first_index: u64,
    /// A lower bound of the ranks of all earlier free resources. The first id, if new, gets the rank below it.
    pub lowest_rank: i64,
}

impl SeedOrder {
    pub(super) fn index(self, place: usize) -> u64 {
        self.first_index + place as u64
    }

    pub(super) fn rank(self, place: usize) -> i64 {
        self.lowest_rank - 1 - place as i64
    }
}

#[derive(Debug, Default)]
pub(super) struct Resources {
    slots: Slots<Resource>,
    index: Index<Resource>,
    /// Higher than all seed indexes of all pools.
    next_index: u64,
    /// Bounds of the ranks in all pools.
    lowest_rank: i64,
    highest_rank: i64,
}

impl Resources {
    pub(super) fn find(&self, pool: PoolKey, id: &str) -> Option<ResourceKey> {
        self.index.find(pool.number().get(), id, &self.slots)
    }

    /// The hash of an id under a secret key.
    pub(super) fn hash_of(&self, id: &str) -> u64 {
        self.index.hash_of(id)
    }

    pub(super) fn get(&self, key: ResourceKey) -> &Resource {
        &self.slots[key]
    }

    /// Iterates over the members from `from` on, in seeding order. A walk can continue later from any resource
    /// that is still a member and still has its seed index.
    pub(super) fn members_from(
        &self,
        from: Option<ResourceKey>,
    ) -> impl Iterator<Item = ResourceKey> + '_ {
        walk(from, &self.slots, |resource| &resource.member_links)
    }

    /// The resources of a chain: for a grant, in the order in which they were lent.
    pub(super) fn lent(&self, chain: &Chain<Resource>) -> impl Iterator<Item = ResourceKey> + '_ {
        walk(chain.first(), &self.slots, |resource| {
            &resource.lending_links
        })
    }

    /// The resource with this key, if it was not removed. A new resource may have the key.
    pub(super) fn try_get(&self, key: ResourceKey) -> Option<&Resource> {
        self.slots.get(key)
    }

    /// An upper bound of all ranks.
    pub(super) fn highest_rank(&self) -> i64 {
        self.highest_rank
    }

    /// The free and reserved resources of a pool, the last in the order of lending first.
    pub(super) fn free_from_last(
        &self,
        pool_resources: &PoolResources,
    ) -> impl Iterator<Item = ResourceKey> + '_ {
        walk_back(pool_resources.free.last(), &self.slots, |resource| {
            &resource.lending_links
        })
    }

    /// The next free resource in the order of lending.
    pub(super) fn first_free(&self, pool_resources: &PoolResources) -> Option<ResourceKey> {
        let mut first = pool_resources.free.first();
        while let Some(key) = first
            && self.slots[key].holder == RESERVED
        {
            first = self.slots[key].lending_links.next();
        }
        first
    }

    /// The next member in seeding order.
    pub(super) fn next_member(&self, key: ResourceKey) -> Option<ResourceKey> {
        self.slots[key].member_links.next()
    }

    /// The next resource of the same grant.
    pub(super) fn next_lent(&self, key: ResourceKey) -> Option<ResourceKey> {
        self.slots[key].lending_links.next()
    }

    /// Adds a free resource at the front of the pool's order of lending. Its rank must be the lowest.
    /// `add_member` must follow.
    pub(super) fn add(
        &mut self,
        pool_resources: &mut PoolResources,
        pool: PoolKey,
        id: &str,
        rank: i64,
    ) -> ResourceKey {
        let key = self.insert(pool, StoredName::from(id), rank);
        pool_resources.free_count += 1;
        let free = &mut pool_resources.free;
        free.push_first(key, &mut self.slots, Resource::lending_links);
        key
    }

    /// Moves a free or reserved resource to the front of the order of lending. Its rank must be the lowest.
    pub(super) fn lend_first(&mut self, pool_resources: &mut PoolResources, key: ResourceKey) {
        let free = &mut pool_resources.free;
        free.remove(key, &mut self.slots, Resource::lending_links);
        free.push_first(key, &mut self.slots, Resource::lending_links);
    }

    /// Restores a stored resource, not yet a member, not held and in no chain. `link_free_last` or `link_held`
    /// must follow.
    pub(super) fn restore(&mut self, pool: PoolKey, id: StoredName, rank: i64) -> ResourceKey {
        self.lowest_rank = self.lowest_rank.min(rank);
        self.highest_rank = self.highest_rank.max(rank);
        self.insert(pool, id, rank)
    }

    fn insert(&mut self, pool: PoolKey, id: StoredName, rank: i64) -> ResourceKey {
        let key = self.slots.insert(Resource {
            id,
            seed_index: NOT_A_MEMBER,
            rank,
            pool,
            holder: FREE,
            lending_links: Links::default(),
            member_links: Links::default(),
        });
        self.index.insert(key, &self.slots);
        key
    }

    /// Allocates a seed index and a rank for each id of a seed.
    pub(super) fn allocate_order(&mut self, count: usize) -> SeedOrder {
        let order = SeedOrder {
            first_index: self.next_index,
            lowest_rank: self.lowest_rank,
        };
        self.claim_order(order, count);
        order
    }

    /// Claims an order that was allocated before a restart.
    pub(super) fn claim_order(&mut self, order: SeedOrder, count: usize) {
        self.next_index = self.next_index.max(order.index(count));
        self.lowest_rank = self.lowest_rank.min(order.rank(count) + 1);
    }

    /// Makes a resource a member with this seed index, which must be higher than those of all members of its
    /// pool.
    pub(super) fn add_member(
        &mut self,
        pool_resources: &mut PoolResources,
        key: ResourceKey,
        seed_index: u64,
    ) {
        self.remove_member(pool_resources, key);
        self.slots[key].seed_index = seed_index;
        self.next_index = self.next_index.max(seed_index + 1);
        pool_resources.member_count += 1;
        let members = &mut pool_resources.members;
        members.push_last(key, &mut self.slots, Resource::member_links);
    }

    /// Ends the membership of a resource. Does nothing if it is not a member.
    pub(super) fn remove_member(&mut self, pool_resources: &mut PoolResources, key: ResourceKey) {
        if self.slots[key].is_member() {
            self.slots[key].seed_index = NOT_A_MEMBER;
            pool_resources.member_count -= 1;
            let members = &mut pool_resources.members;
            members.remove(key, &mut self.slots, Resource::member_links);
        }
    }

    /// Lends a free resource: moves it to the end of the grant's chain.
    pub(super) fn lend(
        &mut self,
        pool_resources: &mut PoolResources,
        key: ResourceKey,
        grant: GrantKey,
        chain: &mut Chain<Resource>,
    ) {
        assert!(
            self.slots[key].holder == FREE,
            "a resource that is held is never lent"
        );
        self.unlink_free(pool_resources, key);
        self.link_held(key, grant, chain);
    }

    /// Appends a resource that is in no chain to the chain of its grant.
    pub(super) fn link_held(
        &mut self,
        key: ResourceKey,
        grant: GrantKey,
        chain: &mut Chain<Resource>,
    ) {
        self.slots[key].holder = grant.number().get();
        chain.push_last(key, &mut self.slots, Resource::lending_links);
    }

    /// Reserves a free resource, so that it is not lent. It keeps its place in the order of lending.
    pub(super) fn reserve(&mut self, pool_resources: &mut PoolResources, key: ResourceKey) {
        assert!(
            self.slots[key].holder == FREE,
            "only a free resource is reserved"
        );
        pool_resources.free_count -= 1;
        self.slots[key].holder = RESERVED;
    }

    /// Makes a reserved resource free.
    pub(super) fn unreserve(&mut self, pool_resources: &mut PoolResources, key: ResourceKey) {
        assert!(
            self.slots[key].holder == RESERVED,
            "only what is reserved is set free so"
        );
        pool_resources.free_count += 1;
        self.slots[key].holder = FREE;
    }

    /// Moves a resource from a grant's chain to the end of the order of lending.
    pub(super) fn take_back(
        &mut self,
        pool_resources: &mut PoolResources,
        key: ResourceKey,
        chain: &mut Chain<Resource>,
    ) {
        chain.remove(key, &mut self.slots, Resource::lending_links);
        self.highest_rank += 1;
        self.slots[key].rank = self.highest_rank;
        self.link_free_last(pool_resources, key);
    }

    /// Puts a resource that is in no chain at the end of the order of lending. It keeps its rank.
    pub(super) fn link_free_last(&mut self, pool_resources: &mut PoolResources, key: ResourceKey) {
        self.slots[key].holder = FREE;
        pool_resources.free_count += 1;
        let free = &mut pool_resources.free;
        free.push_last(key, &mut self.slots, Resource::lending_links);
    }

    fn unlink_free(&mut self, pool_resources: &mut PoolResources, key: ResourceKey) {
        pool_resources.free_count -= 1;
        let free = &mut pool_resources.free;
        free.remove(key, &mut self.slots, Resource::lending_links);
    }

    /// Removes a free resource. Returns its id.
    pub(super) fn remove(
        &mut self,
        pool_resources: &mut PoolResources,
        key: ResourceKey,
    ) -> StoredName {
        assert!(
            self.slots[key].holder == FREE,
            "a held resource is never forgotten"
        );
        self.unlink_free(pool_resources, key);
        self.remove_member(pool_resources, key);
        self.discard(key).id
    }

    /// Removes a resource of a pool that is being removed, whether it is held or not. It leaves the chains
    /// inconsistent.
    pub(super) fn discard(&mut self, key: ResourceKey) -> Resource {
        self.index.remove(key, &self.slots);
        self.slots.remove(key)
    }

    /// Reserves room for more resources, so that adding them resizes nothing.
    pub(super) fn reserve_capacity(&mut self, additional: usize) {
        self.slots.reserve(additional);
        self.index.reserve(additional, &self.slots);
    }

    /// Frees memory if most of it is unused.
    pub(super) fn shrink(&mut self) {
        self.slots.shrink();
        self.index.shrink(&self.slots);
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Panics if the index and the resources disagree.
    pub(super) fn check(&self) {
        assert_eq!(self.index.len(), self.slots.len());
        for (key, resource) in self.slots.iter() {
            assert_eq!(self.find(resource.pool, &resource.id), Some(key));
            assert!(
                resource
                    .seed_index()
                    .is_none_or(|seed_index| seed_index < self.next_index)
            );
            assert!((self.lowest_rank..=self.highest_rank).contains(&resource.rank));
        }
    }

    /// Panics if a pool's counters, its members and the order of lending disagree. While the pool is being
    /// seeded, the order is incomplete.
    pub(super) fn check_pool(
        &self,
        pool: PoolKey,
        pool_resources: &PoolResources,
        is_seeding: bool,
    ) {
        let (mut members, mut free_members, mut last) = (0, 0, None);
        for key in self.members_from(pool_resources.first_member()) {
            let resource = self.get(key);
            assert_eq!(resource.pool, pool);
            assert!(
                resource.seed_index().is_some() && (is_seeding || last < resource.seed_index()),
                "members stand in the order of their indexes"
            );
            last = resource.seed_index();
            members += 1;
            free_members += usize::from(resource.holder() == Holder::Free);
        }
        assert_eq!(
            (members, free_members),
            (pool_resources.member_count(), pool_resources.free_count())
        );
        let (mut free, mut last) = (0, None);
        for key in self.lent(&pool_resources.free) {
            let resource = self.get(key);
            assert_eq!(resource.pool, pool);
            assert!(!matches!(resource.holder(), Holder::Grant(_)));
            assert!(
                resource.is_member() && (is_seeding || last < Some(resource.rank)),
                "lending follows the ranks"
            );
            last = Some(resource.rank);
            free += usize::from(resource.holder() == Holder::Free);
        }
        assert_eq!(free, pool_resources.free_count());
    }
}
