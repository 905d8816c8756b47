//! Bytes to requests, requests to commands, and outcomes to bytes.

use std::hint::black_box;

use latchd::api::{
    Access, ListenerRole, Outcome, ResponseShape, Show, render_status, render_text, route,
};
use latchd::command::{Fence, Granted, Lease, Reply, StoredName};
use latchd::http::{
    Format, Limits, Media, Method, Progress, Request, Response, Scan, SiteFields, Style, Wire,
    read_head, write_response,
};
use latchd::keys::Caller;
use latchd::session::Settings;

use crate::{Measured, Step};

pub const MEASURED: &[Measured] = &[
    ("parse: bare HTTP", || {
        parse(b"POST /pool/A/lock HTTP/1.1\r\n\r\n")
    }),
    ("parse: curl", || parse(CURL)),
    ("parse: one line", || parse(b"POST /pool/A/lock\n")),
    ("route: lock", || routed(Method::Post, "/pool/A/lock")),
    ("route: lock, owner and ttl", || {
        routed(Method::Post, "/pool/A/lock?owner=greenhouse-7&ttl=90")
    }),
    ("route: release", || {
        routed(Method::Delete, "/pool/A/lock/42")
    }),
    ("route: release by POST", || {
        routed(Method::Post, "/pool/A/lock/42?_method=DELETE")
    }),
    ("encode: id", || encode(Wire::Http11, false, Show::Ids)),
    ("encode: id as JSON", || {
        encode(Wire::Http11, true, Show::Ids)
    }),
    ("encode: id in a line", || {
        encode(Wire::Line, false, Show::Ids)
    }),
    ("encode: lease as JSON", || {
        encode(Wire::Http11, true, Show::Leases)
    }),
];

pub const CURL: &[u8] = b"POST /pool/A/lock HTTP/1.1\r\n\
    Host: 127.0.0.1:8081\r\nUser-Agent: curl/8.5.0\r\nAccept: application/json\r\n\r\n";

fn parse(request: &'static [u8]) -> Step {
    let limits: Limits = Settings::default().limits;
    Box::new(move |_| {
        let read = read_head(black_box(request), Scan::default(), &limits);
        assert!(matches!(black_box(&read), Ok(Progress::Whole(_))));
    })
}

fn routed(method: Method, target: &'static str) -> Step {
    Box::new(move |_| {
        let request = Request {
            method,
            target,
            media: Media::Other,
            body: &[],
        };
        black_box(route(
            black_box(&request),
            &Access::new(ListenerRole::All, Caller::AuthDisabled),
        ));
    })
}

/// Builds a step that encodes the answer to a lock.
fn encode(wire: Wire, json: bool, show: Show) -> Step {
    let lease = Lease {
        id: StoredName::from("42"),
        fence: Fence::from_number(4711),
        ttl_s: Some(90),
        owner: Some(StoredName::from("greenhouse-7")),
        age_s: 3,
    };
    let granted = Granted {
        pool: StoredName::from("A"),
        leases: [lease].into_iter().collect(),
    };
    let outcome = Outcome::Reply(Reply::Granted(granted));
    let style = Style {
        format: if json { Format::Json } else { Format::Plain },
        names_type: json,
        ..Style::plain(wire)
    };
    let shape = ResponseShape {
        show,
        ..ResponseShape::default()
    };
    let (mut body, mut out) = (Vec::new(), Vec::new());
    Box::new(move |_| {
        body.clear();
        out.clear();
        let outcome = black_box(&outcome);
        render_text(outcome, shape, json, &mut body);
        let (status, reason, fields) = render_status(outcome);
        let answer = Response {
            status,
            reason: &reason,
            body: &body,
            fields,
        };
        let site = SiteFields {
            server: None,
            cors: Some("*"),
        };
        write_response(&mut out, style, &answer, site);
        black_box(&out);
    })
}
