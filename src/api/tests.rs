//! The metric label of each request, and the refusals of the contract.

use super::*;

#[test]
fn each_request_is_counted_by_its_path_and_what_it_means() {
    use Method::{Delete, Get, Head, Options, Post, Put};
    for (method, target, body, expected) in [
        (Get, "/", "", (Route::Root, Get)),
        (Head, "/ping", "", (Route::Ping, Head)),
        (Get, "/health", "", (Route::Health, Get)),
        (Get, "/ready", "", (Route::Ready, Get)),
        (Get, "/metrics", "", (Route::Metrics, Get)),
        (Get, "/openapi.json", "", (Route::Description, Get)),
        (Get, "/dump", "", (Route::Dump, Get)),
        (Post, "/dump", "", (Route::Dump, Post)),
        (Get, "/pool", "", (Route::Pools, Get)),
        (Post, "/pool", "{\"A\":[]}", (Route::Pools, Post)),
        (Put, "/pool", "{}", (Route::Pools, Put)),
        (Get, "/pool/A", "", (Route::Pool, Get)),
        (Post, "/pool/A", "1", (Route::Pool, Post)),
        (Put, "/pool/A", "1", (Route::Pool, Put)),
        (Delete, "/pool/A", "", (Route::Pool, Delete)),
        (Head, "/pool/A/lock", "", (Route::Locks, Head)),
        (Post, "/pool/A/lock?wait=1", "", (Route::Locks, Post)),
        (Put, "/pool/A/lock?owner=o", "", (Route::Locks, Put)),
        (Delete, "/pool/A/lock", "", (Route::Locks, Delete)),
        (Get, "/pool/A/lock/4", "", (Route::Lock, Get)),
        (Post, "/pool/A/lock/4", "", (Route::Lock, Post)),
        (Put, "/pool/A/lock/4", "", (Route::Lock, Put)),
        (Delete, "/pool/A/lock/4", "", (Route::Lock, Delete)),
        (Get, "/pool/A/queue", "", (Route::Queue, Get)),
        (Head, "/pool/A/queue?x", "", (Route::Queue, Head)),
        (Post, "/pool/A/queue", "", (Route::Queue, Post)),
        (Get, "/pool/A/queue/1", "", (Route::None, Get)),
        (
            Post,
            "/pool/A/lock/4?_method=DELETE",
            "",
            (Route::Lock, Delete),
        ),
        (
            Post,
            "/pool/A/lock/4?_method=PUT&x",
            "",
            (Route::Lock, Post),
        ),
        (Get, "/pool/A/lock?x", "", (Route::Locks, Get)),
        (Options, "/pool/A", "", (Route::Pool, Options)),
        (Delete, "/pool", "", (Route::Pools, Delete)),
        (Post, "/pool/A", "", (Route::Pool, Post)),
        (Get, "/pool/", "", (Route::None, Get)),
        (Get, "/favicon.ico", "", (Route::None, Get)),
    ] {
        let body = body.as_bytes();
        let request = Request {
            method,
            target,
            media: Media::Other,
            body,
        };
        let access = Access::new(ListenerRole::All, Caller::AuthDisabled);
        let (RequestAction::Submit(_, _, label)
        | RequestAction::Probe(label)
        | RequestAction::Scrape(label)
        | RequestAction::Respond(_, label)) = route(&request, &access);
        let counted = (label.route, label.method);
        assert_eq!(counted, expected, "{method:?} {target}");
    }
}

/// One of each kind, with 2 and NAME where the words have a number or a name in them.
fn problems() -> Vec<Problem> {
    use crate::http::{HttpError as Http, TargetError as Target};
    let bodies = [
        BodyError::Empty,
        BodyError::Utf8,
        BodyError::Json("expected value".into(), "an id"),
        BodyError::Id(NameError::DotSegment),
        BodyError::Id(NameError::Empty),
        BodyError::Quote,
        BodyError::Scalar,
        BodyError::Multipart,
        BodyError::Parameters,
        BodyError::Dump(DumpError::CutOff),
    ];
    let refusals = [
        Refusal::NoPool,
        Refusal::NoResource,
        Refusal::NotHeld,
        Refusal::Busy,
        Refusal::NotYours,
        Refusal::Stale,
        Refusal::OwnerHolds(2),
        Refusal::NotEmpty,
        Refusal::QueueFull,
        Refusal::TooManyPools,
        Refusal::TooManyResources,
        Refusal::OnlyResources(1),
        Refusal::OnlyResources(2),
        Refusal::StoreDown,
    ];
    let http = [
        Http::BadRequest,
        Http::SeveralHosts,
        Http::BadHeader,
        Http::BadLength,
        Http::BadChunk,
        Http::BadVersion,
        Http::BadEncoding,
        Http::BodyTooLarge,
        Http::PathTooLong,
        Http::HeadersTooLarge,
    ];
    let mut problems = vec![
        Problem::Target(Target::Escape),
        Problem::Target(Target::Utf8),
        Problem::Target(Target::EmptySegment),
        Problem::Name(NameError::Empty),
        Problem::NoKey,
        Problem::WrongKey,
        Problem::TooManyWrongKeys,
        Problem::NotAllowed(crate::keys::Role::Use),
        Problem::Browser(BrowserProblem::OtherOrigin),
        Problem::Browser(BrowserProblem::UnknownHost),
        Problem::NoRoute,
        Problem::BadMethod(OPEN_METHODS),
        Problem::unknown_parameter("NAME", "none"),
        Problem::unknown_parameter("\n", "none"),
        Problem::BadValue("NAME", "a number".into()),
        Problem::Stopping,
        Problem::NoMemory,
    ];
    problems.extend(bodies.map(Problem::Body));
    problems.extend(refusals.map(Problem::Refused));
    problems.extend(http.map(Problem::Http));
    problems
}

/// The string literals in the functions of this name of a source.
fn literals_of(source: &str, function: &str) -> Vec<String> {
    let start = format!("fn {function}(");
    let bodies = source.split(&start).skip(1);
    let bodies = bodies.map(|rest| rest.split("\n    }").next().expect("it ends"));
    bodies
        .flat_map(|body| body.split('"').skip(1).step_by(2).map(str::to_owned))
        .collect()
}

/// The contract names each refusal, with its status and its form in JSON, and no other.
#[test]
fn the_table_of_refusals_has_every_one() {
    let contract = include_str!("../../docs/http-api.md");
    let (_, below) = contract.split_once("\n## Refusals\n").expect("a heading");
    let lines = below.lines().take_while(|line| !line.starts_with("## "));
    let rows = lines.filter(|line| line.starts_with("| ") && line.contains('`'));
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    let mut told: Vec<Vec<String>> = rows.map(cells).collect();
    told.iter_mut().for_each(|row| drop(row.drain(4..)));
    let row = |problem: &Problem| {
        let (words, code) = (problem.reason(), problem.code());
        let in_json = match problem.detail() {
            Some((name, _)) => format!("`{code}`, `{name}`"),
            None if code == words => String::new(),
            None => format!("`{code}`"),
        };
        let words = words.replace('2', "N");
        let status = problem.status().to_string();
        vec![String::new(), status, format!("`{words}`"), in_json]
    };
    let mut there_are: Vec<Vec<String>> = problems().iter().map(row).collect();
    for list in [&mut told, &mut there_are] {
        list.sort_unstable();
        list.dedup();
    }
    assert_eq!(told, there_are);

    // And `problems` has all that there are.
    for source in [include_str!("problem.rs"), include_str!("body/mod.rs")] {
        let words = literals_of(source, "reason");
        assert!(words.len() > 5, "they are found: {words:?}");
        for words in words {
            let words = words.replace("_method", "NAME");
            let start = words.split('{').next().expect("a part");
            let is_told = |row: &Vec<String>| row[2].starts_with(&format!("`{start}"));
            assert!(told.iter().any(is_told), "not in the contract: {words}");
        }
    }
}
