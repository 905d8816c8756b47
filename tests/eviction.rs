//! Eviction at the connection limit: a client with a request in flight or in a queue keeps its
//! connection. Of the others, the longest-idle one is evicted for a new client.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use socket2::{Domain, Socket, Type};

use std::thread;
use std::time::Duration;

use crate::support::launch::eventually;
use crate::support::{Client, PATIENCE, Server, StoreKind};

/// Lets the server read all earlier input, as it is one loop.
fn pass_time(client: &mut Client) {
    for _ in 0..2 {
        assert_eq!(client.ask("GET /ping"), "200 pong");
    }
}

/// Checks that the server has neither answered nor closed.
#[track_caller]
fn hears_nothing(client: &mut Client) {
    client.stream.set_nonblocking(true).expect("non-blocking");
    let heard = client
        .stream
        .read(&mut [0; 64])
        .map_err(|error| error.kind());
    assert_eq!(heard, Err(ErrorKind::WouldBlock), "nothing was to be heard");
    client.stream.set_nonblocking(false).expect("blocking");
}

/// A connection from another address of this machine: all of 127.0.0.0/8 are.
pub fn connect_from(source: Ipv4Addr, server: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source = SocketAddr::from((source, 0));
    socket.bind(&source.into()).expect("it is one of ours");
    socket.connect(&server.into()).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).expect("nodelay");
    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        set(&stream, Some(PATIENCE)).expect("a time-out");
    }
    Client { stream }
}

/// A server with a pool `A` of one resource, which is held, so that an acquire is queued.
fn server_with(arguments: &[&str]) -> Server {
    let server = Server::start_with(StoreKind::Memory, arguments);
    let mut client = server.connect();
    assert_eq!(
        client.ask(r#"POST /pool {"A":["1"]}"#),
        r#"200 {"A":["1"]}"#
    );
    assert_eq!(client.ask("POST /pool/A/lock"), "200 1");
    client.half_close();
    client.expect_end();
    server
}

/// Connects, and is served. A later visitor is idle since a later millisecond.
fn visitor(server: &Server) -> Client {
    let mut client = server.connect();
    visit_again(&mut client);
    client
}

fn visit_again(client: &mut Client) {
    pass_time(client);
    thread::sleep(Duration::from_millis(2));
}

fn join_queue(client: &mut Client) {
    client.send("POST /pool/A/lock?wait=60\n");
}

/// Waits until this many clients are queued.
#[track_caller]
fn await_line(client: &mut Client, count: usize) {
    let wanted = format!("200 1 1 {count} A");
    eventually(&wanted, || {
        (client.ask("GET /pool") == wanted).then_some(())
    });
}

#[test]
fn the_longest_idle_connection_is_evicted_for_a_new_one() {
    let mut server = server_with(&["--max-connections", "3"]);
    let mut silent = server.connect();
    let [mut first, mut second] = [(); 2].map(|()| visitor(&server));
    // A request makes it the youngest.
    visit_again(&mut first);
    let mut new = visitor(&server);
    // A client that has never sent anything counts as younger than one that has been served.
    second.expect_end();
    visit_again(&mut first);
    visit_again(&mut new);
    let newer = visitor(&server);
    first.expect_end();
    drop(newer);
    hears_nothing(&mut silent);
    assert_eq!(silent.ask("GET /ping"), "200 pong");
    let log = server.wait_for_log("no room for another connection");
    assert!(log.ends_with("one that was idle is closed"), "{log}");
}

/// A holder that wants to release must be able to connect.
#[test]
fn a_quarter_of_the_connections_is_kept_from_waiters() {
    let server = server_with(&["--max-connections", "8"]);
    let mut one_more = visitor(&server);
    let mut waiters: Vec<Client> = Vec::new();
    for count in 1..=6 {
        let mut client = server.connect();
        join_queue(&mut client);
        waiters.push(client);
        await_line(&mut one_more, count);
    }
    for _ in 0..2 {
        assert_eq!(one_more.ask("POST /pool/A/lock?wait=60"), "503 queue full");
    }
    for _ in 0..6 {
        let mut client = visitor(&server);
        assert_eq!(client.ask("DELETE /pool/A/lock/1"), "200");
        let mut served = waiters.remove(0);
        served.expect("200 1\n");
        join_queue(&mut served);
        waiters.push(served);
    }
}

#[test]
fn a_waiter_is_never_evicted() {
    let server = server_with(&["--max-connections", "4"]);
    let mut last = visitor(&server);
    let mut waiters: Vec<Client> = Vec::new();
    for count in 1..=3 {
        let mut client = server.connect();
        join_queue(&mut client);
        waiters.push(client);
        await_line(&mut last, count);
    }
    for _ in 0..10 {
        let new = visitor(&server);
        last.expect_end();
        last = new;
    }
    waiters.iter_mut().for_each(hears_nothing);
    assert_eq!(last.ask("GET /pool"), "200 1 1 3 A");
    assert_eq!(last.ask("DELETE /pool/A/lock/1"), "200");
    waiters[0].expect("200 1\n");
}

#[test]
fn a_begun_request_is_evicted_for_a_new_connection_but_after_an_idle_one() {
    let server = server_with(&["--max-connections", "3"]);
    let mut head = server.connect();
    head.send("GET /ping HTTP/1.1\r\nX: y");
    let mut idle = visitor(&server);
    let mut body = server.connect();
    body.send("PUT /pool/B HTTP/1.1\r\nContent-Length: 9\r\n\r\n[");
    pass_time(&mut idle);
    let mut new = visitor(&server);
    idle.expect_end();
    join_queue(&mut new);
    let mut newer = server.connect();
    newer.send("GET /");
    head.expect_end();
    let newest = visitor(&server);
    body.expect_end();
    drop(newest);
    newer.send("ping\n");
    newer.expect("200 pong\n");
    hears_nothing(&mut new);
}

#[test]
fn an_address_at_its_limit_evicts_its_own_connection() {
    let server = server_with(&["--max-per-address", "2"]);
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    let mut other = connect_from(elsewhere, server.address);
    pass_time(&mut other);
    let (mut first, mut second) = (visitor(&server), visitor(&server));
    let mut third = visitor(&server);
    first.expect_end();
    pass_time(&mut second);
    pass_time(&mut third);
    // The other one was idle for longer, and is at another address.
    pass_time(&mut other);

    join_queue(&mut second);
    join_queue(&mut third);
    let mut more = server.connect();
    more.expect_end();
    let mut another = connect_from(elsewhere, server.address);
    pass_time(&mut another);
    assert_eq!(other.ask("DELETE /pool/A/lock/1"), "200");
    second.expect("200 1\n");
    let mut again = visitor(&server);
    second.expect_end();
    pass_time(&mut again);
    hears_nothing(&mut third);
}

/// Fewer descriptors than the connection limit: the server found more of them at its start.
#[test]
fn idle_connections_are_evicted_when_descriptors_run_out_too() {
    let mut server = server_with(&[]);
    let mut idle: Vec<Client> = (0..4).map(|_| visitor(&server)).collect();
    let mut waiter = visitor(&server);
    join_queue(&mut waiter);
    pass_time(&mut idle[3]);
    forbid_descriptors(&server);
    let mut new: Vec<Client> = (0..2).map(|_| visitor(&server)).collect();
    idle[0].expect_end();
    idle[1].expect_end();
    new.iter_mut().for_each(pass_time);
    hears_nothing(&mut waiter);
    let log = server.wait_for_log("could not be accepted");
    assert!(log.contains("Too many open files"), "{log}");
}

/// Has a server get along with the descriptors that it has.
fn forbid_descriptors(server: &Server) {
    let open = format!("/proc/{}/fd", server.pid());
    let is_open = |number: &u64| fs::exists(format!("{open}/{number}")).expect("procfs");
    let limit = Rlimit {
        current: (0..).find(|number| !is_open(number)),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    prlimit(Pid::from_raw(server.pid() as i32), Resource::Nofile, limit).expect("it is set");
}
