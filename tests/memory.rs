//! A client cannot make the server's memory grow, neither by leaving answers unread nor by reading them
//! slowly; and it gets every byte of them in the end.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::support::conversation::Conversation;
use crate::support::stopwatch::Stopwatch;
use crate::support::{Client, PATIENCE, Server, StoreKind};

const MEBIBYTE: usize = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// Asks for the long listing.
const REQUEST: &[u8] = b"GET /pool/A HTTP/1.1\r\n\r\n";

/// The resident memory of a server, in bytes.
pub fn resident_bytes(server: &Server) -> usize {
    status_bytes(server.pid(), "VmRSS:")
}

/// The highest resident memory of a server so far, in bytes.
pub fn peak_bytes(server: &Server) -> usize {
    peak_bytes_of(server.pid())
}

/// The same of a process.
pub fn peak_bytes_of(pid: u32) -> usize {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kibibytes.unwrap_or_else(|| panic!("no {field} in\n{status}")) * 1024
}

/// A connection as a device on a network has it: small buffers and small segments.
pub fn connect_narrowly(server: &Server) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(16 << 10)
        .expect("a small buffer");
    socket
        .set_send_buffer_size(16 << 10)
        .expect("a small buffer");
    socket.set_tcp_mss(1460).expect("a small segment size");
    socket
        .connect(&server.address.into())
        .expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a read time-out");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a write time-out");
    stream
}

/// A server with a pool whose listing has some 250 KiB, and the answer with that listing.
pub fn server_with_a_long_listing(arguments: &[&str]) -> (Server, Vec<u8>) {
    let server = Server::start_with(StoreKind::Memory, arguments);
    let ids: Vec<String> = (0..10_000)
        .map(|n| format!("resource number {n:08}"))
        .collect();
    let seed = format!("POST /pool/A {}", serde_json::json!(ids));
    let seeded = server.connect().ask(&seed);
    assert!(seeded.starts_with("200 "));
    let listing = ids.join("\n");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{listing}",
        listing.len()
    );
    // Once, so that the buffers of one listing do not count as growth.
    let mut client = server.connect();
    client.send(REQUEST);
    client.expect(&answer);
    (server, answer.into_bytes())
}

/// Reads this many equal answers, and then the end.
#[track_caller]
fn read_answers(stream: &mut impl Read, answer: &[u8], count: usize) {
    let mut received = vec![0; answer.len()];
    for place in 0..count {
        let result = stream.read_exact(&mut received);
        result.unwrap_or_else(|error| panic!("answer {place} of {count}: {error}"));
        assert!(received == answer, "answer {place} of {count} is another");
    }
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .expect("the end, without a reset");
    assert_eq!(
        rest.escape_ascii().to_string(),
        "",
        "more than {count} answers"
    );
}

#[test]
fn a_client_that_does_not_read_does_not_make_memory_grow() {
    let (server, answer) = server_with_a_long_listing(&[]);
    let mut aside = server.connect();
    let mut stream = connect_narrowly(&server);
    let request = format!(
        "GET /pool/A HTTP/1.1\r\nX-Long: {}\r\n\r\n",
        "x".repeat(1000)
    );
    let before = resident_bytes(&server);

    let sent = send_until_blocked(&mut stream, request.as_bytes(), &mut aside);
    let count = sent.div_ceil(request.len());
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(
        count > 60,
        "some 15 MiB of answers are asked for: {count} requests"
    );
    assert!(
        grown < 4 * MEBIBYTE,
        "{} KiB for {count} requests",
        grown >> 10
    );

    let mut reader = stream.try_clone().expect("a second handle");
    thread::scope(|scope| {
        scope.spawn(move || {
            let cut = &request.as_bytes()[sent - (count - 1) * request.len()..];
            stream.write_all(cut).expect("the rest of the last request");
            stream.shutdown(Shutdown::Write).expect("no more requests");
        });
        read_answers(&mut reader, &answer, count);
    });
}

/// Sends requests until the server takes no more, and answers how many bytes it took.
pub fn send_until_blocked(stream: &mut TcpStream, request: &[u8], aside: &mut Client) -> usize {
    stream.set_nonblocking(true).expect("non-blocking");
    let (mut sent, mut blocked) = (0, 0);
    while blocked < 5 {
        match stream.write(&request[sent % request.len()..]) {
            Ok(count) => {
                sent += count;
                blocked = 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Gives the server the time to read all that it will read.
                assert_eq!(aside.ask("GET /ping"), "200 pong");
                assert_eq!(aside.ask("GET /ping"), "200 pong");
                blocked += 1;
            }
            Err(error) => panic!("the connection breaks: {error}"),
        }
        assert!(sent < 2 * MEBIBYTE, "the server takes requests without end");
    }
    stream.set_nonblocking(false).expect("blocking");
    sent
}

/// It always takes some, and there is always more: the server's buffer is never empty.
#[test]
fn a_client_that_reads_slowly_does_not_make_memory_grow() {
    const COUNT: usize = 200;
    let (server, answer) = server_with_a_long_listing(&[]);
    let before = peak_bytes(&server);
    let mut stream = connect_narrowly(&server);
    let mut writer = stream.try_clone().expect("a second handle");
    let (sender, sent) = channel();
    thread::spawn(move || {
        let requests = REQUEST.repeat(COUNT);
        writer
            .write_all(&requests)
            .expect("the server takes requests as it answers them");
        writer.shutdown(Shutdown::Write).expect("no more requests");
        sender.send(()).expect("the test waits");
    });
    let slow = Slow {
        stream: &mut stream,
        aside: server.connect(),
    };
    read_answers(&mut { slow }, &answer, COUNT);
    sent.recv_timeout(PATIENCE).expect("all requests are sent");
    let grown = peak_bytes(&server).saturating_sub(before);
    assert!(
        grown < 4 * MEBIBYTE,
        "{} KiB for {} KiB of answers",
        grown >> 10,
        (COUNT * answer.len()) >> 10
    );
}

/// A reader that takes little at a time, and lets the server write as much as it can in between.
struct Slow<'a> {
    stream: &'a mut TcpStream,
    aside: Client,
}

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert_eq!(self.aside.ask("GET /ping"), "200 pong");
        let length = buffer.len().min(12 << 10);
        self.stream.read(&mut buffer[..length])
    }
}

/// Its answers are dropped, and its place is free for others. The time is that of `--idle-timeout`, also
/// where further requests of its wait to be looked at.
#[test]
fn a_client_that_does_not_read_is_closed_when_its_idle_time_is_up() {
    // More than the sockets hold between the two.
    const TAKEN: usize = 6 * MEBIBYTE;
    let limits = ["--idle-timeout", "2", "--max-connections", "2"];
    let (server, answer) = server_with_a_long_listing(&limits);
    let mut aside = server.connect();
    let mut stream = connect_narrowly(&server);
    let sent = send_until_blocked(&mut stream, REQUEST, &mut aside);
    // A queued client takes the other connection, and so keeps it.
    let locked = aside.ask("POST /pool/A/lock/resource%20number%2000000000");
    assert_eq!(locked, "200 resource number 00000000");
    aside.send("POST /pool/A/lock/resource%20number%2000000000?wait=60\n");
    // The server has to go on with its answers while some are taken, so that it has not been idle before.
    let start = Instant::now();
    let mut received = vec![0; TAKEN];
    stream.read_exact(&mut received).expect("some answers");
    let watch = Stopwatch::start(server.pid());
    let mut waiting = server.connect();
    assert_eq!(waiting.ask("GET /ping"), "200 pong");
    let (least, most) = (watch.elapsed(), start.elapsed());
    assert!(
        most > SECOND * 19 / 10 && least < SECOND * 5,
        "its place is free after {least:?} to {most:?}"
    );
    let released = waiting.ask("DELETE /pool/A/lock/resource%20number%2000000000");
    assert_eq!(released, "200");
    aside.expect("200 resource number 00000000\n");
    // With requests unread, the end may come as a reset.
    let _ = stream.read_to_end(&mut received);
    assert!(
        received.len() < sent / REQUEST.len() * answer.len(),
        "not all was answered"
    );
}

#[test]
fn a_client_that_rests_for_less_than_its_idle_time_gets_every_answer() {
    let limits = ["--header-timeout", "1"];
    let (server, answer) = server_with_a_long_listing(&limits);
    let mut stream = connect_narrowly(&server);
    const COUNT: usize = 40;
    stream
        .write_all(&REQUEST.repeat(COUNT))
        .expect("so few requests fit the buffers");
    stream.shutdown(Shutdown::Write).expect("no more requests");
    thread::sleep(SECOND * 2);
    read_answers(&mut stream, &answer, COUNT);
}

/// Each has asked for much, has had all of it, and stays.
#[test]
fn clients_that_have_had_long_answers_cost_nothing_while_they_are_idle() {
    const COUNT: usize = 12;
    let limits = ["--max-body", "10000000", "--idle-timeout", "600"];
    let server = Server::start_with(StoreKind::Memory, &limits);
    let ids: Vec<String> = (0..150_000)
        .map(|n| format!("resource number {n:08}"))
        .collect();
    let seed = format!("POST /pool/A {}", serde_json::json!(ids));
    assert!(server.connect().ask(&seed).starts_with("200 "));
    let listing = ids.join("\n").len();
    let before = resident_bytes(&server);
    let mut clients: Vec<Client> = (0..COUNT).map(|_| server.connect()).collect();
    let mut received = Vec::new();
    for client in &mut clients {
        client.send(REQUEST);
        client.expect(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {listing}\r\n\r\n"
        ));
        received.resize(listing, 0);
        client.stream.read_exact(&mut received).expect("the list");
    }
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(
        grown < 3 * listing,
        "{} KiB for {COUNT} idle connections that have had {} KiB each",
        grown >> 10,
        listing >> 10
    );
}

/// A line of a megabyte, and the first byte of the next one: that byte is all that is left to keep.
#[test]
fn clients_that_have_sent_long_lines_cost_nothing_while_they_are_idle() {
    const COUNT: usize = 100;
    let server = Server::start(StoreKind::Memory);
    let line = format!("PUT /pool/A [\"1\"{}]\nG", " ".repeat(1_000_000));
    let before = resident_bytes(&server);
    let mut clients: Vec<Client> = (0..COUNT).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(&line);
        client.expect("200 [\"1\"]\n");
    }
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(
        grown < 16 * MEBIBYTE,
        "{} KiB for {COUNT} idle connections that have sent a megabyte each",
        grown >> 10
    );
    for client in &mut clients {
        assert_eq!(client.ask("ET /ping"), "200 pong");
    }
}

/// The same without sockets, whose buffers are too large on a loopback to keep a client behind for
/// long: each answer is taken but for its last byte, and then there is the next one.
#[test]
fn a_session_that_is_never_quite_drained_forgets_what_was_taken() {
    let mut client = Conversation::new();
    client.leave_untaken(1);
    for _ in 0..10_000 {
        client.send(b"GET /pool/A/lock/1 HTTP/1.1\r\n\r\n");
    }
    // The debug output of a session shows the memory that it holds.
    let held = client.session_in_words().len();
    assert!(
        held < 100_000,
        "it still holds what it has sent: {held} characters to write it down"
    );
}
