//! The requests and answers that rows are made of. Each function says in full which bytes it makes.

use super::expected::{Body, ExpectedAnswer, Value};

/// The seed of most rows: it lends 4, then 3, 2, 1.
pub const SEED: &str = r#"POST /pool {"A":["1","2","3","4"]}"#;

/// `LINE HTTP/1.1\r\n\r\n`
pub fn bare(line: &str) -> String {
    format!("{line} HTTP/1.1\r\n\r\n")
}

/// `LINE HTTP/1.1\r\nHEADERS\r\n\r\n`; several headers are joined by the writer of the row.
pub fn with(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\n{headers}\r\n\r\n")
}

/// `LINE HTTP/1.1\r\nContent-Length: N\r\n\r\nBODY`
pub fn body(line: &str, body: &str) -> String {
    format!("{}{body}", with(line, &length(body)))
}

/// `LINE HTTP/1.1\r\nAccept: application/json\r\n\r\n`
pub fn json(line: &str) -> String {
    with(line, "Accept: application/json")
}

/// `LINE HTTP/1.1\r\nAccept: application/json\r\nContent-Length: N\r\n\r\nBODY`
pub fn json_body(line: &str, body: &str) -> String {
    let headers = format!("Accept: application/json\r\n{}", length(body));
    format!("{}{body}", with(line, &headers))
}

fn length(body: &str) -> String {
    format!("Content-Length: {}", body.len())
}

/// `HTTP/1.1 200 OK\r\nContent-Length: N\r\n\r\nBODY`, to the byte. A body that is JSON, which here
/// begins with a bracket or a brace, has `Content-Type: application/json` in front of it.
pub fn ok(body: &str) -> String {
    let kind = match is_json(body) {
        true => "Content-Type: application/json\r\n",
        false => "",
    };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{kind}\r\n{body}",
        body.len()
    )
}

fn is_json(body: &str) -> bool {
    body.starts_with(['[', '{'])
}

/// Success whose body is plain, and `Connection: close`.
pub fn closes(body: &str) -> ExpectedAnswer {
    answer(body).header("Connection", "close")
}

/// A list in plain text: a line each, separated by line feeds, none at the end.
pub fn lines(values: &[&str]) -> String {
    values.join("\n")
}

/// A failure in plain text, such as `409 busy`: the words are the reason phrase and the body, and
/// there is no header but Content-Length. `400 bad …` stands for any words that begin so.
pub fn fails(status: &str) -> ExpectedAnswer {
    ExpectedAnswer::new(status, Body::Reason)
}

/// A failure that ends the connection: as `fails`, and `Connection: close`.
pub fn fails_and_closes(status: &str) -> ExpectedAnswer {
    fails(status).header("Connection", "close")
}

/// Success with Content-Type application/json and exactly this body.
pub fn json_ok(body: &str) -> ExpectedAnswer {
    ExpectedAnswer::new("200 OK", Body::Is(body.into())).typed("application/json")
}

/// A failure as `{"code":WORDS,"message":"…"}` with Content-Type application/json. The variable part
/// of the words is a member of its own.
pub fn json_fails(status: &str) -> ExpectedAnswer {
    ExpectedAnswer::new(status, Body::JsonError).typed("application/json")
}

/// Success in plain text for a request that carried Accept.
pub fn plain_ok(body: &str) -> ExpectedAnswer {
    ExpectedAnswer::new("200 OK", Body::Is(body.into())).typed("text/plain; charset=utf-8")
}

/// A failure in plain text for a request that carried Accept.
pub fn plain_fails(status: &str) -> ExpectedAnswer {
    fails(status).typed("text/plain; charset=utf-8")
}

/// Success with this body and further headers, to be added with `header`.
pub fn answer(body: &str) -> ExpectedAnswer {
    let answer = ExpectedAnswer::new("200 OK", Body::Is(body.into()));
    match is_json(body) {
        true => answer.header("Content-Type", "application/json"),
        false => answer,
    }
}

/// The same to a browser: no page of another site may take the answer for a script, or look into it.
pub fn isolated(answer: ExpectedAnswer) -> ExpectedAnswer {
    answer
        .header("X-Content-Type-Options", "nosniff")
        .header("Cross-Origin-Resource-Policy", "same-origin")
}

/// A header that lists, separated by commas, at least these words.
pub fn has(words: &[&'static str]) -> Value {
    Value::Has(words.to_vec())
}

/// A lease object without ttl and owner, as acquire and the listings give it. The age is a second
/// at most, and is compared as if it were 0.
pub fn lease(id: &str, fence: u64) -> String {
    let id = serde_json::Value::from(id);
    format!(r#"{{"id":{id},"fence":{fence},"ttl":null,"owner":null,"age":0}}"#)
}
