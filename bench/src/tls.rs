//! The cost of TLS for a server: memory for each idle connection, CPU time for each handshake, full
//! or resumed, and for each request; beside the same without TLS.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;

use crate::{
    BenchResult, compare,
    process::{Launcher, Server, cpu_ns, resident_bytes},
    table,
};

/// Measure what TLS costs the server: memory of idle connections, CPU time of handshakes and requests
#[derive(clap::Args)]
pub struct Options {
    /// The server's binary, built with TLS; default: the one beside this program
    #[arg(long, value_name = "PATH")]
    latchd: Option<PathBuf>,
    /// Idle connections
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Handshakes of each kind
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    handshakes: u32,
    /// Requests over one connection
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Repetitions of all measurements; the medians are shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// The time in which the server completes its one-time work after its start, or after connections
/// have ended.
const SETTLE: Duration = Duration::from_millis(300);

/// The protocol between client and server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Tls12,
    Tls13,
}

impl Way {
    const ALL: [(Way, &'static str); 3] = [
        (Way::Plain, "without TLS"),
        (Way::Tls12, "TLS 1.2"),
        (Way::Tls13, "TLS 1.3"),
    ];
}

pub fn run(options: &Options) -> BenchResult<()> {
    let folder = TempDir::with_prefix("latchd-bench-")?;
    make_certificate(folder.path())?;
    let bench = Bench {
        launcher: Launcher::find(),
        latchd: compare::latchd_path(options.latchd.as_deref())?,
        folder,
        options,
    };
    println!("{}; {}.\n", table::machine(), bench.launcher.pinning());
    println!(
        "| | bytes an idle connection | CPU us a connection with one request | with a session taken up again | \
         CPU us a request, keep-alive |\n| --- | ---: | ---: | ---: | ---: |"
    );
    for (way, name) in Way::ALL {
        let mut columns = [const { Vec::new() }; 4];
        for _ in 0..options.rounds {
            columns[0].push(bench.idle_bytes(way)?);
            columns[1].push(bench.connection_us(way, false)?);
            if way != Way::Plain {
                columns[2].push(bench.connection_us(way, true)?);
            }
            columns[3].push(bench.request_us(way)?);
        }
        let [bytes, whole, again, request] = columns.map(median);
        let shown = |value: Option<f64>, digits| match value {
            Some(value) => format!("{value:.digits$}"),
            None => "-".into(),
        };
        println!(
            "| {name} | {} | {} | {} | {} |",
            shown(bytes, 0),
            shown(whole, 0),
            shown(again, 0),
            shown(request, 2)
        );
    }
    Ok(())
}

struct Bench<'a> {
    launcher: Launcher,
    latchd: PathBuf,
    folder: TempDir,
    options: &'a Options,
}

impl Bench<'_> {
    fn start(&self, way: Way) -> BenchResult<Server> {
        let mut command = self.launcher.command(0, &self.latchd);
        command.env_clear().current_dir(self.folder.path());
        match way {
            Way::Plain => command.args(["--listen", "127.0.0.1:0"]),
            Way::Tls12 | Way::Tls13 => command.args([
                "--tls-listen",
                "127.0.0.1:0",
                "--tls-cert",
                "cert.pem",
                "--tls-key",
                "key.pem",
            ]),
        };
        Server::start("latchd", {
            command.args(["--store", "memory:"]);
            command
        })
    }

    /// Measures idle connections, each of which has sent a request and been answered.
    fn idle_bytes(&self, way: Way) -> BenchResult<f64> {
        let server = self.start(way)?;
        let mut dialer = Dialer::new(way, false, self.folder.path())?;
        // Once, so that memory reserved for the first connection is not counted.
        drop(dialer.asked(server.address)?);
        thread::sleep(SETTLE);
        let (before, _) = resident_bytes(server.pid())?;
        let mut connections = Vec::new();
        for _ in 0..self.options.connections {
            connections.push(dialer.asked(server.address)?);
        }
        thread::sleep(SETTLE);
        let (with, _) = resident_bytes(server.pid())?;
        Ok((with as f64 - before as f64) / f64::from(self.options.connections))
    }

    /// Measures a connection from the first to the last byte, with one request in it.
    fn connection_us(&self, way: Way, again: bool) -> BenchResult<f64> {
        let server = self.start(way)?;
        let mut dialer = Dialer::new(way, again, self.folder.path())?;
        for _ in 0..10 {
            drop(dialer.asked(server.address)?);
        }
        let count = self.options.handshakes;
        let before = cpu_ns(server.pid())?;
        for _ in 0..count {
            let connection = dialer.asked(server.address)?;
            if let Connection::Tls(stream) = &connection {
                let kind = stream.conn.handshake_kind();
                if (kind == Some(HandshakeKind::Resumed)) != again {
                    return Err(format!("this was to be another handshake than {kind:?}").into());
                }
            }
        }
        thread::sleep(SETTLE);
        let used_ns = cpu_ns(server.pid())? - before;
        Ok(used_ns as f64 / 1e3 / f64::from(count))
    }

    fn request_us(&self, way: Way) -> BenchResult<f64> {
        let server = self.start(way)?;
        let mut connection = Dialer::new(way, false, self.folder.path())?.asked(server.address)?;
        let count = self.options.requests;
        let before = cpu_ns(server.pid())?;
        for _ in 0..count {
            connection.ask()?;
        }
        let used_ns = cpu_ns(server.pid())? - before;
        Ok(used_ns as f64 / 1e3 / f64::from(count))
    }
}

/// Opens connections.
struct Dialer {
    config: Option<Arc<ClientConfig>>,
}

enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Dialer {
    fn new(way: Way, again: bool, folder: &Path) -> BenchResult<Dialer> {
        let version = match way {
            Way::Plain => return Ok(Dialer { config: None }),
            Way::Tls12 => &TLS12,
            Way::Tls13 => &TLS13,
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(folder.join("cert.pem"))?)?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !again {
            config.resumption = Resumption::disabled();
        }
        Ok(Dialer {
            config: Some(Arc::new(config)),
        })
    }

    /// Opens a connection that has sent a request and been answered.
    fn asked(&mut self, address: SocketAddr) -> BenchResult<Connection> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let mut connection = match &self.config {
            None => Connection::Plain(socket),
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                let client = ClientConnection::new(config.clone(), name)?;
                Connection::Tls(Box::new(StreamOwned::new(client, socket)))
            }
        };
        connection.ask()?;
        Ok(connection)
    }
}

const REQUEST: &[u8] = b"GET /ping HTTP/1.1\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";

impl Connection {
    fn ask(&mut self) -> BenchResult<()> {
        let mut answer = [0; ANSWER.len()];
        match self {
            Connection::Plain(stream) => {
                stream.write_all(REQUEST)?;
                stream.read_exact(&mut answer)?;
            }
            Connection::Tls(stream) => {
                stream.write_all(REQUEST)?;
                stream.read_exact(&mut answer)?;
            }
        }
        match answer == ANSWER {
            true => Ok(()),
            false => Err(format!("not a pong: {}", answer.escape_ascii()).into()),
        }
    }
}

fn make_certificate(folder: &Path) -> BenchResult<()> {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args([
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-subj",
        "/CN=bench",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    let output = openssl
        .output()
        .map_err(|error| format!("openssl makes the certificate: {error}"))?;
    match fs::metadata(folder.join("cert.pem")) {
        Ok(_) if output.status.success() => Ok(()),
        _ => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
