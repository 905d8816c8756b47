//! The answer parser: from bytes to one HTTP answer, without allocating and without reading more
//! than it needs.
//!
//! It parses answers with a Content-Length only, which is all that the servers under test may send.

/// One complete answer at the start of the parsed bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct HttpAnswer<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// The bytes of head and body; the next answer follows.
    pub whole_bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The head of a success of latchd and the floor, up to the number; other heads take the slower
/// path.
const USUAL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: ";
const HEAD_MAX_BYTES: usize = 16 * 1024;
const BODY_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Parses one answer; returns `Ok(None)` if it is incomplete.
pub fn parse(bytes: &[u8]) -> Result<Option<HttpAnswer<'_>>, Malformed> {
    if let Some(rest) = bytes.strip_prefix(USUAL) {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if rest[digits..].starts_with(b"\r\n\r\n") {
            let head_bytes = USUAL.len() + digits + 4;
            return Ok(whole(bytes, 200, head_bytes, number(&rest[..digits])?));
        }
    }
    parse_any(bytes)
}

fn parse_any(bytes: &[u8]) -> Result<Option<HttpAnswer<'_>>, Malformed> {
    let searched = &bytes[..bytes.len().min(HEAD_MAX_BYTES)];
    let Some(end) = searched.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() < HEAD_MAX_BYTES {
            Ok(None)
        } else {
            Err(Malformed)
        };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Malformed)?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .filter(|line| line.starts_with("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or(Malformed)?;
    let body_bytes = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .ok_or(Malformed)
        .and_then(|(_, value)| number(value.trim().as_bytes()))?;
    Ok(whole(bytes, status, end + 4, body_bytes))
}

fn whole(
    bytes: &[u8],
    status: u16,
    head_bytes: usize,
    body_bytes: usize,
) -> Option<HttpAnswer<'_>> {
    let whole_bytes = head_bytes + body_bytes;
    let body = bytes.get(head_bytes..whole_bytes)?;
    Some(HttpAnswer {
        status,
        body,
        whole_bytes,
    })
}

fn number(digits: &[u8]) -> Result<usize, Malformed> {
    let value = digits.iter().try_fold(0_usize, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        Some(value * 10 + digit).filter(|value| *value <= BODY_MAX_BYTES)
    });
    value.filter(|_| !digits.is_empty()).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n42";
    const BUSY: &[u8] = b"HTTP/1.1 409 busy\r\nServer: x\r\ncontent-length:4\r\n\r\nbusy";

    #[test]
    fn takes_one_answer_and_leaves_the_next() {
        let two = [LOCK, BUSY].concat();
        let first = parse(&two).unwrap().unwrap();
        assert_eq!((first.status, first.body), (200, &b"42"[..]));
        let second = parse(&two[first.whole_bytes..]).unwrap().unwrap();
        assert_eq!((second.status, second.body), (409, &b"busy"[..]));
        assert_eq!(first.whole_bytes + second.whole_bytes, two.len());
    }

    #[test]
    fn further_headers_may_follow_the_length() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n4";
        assert_eq!(parse(bytes).unwrap().unwrap().body, b"4");
    }

    #[test]
    fn every_beginning_of_an_answer_is_unfinished() {
        for answer in [LOCK, BUSY] {
            for cut in 0..answer.len() {
                assert_eq!(parse(&answer[..cut]), Ok(None), "cut at {cut}");
            }
        }
    }

    #[test]
    fn nonsense_is_malformed() {
        for bytes in [
            &b"200 4\n\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            &[b'x'; HEAD_MAX_BYTES],
        ] {
            assert_eq!(parse(bytes), Err(Malformed));
        }
    }
}
