//! Behind nginx and haproxy, with the settings in `docs/proxies.md`, and the faults without some of them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use tempfile::TempDir;

use crate::documents::shown;
use crate::metrics::scrape;
use crate::support::launch::{eventually, free_port, latchd_in, start};
use crate::support::programs::SEED;
use crate::support::{Client, Process, Server, StoreKind};

/// A proxy in front of a latchd.
struct Proxy {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProxyKind {
    Nginx,
    Haproxy,
}

impl ProxyKind {
    const ALL: [ProxyKind; 2] = [ProxyKind::Nginx, ProxyKind::Haproxy];

    /// The settings that `docs/proxies.md` shows, for this latchd, without the port to listen on.
    fn settings(self, server: SocketAddr) -> String {
        let language = match self {
            ProxyKind::Nginx => "nginx",
            ProxyKind::Haproxy => "haproxy",
        };
        let shown = shown("docs/proxies.md", "Behind a proxy", language);
        replace(&shown, "127.0.0.1:8081", &server.to_string())
    }

    fn start(self, settings: &str) -> Proxy {
        let folder = TempDir::new().expect("a folder");
        let port = free_port();
        let settings = match self {
            ProxyKind::Nginx => {
                let settings =
                    replace(settings, "listen 80;", &format!("listen 127.0.0.1:{port};"));
                let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|kind| format!("{kind}_temp_path {kind};\n"))
                    .concat();
                format!(
                    "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\n\
                     events {{}}\nhttp {{\naccess_log off;\n{temporary}{settings}}}\n"
                )
            }
            ProxyKind::Haproxy => {
                let settings = replace(settings, "bind :80", &format!("bind 127.0.0.1:{port}"));
                format!("global\n    maxconn 100\n{settings}")
            }
        };
        fs::write(folder.path().join("settings"), settings).expect("a file");
        let mut command = self.program();
        command.current_dir(&folder);
        match self {
            ProxyKind::Nginx => command
                .arg("-p")
                .arg(folder.path())
                .args(["-e", "stderr", "-c", "settings"]),
            ProxyKind::Haproxy => command.args(["-db", "-f", "settings"]),
        };
        let process = Process::spawn(command);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        eventually("the proxy listens", || TcpStream::connect(address).ok());
        Proxy {
            address,
            _process: process,
            _folder: folder,
        }
    }

    /// Debian installs it where only root looks for programs.
    fn program(self) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let name = match self {
            ProxyKind::Nginx => "nginx",
            ProxyKind::Haproxy => "haproxy",
        };
        let mut command = Command::new("env");
        command.arg(format!("PATH={path}:/usr/sbin")).arg(name);
        command
    }

    /// With the settings that are shown.
    fn before(self, server: &Server) -> Proxy {
        self.start(&self.settings(server.address))
    }
}

/// Replaces a text that must be there.
#[track_caller]
fn replace(text: &str, what: &str, with: &str) -> String {
    assert!(text.contains(what), "there is no {what:?} in {text}");
    text.replace(what, with)
}

impl Proxy {
    /// A request that is not answered yet.
    fn send(&self, line: &str) -> Client {
        let mut client = Client::connect(self.address);
        client.send(format!(
            "{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        ));
        client
    }

    /// Status and body of an answer.
    #[track_caller]
    fn ask(&self, line: &str) -> (u16, String) {
        hear(self.send(line))
    }
}

#[track_caller]
fn hear(mut client: Client) -> (u16, String) {
    let answer = String::from_utf8(client.read_to_end()).expect("it is UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("the head ends");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn seeded() -> Server {
    let server = Server::start(StoreKind::Memory);
    let mut client = server.connect();
    assert!(client.ask(&format!("POST /pool {SEED}")).starts_with("200"));
    assert!(client.ask(r#"POST /pool/a%2Fb ["1"]"#).starts_with("200"));
    server
}

/// Waits until the pool `a/b` has these counts: resources, held ones, waiters.
#[track_caller]
fn until(server: &Server, counts: &str) {
    let mut client = server.connect();
    let line = format!("{counts} a/b");
    eventually(&line, || {
        client.ask("GET /pool").ends_with(&line).then_some(())
    });
}

const LOCK: &str = "POST /pool/a%2Fb/lock";

#[test]
fn with_the_settings_that_are_shown_all_is_as_without_a_proxy() {
    for kind in ProxyKind::ALL {
        let server = seeded();
        let proxy = kind.before(&server);
        assert_eq!(proxy.ask("GET /ping"), (200, "pong".into()), "{kind:?}");
        assert_eq!(proxy.ask("POST /pool/A/lock?n=2"), (200, "4\n3".into()));
        assert_eq!(proxy.ask("DELETE /pool/A/lock/4"), (200, "".into()));
        assert_eq!(proxy.ask("DELETE /pool/A/lock/4"), (404, "not held".into()));
        assert_eq!(proxy.ask(LOCK), (200, "1".into()));
        assert_eq!(proxy.ask("GET /json/pool/a%2Fb"), (200, r#"["1"]"#.into()));
        // A waiter is served as soon as it can be.
        let waiter = proxy.send("POST /pool/a%2Fb/lock?wait=60&owner=o&ttl=60");
        until(&server, "1 1 1");
        assert_eq!(proxy.ask("DELETE /pool/a%2Fb/lock/1"), (200, "".into()));
        assert_eq!(hear(waiter), (200, "1".into()), "{kind:?}");
    }
}

#[test]
fn a_client_that_leaves_leaves_the_queue_behind_a_proxy_too() {
    for kind in ProxyKind::ALL {
        let server = seeded();
        let proxy = kind.before(&server);
        assert_eq!(proxy.ask(LOCK), (200, "1".into()));
        let waiter = proxy.send("POST /pool/a%2Fb/lock?wait=60");
        until(&server, "1 1 1");
        drop(waiter);
        until(&server, "1 1 0");
    }
}

/// The lost client leaves a lock that only its lease ends: for ever if it has none.
#[test]
fn a_proxy_that_ignores_clients_that_leave_has_them_served() {
    for kind in ProxyKind::ALL {
        let server = seeded();
        let settings = kind.settings(server.address);
        let settings = match kind {
            ProxyKind::Nginx => {
                let location = "location / {";
                let ignoring = format!("{location} proxy_ignore_client_abort on;");
                replace(&settings, location, &ignoring)
            }
            ProxyKind::Haproxy => {
                replace(&settings, "option abortonclose", "no option abortonclose")
            }
        };
        let proxy = kind.start(&settings);
        assert_eq!(proxy.ask(LOCK), (200, "1".into()));
        let waiter = proxy.send("POST /pool/a%2Fb/lock?wait=60&ttl=2");
        until(&server, "1 1 1");
        drop(waiter);
        // The proxy has seen the end of the client before that of a later one.
        assert_eq!(proxy.ask("GET /ping"), (200, "pong".into()));
        let mut client = server.connect();
        assert_eq!(client.ask("DELETE /pool/a%2Fb/lock/1"), "200");
        let locks = client.ask("GET /pool/a%2Fb/lock");
        assert!(
            locks.starts_with("200 2 ") && locks.ends_with(" 1"),
            "{kind:?}: {locks}"
        );
        until(&server, "1 0 0");
    }
}

/// nginx gives up after 60 s by default.
#[test]
fn a_proxy_that_waits_for_less_than_the_queue_answers_504() {
    for kind in ProxyKind::ALL {
        let server = seeded();
        let settings = match kind {
            ProxyKind::Nginx => ("proxy_read_timeout 330s", "proxy_read_timeout 1s"),
            ProxyKind::Haproxy => ("timeout server 330s", "timeout server 1s"),
        };
        let proxy = kind.start(&replace(
            &kind.settings(server.address),
            settings.0,
            settings.1,
        ));
        assert_eq!(proxy.ask(LOCK), (200, "1".into()));
        let owned = "POST /pool/a%2Fb/lock?wait=60&owner=o&ttl=60&lease";
        assert_eq!(
            proxy.ask("POST /pool/a%2Fb/lock?wait=60").0,
            504,
            "{kind:?}"
        );
        until(&server, "1 1 0");
        assert_eq!(proxy.ask(owned).0, 504, "{kind:?}");
        // Its owner keeps the place, and takes it up by asking again.
        until(&server, "1 1 1");
        let waiter = proxy.send(owned);
        let mut client = server.connect();
        eventually("it is back", || {
            let queue = client.ask("GET /json/pool/a%2Fb/queue");
            queue.contains(r#""lost":false"#).then_some(())
        });
        assert_eq!(client.ask("DELETE /pool/a%2Fb/lock/1"), "200");
        let (status, lease) = hear(waiter);
        assert_eq!(status, 200, "{kind:?}");
        assert!(lease.starts_with("2 ") && lease.ends_with(" 1"), "{lease}");
    }
}

/// A 504 does not say whether there is a lock. Its owner asks again, and gets the same. haproxy sends no 504: it
/// resets the connection, and the pending request is not carried out.
#[test]
fn behind_a_504_there_may_be_a_lock_which_its_owner_gets_by_asking_again() {
    let server = seeded();
    let settings = ProxyKind::Nginx.settings(server.address);
    let settings = replace(
        &settings,
        "proxy_read_timeout 330s",
        "proxy_read_timeout 1s",
    );
    let proxy = ProxyKind::Nginx.start(&settings);
    let owned = "POST /pool/a%2Fb/lock?owner=o&ttl=60&lease";
    server.signal("STOP");
    assert_eq!(proxy.ask(owned).0, 504);
    server.signal("CONT");
    until(&server, "1 1 0");
    let (status, lease) = proxy.ask(owned);
    assert_eq!(status, 200);
    assert!(lease.starts_with("1 ") && lease.ends_with(" 1"), "{lease}");
}

/// A slash behind the name is a path, and nginx then decodes the path that it passes on.
#[test]
fn a_path_in_proxy_pass_breaks_names_with_a_slash() {
    let server = seeded();
    let settings = ProxyKind::Nginx.settings(server.address);
    let settings = replace(
        &settings,
        "proxy_pass http://latchd;",
        "proxy_pass http://latchd/;",
    );
    let proxy = ProxyKind::Nginx.start(&settings);
    assert_eq!(proxy.ask("POST /pool/A/lock"), (200, "4".into()));
    assert_eq!(proxy.ask(LOCK), (404, "no route".into()));
}

/// nginx names the upstream as the host by default.
#[test]
fn a_page_may_change_something_where_the_proxy_passes_its_host_on() {
    let server = seeded();
    let haproxy = ProxyKind::Haproxy.settings(server.address);
    let nginx = ProxyKind::Nginx.settings(server.address);
    let without = replace(&nginx, "proxy_set_header Host $http_host;", "");
    for (kind, settings, status) in [
        (ProxyKind::Haproxy, &haproxy, 200),
        (ProxyKind::Nginx, &nginx, 200),
        (ProxyKind::Nginx, &without, 403),
    ] {
        let proxy = kind.start(settings);
        let mut client = Client::connect(proxy.address);
        client.send(format!(
            "POST /pool/A/lock HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n",
            proxy.address
        ));
        assert_eq!(hear(client).0, status, "{kind:?}");
    }
}

/// nginx asks in HTTP/1.0 by default, and opens a connection for each request.
#[test]
fn connections_are_kept_only_with_http_1_1_and_no_connection_field() {
    let server = seeded();
    let accepted = || scrape(server.address).value("latchd_connections_accepted_total", &[]);
    let settings = ProxyKind::Nginx.settings(server.address);
    let without = replace(&settings, "proxy_http_version 1.1;", "");
    let without = replace(&without, r#"proxy_set_header Connection "";"#, "");
    for (settings, more) in [(&settings, 1.0), (&without, 10.0)] {
        let proxy = ProxyKind::Nginx.start(settings);
        let before = accepted();
        for _ in 0..10 {
            assert_eq!(proxy.ask("GET /ping"), (200, "pong".into()));
        }
        // The request for the figures is a connection too.
        assert_eq!(accepted() - before, more + 1.0);
    }
}

/// nginx takes a server out for ten seconds after one failure, where there are several.
#[test]
fn without_max_fails_a_restart_is_ten_seconds_without_a_server() {
    for (max_fails, status) in [("max_fails=0", 200), ("", 502)] {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let settings = ProxyKind::Nginx.settings(address.parse().expect("an address"));
        let one = format!("server {address} max_fails=0;");
        // The same address once more, as where localhost is 127.0.0.1 and another one.
        let two = format!("server {address} {max_fails};\nserver {address} {max_fails};");
        let proxy = ProxyKind::Nginx.start(&replace(&settings, &one, &two));
        assert_eq!(proxy.ask("GET /ping").0, 502);
        let folder = TempDir::new().expect("a folder");
        let arguments = ["--listen", &address, "--store", "memory:"];
        let (_process, _) = start(latchd_in(&folder, &arguments));
        assert_eq!(proxy.ask("GET /ping").0, status, "{max_fails:?}");
    }
}
