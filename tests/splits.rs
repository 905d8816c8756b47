//! Split invariance: in whatever pieces a conversation arrives, the same bytes are sent.

use latchd::keys::Keys;

use crate::support::conversation::{KEYS, answer_to, answer_with_keys};

/// Everything that a session has a state for, one conversation each.
fn conversations() -> Vec<Vec<u8>> {
    let texts = [
        "POST /pool HTTP/1.1\r\nContent-Length: 23\r\n\r\n{\"A\":[\"1\",\"2\",\"3\",\"4\"]}\r\n\r\n\
         POST /pool/A/lock HTTP/1.1\r\nAccept: application/json\r\n\r\nGET /pool HTTP/1.0\r\n\r\nrest",
        "post /pool HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nExpect: 100-continue\n\n\
         5;x=y\r\n{\"A\":\r\n6\r\n[1,2]}\r\n0\nTrailer: t\n\nPOST /pool/A/lock?lease\n",
        "POST /pool {\"A\":[1,2]}\r\nHost: h\r\nName: value\r\n\r\n\r\nPOST /pool/A/lock?n=2\r\n\
         GET /pool/A/lock HTTP/1.1\r\nConnection: close\r\n\r\nGET /ping\n",
        "PUT /pool/A HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET /pool/A HTTP/1.1\r\nHost: x\r\n",
        "GET /ping\nGET /ping\nGET /ping\nGET /ping\nGET /ping\nGET /ping\nGET /pool/%41/lock/%zz\n",
        "POST /pool HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nabcde",
        "POST /pool HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\nno line end, and\u{7}",
        "\r\n\n\r\nOPTIONS * HTTP/1.1\r\nOrigin: http://x\r\n\r\nHEAD http://h/ping HTTP/1.1\r\n\r\n",
        "no request\n",
        "DELETE /pool/A/lock",
    ];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    // The limits of the conversation are 256 bytes for a head and 128 for a body.
    for length in [120, 140, 245, 250, 255, 260, 380, 400] {
        let long = "x".repeat(length);
        all.push(format!("GET /{long} HTTP/1.1\r\n\r\nGET /ping\n").into_bytes());
        all.push(format!("GET /ping HTTP/1.1\r\nA: {long}\r\nB b\r\n\r\n").into_bytes());
        all.push(format!("GET /{long}\nGET /ping\n").into_bytes());
        all.push(format!("PUT /pool/A {long}\nGET /ping\n").into_bytes());
        all.push(format!("GET /ping\nLong: {long}\nGET /ping\n").into_bytes());
        all.push(
            format!("PUT /pool/A HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{long}").into_bytes(),
        );
    }
    all
}

/// The same where keys are needed. `root` is the secret whose hash the file has.
fn conversations_with_keys() -> Vec<Vec<u8>> {
    let long = "x".repeat(120);
    let texts = [
        // Each request has a key of its own, or none, and one has two.
        "key=root POST /pool {\"A\":[1,2],\"B\":[3]}\r\nHost: h\r\n\r\nkey=read-secret GET /pool\r\n\
         GET /pool\nkey=use-secret POST /pool/A/lock\nkey=use-secret DELETE /pool/A/lock\n\
         key=root key=root GET /pool\nGET /ping\n"
            .to_owned(),
        "POST /pool HTTP/1.1\r\nAuthorization: Bearer root\r\nContent-Length: 19\r\n\r\n\
         {\"A\":[1],\"B\":[2,3]}GET /pool HTTP/1.1\r\nAuthorization: Basic dTp1c2Utc2VjcmV0\r\n\r\n\
         GET /pool HTTP/1.1\r\nauthorization: bearer root\r\nAuthorization: bearer root\r\n\r\n\
         POST /pool/B/lock HTTP/1.1\r\nAuthorization: Basic OnVzZS1zZWNyZXQ=\r\n\r\nGET / HTTP/1.0\n\n"
            .to_owned(),
        // Bodies of clients without rights, in chunks and not; the server parses none of them.
        "PUT /pool/A HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n\
         5\r\n[1,2]\r\n0\r\n\r\nPUT /pool HTTP/1.1\r\nAuthorization: Bearer admin-secret\r\n\
         Content-Length: 15\r\n\r\n{\"A\":[],\"B\":[]}PUT /pool/A HTTP/1.1\r\nContent-Length: 3\r\n\r\n[1]\
         key=admin-secret PUT /pool/A [7]\nkey=read-secret GET /pool/A HTTP\nkey=root"
            .to_owned(),
        format!("key=root PUT /pool/A {long}\nkey={long} GET /pool/A\nkey={long}{long}{long} GET /ping\n"),
        format!("key={long} GET /{long}{long}{long}\n"),
        format!("key=root GET /pool/A {long}{long}{long}\n"),
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn no_cut_makes_a_difference_where_there_are_keys() {
    let keys = Keys::parse(KEYS.as_bytes()).expect("they are good");
    let mut random = fastrand::Rng::with_seed(7);
    for conversation in conversations_with_keys() {
        let whole = answer_with_keys(Some(&keys), &conversation, &[]);
        let every_byte = (0..conversation.len()).collect();
        let mut all_cuts: Vec<Vec<usize>> = (0..conversation.len()).map(|cut| vec![cut]).collect();
        all_cuts.push(every_byte);
        all_cuts.extend((0..200).map(|_| {
            let count = random.usize(2..6);
            (0..count)
                .map(|_| random.usize(..conversation.len()))
                .collect()
        }));
        for cuts in all_cuts {
            let pieces = answer_with_keys(Some(&keys), &conversation, &cuts);
            assert_eq!(
                pieces.escape_ascii().to_string(),
                whole.escape_ascii().to_string(),
                "cut at {cuts:?}: {}",
                conversation.escape_ascii()
            );
        }
    }
}

/// Otherwise the test above would prove nothing.
#[test]
fn conversations_with_keys_are_answered_in_each_way() {
    let keys = Keys::parse(KEYS.as_bytes()).expect("they are good");
    let answers: Vec<String> = conversations_with_keys()
        .iter()
        .map(|conversation| {
            let answer = answer_with_keys(Some(&keys), conversation, &[]);
            String::from_utf8(answer).expect("it is text")
        })
        .collect();
    assert_eq!(
        answers[0],
        "200 {\"A\":[\"1\",\"2\"],\"B\":[\"3\"]}\n200 2 0 0 A\n401 no key\n200 2\n403 not allowed\n\
         400 bad request\n"
    );
    let all = answers.concat();
    for status in [
        "HTTP/1.1 200",
        "HTTP/1.1 401",
        "HTTP/1.1 403",
        "414 path too long",
        "413 body",
    ] {
        assert!(all.contains(status), "{status} in {answers:#?}");
    }
}

#[test]
fn one_byte_at_a_time_makes_no_difference() {
    for conversation in conversations() {
        let every_byte: Vec<usize> = (0..conversation.len()).collect();
        assert_same(&conversation, &every_byte);
    }
}

#[test]
fn one_cut_anywhere_makes_no_difference() {
    for conversation in conversations() {
        for cut in 0..conversation.len() {
            assert_same(&conversation, &[cut]);
        }
    }
}

#[test]
fn any_few_cuts_make_no_difference() {
    let mut random = fastrand::Rng::with_seed(7);
    for conversation in conversations() {
        for _ in 0..200 {
            let count = random.usize(2..6);
            let cuts: Vec<usize> = (0..count)
                .map(|_| random.usize(..conversation.len()))
                .collect();
            assert_same(&conversation, &cuts);
        }
    }
}

#[test]
fn conversations_are_answered_at_all() {
    let answered = conversations()
        .iter()
        .filter(|c| !answer_to(c, &[]).is_empty())
        .count();
    assert!(
        answered >= conversations().len() - 2,
        "only what ends within a line has no answer"
    );
}

#[track_caller]
fn assert_same(conversation: &[u8], cuts: &[usize]) {
    let (whole, pieces) = (answer_to(conversation, &[]), answer_to(conversation, cuts));
    assert_eq!(
        pieces.escape_ascii().to_string(),
        whole.escape_ascii().to_string(),
        "cut at {cuts:?}: {}",
        conversation.escape_ascii()
    );
}
