//! A Redis that is slow, and clients with more requests than may be in flight in all: the rest waits
//! in the sockets, and is answered in its turn.

use super::*;

/// A time to wait, as the absence of an answer to an unread request is no event.
const WHILE_NOTHING_HAPPENS: Duration = Duration::from_millis(200);

#[test]
fn what_is_too_much_in_all_waits_in_its_sockets() {
    let redis = RedisServer::start();
    let arguments = ["--redis-timeout", "20", "--max-requests", "40"];
    let server = Server::start_at(&redis.url(), &arguments);
    let mut beside = with_pool(&server, &["1"]);
    redis.freeze();
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut clients[..2] {
        client.send("GET /pool/A/lock/1\n".repeat(19));
    }
    assert_eq!(
        beside.ask("GET /ping"),
        "200 pong",
        "there is room for more"
    );
    assert_eq!(beside.ask("GET /ping"), "200 pong");
    for client in &mut clients[2..] {
        client.send("GET /pool/A/lock/1\n".repeat(50));
    }
    // A client without a request in flight has to wait as well, also one whose request the server
    // could answer alone.
    std::thread::sleep(WHILE_NOTHING_HAPPENS);
    beside.send("GET /ping\n");
    std::thread::sleep(WHILE_NOTHING_HAPPENS);
    hears_nothing(&mut beside);

    redis.thaw();
    beside.expect("200 pong\n");
    for (client, count) in clients.iter_mut().zip([19, 19, 50, 50]) {
        client.expect("404 not held\n".repeat(count));
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
}

/// They are all there in the same tick: that must not make more of them.
#[test]
fn what_comes_all_at_once_is_held_back_as_well() {
    let redis = RedisServer::start();
    let arguments = ["--redis-timeout", "20", "--max-requests", "40"];
    let server = Server::start_at(&redis.url(), &arguments);
    let mut last = with_pool(&server, &["1"]);
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
    redis.freeze();
    server.signal("STOP");
    for client in &mut clients {
        client.send("GET /pool/A/lock/1\n".repeat(50));
    }
    last.send("GET /ping\n");
    server.signal("CONT");
    std::thread::sleep(WHILE_NOTHING_HAPPENS);
    hears_nothing(&mut last);
    redis.thaw();
    last.expect("200 pong\n");
    for client in &mut clients {
        client.expect("404 not held\n".repeat(50));
    }
}

/// Requests that wait for a release must not keep it from being read.
#[test]
fn queued_waiters_are_not_too_much() {
    let redis = RedisServer::start();
    let server = serve_with(&redis, &["--max-requests", "2"]);
    let mut client = with_pool(&server, &["1"]);
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    let mut waiters: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for (place, waiter) in waiters.iter_mut().enumerate() {
        waiter.send("POST /pool/A/lock?wait=60\n");
        await_answer(
            &mut client,
            "GET /pool",
            &format!("200 1 1 {} A", place + 1),
        );
    }
    for mut waiter in waiters {
        assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
        waiter.expect("200 1\n");
    }
}

fn hears_nothing(client: &mut Client) {
    client.stream.set_nonblocking(true).expect("non-blocking");
    let heard = client.stream.read(&mut [0; 64]);
    client.stream.set_nonblocking(false).expect("blocking");
    let heard = heard.map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::WouldBlock), "nothing was to be heard");
}
