//! Split invariance: in whatever pieces a conversation arrives, the same bytes come out.

use crate::support::conversation::answer_to;

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
