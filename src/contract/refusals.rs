//! The table of refusals: every answer of the server other than 200.

use super::{Cause, Refusal, RefusalId};

impl RefusalId {
    /// Returns its row in the table.
    #[inline]
    pub fn row(self) -> &'static RefusalRow {
        &REFUSALS[self as usize]
    }
}

impl Refusal {
    /// Reads a refusal as the scripts in Redis write it: the wire words of its row, and a number if its words have one.
    pub fn from_wire(text: &str) -> Option<Refusal> {
        let mut rows = REFUSALS[..STORE_REFUSALS].iter();
        rows.find_map(|row| {
            let store = row.store?;
            let rest = text.strip_prefix(store.wire)?;
            match store.refusal {
                Refusal::OwnerHolds(_) => Some(Refusal::OwnerHolds(read_count(rest)?)),
                Refusal::OnlyResources(_) => Some(Refusal::OnlyResources(read_count(rest)?)),
                refusal => rest.is_empty().then_some(refusal),
            }
        })
    }
}

fn read_count(text: &str) -> Option<usize> {
    text.strip_prefix(' ')?.parse().ok()
}

/// All that is known of a refusal.
#[derive(Clone, Copy, Debug)]
pub struct RefusalRow {
    /// The id, which is also its place in the table.
    pub id: RefusalId,
    /// The status code.
    pub status: u16,
    /// The reason phrase, which is also the plain body. `{}` stands for the part that varies.
    pub words: &'static str,
    /// The code in JSON, which never varies.
    pub code: &'static str,
    /// The field of JSON that has the part of the words that varies.
    pub field: Option<&'static str>,
    /// A sentence that says what is wrong and what is right; each `{}` varies.
    pub message: &'static str,
    /// The part that stores and metrics know. `None` if no store refuses so.
    pub store: Option<StoreRefusal>,
    /// The exit code of `latch`.
    pub cause: Cause,
}

/// The part of a refusal that stores and metrics know.
#[derive(Clone, Copy, Debug)]
pub struct StoreRefusal {
    /// The refusal, with 0 for a number.
    pub refusal: Refusal,
    /// The words of the scripts in Redis, before the number if there is one.
    pub wire: &'static str,
    /// The label that it is counted under in the metrics.
    pub label: &'static str,
}

/// The number of refusals that stores have; these are the first rows.
pub const STORE_REFUSALS: usize = 13;

/// Every refusal.
#[rustfmt::skip] // A row is one line, and its message another.
pub static REFUSALS: [RefusalRow; RefusalId::Stopping as usize + 1] = {
    use RefusalId as Id;
    [
        of_store(Refusal::Busy, 409, "busy",
            "every matching resource is held; try again later, or wait with wait=S").causing(Cause::Busy),
        of_store(Refusal::NoPool, 404, "no pool",
            "there is no pool of this name; POST /pool makes one").causing(Cause::NotFound),
        of_store(Refusal::NoResource, 404, "no resource",
            "the pool has no such resource").causing(Cause::NotFound),
        of_store(Refusal::NotEmpty, 409, "not empty",
            "there are pools already; a dump goes into an empty store").causing(Cause::Failed),
        of_store(Refusal::NotHeld, 404, "not held",
            "this resource is not held").causing(Cause::NotFound),
        of_store(Refusal::NotYours, 409, "not yours",
            "the lock has another owner; expected that owner, or force"),
        of_store(Refusal::OwnerHolds(0), 409, "owner holds {}",
            "this owner holds {} here, and not what this request asks for")
            .with_count("owner_holds", "holds", "owner holds", "owner holds"),
        of_store(Refusal::OnlyResources(0), 422, "only {}",
            "the pool has {}, and can never lend more")
            .with_count("too_few", "resources", "only", "only resources"),
        of_store(Refusal::QueueFull, 503, "queue full",
            "the queue is full, here or for this address; try again later").causing(Cause::Busy),
        of_store(Refusal::Stale, 409, "stale",
            "the lock has another fence: it was lent again since"),
        of_store(Refusal::StoreDown, 503, "store down",
            "the store cannot be written; the server tries again by itself"),
        of_store(Refusal::TooManyPools, 503, "too many pools",
            "the limit on pools is reached (--max-pools)"),
        of_store(Refusal::TooManyResources, 503, "too many resources",
            "the limit on resources is reached (--max-resources, --max-pool-resources)"),

        before_store(Id::BadRequest, 400, "bad request",
            "malformed request line; expected METHOD /PATH HTTP/1.1"),
        before_store(Id::MisspeltVersion, 400, "bad request",
            "the request line ends in a misspelt version; expected METHOD /PATH HTTP/1.1. \
             An id that looks like a version goes into JSON: [\"rack/2\"]"),
        before_store(Id::SeveralHosts, 400, "bad host",
            "several Host fields; expected one"),
        before_store(Id::BadHeader, 400, "bad header",
            "malformed header field; expected NAME: VALUE"),
        before_store(Id::BadLength, 400, "bad length",
            "the length of the body is ambiguous; expected one Content-Length, or chunked"),
        before_store(Id::BadChunk, 400, "bad chunk",
            "malformed chunk of the body; see RFC 9112 section 7.1"),
        before_store(Id::BadPath, 400, "bad path",
            "a part of the path between slashes is empty"),
        before_store(Id::BadEscape, 400, "bad escape",
            "a per cent sign must be followed by two hexadecimal digits"),
        before_store(Id::BadUtf8, 400, "bad UTF-8",
            "escaped bytes must be UTF-8"),
        before_store(Id::BadName, 400, "bad name", "{}"),
        before_store(Id::BadId, 400, "bad id", "{}"),
        before_store(Id::QuotedId, 400, "bad id: quotes",
            "a line begins or ends with a quote character, as a shell may leave it; \
             an id that has one goes into JSON"),
        before_store(Id::BadJson, 400, "bad JSON", "{}; wanted: {}"),
        before_store(Id::EmptyBody, 400, "bad body: empty",
            "a body is needed; a pool without resources is []"),
        before_store(Id::BodyNotUtf8, 400, "bad body: not UTF-8",
            "the body must be UTF-8"),
        before_store(Id::BodyNotIds, 400, "bad body: not ids",
            "null, true or false is no list of ids; an id of this name goes into JSON: [\"true\"]"),
        before_store(Id::Multipart, 400, "bad body: multipart",
            "the body is a form of several parts; send it as it is: curl -T FILE"),
        before_store(Id::BodyOfParameters, 400, "bad body: use the query",
            "parameters go into the query: /lock?n=2"),
        before_store(Id::BadDump, 400, "bad dump", "{}"),
        before_store(Id::UnknownParameter, 400, "bad parameter {}",
            "parameter {} is not known here; known: {}").with_name("bad parameter"),
        before_store(Id::UnnamedParameter, 400, "bad parameter",
            "parameter {} is not known here; known: {}"),
        before_store(Id::MethodOverrideOff, 400, "bad parameter {}",
            "_method is off here (--no-method-override); send the method itself").with_name("bad parameter"),
        before_store(Id::MethodOverrideOfPage, 400, "bad parameter {}",
            "a page may not use _method; send the method itself").with_name("bad parameter"),
        before_store(Id::BadValue, 400, "bad value of {}",
            "parameter {} has a bad value; expected {}, once").with_name("bad value"),

        before_store(Id::NoKey, 401, "no key",
            "a key is needed: Authorization: Bearer SECRET, or Basic with the secret as password"),
        before_store(Id::WrongKey, 401, "wrong key",
            "the server knows no such key; expected Authorization: Bearer SECRET, or Basic with \
             the name of the key or nothing as user, and the secret as password"),
        before_store(Id::TooManyWrongKeys, 401, "too many wrong keys",
            "too many wrong keys have come from this address (--max-wrong-keys), and this one has not \
             worked from there within a day; try again in a minute"),
        before_store(Id::NotAllowed, 403, "not allowed",
            "the key must have the role {} in this pool"),
        before_store(Id::OtherOrigin, 403, "other origin",
            "pages of this origin may change nothing here; --cors ORIGIN allows an origin"),
        before_store(Id::UnknownHost, 403, "unknown host",
            "browsers may not use the server by this name; --host NAME allows a name"),

        before_store(Id::NoRoute, 404, "no route",
            "there is nothing at this path; see /pool"),
        before_store(Id::BadMethod, 405, "bad method", "this path takes {}"),
        before_store(Id::BodyTooLarge, 413, "body too large",
            "the body is longer than --max-body allows"),
        before_store(Id::PathTooLong, 414, "path too long",
            "the request line is longer than 8 KiB"),
        before_store(Id::HeadersTooLarge, 431, "headers too large",
            "the header block is longer than 8 KiB or has over 64 fields"),
        before_store(Id::BadEncoding, 501, "bad encoding",
            "unknown transfer coding; expected chunked"),
        before_store(Id::BadVersion, 505, "bad version",
            "unknown version; expected HTTP/1.1 or HTTP/1.0"),
        before_store(Id::NoMemory, 503, "no memory",
            "the buffers of the server are full (--max-buffers); try again later"),
        before_store(Id::Stopping, 503, "stopping",
            "the server stops; try again later"),
    ]
};

impl RefusalRow {
    const fn causing(self, cause: Cause) -> RefusalRow {
        RefusalRow { cause, ..self }
    }

    /// Adds the code and the field of words with the name of a parameter in them.
    const fn with_name(self, code: &'static str) -> RefusalRow {
        let field = Some("parameter");
        RefusalRow {
            code,
            field,
            ..self
        }
    }

    /// Adds the code and the field of words with a number in them, and the words of Redis and of the metrics.
    const fn with_count(
        self,
        code: &'static str,
        field: &'static str,
        wire: &'static str,
        label: &'static str,
    ) -> RefusalRow {
        let Some(StoreRefusal { refusal, .. }) = self.store else {
            panic!("only a store counts");
        };
        RefusalRow {
            code,
            field: Some(field),
            store: Some(StoreRefusal {
                refusal,
                wire,
                label,
            }),
            ..self
        }
    }
}

/// Returns the row of a refusal before the store, such as that of a malformed request.
const fn before_store(
    id: RefusalId,
    status: u16,
    words: &'static str,
    message: &'static str,
) -> RefusalRow {
    RefusalRow {
        id,
        status,
        words,
        code: words,
        field: None,
        message,
        store: None,
        cause: Cause::of_status(status),
    }
}

/// Returns the row of a refusal by a store. Redis and the metrics have its words, too.
const fn of_store(
    refusal: Refusal,
    status: u16,
    words: &'static str,
    message: &'static str,
) -> RefusalRow {
    RefusalRow {
        store: Some(StoreRefusal {
            refusal,
            wire: words,
            label: words,
        }),
        ..before_store(refusal.id(), status, words, message)
    }
}

/// Each row stands at its place, and those of a store come first: with them `row` and `from_wire` find it.
const _: () = {
    let mut place = 0;
    while place < REFUSALS.len() {
        assert!(REFUSALS[place].id as usize == place);
        assert!(REFUSALS[place].store.is_some() == (place < STORE_REFUSALS));
        place += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_read_from_its_wire_words_alone() {
        for row in &REFUSALS[..STORE_REFUSALS] {
            let store = row.store.expect("a store refuses so");
            let (text, other) = match store.refusal.count() {
                None => (store.wire.to_owned(), format!("{} 0", store.wire)),
                Some(_) => (format!("{} 0", store.wire), store.wire.to_owned()),
            };
            assert_eq!(Refusal::from_wire(&text), Some(store.refusal), "{text}");
            assert_eq!(Refusal::from_wire(&other), None, "{other}");
        }
        for text in [
            "", "tired", "only x", "only -1", "only3", "no pools", "Busy",
        ] {
            assert_eq!(Refusal::from_wire(text), None, "{text}");
        }
    }
}
