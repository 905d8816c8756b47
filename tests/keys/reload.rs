//! SIGHUP: the file of keys is read again, and a bad one changes nothing.

use super::{WRONG_KEY, bearer, serve, set_mode, write_keys};
use crate::support::Server;

const OLD: &str = "root 0123456789abcdef-old admin *\n";
const NEW: &str = "root 0123456789abcdef-new admin *\nci 0123456789abcdef-ci use *\n";

#[track_caller]
fn assert_known(server: &Server, secret: &str, known: bool) {
    let answer = server.connect().ask(&format!("key={secret} GET /pool"));
    assert_eq!(answer.starts_with("200"), known, "{secret}: {answer}");
}

#[test]
fn the_keys_are_read_again_on_sighup() {
    let mut server = serve(OLD, &[]);
    assert_known(&server, "0123456789abcdef-old", true);
    // A connection that stays open is judged by the new ones, too.
    let mut client = server.connect();
    assert_eq!(
        client.ask("key=0123456789abcdef-old POST /pool/A 1"),
        r#"200 ["1"]"#
    );
    write_keys(server.folder.path(), NEW);
    assert_known(&server, "0123456789abcdef-old", true);
    server.signal("HUP");
    let line = server.wait_for_log("keys again");
    assert!(
        line.contains("INFO") && line.ends_with("read 2 keys again from keys"),
        "{line}"
    );
    for (secret, known) in [
        ("0123456789abcdef-old", false),
        ("0123456789abcdef-new", true),
        ("0123456789abcdef-ci", true),
    ] {
        assert_known(&server, secret, known);
    }
    assert_eq!(
        client.ask("key=0123456789abcdef-old GET /pool/A"),
        "401 wrong key"
    );
    assert_eq!(client.ask("key=0123456789abcdef-new GET /pool/A"), "200 1");
}

#[test]
fn a_bad_file_keeps_the_keys_as_they_were() {
    let mut server = serve(OLD, &[]);
    let file = server.folder.path().join("keys");
    let too_open = "others can read or write it (its mode is 0644); chmod 600 keys";
    let refuse = |server: &mut Server, why: &str| {
        server.signal("HUP");
        let line = server.wait_for_log("the keys stay as they were");
        assert!(line.contains("ERROR"), "{line}");
        let told = format!("--keys keys: {why}; the keys stay as they were");
        assert!(line.ends_with(&told), "{line}");
        assert_known(server, "0123456789abcdef-old", true);
        assert_known(server, "0123456789abcdef-new", false);
    };
    write_keys(
        server.folder.path(),
        format!("{NEW}x hidden-secret nothing *\n"),
    );
    refuse(&mut server, "line 3: the role must be read, use or admin");
    write_keys(server.folder.path(), "");
    refuse(
        &mut server,
        "there is no key in it; wanted NAME SECRET ROLE POOLS",
    );
    write_keys(server.folder.path(), NEW);
    set_mode(&file, 0o644);
    refuse(&mut server, too_open);
    std::fs::remove_file(&file).expect("it is ours");
    refuse(&mut server, "No such file or directory (os error 2)");
    // The mistake is corrected.
    write_keys(server.folder.path(), NEW);
    server.signal("HUP");
    server.wait_for_log("read 2 keys again");
    assert_known(&server, "0123456789abcdef-old", false);
    assert_known(&server, "0123456789abcdef-new", true);
}

#[test]
fn a_short_secret_is_warned_of_again() {
    let mut server = serve(OLD, &[]);
    write_keys(server.folder.path(), "root short admin *\n");
    server.signal("HUP");
    let line = server.wait_for_log("the secret in line 1 of --keys is short");
    assert!(line.contains("WARN"), "{line}");
    server.wait_for_log("read 1 keys again");
    assert_known(&server, "short", true);
}

/// Clients change to the new secret one by one, and no request is refused meanwhile.
#[test]
fn a_secret_is_rotated_without_a_gap() {
    let mut server = serve(OLD, &[]);
    let both = format!("{OLD}root 0123456789abcdef-new admin *\n");
    let new = "root 0123456789abcdef-new admin *\n";
    for (keys, old_is_known, new_is_known) in [(&*both, true, true), (new, false, true)] {
        write_keys(server.folder.path(), keys);
        server.signal("HUP");
        server.wait_for_log("read 1 keys again");
        assert_known(&server, "0123456789abcdef-old", old_is_known);
        assert_known(&server, "0123456789abcdef-new", new_is_known);
    }
}

#[test]
fn the_log_is_opened_again_and_the_keys_are_read_again_by_one_signal() {
    let mut server = serve(OLD, &[]);
    // Also where there is no log folder, twice in a row.
    for _ in 0..2 {
        server.signal("HUP");
        server.wait_for_log("read 1 keys again from keys");
    }
    assert_known(&server, "0123456789abcdef-old", true);
}

/// A body that is on its way while the keys change: no part of an unauthenticated one was kept, so it
/// stays refused; a key that is gone by then is gone.
#[test]
fn a_body_on_its_way_is_judged_when_it_is_whole() {
    let head = |key: &str| {
        let key = bearer(key);
        format!(
            "PUT /pool/A HTTP/1.1\r\n{key}\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut server = serve(OLD, &[]);
    let mut stranger = server.connect();
    stranger.send(head("0123456789abcdef-new").replace("Expect", "X-Expect") + "[\"1\",");
    let mut old = server.connect();
    old.send(head("0123456789abcdef-old"));
    old.expect("HTTP/1.1 100 Continue\r\n\r\n");
    old.send("[\"1\",");
    write_keys(server.folder.path(), NEW);
    server.signal("HUP");
    server.wait_for_log("read 2 keys again");
    let mut new = server.connect();
    new.send(head("0123456789abcdef-new"));
    new.expect("HTTP/1.1 100 Continue\r\n\r\n");
    for client in [&mut stranger, &mut old] {
        client.send("\"2\"]");
        client.expect(WRONG_KEY);
    }
    assert_eq!(new.ask("[\"3\",\"4\"]").trim_end(), "HTTP/1.1 200 OK");
    assert_eq!(
        server.connect().ask("key=0123456789abcdef-new GET /pool/A"),
        "200 3\t4"
    );
}

/// A request that waits leaves the queue when its key goes, or when it is no longer for that; others stay.
#[test]
fn a_waiter_leaves_when_its_key_goes() {
    const GONE: &str = "gone 0123456789abcdef-gone use *\n";
    const STAYS: &str = "stays 0123456789abcdef-stays use *\n";
    const LESS: &str = "less 0123456789abcdef-less use *\n";
    let mut server = serve(&[OLD, GONE, STAYS, LESS].concat(), &[]);
    let mut root = server.connect();
    for line in ["POST /pool/A 1", "POST /pool/A/lock"] {
        root.ask(&format!("key=0123456789abcdef-old {line}"));
    }
    let wait = |server: &Server, key: &str, request: &str| {
        let mut waiter = server.connect();
        waiter.send(request.replace("KEY", key));
        waiter
    };
    let line = "key=KEY POST /pool/A/lock?wait=60\nGET /ping\n";
    let http = "POST /pool/A/lock?wait=60&owner=o HTTP/1.1\r\nAuthorization: Bearer KEY\r\n\r\n";
    let mut gone = wait(&server, "0123456789abcdef-gone", line);
    let mut gone_owner = wait(&server, "0123456789abcdef-gone", http);
    let mut less = wait(&server, "0123456789abcdef-less", line);
    let mut stays = wait(&server, "0123456789abcdef-stays", line);
    while root.ask("key=0123456789abcdef-old GET /pool") != "200 1 1 4 A" {}
    write_keys(
        server.folder.path(),
        [OLD, STAYS, &LESS.replace("use *", "use B")].concat(),
    );
    server.signal("HUP");
    gone.expect("401 wrong key\n200 pong\n");
    gone_owner.expect(WRONG_KEY);
    less.expect("403 not allowed\n200 pong\n");
    // It has the same key from another file now, and may lose that one, too.
    let held = root.ask("key=0123456789abcdef-old DELETE /pool/A/lock/1");
    assert_eq!(held, "200");
    stays.expect("200 1\n200 pong\n");
    stays.send(line.replace("KEY", "0123456789abcdef-stays"));
    while root.ask("key=0123456789abcdef-old GET /pool") != "200 1 1 1 A" {}
    server.signal("HUP");
    server.wait_for_log("read 3 keys again");
    write_keys(server.folder.path(), OLD);
    server.signal("HUP");
    stays.expect("401 wrong key\n200 pong\n");
    assert_eq!(
        root.ask("key=0123456789abcdef-old GET /pool"),
        "200 1 1 0 A"
    );
}
