//! The labels that each request is counted under.

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
