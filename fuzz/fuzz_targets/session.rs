//! Any conversation, in any pieces: no panic, the same answers as in one piece, and each answer is
//! well formed.

#![no_main]

use arbitrary::Arbitrary;
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
    let whole = conversation::answer_to(input.bytes, &[]);
    let pieces = conversation::answer_to(input.bytes, &cuts);
    assert_eq!(whole.escape_ascii().to_string(), pieces.escape_ascii().to_string());
});
