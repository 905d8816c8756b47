//! Pools among the metrics: as many as are configured, whatever their names.

use super::*;

/// Names that would break out of their quotation marks.
pub const HOSTILE: [&str; 6] = [
    "\"",
    "\\",
    "a\\n\"} 1\\",
    "{pool=\"A\"} 7 # HELP x y",
    "le=\"+Inf\",",
    "\u{e9}\u{1f512} \u{2028}",
];

#[test]
fn a_pool_is_told_by_its_figures() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut client = server.connect();
        converse(
            &mut client,
            &[
                (r#"PUT /pool {"A":[1,2,3]}"#, r#"200 {"A":["1","2","3"]}"#),
                ("POST /pool/A/lock?n=2", "200 3\t2"),
                // A held one is no member any more.
                (r#"PUT /pool/A ["1","2","4"]"#, r#"200 ["1","2","4"]"#),
            ],
        );
        server.connect().send("POST /pool/A/lock?n=3&wait=60\n");
        let mut waiter = server.connect();
        waiter.send("POST /pool/A/lock?n=3&wait=60\n");
        while client.ask("GET /pool") != "200 3 2 1 A" {}
        let page = scrape(server.address);
        expect_lines(&page, "latchd_pools", &[" 1"]);
        expect_lines(&page, "latchd_pool_resources", &["{pool=\"A\"} 3"]);
        expect_lines(&page, "latchd_pool_held", &["{pool=\"A\"} 2"]);
        expect_lines(&page, "latchd_pool_free", &["{pool=\"A\"} 2"]);
        expect_lines(&page, "latchd_pool_waiting", &["{pool=\"A\"} 1"]);
    }
}

#[test]
fn what_is_above_the_cap_is_summed_up_without_a_name() {
    for store in [StoreKind::Memory, StoreKind::File] {
        let server = Server::start_with(store, &["--metrics-pools", "2"]);
        let mut client = server.connect();
        // They are shown in the order in which they were made.
        for name in ["Z", "A", "M", "B"] {
            let seeded = client.ask(&format!("POST /pool/{name} [1,2,3]"));
            assert_eq!(seeded, r#"200 ["1","2","3"]"#);
        }
        for pool in ["Z", "M", "M", "B"] {
            assert!(
                client
                    .ask(&format!("POST /pool/{pool}/lock"))
                    .starts_with("200 ")
            );
        }
        let page = scrape(server.address);
        expect_lines(&page, "latchd_pools", &[" 4"]);
        let held = ["{pool=\"Z\"} 1", "{pool=\"A\"} 0", " 3"];
        expect_lines(&page, "latchd_pool_held", &held);
        let free = ["{pool=\"Z\"} 2", "{pool=\"A\"} 3", " 3"];
        expect_lines(&page, "latchd_pool_free", &free);
        // Where one goes, the next one moves up.
        assert_eq!(client.ask("DELETE /pool/Z"), "200");
        let page = scrape(server.address);
        let held = ["{pool=\"A\"} 0", "{pool=\"M\"} 2", " 1"];
        expect_lines(&page, "latchd_pool_held", &held);
        assert_eq!(client.ask("DELETE /pool/B"), "200");
        let held = ["{pool=\"A\"} 0", "{pool=\"M\"} 2"];
        expect_lines(&scrape(server.address), "latchd_pool_held", &held);
    }
}

/// They are the same ones after a restart, when the file is read in another order.
#[test]
fn the_pools_that_are_shown_survive_a_restart() {
    let mut server = Server::start_with(StoreKind::File, &["--metrics-pools", "2"]);
    let mut client = server.connect();
    for name in ["Z", "M", "A"] {
        assert_eq!(client.ask(&format!("POST /pool/{name} 1")), r#"200 ["1"]"#);
    }
    let free = ["{pool=\"Z\"} 1", "{pool=\"M\"} 1", " 1"];
    expect_lines(&scrape(server.address), "latchd_pool_free", &free);
    server.restart();
    expect_lines(&scrape(server.address), "latchd_pool_free", &free);
}

#[test]
fn redis_counts_what_is_above_the_cap_and_does_not_ask_for_it() {
    let server = Server::start_with(StoreKind::Redis, &["--metrics-pools", "2"]);
    let mut client = server.connect();
    for name in ["Z", "A", "M", "B"] {
        assert_eq!(client.ask(&format!("POST /pool/{name} 1")), r#"200 ["1"]"#);
    }
    let commands = |page: &Page| page.value("latchd_redis_commands_total", &[]);
    let before = scrape(server.address);
    let page = scrape(server.address);
    expect_lines(&page, "latchd_pools", &[" 4"]);
    expect_lines(
        &page,
        "latchd_pool_free",
        &["{pool=\"Z\"} 1", "{pool=\"A\"} 1"],
    );
    // The list, and one for each pool that is shown.
    assert_eq!(commands(&page) - commands(&before), 3.0);
}

#[test]
fn no_pool_needs_to_be_shown() {
    for store in StoreKind::ALL {
        let server = Server::start_with(store, &["--metrics-pools", "0"]);
        assert_eq!(server.connect().ask("POST /pool/A 1"), r#"200 ["1"]"#);
        let page = scrape(server.address);
        expect_lines(&page, "latchd_pools", &[" 1"]);
        let others: &[&str] = match store {
            StoreKind::Redis => &[],
            StoreKind::Memory | StoreKind::File => &[" 1"],
        };
        expect_lines(&page, "latchd_pool_free", others);
    }
}

#[test]
fn no_name_breaks_out_of_its_label() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut client = server.connect();
        for name in HOSTILE {
            let name = serde_json::to_string(name).expect("a string");
            let answer = client.ask(&format!("POST /pool {{{name}:[1]}}"));
            assert!(answer.starts_with("200 {"), "{answer}");
        }
        let page = scrape(server.address);
        for name in HOSTILE {
            assert_eq!(page.value("latchd_pool_free", &[("pool", name)]), 1.0);
        }
        let pools = page.samples().filter(|s| s.name == "latchd_pool_free");
        assert_eq!(pools.count(), HOSTILE.len());
    }
}
