//! The page for browsers: its answers, and the stories of its users in a Chromium.
//!
//! The stories are in `stories.mjs`. `tests/run` installs what they need; without it each says NOT RUN, past
//! cargo's capture.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::keys::serve;
use crate::support::{Client, Server, StoreKind, run_command};

/// The fields of a browser's request for a page.
const BROWSER: &str =
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n";

/// The head and the body of an answer.
fn get(client: &mut Client, request: &str, fields: &str) -> (Vec<String>, String) {
    client.send(format!(
        "{request} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"
    ));
    let answer = String::from_utf8(client.read_to_end()).expect("it is UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("the head ends");
    (head.split("\r\n").map(str::to_owned).collect(), body.into())
}

#[test]
fn a_browser_is_answered_with_the_page() {
    let server = Server::start(StoreKind::Memory);
    let (head, page) = get(&mut server.connect(), "GET /", BROWSER);
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
    assert!(page.ends_with("</html>\n"));
    let length = format!("Content-Length: {}", page.len());
    assert_eq!(head[..2], ["HTTP/1.1 200 OK", &length]);
    let policy = head
        .iter()
        .find_map(|line| line.strip_prefix("Content-Security-Policy: "));
    let policy: Vec<&str> = policy.expect("it has one").split("; ").collect();
    for rule in [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(&rule), "{rule} in {policy:?}");
    }
    assert!(policy.iter().all(|rule| !rule.contains("unsafe")));
    let mut rest: Vec<&String> = head[2..]
        .iter()
        .filter(|l| !l.contains("-Policy"))
        .collect();
    rest.sort();
    let expected = [
        "Cache-Control: no-store",
        "Connection: close",
        "Content-Type: text/html; charset=utf-8",
        "X-Content-Type-Options: nosniff",
    ];
    assert_eq!(rest, expected);
    assert!(head.contains(&"Referrer-Policy: no-referrer".to_owned()));
    // HEAD says the same, without it.
    let (head_alone, nothing) = get(&mut server.connect(), "HEAD /", BROWSER);
    assert_eq!((head_alone, &*nothing), (head, ""));
}

#[test]
fn a_navigation_is_answered_with_it_whatever_it_accepts() {
    let server = Server::start(StoreKind::Memory);
    for accept in ["", "Accept: */*\r\n", "Accept: text/html\r\n"] {
        let fields = format!("{accept}Sec-Fetch-Mode: navigate\r\n");
        let (head, page) = get(&mut server.connect(), "GET /", &fields);
        assert!(page.starts_with("<!doctype html>"), "{fields}");
        for field in [
            "Cache-Control: no-store",
            "Content-Type: text/html; charset=utf-8",
        ] {
            assert!(head.contains(&field.to_owned()), "{field} in {head:?}");
        }
    }
    let fields = "Accept: application/json\r\nSec-Fetch-Mode: navigate\r\n";
    let (_, body) = get(&mut server.connect(), "GET /", fields);
    assert!(body.starts_with("{\"message\""), "{body}");
}

#[test]
fn other_clients_are_not() {
    let server = Server::start(StoreKind::Memory);
    let version = concat!("latchd ", env!("CARGO_PKG_VERSION"));
    let in_json = format!(r#"{{"message":"{version}"}}"#);
    for (fields, expected) in [
        ("", version),
        ("Accept: */*\r\n", version),
        ("Accept: text/*\r\n", version),
        ("Accept: text/html\r\n", version),
        ("Accept: text/html, */*;q=0.1\r\n", version),
        (
            "Accept: text/plain, application/xhtml+xml;q=0.9\r\n",
            version,
        ),
        ("Accept: application/xhtml+xml;q=0\r\n", version),
        ("Accept: text/html\r\nSec-Fetch-Mode: cors\r\n", version),
        ("Accept: application/json\r\n", &in_json),
        ("Accept: text/html, application/json;q=0.9\r\n", &in_json),
    ] {
        let (head, body) = get(&mut server.connect(), "GET /", fields);
        assert_eq!(body, expected, "{fields}");
        let kind = head.iter().any(|line| line.starts_with("Content-Type: "));
        let stored = !head.contains(&"Cache-Control: no-store".to_owned());
        assert_eq!((kind, !stored), (!fields.is_empty(), !fields.is_empty()));
        // A browser that does not navigate gets the usual answer, and must not show it to pages of other origins.
        let isolated = fields.contains("Sec-Fetch-");
        assert_eq!(
            head.len(),
            3 + 2 * usize::from(kind) + 2 * usize::from(isolated)
        );
    }
    assert_eq!(server.connect().ask("GET /"), format!("200 {version}"));
    // Nor is there a page at other paths, or for errors.
    let browse = |request| get(&mut server.connect(), request, BROWSER).1;
    assert_eq!(browse("GET /ping"), "pong");
    assert_eq!(browse("GET /pool/A"), "no pool");
    assert_eq!(browse("GET /?x=1"), "bad parameter x");
    assert_eq!(browse("POST /"), "bad method");
}

#[test]
fn it_is_there_without_a_key_and_where_pools_are() {
    let server = serve("root secret-for-everything admin *\n", &[]);
    let (head, _) = get(&mut server.connect(), "GET /", BROWSER);
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    let (head, _) = get(&mut server.connect(), "GET /pool", BROWSER);
    assert_eq!(head[0], "HTTP/1.1 401 no key");

    let folder = tempfile::TempDir::new().expect("a folder");
    let (_process, main, admin) = crate::metrics::listeners::start(&folder, &[]);
    let (_, page) = get(&mut Client::connect(main), "GET /", BROWSER);
    assert!(page.starts_with("<!doctype html>"));
    let (_, version) = get(&mut Client::connect(admin), "GET /", BROWSER);
    assert!(version.starts_with("latchd "));
}

/// Finds the browser, and the folder with the packages of Node. `None`, and a loud line, if something is
/// missing.
fn browser(story: &str) -> Option<(PathBuf, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| {
        let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
        places.find(|program| program.is_file())
    };
    let browsers = ["chromium-headless-shell", "chromium", "google-chrome"];
    let browser = browsers.into_iter().find_map(found);
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser");
    let missing = match (&browser, found("node")) {
        (None, _) => "no Chromium is installed",
        (_, None) => "Node is not installed",
        _ if !packages.join("node_modules/playwright-core").is_dir() => "no playwright-core",
        _ => return Some((browser?, packages)),
    };
    // cargo shows no captured output of a test that passes.
    let line = format!("\nNOT RUN: the page in a browser, {story}: {missing}; see tests/run\n");
    io::stderr().write_all(line.as_bytes()).expect("it is open");
    None
}

/// Lets a story happen with a server of its own.
#[track_caller]
fn tell(story: &str, server: Server) {
    tell_from("stories.mjs", story, &server, &[]);
}

/// The same for a story with arguments beside its name.
#[track_caller]
fn tell_with(story: &str, server: Server, variables: &[(&str, &str)]) {
    tell_from("stories.mjs", story, &server, variables);
}

/// The same of a story in this file.
#[track_caller]
fn tell_from(file: &str, story: &str, server: &Server, variables: &[(&str, &str)]) {
    let Some((browser, packages)) = browser(story) else {
        return;
    };
    let mut command = Command::new("timeout");
    command
        .args(["100", "node"])
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/page")
                .join(file),
        )
        .args([story, &server.url()])
        .envs(variables.iter().copied())
        .env("LATCHD_BROWSER", browser)
        .env("LATCHD_BROWSER_PACKAGES", packages);
    let ended = run_command(command);
    assert_eq!(ended.code, Some(0), "{story}:\n{}", ended.stderr);
}

#[test]
fn it_shows_what_other_clients_do() {
    tell("follows", Server::start(StoreKind::Memory));
}

#[test]
fn it_shows_what_each_waiter_wants() {
    let server = Server::start_with(StoreKind::Memory, &["--queue-grace", "12"]);
    tell("queues", server);
}

#[test]
fn a_click_and_another_release() {
    tell("releases", Server::start(StoreKind::Memory));
}

#[test]
fn it_needs_no_mouse() {
    tell("keyboard", Server::start(StoreKind::Memory));
}

#[test]
fn names_are_text_whatever_is_in_them() {
    tell("hostile", Server::start(StoreKind::Memory));
}

#[test]
fn it_fits_and_can_be_read_in_each_size_and_theme() {
    tell("looks", Server::start(StoreKind::Memory));
}

#[test]
fn of_many_pools_some_are_shown_and_any_can_be_found() {
    tell("finds", Server::start(StoreKind::Memory));
}

#[test]
fn it_asks_for_nothing_while_it_is_hidden() {
    tell("rests", Server::start(StoreKind::Memory));
}

#[test]
fn it_says_that_the_server_is_away_and_comes_back() {
    tell("away", Server::start(StoreKind::Memory));
}

#[test]
fn no_markup_and_no_other_script_can_get_in() {
    tell("policy", Server::start(StoreKind::Memory));
}

/// Names that hide a part, or look like another, and their form on the page.
const ILLEGIBLE_NAMES: [(&str, &str); 9] = [
    ("fill\u{3164}er", "fill\\u{3164}er"),
    ("half\u{ffa0}", "half\\u{ffa0}"),
    ("jamo\u{115f}\u{1160}", "jamo\\u{115f}\\u{1160}"),
    ("tag\u{e0041}\u{e007f}", "tag\\u{e0041}\\u{e007f}"),
    ("join\u{34f}\u{200d}er", "join\\u{34f}\\u{200d}er"),
    ("a\u{a0}b", "a\\u{a0}b"),
    ("blank\u{2800}\u{3000}", "blank\\u{2800}\\u{3000}"),
    ("vary\u{fe0f}\u{e0100}", "vary\\u{fe0f}\\u{e0100}"),
    // Letters of any script are as they are, however much they look like others.
    (
        "\u{430} \u{e9}\u{d55c}\u{1f512}",
        "\u{430} \u{e9}\u{d55c}\u{1f512}",
    ),
];

#[test]
fn what_hides_in_a_name_is_seen_in_the_page_and_by_latch() {
    let server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    for (name, _) in ILLEGIBLE_NAMES {
        let seeded = client.ask(&format!(r#"POST /pool {{"{name}":["1"]}}"#));
        assert_eq!(seeded, format!(r#"200 {{"{name}":["1"]}}"#));
    }
    let shown = ILLEGIBLE_NAMES.map(|(_, shown)| shown);
    let table = crate::latch::support::printed(&server, &["ls"]);
    let mut listed: Vec<&str> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split("  ").next())
        .collect();
    listed.sort_unstable();
    let mut expected = shown;
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let names = serde_json::to_string(&shown).expect("it can be written");
    tell_with("escapes", server, &[("LATCHD_NAMES", &names)]);
}

#[test]
fn it_asks_for_a_key_where_there_are_keys() {
    let keys = "root secret-for-everything admin *\nci secret-for-using-A use A\n\
                viewer secret-for-looking read *\n";
    tell("keys", serve(keys, &[]));
}

#[test]
fn pages_of_other_sites_change_nothing() {
    tell_from(
        "strangers.mjs",
        "changes",
        &Server::start(StoreKind::Memory),
        &[],
    );
}

#[test]
fn a_site_whose_name_turns_to_the_server_gets_nothing() {
    tell_from(
        "strangers.mjs",
        "rebinds",
        &Server::start(StoreKind::Memory),
        &[],
    );
}

#[test]
fn a_browser_may_use_a_name_that_was_given() {
    let server = Server::start_with(StoreKind::Memory, &["--host", "locks.example"]);
    tell_from("strangers.mjs", "named", &server, &[]);
}
