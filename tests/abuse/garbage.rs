//! Garbage: every byte alone, and random ones. The answer is an error or nothing, and then the end.

use fastrand::Rng;

use super::{Siege, exchange};

#[test]
fn every_byte_alone_is_refused_or_waited_upon() {
    let siege = Siege::lay(&[]);
    for byte in 0..=u8::MAX {
        // Cut off by the end of the connection, nothing of it counts.
        let answer = exchange(siege.connect(), &[byte]);
        assert_eq!(
            answer.escape_ascii().to_string(),
            "",
            "byte {byte:#04x} alone"
        );
        let (line, wanted) = match byte {
            // A blank line is no request.
            b'\n' | b'\r' => ([byte, b'\n'], ""),
            _ => ([byte, b'\n'], "400 bad request\n"),
        };
        let answer = exchange(siege.connect(), &line);
        assert_eq!(
            String::from_utf8_lossy(&answer),
            wanted,
            "a line of byte {byte:#04x}"
        );
        let within = [
            b"GET /ping HTTP/1.1\r\nX: a",
            &[byte][..],
            b"b\r\n\r\nGET /ping\n",
        ]
        .concat();
        let answer = exchange(siege.connect(), &within);
        let answer = String::from_utf8_lossy(&answer);
        let wanted = match byte {
            b'\n' => "HTTP/1.1 400 bad header\r\n",
            b'\t' | b' '..=b'~' | 0x80.. => "HTTP/1.1 200 OK\r\n",
            _ => "HTTP/1.1 400 bad header\r\n",
        };
        assert!(
            answer.starts_with(wanted),
            "byte {byte:#04x} in a field: {answer:?}"
        );
        assert_eq!(
            answer.ends_with("200 pong\n"),
            wanted.contains("200"),
            "{byte:#04x}: {answer:?}"
        );
    }
    siege.lift("every byte alone", 4 << 20);
}

#[test]
fn random_bytes_are_refused_or_waited_upon() {
    let siege = Siege::lay(&[]);
    let mut random = Rng::with_seed(11);
    for round in 0..400 {
        let length = 1 << random.usize(0..=14);
        let mut blob: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        // Half of them have lines, and words of requests in them.
        if random.bool() {
            for _ in 0..random.usize(1..=8) {
                let word = random.choice(WORDS).expect("there are some");
                let at = random.usize(..=blob.len());
                blob.splice(at..at, word.iter().copied());
            }
        }
        let answer = exchange(siege.connect(), &blob);
        let answer = String::from_utf8_lossy(&answer);
        let is_error = |line: &str| {
            line.starts_with("HTTP/1.1 4")
                || line.starts_with("HTTP/1.1 5")
                || line.starts_with('4')
        };
        let fine = answer.is_empty() || answer.starts_with("200 pong\n") || is_error(&answer);
        assert!(fine, "round {round}: {answer:?} to {}", blob.escape_ascii());
    }
    siege.lift("random bytes", 8 << 20);
}

const WORDS: &[&[u8]] = &[
    b"GET /ping\n",
    b"GET ",
    b" /pool/A",
    b" HTTP/1.1\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"5\r\n",
    b"0\r\n\r\n",
    b"%00",
    b"{\"A\":[",
];
