//! The recipes for load tests: simulated users take test accounts, of which there are fewer than users, and
//! a shop reports whether one was ever logged in twice.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use std::os::unix::fs::symlink;

use super::support::{beside, installed, recipe};
use crate::latch::support::{Running, ask};
use crate::support::launch::eventually;
use crate::support::{Server, StoreKind, run_command};

struct Shop {
    running: Running,
    url: String,
    folder: TempDir,
}

impl Shop {
    fn open() -> Option<Shop> {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("port");
        let mut command = installed("python")?;
        command.arg(beside("shop.py")).arg(&file);
        let running = Running::spawn(command);
        let port = eventually("an open shop", || fs::read_to_string(&file).ok());
        Some(Shop {
            running,
            url: format!("http://127.0.0.1:{}", port.trim_end()),
            folder,
        })
    }

    /// Returns the number of logins of each account, and checks that none was in use twice at a time.
    #[track_caller]
    fn close(mut self) -> Vec<(String, u32)> {
        self.running.signal("TERM");
        let counts = self.running.line();
        let counts = counts.split_whitespace().map(|count| {
            let (account, count) = count.split_once('=').expect("a count");
            (account.to_owned(), count.parse().expect("a number"))
        });
        let counts: Vec<(String, u32)> = counts.collect();
        assert!(counts.iter().all(|(name, _)| name != "twice"), "{counts:?}");
        counts
    }
}

/// Each of the accounts was in, as often as one was lent; all are free.
#[track_caller]
fn assert_lent_once(shop: Shop, server: &Server) {
    let counts = shop.close();
    let names: Vec<&str> = counts.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["ann", "bob", "cy"], "{counts:?}");
    assert_eq!(ask(server, "GET /pool"), "200 3 0 0 accounts");
    // The fence is the number of grants so far.
    let last = ask(server, "POST /pool/accounts/lock?lease");
    let lent: u32 = counts.iter().map(|(_, count)| count).sum();
    assert!(
        last.starts_with(&format!("200 {} ", lent + 1)),
        "{last}, {lent} were in"
    );
}

fn accounts() -> Server {
    let server = Server::start(StoreKind::Memory);
    ask(&server, r#"POST /pool {"accounts":["ann","bob","cy"]}"#);
    server
}

#[test]
fn locust_lets_no_two_users_have_the_same_account() {
    let server = accounts();
    let Some(shop) = Shop::open() else {
        return;
    };
    let mut locust = installed("locust").expect("as above");
    locust
        .arg("-f")
        .arg(recipe("locustfile.py"))
        .args(["--host", &shop.url, "--headless", "--only-summary"])
        .args(["--users", "5", "--spawn-rate", "5", "--run-time", "2"])
        .args(["--stop-timeout", "10"])
        .env("LATCH_URL", server.url())
        .current_dir(shop.folder.path());
    let ended = run_command(locust);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_lent_once(shop, &server);
}

/// k6 is played, one process for each user; the script is the real one.
#[test]
fn k6_lets_no_two_users_have_the_same_account() {
    let server = accounts();
    let Some(shop) = Shop::open() else {
        return;
    };
    let folder = shop.folder.path();
    let script = folder.join("k6.mjs");
    fs::copy(recipe("k6.js"), &script).expect("a file");
    fs::create_dir(folder.join("node_modules")).expect("a folder");
    symlink(beside("k6"), folder.join("node_modules/k6")).expect("a link");
    let start = || {
        let mut node = Command::new("node");
        node.arg(beside("k6_play.mjs"))
            .arg(&script)
            .arg("6")
            .env("HOST", &shop.url)
            .env("LATCH_URL", server.url())
            .stdin(Stdio::null());
        Running::spawn(node)
    };
    let users: Vec<Running> = std::iter::repeat_with(start).take(5).collect();
    for mut user in users {
        assert_eq!(user.code(), 0, "{}", user.rest_heard());
    }
    assert_lent_once(shop, &server);
}
