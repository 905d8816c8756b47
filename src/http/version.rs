//! The version at the end of a first line: it decides whether the line is HTTP, a one-line request, or
//! misspelt.

/// The form of a first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineForm {
    /// It ends in a version: a request line of HTTP.
    Http,
    /// It ends in a misspelt version. It is meant as HTTP, so its last word must not count as the body of a
    /// one-line request.
    Misspelt,
    /// A one-line request: `METHOD PATH[ BODY]`.
    OneLine,
}

impl LineForm {
    /// Returns the form of a line, from its end.
    pub(super) fn of(line: &[u8]) -> LineForm {
        // Nearly all HTTP requests end so: the last word need not be searched.
        if let [
            ..,
            b' ',
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0' | b'1',
        ] = line
        {
            return LineForm::Http;
        }
        let third = line.splitn(3, |&b| b == b' ').nth(2).unwrap_or_default();
        let last = last_word(line);
        let names_version =
            |word: &[u8]| word.len() >= 5 && word[..5].eq_ignore_ascii_case(b"HTTP/");
        if names_version(third) || (names_version(last) && last.len() == b"HTTP/1.1".len()) {
            return LineForm::Http;
        }
        let trimmed = line.trim_ascii_end();
        let last = match trimmed.len() == line.len() {
            true => last,
            false => last_word(trimmed),
        };
        match is_misspelt_version(trimmed, last) {
            true => LineForm::Misspelt,
            false => LineForm::OneLine,
        }
    }
}

fn last_word(line: &[u8]) -> &[u8] {
    let words = &mut line.rsplit(|&b| b == b' ');
    words.next().unwrap_or_default()
}

/// Returns whether a line ends in a misspelt version; `last` is its last word.
fn is_misspelt_version(line: &[u8], last: &[u8]) -> bool {
    // A target in absolute form may begin with HTTP://.
    if last.starts_with(b"HTTP") && !last.windows(3).any(|part| part == b"://") {
        return true;
    }
    match without_number(line) {
        None => false,
        Some([word @ .., b'/']) if is_word(word) => true,
        Some(before_number) => ends_with_http(before_number),
    }
}

/// Returns whether a line ends with a word of letters.
fn is_word(line: &[u8]) -> bool {
    let end = line.iter().rposition(|b| !b.is_ascii_alphabetic());
    let before = end.map(|at| line[at]);
    end.map_or(0, |at| at + 1) < line.len() && before.is_none_or(|b| b.is_ascii_whitespace())
}

/// Returns the part before the number at the end of a line, such as 1 or 1.1; `None` if it ends in no number.
fn without_number(line: &[u8]) -> Option<&[u8]> {
    let is_part = |b: &u8| b.is_ascii_digit() || *b == b'.';
    let start = line.iter().rposition(|b| !is_part(b))? + 1;
    let begins = line.get(start).is_some_and(u8::is_ascii_digit);
    begins.then_some(&line[..start])
}

/// Returns whether the last word is HTTP in any case. Punctuation and spaces after it are ignored.
fn ends_with_http(line: &[u8]) -> bool {
    let is_mark = |b: &u8| b.is_ascii_whitespace() || b"/\\-_.".contains(b);
    let end = line
        .iter()
        .rposition(|b| !is_mark(b))
        .map_or(0, |at| at + 1);
    match &line[..end] {
        [before @ .., h, t, u, p] if [*h, *t, *u, *p].eq_ignore_ascii_case(b"HTTP") => {
            before.last().is_none_or(u8::is_ascii_whitespace)
        }
        _ => false,
    }
}
