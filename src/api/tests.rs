//! The metric label of each request, and the refusals of the contract.

use super::*;
use crate::contract::{REFUSALS, ROUTES, RefusalRow};

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

/// The fast match of paths finds each pattern of the contract, and its methods are those of the row.
#[test]
fn each_path_is_found_as_the_table_has_it() {
    for row in &ROUTES {
        let path = row.pattern.replace("{pool}", "A").replace("{id}", "4");
        let (endpoint, is_old_name) = Endpoint::find(&path).expect("it is found");
        assert_eq!(
            (endpoint.route(), is_old_name),
            (row.route, false),
            "{path}"
        );
        let plain = Endpoint::find_plain_lock(&path).map(|endpoint| endpoint.route());
        let is_lock = matches!(row.route, Route::Locks | Route::Lock);
        assert_eq!(plain, is_lock.then_some(row.route), "{path}");
        let escaped = row.pattern.replace("{pool}", "%41").replace("{id}", "%34");
        let (endpoint, _) = Endpoint::find(&escaped).expect("it is found");
        assert_eq!(endpoint.route(), row.route, "{escaped}");

        for (name, method) in [
            ("GET", Method::Get),
            ("HEAD", Method::Head),
            ("POST", Method::Post),
            ("PUT", Method::Put),
            ("DELETE", Method::Delete),
            ("OTHER", Method::Other),
        ] {
            let body = match (row.route, method) {
                (Route::Pools, _) => "{}",
                (Route::Pool, _) => "[]",
                _ => "",
            };
            let request = Request {
                method,
                target: &path,
                media: Media::Other,
                body: body.as_bytes(),
            };
            let access = Access::new(ListenerRole::All, Caller::AuthDisabled);
            let is_there = !matches!(
                route(&request, &access),
                RequestAction::Respond(Outcome::Problem(Problem::BadMethod(_)), _)
            );
            assert_eq!(is_there, row.operation(method).is_some(), "{name} {path}");
            assert!(
                name == "OTHER" || is_there == row.route.allow().contains(name),
                "{name} {path}"
            );
        }
    }
    assert_eq!(Route::None.row().map(|row| row.pattern), None);
}

/// Each parameter of the table is taken by its request: none is known only to the message about others.
#[test]
fn each_parameter_is_taken_as_the_table_has_it() {
    for row in &ROUTES {
        let path = row.pattern.replace("{pool}", "A").replace("{id}", "4");
        for (name, operation) in row.operations() {
            let method = Method::parse(name.as_bytes());
            for parameter in operation.parameters {
                // `owner` is what a renewal of all needs.
                let required = match (method, row.route) {
                    (Method::Put, Route::Locks) if parameter.name != "owner" => "owner=o&",
                    _ => "",
                };
                // No value of any kind has a control character.
                for (value, is_right) in [("1", true), ("%00", false)] {
                    let target = format!("{path}?{required}{}={value}", parameter.name);
                    let request = Request {
                        method,
                        target: &target,
                        media: Media::Other,
                        body: b"",
                    };
                    let access = Access::new(ListenerRole::All, Caller::AuthDisabled);
                    match route(&request, &access) {
                        RequestAction::Submit(..) => assert!(is_right, "{name} {target}"),
                        RequestAction::Respond(Outcome::Problem(problem), _) => {
                            assert!(
                                matches!(problem, Problem::BadValue(of, _) if of == parameter.name),
                                "{target}"
                            );
                            assert!(!is_right, "{name} {target}");
                        }
                        action => panic!("{name} {target}: {action:?}"),
                    }
                }
            }
        }
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
    let http = [
        Http::BadRequest,
        Http::MisspeltVersion,
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
        Problem::BadMethod(Route::Root),
        Problem::unknown_parameter("NAME", &[]),
        Problem::unknown_parameter("\n", &[]),
        Problem::BadValue("NAME", "a number".into()),
        Problem::Stopping,
        Problem::NoMemory,
        Problem::NoMethodOverride(MethodOverride::Off),
        Problem::NoMethodOverride(MethodOverride::NotOfPage),
    ];
    problems.extend(bodies.map(Problem::Body));
    problems.extend([1, 2].map(|count| Problem::Refused(Refusal::OnlyResources(count))));
    let stores = REFUSALS.iter().filter_map(|row| row.store);
    problems.extend(stores.map(|store| match store.refusal {
        Refusal::OwnerHolds(_) => Problem::Refused(Refusal::OwnerHolds(2)),
        Refusal::OnlyResources(_) => Problem::Refused(Refusal::OnlyResources(2)),
        refusal => Problem::Refused(refusal),
    }));
    problems.extend(http.map(Problem::Http));
    problems
}

/// Returns the words of a row as the contract's page writes them: a number is N, the name of a parameter NAME.
fn documented_words(row: &RefusalRow) -> Vec<String> {
    let parts: &[&str] = match row.field {
        Some("resources") => &["N resources", "1 resource"],
        Some("holds") => &["N"],
        _ => &["NAME"],
    };
    let mut words: Vec<String> = parts
        .iter()
        .map(|part| row.words.replace("{}", part))
        .collect();
    words.dedup();
    words
}

/// The contract's page names each refusal, with its status and its form in JSON, and no other.
#[test]
fn the_table_of_refusals_has_every_one() {
    let contract = include_str!("../../docs/http-api.md");
    let (_, below) = contract.split_once("\n## Refusals\n").expect("a heading");
    let lines = below.lines().take_while(|line| !line.starts_with("## "));
    let rows = lines.filter(|line| line.starts_with("| ") && line.contains('`'));
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    let mut told: Vec<Vec<String>> = rows.map(cells).collect();
    told.iter_mut().for_each(|row| drop(row.drain(4..)));
    let mut there_are = Vec::new();
    for row in &REFUSALS {
        let in_json = match row.field {
            Some(field) => format!("`{}`, `{field}`", row.code),
            None if row.code == row.words => String::new(),
            None => format!("`{}`", row.code),
        };
        for words in documented_words(row) {
            let (status, words) = (row.status.to_string(), format!("`{words}`"));
            there_are.push(vec![String::new(), status, words, in_json.clone()]);
        }
    }
    for list in [&mut told, &mut there_are] {
        list.sort_unstable();
        list.dedup();
    }
    assert_eq!(told, there_are);
}

/// Each row is that of a problem, which fills in all that varies.
#[test]
fn each_row_is_that_of_a_problem() {
    let problems = problems();
    for row in &REFUSALS {
        let of_row: Vec<&Problem> = problems
            .iter()
            .filter(|problem| problem.row().id == row.id)
            .collect();
        assert!(!of_row.is_empty(), "{row:?}");
        for problem in of_row {
            let (words, message) = (problem.reason(), problem.message());
            assert!(
                documented_words(row).contains(&words.replace('2', "N").replace("_method", "NAME")),
                "{words}"
            );
            assert!(!message.contains("{}") && !message.is_empty(), "{message}");
            assert_eq!(problem.detail().is_some(), row.field.is_some(), "{words}");
        }
    }
}
