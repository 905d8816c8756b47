//! The first difference of what two sides answer, in a line that a person reads.

use latchd::command::{Lease, Reply, Ticket};

/// Returns what is the first to differ: `ttl_s: Some(5), model Some(1), in the grant of A/2`. `other` names the
/// side that `expected` comes from. Returns `None` if nothing differs.
pub fn first(
    answers: &[(Ticket, Reply)],
    other: &str,
    expected: &[(Ticket, Reply)],
) -> Option<String> {
    let count = answers.len().max(expected.len());
    let at = (0..count).find(|&at| answers.get(at) != expected.get(at))?;
    Some(match (answers.get(at), expected.get(at)) {
        (Some((ticket, reply)), Some((same, wanted))) if ticket == same => {
            of_replies(*ticket, reply, other, wanted)
        }
        (one, another) => {
            let text = |answer: Option<&(Ticket, Reply)>| match answer {
                Some((ticket, reply)) => format!("{reply:?} to request {}", ticket.serial()),
                None => "no answer".into(),
            };
            format!("{}, {other} {}", text(one), text(another))
        }
    })
}

fn of_replies(ticket: Ticket, reply: &Reply, other: &str, wanted: &Reply) -> String {
    let leases = match (reply, wanted) {
        (Reply::Granted(one), Reply::Granted(another)) if one.pool == another.pool => {
            let place = format!("the grant of {}/", one.pool);
            of_leases(&one.leases, &another.leases, &place)
        }
        (Reply::Leases(one), Reply::Leases(another)) => {
            of_leases(one, another, "the list of locks, for ")
        }
        _ => None,
    };
    let (one, another, place) = leases.unwrap_or_else(|| {
        let place = format!("the answer to request {}", ticket.serial());
        (format!("{reply:?}"), format!("{wanted:?}"), place)
    });
    let (field, another) = of_texts(&one, &another);
    format!("{field}, {other} {another}, in {place}")
}

/// The first lease that differs, on both sides, and its place. `None` if one side has more of them.
fn of_leases(one: &[Lease], another: &[Lease], place: &str) -> Option<(String, String, String)> {
    let mut pairs = one.iter().zip(another);
    let (first, second) = pairs.find(|(first, second)| first != second)?;
    Some((
        format!("{first:?}"),
        format!("{second:?}"),
        format!("{place}{}", first.id),
    ))
}

/// The first field that differs between two texts of `Debug`: with its name on one side, and without it on the other.
fn of_texts<'a>(one: &'a str, another: &'a str) -> (&'a str, &'a str) {
    let mut pairs = one.bytes().zip(another.bytes());
    let same = pairs
        .position(|(first, second)| first != second)
        .unwrap_or_default();
    // Both are ASCII: the names of a simulation are.
    let before = &one[..same];
    let starts = [", ", "{ "].map(|mark| before.rfind(mark).map_or(0, |at| at + mark.len()));
    let start = starts.into_iter().max().unwrap_or_default();
    let name = before[start..].find(": ").map_or(0, |at| at + 2);
    (value(&one[start..]), value(&another[start + name..]))
}

/// A text up to the end of the value that it begins with.
fn value(text: &str) -> &str {
    let mut depth = 0;
    let end = text.find(|c| {
        depth += i32::from(matches!(c, '(' | '[' | '{'));
        depth -= i32::from(matches!(c, ')' | ']' | '}'));
        depth < 0 || depth == 0 && c == ','
    });
    text[..end.unwrap_or(text.len())].trim_end()
}

#[test]
fn a_line_says_what_differs_and_where() {
    use latchd::command::{Fence, Granted, Refusal, StoredName};
    let grant = |ttl_s| {
        let lease = |id, ttl_s| Lease {
            id: StoredName::from(id),
            fence: Fence::from_number(7),
            ttl_s,
            owner: None,
            age_s: 0,
        };
        let leases = [lease("1", None), lease("2", ttl_s)].into_iter().collect();
        Reply::Granted(Granted {
            pool: StoredName::from("A"),
            leases,
        })
    };
    let told = |serial, reply| vec![(Ticket::new(serial, 0), reply)];
    let line = |one: &[_], another: &[_]| first(one, "model", another);
    let (one, busy) = (told(3, grant(Some(5))), Reply::Refused(Refusal::Busy));
    assert_eq!(line(&one, &one), None);
    assert_eq!(
        line(&one, &told(3, grant(Some(1)))).as_deref(),
        Some("ttl_s: Some(5), model Some(1), in the grant of A/2")
    );
    assert_eq!(
        line(&told(3, Reply::Done), &told(3, busy.clone())).as_deref(),
        Some("Done, model Refused(Busy), in the answer to request 3")
    );
    assert_eq!(
        line(&[], &told(4, busy)).as_deref(),
        Some("no answer, model Refused(Busy) to request 4")
    );
}
