//! The checker itself: histories by hand, with and without a broken promise. Times are milliseconds.

use super::call::{Call, Disturbance, Time};
use super::check::ViolationKind;
use super::telling::{
    MS, acquire, assert_found, assert_innocent, count, history_of, kinds, list, release,
    release_owned, renew,
};

#[test]
fn one_after_the_other_is_innocent() {
    assert_innocent([
        acquire(0, 10).granted(1, "4"),
        release(20, 30, "4", 1),
        acquire(25, 40).granted(2, "4"),
        acquire(41, 45).refused("busy"),
        release(50, 60, "4", 2),
    ]);
}

#[test]
fn a_planted_double_grant_is_found() {
    assert_found(
        ViolationKind::GrantedTwice,
        [
            acquire(0, 10).granted(1, "4"),
            acquire(20, 30).granted(2, "4"),
            release(31, 40, "4", 1),
        ],
    );
}

/// Neither client can be sure that it ever held at the same time as the other. But the first, by its
/// fence, was not released before the answer to the second arrived.
#[test]
fn a_double_grant_is_found_by_the_order_of_fences() {
    assert_found(
        ViolationKind::GrantedTwice,
        [
            acquire(0, 100).granted(1, "4"),
            acquire(0, 10).granted(2, "4"),
            release(11, 12, "4", 2),
            release(101, 110, "4", 1),
        ],
    );
}

#[test]
fn an_earlier_holder_counts_also_past_those_between() {
    assert_found(
        ViolationKind::GrantedTwice,
        [
            acquire(0, 10).granted(1, "4"),
            acquire(5, 90).granted(2, "4"),
            release(91, 92, "4", 2),
            acquire(20, 30).granted(3, "4"),
            release(60, 70, "4", 1),
        ],
    );
}

#[test]
fn a_lease_that_ends_early_is_found() {
    let early = [
        acquire(0, 10).ttl(1).granted(1, "4"),
        acquire(900, 990).granted(2, "4"),
    ];
    assert_found(ViolationKind::GrantedTwice, early);
    assert_innocent([
        acquire(0, 10).ttl(1).granted(1, "4"),
        acquire(900, 1000).granted(2, "4"),
    ]);
}

#[test]
fn a_renewed_lease_lasts_longer() {
    let renewed_at = |answered: Option<Time>| {
        [
            acquire(0, 10).ttl(1).granted(1, "4"),
            renew(800, answered, "4", 1, 2),
            acquire(2000, 2010).granted(2, "4"),
        ]
    };
    assert_found(ViolationKind::GrantedTwice, renewed_at(Some(810)));
    assert_innocent(renewed_at(None));
}

/// The shorter one may have been the last.
#[test]
fn a_lease_may_be_as_short_as_any_call_that_can_have_set_it() {
    assert_innocent([
        acquire(0, 10).ttl(5).granted(1, "4"),
        renew(100, None, "4", 1, 1),
        acquire(1105, 1110).granted(2, "4"),
    ]);
    let certainly_longer_again = [
        acquire(0, 10).ttl(5).granted(1, "4"),
        renew(100, Some(110), "4", 1, 1),
        renew(120, Some(130), "4", 1, 5),
        acquire(1125, 1130).granted(2, "4"),
    ];
    assert_found(ViolationKind::GrantedTwice, certainly_longer_again);
}

#[test]
fn a_release_without_answer_may_have_been_carried_out() {
    assert_innocent([
        acquire(0, 10).granted(1, "4"),
        release(20, 0, "4", 1).unknown(),
        acquire(30, 40).granted(2, "4"),
    ]);
    let too_late = [
        acquire(0, 10).granted(1, "4"),
        acquire(30, 40).granted(2, "4"),
        release(50, 0, "4", 1).unknown(),
    ];
    assert_found(ViolationKind::GrantedTwice, too_late);
}

#[test]
fn a_release_of_another_lock_does_not_count() {
    assert_found(
        ViolationKind::GrantedTwice,
        [
            acquire(0, 10).granted(2, "4"),
            release(20, 25, "4", 1).unknown(),
            release(20, 25, "4", 2).refused("stale"),
            release(20, 25, "3", 2),
            acquire(30, 40).granted(3, "4"),
        ],
    );
    assert_found(
        ViolationKind::GrantedTwice,
        [
            acquire(0, 10).owner("anna").granted(2, "4"),
            release_owned(20, 25, "bert").unknown(),
            acquire(30, 40).granted(3, "4"),
        ],
    );
    assert_innocent([
        acquire(0, 10).owner("anna").granted(2, "4"),
        release_owned(20, 25, "anna").unknown(),
        acquire(30, 40).granted(3, "4"),
    ]);
}

#[test]
fn an_acquire_without_answer_proves_nothing() {
    assert_innocent([
        acquire(0, 0).unknown(),
        acquire(10, 20).granted(2, "4"),
        release(30, 40, "4", 2),
        acquire(50, 60).refused("busy"),
    ]);
}

#[test]
fn a_falling_fence_is_found() {
    let fell = [
        acquire(0, 10).granted(7, "4"),
        acquire(11, 20).granted(6, "3"),
    ];
    assert_found(ViolationKind::FenceFell, fell);
    assert_innocent([
        acquire(0, 10).granted(7, "4"),
        acquire(9, 20).granted(6, "3"),
    ]);
}

/// The fence may belong to the call that was cut off, which was sent before.
#[test]
fn an_owner_that_asks_again_may_get_an_older_fence() {
    assert_innocent([
        acquire(0, 0).owner("anna").unknown(),
        acquire(10, 20).granted(7, "4"),
        acquire(30, 40).owner("anna").granted(6, "3"),
    ]);
    let no_call_of_hers = [
        acquire(0, 0).owner("bert").unknown(),
        acquire(10, 20).granted(7, "4"),
        acquire(30, 40).owner("anna").granted(6, "3"),
    ];
    assert_found(ViolationKind::FenceFell, no_call_of_hers);
}

#[test]
fn a_fence_given_twice_is_found() {
    let twice = |one: Call, other: Call| [one.granted(5, "4"), other.granted(5, "3")];
    assert_found(
        ViolationKind::FenceTwice,
        twice(acquire(0, 10), acquire(0, 10)),
    );
    let anna = || acquire(0, 10).owner("anna");
    assert_found(ViolationKind::FenceTwice, twice(anna(), anna()));
    assert_found(
        ViolationKind::FenceTwice,
        [
            anna().granted(5, "4"),
            acquire(0, 10).owner("bert").granted(5, "4"),
        ],
    );
    assert_innocent([anna().granted(5, "4"), anna().granted(5, "4")]);
}

#[test]
fn a_lost_grant_is_found() {
    assert_found(
        ViolationKind::Lost,
        [
            acquire(0, 10).granted(1, "4"),
            release(20, 30, "4", 1).refused("not held"),
        ],
    );
    assert_found(
        ViolationKind::Lost,
        [
            acquire(0, 10).ttl(1).granted(1, "4"),
            renew(900, Some(990), "4", 1, 1).refused("stale"),
        ],
    );
    assert_found(
        ViolationKind::Lost,
        [acquire(0, 10).granted(1, "4"), list(20, 30, &[])],
    );
    assert_found(
        ViolationKind::Lost,
        [
            acquire(0, 10).owner("anna").granted(1, "4"),
            acquire(20, 30).owner("anna").granted(2, "3"),
        ],
    );
    assert_innocent([
        acquire(0, 10).ttl(1).granted(1, "4"),
        renew(900, Some(1001), "4", 1, 1).refused("not held"),
        list(900, 1002, &[]),
    ]);
}

#[test]
fn a_released_lock_that_comes_back_is_found() {
    assert_found(
        ViolationKind::Lost,
        [
            acquire(0, 10).granted(1, "4"),
            release(20, 30, "4", 1),
            list(40, 50, &[(1, "4")]),
        ],
    );
    assert_innocent([
        acquire(0, 10).granted(1, "4"),
        release(20, 0, "4", 1).unknown(),
        list(40, 50, &[(1, "4")]),
        list(60, 70, &[]),
    ]);
}

/// The first waits and is seen waiting before the second comes.
fn two_queued(first: Call, second: Call) -> Vec<Call> {
    vec![
        acquire(0, 10).granted(1, "4"),
        first,
        count(200, 210, 1),
        second,
        release(400, 410, "4", 1),
    ]
}

#[test]
fn overtaking_is_found() {
    let first = || acquire(100, 700).waits(5).granted(3, "4");
    let second = || acquire(220, 500).waits(5).granted(2, "4");
    let release_2 = || release(600, 610, "4", 2);
    let mut calls = two_queued(first(), second());
    calls.push(release_2());
    assert_found(ViolationKind::Overtaken, calls);

    let mut not_seen_in_time = two_queued(first(), second());
    not_seen_in_time[3].sent = 205 * MS;
    not_seen_in_time.push(release_2());
    assert_innocent(not_seen_in_time);

    let mut perhaps_another = two_queued(first(), second());
    perhaps_another.push(acquire(150, 0).waits(5).unknown());
    perhaps_another.push(release_2());
    assert_innocent(perhaps_another);

    let mut its_server_was_stopped = history_of(two_queued(first(), second()));
    its_server_was_stopped.calls.push(release_2());
    its_server_was_stopped.disturbances.push(Disturbance {
        server: Some(0),
        from: 300 * MS,
        until: 310 * MS,
        costs_places: true,
    });
    assert_eq!(kinds(&its_server_was_stopped), []);
}

#[test]
fn in_turn_is_innocent() {
    let mut calls = two_queued(
        acquire(100, 500).waits(5).granted(2, "4"),
        acquire(220, 700).waits(5).granted(3, "4"),
    );
    calls.push(release(600, 610, "4", 2));
    assert_innocent(calls);
    // The first was cut off: it may have left.
    let calls = two_queued(
        acquire(100, 0).waits(5).unknown(),
        acquire(220, 500).waits(5).granted(2, "4"),
    );
    assert_innocent(calls);
}

#[test]
fn overtaking_a_waiter_that_waits_in_vain_is_found() {
    let overtakes = |at| {
        two_queued(
            acquire(100, 1100).waits(1).refused("busy"),
            acquire(220, at).waits(5).granted(2, "4"),
        )
    };
    assert_found(ViolationKind::Overtaken, overtakes(1000));
    assert_innocent(overtakes(1150));
}

#[test]
fn waiting_beside_what_is_free_is_found() {
    let released_at = |at| {
        [
            acquire(0, 10).granted(1, "4"),
            acquire(100, 5100).waits(5).refused("busy"),
            release(at, at + 10, "4", 1),
        ]
    };
    assert_found(ViolationKind::Starved, released_at(3000));
    assert_innocent(released_at(3500));
}

#[test]
fn being_served_late_is_found() {
    let served_at = |at| {
        two_queued(
            acquire(100, at).waits(5).granted(2, "4"),
            acquire(220, 900).refused("busy"),
        )
    };
    assert_found(ViolationKind::Starved, served_at(2500));
    assert_innocent(served_at(2300));
    let mut disturbed = history_of(served_at(2500));
    disturbed.disturbances.push(Disturbance {
        server: Some(1),
        from: 2000 * MS,
        until: 2001 * MS,
        costs_places: false,
    });
    assert_eq!(kinds(&disturbed), []);
}

/// Of two resources no more than one is kept for a client that was cut off.
#[test]
fn being_held_up_by_an_owner_that_is_away_is_found() {
    let served_at = |at, second_released_at| {
        let mut history = history_of([
            acquire(0, 10).granted(1, "3"),
            acquire(0, 10).granted(2, "4"),
            acquire(100, 0).waits(5).unknown(),
            acquire(150, at).waits(5).granted(3, "4"),
            count(200, 210, 2),
            release(400, 410, "3", 1),
            release(second_released_at, second_released_at + 10, "4", 2),
        ]);
        history.sizes.insert("A".into(), 2);
        kinds(&history)
    };
    assert_eq!(served_at(2500, 400), [ViolationKind::Starved]);
    assert_eq!(served_at(2300, 400), []);
    assert_eq!(served_at(2500, 600), []);
}

#[test]
fn more_queued_than_can_be_is_found() {
    assert_found(ViolationKind::Miscounted, [count(0, 10, 1)]);
}

#[test]
fn a_resource_that_stays_held_without_a_holder_is_found() {
    let at_rest = |calls: Vec<Call>| {
        let mut history = history_of(calls);
        history.quiet_from = Some(1000 * MS);
        kinds(&history)
    };
    let left = || list(9000, 9010, &[(1, "4")]);
    assert_eq!(at_rest(vec![left()]), [ViolationKind::NotAtRest]);
    assert_eq!(at_rest(vec![acquire(0, 0).unknown(), left()]), []);
    assert_eq!(
        at_rest(vec![acquire(0, 0).ttl(2).unknown(), left()]),
        [ViolationKind::NotAtRest]
    );
    let over = acquire(0, 10).ttl(2).granted(1, "4");
    assert_eq!(at_rest(vec![over, left()]), [ViolationKind::NotAtRest]);
    let endless = acquire(0, 10).granted(1, "4");
    assert_eq!(at_rest(vec![endless, left()]), []);
}
