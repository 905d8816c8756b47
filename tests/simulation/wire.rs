//! Requests as clients write them, and answers as they read them.

/// A client's request, and the form of its answer.
#[derive(Clone, Debug)]
pub struct Asked {
    pub pool: &'static str,
    pub what: What,
    /// A one-line request.
    pub line: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Ping,
    Nowhere,
    Any(usize),
    Named(&'static str),
    Renew,
    Release,
    /// A number is the answer.
    ReleaseAll,
    Members,
    RemovePool,
}

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub struct WireAnswer {
    pub status: u16,
    pub values: Vec<String>,
}

impl Asked {
    pub fn bytes(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let text = match (self.line, body) {
            (true, "") => format!("{method} {path}\n"),
            (true, body) => format!("{method} {path} {body}\n"),
            (false, "") => format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
            (false, body) => {
                let length = body.len();
                format!("{method} {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")
            }
        };
        text.into_bytes()
    }

    /// Takes one whole answer from the front of the written bytes, if it has arrived.
    pub fn take_answer(&self, wire: &mut Vec<u8>) -> Result<Option<WireAnswer>, String> {
        let text = String::from_utf8(wire.clone()).map_err(|_| "not UTF-8")?;
        let ill = || format!("an ill-formed answer: {text:?}");
        let (status, body, length, separator) = if self.line {
            let Some((line, _)) = text.split_once('\n') else {
                return Ok(None);
            };
            let (status, body) = line.split_once(' ').unwrap_or((line, ""));
            (status.to_owned(), body.to_owned(), line.len() + 1, '\t')
        } else {
            let Some((head, rest)) = text.split_once("\r\n\r\n") else {
                return Ok(None);
            };
            let head_line = head.strip_prefix("HTTP/1.1 ").ok_or_else(ill)?;
            let (status, rest_of_head) = head_line.split_once(' ').ok_or_else(ill)?;
            let (_, length) = rest_of_head
                .split_once("Content-Length: ")
                .ok_or_else(ill)?;
            let length: String = length.chars().take_while(char::is_ascii_digit).collect();
            let length: usize = length.parse().map_err(|_| ill())?;
            if rest.len() < length {
                return Ok(None);
            }
            let whole = head.len() + 4 + length;
            (status.to_owned(), rest[..length].to_owned(), whole, '\n')
        };
        wire.drain(..length);
        Ok(Some(WireAnswer {
            status: status.parse().map_err(|_| ill())?,
            values: body.split(separator).map(str::to_owned).collect(),
        }))
    }

    /// Checks that this can be the answer to that request. Returns the leases in it.
    pub fn check(&self, answer: &WireAnswer) -> Result<Vec<(String, u64)>, String> {
        let words = answer.values.join("|");
        let odd = || Err(format!("{self:?} was answered {answer:?}"));
        if answer.status == 200 && matches!(self.what, What::Any(_) | What::Named(_)) {
            let leases: Option<Vec<_>> =
                answer.values.iter().map(|line| read_lease(line)).collect();
            let Some(leases) = leases else { return odd() };
            let fits = match self.what {
                What::Named(id) => leases.len() == 1 && leases[0].0 == id,
                What::Any(count) => leases.len() == count,
                _ => false,
            };
            return if fits { Ok(leases) } else { odd() };
        }
        let fits = match (&self.what, answer.status) {
            (What::Ping, 200) => words == "pong",
            (What::Nowhere, 404) => words == "no route",
            (What::Release | What::RemovePool, 200) => words.is_empty(),
            (What::ReleaseAll, 200) => words.parse::<u32>().is_ok(),
            (What::Renew, 200) => answer.values.iter().all(|line| read_lease(line).is_some()),
            (What::Members, 200) => words.starts_with('['),
            (What::Any(_), 422) => words.starts_with("only "),
            (What::Any(_) | What::Named(_), 409) => {
                words == "busy" || words.starts_with("owner holds ")
            }
            (What::Any(_) | What::Named(_), 503) => words == "queue full",
            (What::Named(_), 404) => words == "no resource" || words == "no pool",
            (What::Renew | What::Release, 404) => words == "not held" || words == "no pool",
            (What::Renew | What::Release, 409) => words == "stale" || words == "not yours",
            (What::Any(_) | What::ReleaseAll | What::RemovePool, 404) => words == "no pool",
            _ => false,
        };
        if fits { Ok(Vec::new()) } else { odd() }
    }
}

/// `FENCE TTL ID`
fn read_lease(line: &str) -> Option<(String, u64)> {
    let mut words = line.splitn(3, ' ');
    let fence = words.next()?.parse().ok()?;
    let ttl = words.next()?;
    let fits = ttl == "-" || ttl.parse::<u32>().is_ok();
    fits.then_some((words.next()?.to_owned(), fence))
}
