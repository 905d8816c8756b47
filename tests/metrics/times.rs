//! Measured times: histograms that add up, and tell the truth.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn each_request_is_in_one_histogram() {
    for store in StoreKind::ALL {
        let server = Server::start(store);
        let mut client = server.connect();
        let started = Instant::now();
        converse(
            &mut client,
            &[
                (r#"POST /pool {"A":["1"]}"#, r#"200 {"A":["1"]}"#),
                ("POST /pool/A/lock?wait=9", "200 1"),
                ("POST /pool/A/lock", "409 busy"),
                ("POST /pool/A/lock?wait=1", "409 busy"),
                ("GET /nowhere", "404 no route"),
            ],
        );
        client.send("GET /ping\nGET /ping\nGET /ping\n");
        client.expect("200 pong\n200 pong\n200 pong\n");
        let took = started.elapsed().as_secs_f64();
        let page = scrape(server.address);
        let value = |name: &str| page.value(name, &[]);
        assert_eq!(value("latchd_request_duration_seconds_count"), 6.0);
        let durations = value("latchd_request_duration_seconds_sum");
        assert!(durations > 0.0 && durations < took, "{durations} of {took}");
        let wait = |name: &str, outcome| {
            let name = format!("latchd_wait_duration_seconds_{name}");
            page.value(&name, &[("outcome", outcome)])
        };
        assert_eq!(wait("count", "granted"), 1.0);
        assert_eq!(wait("count", "refused"), 1.0);
        assert!(wait("sum", "granted") < took);
        let refused = wait("sum", "refused");
        assert!(refused >= 0.99 && refused < took, "{refused} of {took}");
        // It is above the bound below it, and not above that above it.
        let within = |bound| {
            let labels = [("outcome", "refused"), ("le", bound)];
            page.value("latchd_wait_duration_seconds_bucket", &labels)
        };
        assert_eq!([within("0.8192"), within("419.4304")], [0.0, 1.0]);
    }
}

/// Long work in a tick delays all answers of the tick.
#[test]
fn what_holds_the_loop_up_is_seen() {
    let server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    let ids: Vec<String> = (0..100_000).map(|id| id.to_string()).collect();
    let started = Instant::now();
    client.send(format!("POST /pool/A [{}]\n", ids.join(",")));
    client.read_line();
    let took = started.elapsed().as_secs_f64();
    let page = scrape(server.address);
    let busy = page.value("latchd_loop_busy_seconds_total", &[]);
    let request = page.value("latchd_request_duration_seconds_sum", &[]);
    assert!(
        busy >= request && request > 0.0 && busy < took,
        "{request} {busy} {took}"
    );
    assert!(page.value("latchd_loop_ticks_total", &[]) >= 1.0);
}

#[test]
fn the_process_tells_of_itself() {
    let server = Server::start(StoreKind::Memory);
    let page = scrape(server.address);
    let value = |name: &str| page.value(name, &[]);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is later than 1970");
    let age = now.as_secs_f64() - value("process_start_time_seconds");
    let uptime = value("latchd_uptime_seconds");
    assert!(age < 20.0 && uptime <= age + 0.01, "{uptime} {age}");
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_max_fds") > 10.0);
    if cfg!(target_os = "linux") {
        let resident = value("process_resident_memory_bytes");
        assert!(resident > 1e6 && resident < value("process_virtual_memory_bytes"));
    }
    // Kernels before 6.2 show the number of open ones only by listing each.
    if let Some(open) = page.find("process_open_fds", &[]) {
        let _more: Vec<Client> = (0..5).map(|_| server.connect()).collect();
        let grown = scrape(server.address).value("process_open_fds", &[]);
        assert!(
            open >= 6.0 && (grown - open - 5.0).abs() <= 1.0,
            "{open} {grown}"
        );
    }
}

#[test]
fn a_round_trip_to_redis_takes_its_time() {
    let redis = crate::support::redis::RedisServer::start();
    let server = Server::start_at(&redis.url(), &["--redis-timeout", "10"]);
    let mut client = server.connect();
    assert_eq!(client.ask("POST /pool/A 1"), r#"200 ["1"]"#);
    let sum = |page: &Page| page.value("latchd_redis_round_trip_duration_seconds_sum", &[]);
    let before = sum(&scrape(server.address));
    redis.freeze();
    client.send("POST /pool/A/lock\n");
    crate::support::redis::let_pass(Duration::from_millis(200));
    redis.thaw();
    assert_eq!(client.read_line(), "200 1");
    let page = scrape(server.address);
    let waited = sum(&page) - before;
    assert!((0.15..5.0).contains(&waited), "{waited}");
    // The client has waited as long for its answer.
    let slow = page.value(
        "latchd_request_duration_seconds_bucket",
        &[("le", "0.1024")],
    );
    let all = page.value("latchd_request_duration_seconds_count", &[]);
    assert!(all - slow >= 1.0, "{slow} of {all} were fast");
}
