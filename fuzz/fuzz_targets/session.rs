//! Any conversation, in any pieces: no panic, the same answers as in one piece, and each answer is
//! well formed.

#![no_main]

use arbitrary::Arbitrary;
use latchd::keys::Keys;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../tests/support/conversation.rs"]
mod conversation;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    cuts: [u8; 4],
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let cuts: Vec<usize> = input.cuts.iter().map(|&cut| usize::from(cut)).collect();
    check(None, input.bytes, &cuts);
    // Input that may show a key also runs on a server that requires one.
    if [&b"key="[..], b"uthorization"]
        .iter()
        .any(|word| has(input.bytes, word))
    {
        let keys = Keys::parse(conversation::KEYS.as_bytes()).expect("they are good");
        check(Some(&keys), input.bytes, &cuts);
    }
});

fn check(keys: Option<&Keys>, bytes: &[u8], cuts: &[usize]) {
    let whole = conversation::answer_with_keys(keys, bytes, &[]);
    let pieces = conversation::answer_with_keys(keys, bytes, cuts);
    assert_eq!(
        whole.escape_ascii().to_string(),
        pieces.escape_ascii().to_string()
    );
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}
