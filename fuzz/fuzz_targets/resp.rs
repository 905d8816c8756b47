//! Any bytes from Redis: in whatever pieces they arrive, the same values result. An understood
//! reply of a script can be written and read again, and nothing panics.
//!
//! If bytes are wrong, only the values before them are compared: the reader of the redis crate
//! ignores a wrong byte at the end of a piece.

#![no_main]

use arbitrary::Arbitrary;
use latchd::store::redis_fuzzing::{read_and_write, read_batch, values};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    cuts: [u8; 4],
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let mut cuts: Vec<usize> = input.cuts.iter().map(|&cut| usize::from(cut)).collect();
    cuts.push(input.bytes.len());
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for cut in cuts {
        let end = cut.clamp(start, input.bytes.len());
        pieces.push(&input.bytes[start..end]);
        start = end;
    }
    let (whole, pieces) = (values(&[input.bytes]), values(&pieces));
    // As text, since NaN does not equal itself.
    let describe = |values: &[redis::Value]| {
        values
            .iter()
            .map(|value| format!("{value:?}"))
            .collect::<Vec<_>>()
    };
    let (one, several) = (describe(&whole.0), describe(&pieces.0));
    assert!(
        several.starts_with(&one),
        "{several:?}, not {one:?}: {}",
        input.bytes.escape_ascii()
    );
    if whole.1 {
        assert_eq!(
            (several, pieces.1),
            (one, true),
            "{}",
            input.bytes.escape_ascii()
        );
    }
    for value in whole.0 {
        // The result does not matter: reading must not panic.
        let _ = read_batch(value);
    }

    if let Ok(text) = std::str::from_utf8(input.bytes)
        && let Some(written) = read_and_write(text)
    {
        assert_eq!(
            read_and_write(&written).as_ref(),
            Some(&written),
            "{text:?}"
        );
    }
});
