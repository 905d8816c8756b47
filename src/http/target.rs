//! Path and query of a target, split and decoded.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

/// The error in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// A per cent sign without two hexadecimal digits.
    Escape,
    /// The decoded bytes are not UTF-8.
    Utf8,
    /// A segment is empty, as after a slash at the end.
    EmptySegment,
}

/// Splits a target into path and query, without the question mark.
pub fn split_target(target: &str) -> (&str, &str) {
    split_at_byte(target, b'?').unwrap_or((target, ""))
}

/// Splits a path into its segments as received, none for `/`. Returns also whether any has escapes or dots,
/// so that it may mean another path. Segments beyond the length of `places` are dropped.
#[inline]
pub fn split_path<'s, 'a>(
    path: &'a str,
    places: &'s mut [&'a str],
) -> Result<(&'s mut [&'a str], bool), TargetError> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let (mut count, mut start, mut is_plain) = (0, 0, true);
    let mut note = |segment: &'a str| {
        if let Some(place) = places.get_mut(count) {
            *place = segment;
            count += 1;
        }
    };
    if !rest.is_empty() {
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                b'/' if at == start => return Err(TargetError::EmptySegment),
                b'/' => {
                    note(&rest[start..at]);
                    start = at + 1;
                }
                b'%' | b'.' => is_plain = false,
                _ => {}
            }
        }
        if start == rest.len() {
            return Err(TargetError::EmptySegment);
        }
        note(&rest[start..]);
    }
    Ok((&mut places[..count], !is_plain))
}

/// Decodes the segments of a path. A name may contain a slash, as `%2F`.
pub fn decode_segments<'a>(
    segments: &[&'a str],
) -> Result<SmallVec<[Cow<'a, str>; 4]>, TargetError> {
    segments.iter().map(|segment| decode(segment)).collect()
}

/// Splits a text at the first `byte`, which is ASCII. Comparing each byte is faster than a search for a
/// `char`, and in so short a text than a vectorised search.
fn split_at_byte(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|b| b == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The parameters of a query. The code for a route takes out those that it knows.
#[derive(Debug)]
pub struct Parameters<'a>(SmallVec<[(Cow<'a, str>, Cow<'a, str>); 2]>);

impl<'a> Parameters<'a> {
    /// Parses `name=value&flag`, where `+` is a space.
    pub fn parse(query: &'a str) -> Result<Parameters<'a>, TargetError> {
        if query.is_empty() {
            return Ok(Parameters(SmallVec::new()));
        }
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = split_at_byte(pair, b'=').unwrap_or((pair, ""));
                Ok((decode_form(name)?, decode_form(value)?))
            });
        pairs.collect::<Result<_, _>>().map(Parameters)
    }

    /// Takes out the value of `name`; empty for a flag. Of two values with this name, the second stays.
    #[inline]
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        // Most requests have no parameters, but are asked for each possible one.
        if self.0.is_empty() {
            return None;
        }
        self.take_one(name)
    }

    fn take_one(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    /// Returns the name of a parameter that was not taken.
    pub fn first_left(&self) -> Option<&str> {
        self.0.first().map(|(name, _)| &**name)
    }
}

fn decode_form(text: &str) -> Result<Cow<'_, str>, TargetError> {
    if !text.bytes().any(|byte| byte == b'+') {
        return decode(text);
    }
    let spaced = text.replace('+', " ");
    decode(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()))
}

fn decode(text: &str) -> Result<Cow<'_, str>, TargetError> {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match split_at_byte(text, b'%') {
        None => return Ok(Cow::Borrowed(text)),
        Some((_, rest)) if rest.split('%').all(is_escape) => {}
        Some(_) => return Err(TargetError::Escape),
    }
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| TargetError::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_after_they_are_parted() {
        let segments = |path| {
            let mut places = [""; 4];
            let (segments, _) = split_path(path, &mut places)?;
            decode_segments(segments).map(SmallVec::into_vec)
        };
        assert_eq!(segments("/").expect("this is read"), [""; 0]);
        assert_eq!(
            segments("/pool/a%2Fb/lock").expect("this is read"),
            ["pool", "a/b", "lock"]
        );
        assert_eq!(
            segments("/a+b/%c3%A9").expect("this is read"),
            ["a+b", "\u{e9}"]
        );
        assert_eq!(segments("/pool/"), Err(TargetError::EmptySegment));
        assert_eq!(segments("//pool"), Err(TargetError::EmptySegment));
        for bad in ["/%", "/%4", "/%zz", "/a%2", "/%25%"] {
            assert_eq!(segments(bad), Err(TargetError::Escape), "{bad}");
        }
        assert_eq!(segments("/%ff"), Err(TargetError::Utf8));
    }

    #[test]
    fn parameters_are_taken_once() {
        let mut parameters = Parameters::parse("a=1+2&b&&c=%2B&a=3").expect("this is read");
        assert_eq!(parameters.take("a").expect("this is read"), "1 2");
        assert_eq!(parameters.take("b").expect("this is read"), "");
        assert_eq!(parameters.take("c").expect("this is read"), "+");
        assert_eq!(parameters.first_left(), Some("a"));
    }
}
