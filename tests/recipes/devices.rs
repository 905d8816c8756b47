//! The recipes for devices, each in its own runtime, or in our stand-in. Each holds its resource over
//! its own reboot and a restart of the server, reports errors, and releases it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::support::{beside, installed, recipe};
use crate::latch::support::{Running, ask, own_address};
use crate::support::launch::eventually;
use crate::support::programs::{client, succeed};
use crate::support::{Server, StoreKind};

/// The end of a device.
enum End {
    /// It is stopped by hand, with this signal, and releases its resource.
    Stopped(&'static str),
    /// Its power is cut, and its lease ends.
    PowerCut,
}

/// A server that keeps its address, and a folder with the device's program.
struct DeviceTest {
    server: Server,
    folder: TempDir,
}

impl DeviceTest {
    fn new() -> DeviceTest {
        let address = own_address().to_string();
        let server = Server::start_with(StoreKind::File, &["--listen", &address]);
        ask(&server, r#"POST /pool {"buckets":["1","2","3","4"]}"#);
        // The address that it keeps is the second one.
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("address"), address).expect("a file");
        DeviceTest { server, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn address(&self) -> (String, String) {
        let address = fs::read_to_string(self.path().join("address")).expect("it is there");
        let (host, port) = address.split_once(':').expect("a host and a port");
        (host.to_owned(), port.to_owned())
    }

    /// The recipe with this server in it, and a request every 0.2 seconds.
    #[track_caller]
    fn program(&self, name: &str, changes: &[(&str, &str)]) -> PathBuf {
        let mut text = fs::read_to_string(recipe(name)).expect("UTF-8");
        let (host, port) = self.address();
        for (shown, here) in changes {
            assert!(text.contains(shown), "{name} no longer has {shown}");
            let here = here.replace("{host}", &host).replace("{port}", &port);
            text = text.replace(shown, &here);
        }
        assert!(text.contains(&host), "{name} has the server");
        let path = self.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Starts the program, with its errors among its output.
    fn start(&self, program: &Command) -> Running {
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"exec "$@" 2>&1"#, "sh"])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(self.path());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Running::spawn(command)
    }

    /// The lock of bucket 4: the device's, under the first fence.
    #[track_caller]
    fn assert_held(&self) {
        let held = ask(&self.server, "GET /pool/buckets/lock");
        let [status, fence, ttl, id] = held.split(' ').collect::<Vec<_>>()[..] else {
            panic!("one lock, and no other: {held}");
        };
        assert_eq!([status, fence, id], ["200", "1", "4"], "{held}");
        let ttl: u32 = ttl.parse().expect("a lease");
        assert!((60..=90).contains(&ttl), "just renewed: {held}");
        let others = ask(&self.server, "DELETE /pool/buckets/lock/4");
        assert_eq!(others, "409 not yours", "it has an owner");
    }

    fn is_free(&self) -> bool {
        ask(&self.server, "GET /pool") == "200 4 0 0 buckets"
    }
}

#[track_caller]
fn hear(device: &mut Running, words: &str) -> String {
    loop {
        let line = device.line();
        if line.contains(words) {
            return line;
        }
    }
}

/// Waits for a line that reports an error.
#[track_caller]
fn hear_trouble(device: &mut Running) {
    loop {
        if !device.line().starts_with("holding ") {
            return;
        }
    }
}

/// `program` is to be that of a device that leases for this many seconds.
#[track_caller]
fn live(mut place: DeviceTest, end: End, program: impl Fn(&DeviceTest, &str) -> Option<Command>) {
    let Some(device) = program(&place, "90") else {
        return;
    };
    let mut running = place.start(&device);
    hear(&mut running, "holding 4");
    place.assert_held();
    hear(&mut running, "holding 4");
    place.assert_held();

    // The device loses its power: Running kills what it drops.
    drop(running);
    let mut running = place.start(&device);
    hear(&mut running, "holding 4");
    place.assert_held();

    // So does the server.
    place.server.kill();
    hear_trouble(&mut running);
    place.server.restart();
    hear(&mut running, "holding 4");
    place.assert_held();

    // Another owner takes everything away.
    let all = "POST /pool/buckets/lock?n=4&owner=somebody";
    eventually("everything is taken", || {
        ask(&place.server, "DELETE /pool/buckets/lock/4?force");
        ask(&place.server, all).starts_with("200 ").then_some(())
    });
    let refused = hear(&mut running, "busy");
    assert!(!refused.starts_with("holding "), "no id: {refused}");
    ask(&place.server, "DELETE /pool/buckets/lock?owner=somebody");
    hear(&mut running, "holding ");

    match end {
        End::Stopped(signal) => {
            running.signal(signal);
            running.wait();
            assert!(place.is_free(), "it has given back");
        }
        End::PowerCut => {
            drop(running);
            let short = program(&place, "1").expect("as above");
            let mut running = place.start(&short);
            hear(&mut running, "holding ");
            drop(running);
            eventually("the lease ends", || place.is_free().then_some(()));
        }
    }
}

/// The server as most recipes name it, and as the busybox one does, in a URL.
const PEER: (&str, &str) = (r#""192.168.1.5", 8081"#, r#""{host}", {port}"#);
const SERVER: (&str, &str) = ("192.168.1.5:8081", "{host}:{port}");

#[test]
fn micropython_holds_a_bucket() {
    live(DeviceTest::new(), End::Stopped("INT"), |place, ttl| {
        let ttl = format!("ttl={ttl}");
        let changes = [PEER, ("EVERY = 30", "EVERY = 0.2"), ("ttl=90", &ttl)];
        let mut python = installed("python")?;
        python.args(["-m", "micropython_unix"]);
        python.arg(place.program("micropython.py", &changes));
        Some(python)
    });
}

#[test]
fn circuitpython_holds_a_bucket() {
    live(DeviceTest::new(), End::Stopped("INT"), |place, ttl| {
        let ttl = format!("ttl={ttl}");
        let changes = [PEER, ("EVERY = 30", "EVERY = 0.2"), ("ttl=90", &ttl)];
        let mut python = installed("python")?;
        python.arg("-u").env("PYTHONPATH", beside("stubs"));
        python.arg(place.program("circuitpython.py", &changes));
        Some(python)
    });
}

/// A modem at the file `modem` of the place.
fn modem(folder: &Path) -> Option<Running> {
    let mut command = installed("python")?;
    let link = folder.join("modem");
    command.arg(beside("at_modem.py")).arg(&link);
    let modem = Running::spawn(command);
    eventually("a modem", || link.exists().then_some(()));
    Some(modem)
}

/// Checks that all unasked output has fit into the serial buffer.
#[track_caller]
fn assert_lost_nothing(mut modem: Running) {
    modem.signal("TERM");
    modem.wait();
    assert_eq!(modem.rest_heard(), "");
}

#[test]
fn circuitpython_holds_a_bucket_through_a_modem() {
    let place = DeviceTest::new();
    let Some(modem) = modem(place.path()) else {
        return;
    };
    live(place, End::Stopped("INT"), |place, ttl| {
        let ttl = format!("ttl={ttl}");
        let changes = [PEER, ("EVERY = 30", "EVERY = 0.2"), ("ttl=90", &ttl)];
        let mut python = installed("python")?;
        python.arg("-u").env("PYTHONPATH", beside("stubs"));
        python.env("MODEM", place.path().join("modem"));
        python.arg(place.program("circuitpython_at.py", &changes));
        Some(python)
    });
    assert_lost_nothing(modem);
}

/// Its modules `net` and `tmr` are played.
#[test]
fn nodemcu_holds_a_bucket() {
    live(DeviceTest::new(), End::PowerCut, |place, ttl| {
        let ttl = format!("ttl={ttl}");
        let changes = [PEER, ("30 * 1000", "200"), ("ttl=90", &ttl)];
        let mut lua = Command::new("lua5.1");
        lua.arg(beside("nodemcu_play.lua"));
        lua.arg(place.program("nodemcu.lua", &changes));
        Some(lua)
    });
}

#[test]
fn luasocket_holds_a_bucket() {
    live(DeviceTest::new(), End::PowerCut, |place, ttl| {
        let ttl = format!("ttl={ttl}");
        let changes = [PEER, ("EVERY = 30", "EVERY = 0.2"), ("ttl=90", &ttl)];
        let mut lua = Command::new("lua5.1");
        lua.arg(place.program("luasocket.lua", &changes));
        Some(lua)
    });
}

#[test]
fn busybox_holds_a_bucket() {
    live(DeviceTest::new(), End::Stopped("TERM"), |place, ttl| {
        let ttl = format!("ttl={ttl}");
        let changes = [SERVER, ("every=30", "every=0.2"), ("ttl=90", &ttl)];
        let program = place.program("busybox.sh", &changes);
        // The only wget, which is not there yet at the first start.
        let _ = symlink("/bin/busybox", place.path().join("wget"));
        let path = std::env::var("PATH").expect("there is a path");
        let mut busybox = Command::new("busybox");
        busybox
            .arg("sh")
            .arg(program)
            .env("PATH", format!("{}:{path}", place.path().display()));
        Some(busybox)
    });
}

/// The sketch is compiled; the board and its libraries are played.
#[test]
fn arduino_holds_a_bucket() {
    live(DeviceTest::new(), End::PowerCut, |place, ttl| {
        let ttl = format!("ttl={ttl}");
        let changes = [
            (r#""192.168.1.5""#, r#""{host}""#),
            ("PORT = 8081", "PORT = {port}"),
            ("EVERY_MS = 30000", "EVERY_MS = 200"),
            ("ttl=90", &ttl),
        ];
        let sketch = place.program("arduino.ino", &changes);
        let board = place.path().join(format!("board-{ttl}"));
        let mut compiler = client("g++");
        compiler
            .args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(beside("arduino"))
            .args(["-x", "c++"])
            .arg(&sketch)
            .arg("-o")
            .arg(&board);
        succeed(&mut compiler, "");
        Some(Command::new(board))
    });
}

/// The document is played to the byte; each answer must fit into the serial buffer at once.
#[test]
fn an_esp8266_answers_as_it_is_shown() {
    let place = DeviceTest::new();
    let Some(modem) = modem(place.path()) else {
        return;
    };
    let shown = converse(&place, &recipe("esp8266-at.md")).expect("as above");
    assert_eq!(shown, "46 lines\n", "it has not become shorter");
    assert!(place.is_free(), "it ends with what it has given back");
    assert_lost_nothing(modem);
}

fn converse(place: &DeviceTest, document: &Path) -> Option<String> {
    let (host, port) = place.address();
    let mut command = installed("python")?;
    command
        .arg(beside("converse_at.py"))
        .arg(document)
        .arg(place.path().join("modem"))
        .args([host, port]);
    Some(succeed(&mut command, ""))
}

/// A client that asks for more than it needs gets more than it can keep: the reason for the test above.
#[test]
fn what_is_longer_than_a_serial_buffer_is_lost() {
    const ACCEPT: &str = r#"```
> ATE0\r\n
< ATE0\r\n\r\nOK\r\n
> AT+CIPSTART="TCP","192.168.1.5",8081\r\n
< CONNECT\r\n\r\nOK\r\n
> AT+CIPSEND=52\r\n
< \r\nOK\r\n\r\n>
> POST /pool/buckets/lock HTTP/1.1\r\nAccept: text/*\r\n\r\n
< \r\nRecv 52 bytes\r\n\r\nSEND OK\r\n
< \r\n+IPD,80:HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Type: text
```
"#;
    let place = DeviceTest::new();
    let Some(mut modem) = modem(place.path()) else {
        return;
    };
    let document = place.path().join("document");
    fs::write(&document, ACCEPT).expect("a file");
    converse(&place, &document);
    let lost = modem.hear("lost ");
    assert!(lost.contains(r"\r\n\r\n4"), "the id: {lost}");
}
