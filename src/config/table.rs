//! All settings, in the order of the help. A new one is a row here, and the code that uses it.

use super::draft::Draft;
use super::setting::Setting;
use super::setting::SettingKind::{Decimal, Level, List, Number, Path, Switch, Text};
use super::tls::RECORD_BYTES;
use crate::command::Ttl;

pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    TABLE.iter().flat_map(|(_, settings)| *settings)
}

/// The settings under each heading.
pub(super) static TABLE: [(&str, &[Setting]); 7] = [
    ("Serving", SERVING),
    ("Limits", LIMITS),
    ("TLS", TLS),
    ("Lending", LENDING),
    ("Storing", STORING),
    ("Monitoring", MONITORING),
    ("Logging", LOGGING),
];

const MAX: u32 = u32::MAX;
/// The limit keeps the page small: one of megabytes would block all clients while it is written.
const MAX_METRICS_POOLS: u32 = 10_000;

const SERVING: &[Setting] = &[
    Setting {
        flag: "listen",
        key: "server.listen",
        value: "ADDRESS:PORT",
        help: "Listen here; may be repeated [default: 127.0.0.1:8081]",
        kind: List(|draft, list| draft.listen = Some(list)),
    },
    Setting {
        flag: "max-connections",
        key: "server.maxConnections",
        value: "COUNT",
        help: "The most connections at a time [default: what the descriptor limit allows]",
        kind: Number(1..=MAX, |draft, n| draft.max_connections = Some(n)),
    },
    Setting {
        flag: "max-body",
        key: "server.maxBody",
        value: "BYTES",
        help: "The largest request body that is taken [default: 1048576]",
        kind: Number(1..=MAX, |draft, n| draft.settings.limits.body_bytes = n),
    },
    Setting {
        flag: "header-timeout",
        key: "server.headerTimeout",
        value: "SECONDS",
        help: "How long a request header may take to arrive [default: 60]",
        kind: Number(1..=MAX, |draft, s| draft.settings.header_timeout_ms = ms(s)),
    },
    Setting {
        flag: "idle-timeout",
        key: "server.idleTimeout",
        value: "SECONDS",
        help: "How long a connection may stay silent [default: 120]",
        kind: Number(1..=MAX, |draft, s| draft.settings.idle_timeout_ms = ms(s)),
    },
    Setting {
        flag: "drain",
        key: "server.drain",
        value: "SECONDS",
        help: "How long requests in flight may take when the server stops [default: 10]",
        kind: Number(0..=MAX, |draft, s| draft.drain_ms = ms(s)),
    },
    Setting {
        flag: "cors",
        key: "server.cors",
        value: "ORIGIN",
        help: "Which web pages may use the server, beside its own: those of an origin, * for all, or \
               own for no others; none is own without any CORS fields [default: own]",
        kind: Text(Draft::put_cors),
    },
    Setting {
        flag: "server-name",
        key: "server.name",
        value: "NAME",
        help: "Send this as the Server header field of every answer over HTTP [default: none]",
        kind: Text(Draft::put_server_name),
    },
    Setting {
        flag: "host",
        key: "server.hosts",
        value: "NAME",
        help: "A name by which browsers may know the server, beside addresses, names of one word, and \
               .local, .lan, .internal and .home.arpa; may be repeated [default: the machine's own]",
        kind: List(|draft, names| draft.settings.browsers.hosts = names),
    },
    Setting {
        flag: "no-method-override",
        key: "server.noMethodOverride",
        value: "BOOL",
        help: "Refuse _method in a query: for a proxy that judges requests by their method",
        kind: Switch(Draft::put_no_method_override),
    },
    Setting {
        flag: "keys",
        key: "server.keys",
        value: "FILE",
        help: "Serve only clients that show a key: a file with NAME SECRET ROLE POOLS on each line, \
               where ROLE is read, use or admin; read again on SIGHUP [default: none, every client may do everything]",
        kind: Path(|draft, path| draft.keys = Some(path)),
    },
    Setting {
        flag: "require-keys",
        key: "server.requireKeys",
        value: "BOOL",
        help: "Refuse to start without --keys, so that a setting that was lost opens nothing",
        kind: Switch(|draft, is_on| draft.require_keys = is_on),
    },
    Setting {
        flag: "reuse-port",
        key: "server.reusePort",
        value: "BOOL",
        help: "Share the port with other servers that say so, too: for several that share a Redis",
        kind: Switch(|draft, is_on| draft.reuse_port = is_on),
    },
];

const LIMITS: &[Setting] = &[
    Setting {
        flag: "max-per-address",
        key: "limits.maxPerAddress",
        value: "COUNT",
        help: "The most connections of one IPv4 address, or IPv6 network (/64) [default: half of \
               all, but at least 64]",
        kind: Number(1..=MAX, |draft, n| draft.max_per_address = Some(n)),
    },
    Setting {
        flag: "max-pipeline",
        key: "limits.maxPipeline",
        value: "COUNT",
        help: "The most requests in flight of one connection; others wait [default: 128]",
        kind: Number(1..=MAX, |draft, n| draft.settings.max_pipeline = n),
    },
    Setting {
        flag: "max-backlog",
        key: "limits.maxBacklog",
        value: "BYTES",
        help: "How much of its answers a client may leave untaken and still be read from \
               [default: 65536]",
        kind: Number(1..=MAX, |draft, n| draft.settings.max_backlog_bytes = n),
    },
    Setting {
        flag: "body-grace",
        key: "limits.bodyGrace",
        value: "SECONDS",
        help: "How long a body may take to arrive, however slowly it comes [default: 60]",
        kind: Number(1..=MAX, |draft, s| draft.settings.body_grace_ms = ms(s)),
    },
    Setting {
        flag: "min-body-rate",
        key: "limits.minBodyRate",
        value: "BYTES",
        help: "How much of a body must come in each second that it takes longer [default: 100]",
        kind: Number(1..=MAX, Draft::put_min_body_rate),
    },
    Setting {
        flag: "max-wrong-keys",
        key: "limits.maxWrongKeys",
        value: "COUNT",
        help: "The most wrong keys of one IPv4 address, or IPv6 network (/64), in a minute; then only \
               keys that have worked there are looked at; 0 for no limit [default: 60]",
        kind: Number(0..=MAX, |draft, n| draft.max_wrong_keys = n),
    },
    Setting {
        flag: "max-requests",
        key: "limits.maxRequests",
        value: "COUNT",
        help: "The most requests in flight in all, without queued ones; others wait \
               [default: 100000]",
        kind: Number(1..=MAX, |draft, n| draft.max_requests = n),
    },
    Setting {
        flag: "max-buffers",
        key: "limits.maxBuffers",
        value: "BYTES",
        help: "How much of bodies that are not whole and of answers that are not taken is held in \
               all, a little of each not counted, before no more large ones are begun [default: \
               67108864]",
        kind: Number(1..=MAX, |draft, n| draft.settings.max_buffers = n),
    },
    Setting {
        flag: "max-pool-waiters",
        key: "limits.maxPoolWaiters",
        value: "COUNT",
        help: "The most waiters of one pool [default: 10000]",
        kind: Number(1..=MAX, |draft, n| draft.rules.max_pool_waiters = n),
    },
    Setting {
        flag: "max-address-waiters",
        key: "limits.maxAddressWaiters",
        value: "COUNT",
        help: "The most waiters from one address [default: half of all, but at least 64]",
        kind: Number(1..=MAX, |draft, n| draft.max_address_waiters = Some(n)),
    },
    Setting {
        flag: "max-pools",
        key: "limits.maxPools",
        value: "COUNT",
        help: "The most pools [default: 100000]",
        kind: Number(1..=MAX, |draft, n| draft.rules.max_pools = n),
    },
    Setting {
        flag: "max-resources",
        key: "limits.maxResources",
        value: "COUNT",
        help: "The most resources, in all pools together; not on a Redis [default: 1000000]",
        kind: Number(1..=MAX, |draft, n| draft.rules.max_resources = n),
    },
    Setting {
        flag: "max-pool-resources",
        key: "limits.maxPoolResources",
        value: "COUNT",
        help: "The most resources of one pool [default: 1000000]",
        kind: Number(1..=MAX, |draft, n| draft.rules.max_pool_resources = n),
    },
];

const TLS: &[Setting] = &[
    Setting {
        flag: "tls-listen",
        key: "tls.listen",
        value: "ADDRESS:PORT",
        help: "Listen here with TLS; may be repeated. Without --listen there is nothing without TLS",
        kind: List(|draft, list| draft.tls.listen = Some(list)),
    },
    Setting {
        flag: "tls-cert",
        key: "tls.cert",
        value: "FILE",
        help: "The certificate in PEM, with those of its issuers behind it; read again on SIGHUP",
        kind: Path(|draft, path| draft.tls.cert = Some(path)),
    },
    Setting {
        flag: "tls-key",
        key: "tls.key",
        value: "FILE",
        help: "The key of the certificate in PEM; read again on SIGHUP",
        kind: Path(|draft, path| draft.tls.key = Some(path)),
    },
    Setting {
        flag: "tls-record-size",
        key: "tls.recordSize",
        value: "BYTES",
        help: "The most that a record carries, for clients with small buffers [default: 16384]",
        kind: Number(RECORD_BYTES, |draft, n| {
            draft.tls.record_bytes = Some(n as u16)
        }),
    },
];

const LENDING: &[Setting] = &[
    Setting {
        flag: "default-ttl",
        key: "lending.defaultTtl",
        value: "SECONDS",
        help: "The lease of requests without ttl= [default: none, held until released]",
        kind: Number(1..=Ttl::MAX_S, |draft, s| {
            draft.rules.default_ttl = Ttl::from_s(s as u32)
        }),
    },
    Setting {
        flag: "max-wait",
        key: "lending.maxWait",
        value: "SECONDS",
        help: "The longest wait in a queue [default: 300]",
        kind: Number(1..=MAX, |draft, s| draft.rules.max_wait_ms = ms(s)),
    },
    Setting {
        flag: "max-waiters",
        key: "lending.maxWaiters",
        value: "COUNT",
        help: "The most waiters, in all pools together [default: 100000]",
        kind: Number(0..=MAX, |draft, n| draft.rules.max_waiters = n),
    },
    Setting {
        flag: "queue-grace",
        key: "lending.queueGrace",
        value: "SECONDS",
        help: "How long an owner keeps its place in the queue when its connection is lost [default: 10]",
        kind: Number(0..=MAX, |draft, s| draft.rules.queue_grace_ms = ms(s)),
    },
];

const STORING: &[Setting] = &[
    Setting {
        flag: "store",
        key: "store.url",
        value: "URL",
        help: "Where pools live: file:PATH, memory: to forget them at the end, or a Redis: \
               redis://[USER:PASS@]HOST[:PORT][/DB], rediss://…[?ca=FILE] with TLS, or \
               redis+unix:///PATH[?db=DB&user=USER&pass=PASS] [default: file:latchd.redb]",
        kind: Text(Draft::put_store),
    },
    Setting {
        flag: "sync",
        key: "store.sync",
        value: "WHEN",
        help: "When a change is safe in the file: always is before it is answered, interval \
               within a second, never when the system writes it [default: always]\n\n\
               - always survives a power cut\n\
               - interval: a crash may lose that second\n\
               - never: a power cut may lose the file",
        kind: Text(Draft::put_sync),
    },
    Setting {
        flag: "must-exist",
        key: "store.mustExist",
        value: "BOOL",
        help: "Refuse to start if the file of the store is missing or empty, instead of creating it. A Redis without a \
               list of pools is not used: requests get 503 store down",
        kind: Switch(|draft, is_on| draft.must_exist = is_on),
    },
    Setting {
        flag: "commit-timeout",
        key: "store.commitTimeout",
        value: "SECONDS",
        help: "How long the disk may take to make a change safe. After that its requests get 503 store down, and \
               so do others until the disk answers [default: 10]",
        kind: Number(1..=MAX, |draft, s| draft.commit_timeout_ms = ms(s)),
    },
    Setting {
        flag: "redis-prefix",
        key: "redis.prefix",
        value: "PREFIX",
        help: "What the names of all keys in Redis begin with [default: pool:]",
        kind: Text(Draft::put_redis_prefix),
    },
    Setting {
        flag: "redis-timeout",
        key: "redis.timeout",
        value: "SECONDS",
        help: "How long Redis may take to answer before the connection counts as lost; 0.5 is \
               half a second [default: 2]",
        kind: Decimal(Draft::put_redis_timeout),
    },
    Setting {
        flag: "restore",
        key: "store.restore",
        value: "FILE",
        help: "Restore a dump that latch dump has made, into an empty store; give it once",
        kind: Path(|draft, path| draft.restore = Some(path)),
    },
    Setting {
        flag: "seed",
        key: "store.seed",
        value: "FILE",
        help: "Add these pools at the start; a JSON file such as {\"A\":[\"1\",\"2\"]}",
        kind: Path(|draft, path| draft.seed = Some(path)),
    },
    Setting {
        flag: "purge-on-start",
        key: "store.purgeOnStart",
        value: "BOOL",
        help: "Release every lock at the start",
        kind: Switch(|draft, is_on| draft.purge_on_start = is_on),
    },
];

const MONITORING: &[Setting] = &[
    Setting {
        flag: "admin-listen",
        key: "server.adminListen",
        value: "ADDRESS:PORT",
        help: "Answer /metrics here and nowhere else; may be repeated [default: where all else is]",
        kind: List(|draft, list| draft.admin_listen = list),
    },
    Setting {
        flag: "metrics-pools",
        key: "server.metricsPools",
        value: "COUNT",
        help: "How many pools /metrics shows one by one; the others are summed up [default: 100]",
        kind: Number(0..=MAX_METRICS_POOLS, |draft, n| {
            draft.settings.metrics_pools = n
        }),
    },
];

const LOGGING: &[Setting] = &[
    Setting {
        flag: "log-level",
        key: "logging.level",
        value: "LEVEL",
        help: "What to log: off, fatal, error, warn, info, debug or trace, or a number, 10 (trace) \
               to 60 (fatal) [default: info]",
        kind: Level(Draft::put_log_level),
    },
    Setting {
        flag: "log-dir",
        key: "logging.dir",
        value: "FOLDER",
        help: "Log to latchd.log in this folder; CONSOLE is standard error [default: CONSOLE]",
        kind: Path(Draft::put_log_dir),
    },
];

fn ms(seconds: usize) -> u64 {
    seconds as u64 * 1000
}
