//! The output of `redis`: a row for each server under each load, and the ratios with their goals.

use std::fmt::Write;

use crate::{
    BenchResult, plan::Api, report::Report, script_call::Replayed, spread::Spread, table::shown,
};

/// The subject of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A server over Redis, whose locks are released or not.
    Load { api: Api, locks_only: bool },
    /// redis-benchmark, with `depth` script calls in one write.
    Script { depth: u32 },
}

impl RowKind {
    pub fn all(depth: u32) -> [Self; 6] {
        let load = |api, locks_only| Self::Load { api, locks_only };
        [
            load(Api::Latchd, false),
            load(Api::Webdis, false),
            load(Api::Latchd, true),
            load(Api::Webdis, true),
            Self::Script { depth: 1 },
            Self::Script { depth },
        ]
    }

    pub fn name(self) -> String {
        let (load, server) = self.words();
        format!("{server}, {load}")
    }

    fn words(self) -> (&'static str, String) {
        match self {
            Self::Load { api, locks_only } => {
                let server = match api {
                    Api::Latchd => "latchd over Redis",
                    Api::Webdis => "webdis",
                };
                let load = match locks_only {
                    true => "locks only",
                    false => "lock and release",
                };
                (load, server.to_owned())
            }
            Self::Script { depth: 1 } => ("a script call a lock", "redis-benchmark".to_owned()),
            Self::Script { depth } => (
                "a script call a lock",
                format!("redis-benchmark -P {depth}"),
            ),
        }
    }
}

pub struct Row {
    pub kind: RowKind,
    /// One for each round.
    pub samples: Vec<Sample>,
}

/// The figures of one round, all CPU times in microseconds a lock.
pub struct Sample {
    pub locks_per_second: f64,
    server_cpu_us: Option<f64>,
    redis_cpu_us: f64,
    client_cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    /// Locks and releases in one script call.
    batch: Option<f64>,
}

impl Row {
    pub fn new(kind: RowKind) -> Self {
        Self {
            kind,
            samples: Vec::new(),
        }
    }
}

impl Sample {
    pub fn of_load(report: &Report) -> BenchResult<Self> {
        if report.locks == 0 {
            return Err("no lock was taken in the measured window".into());
        }
        let requests_per_lock = report.requests as f64 / report.locks as f64;
        let locks_per_second = report.locks as f64 / report.seconds;
        Ok(Self {
            locks_per_second,
            server_cpu_us: report
                .server_cpu_us_per_request
                .map(|cpu_us| cpu_us * requests_per_lock),
            redis_cpu_us: report
                .redis_cpu_us_per_request
                .ok_or("the CPU time of Redis is not in the report")?
                * requests_per_lock,
            client_cpu_us: report.load_busy * 1e6 / locks_per_second,
            p50_us: report.p50_us,
            p99_us: report.p99_us,
            batch: report.requests_per_script_call,
        })
    }

    pub fn of_replay(replayed: &Replayed) -> Self {
        let us_per_call = |cpu_ns: u64| cpu_ns as f64 / 1e3 / f64::from(replayed.calls);
        Self {
            locks_per_second: replayed.calls_per_second,
            server_cpu_us: None,
            redis_cpu_us: us_per_call(replayed.redis_cpu_ns),
            client_cpu_us: us_per_call(replayed.client_cpu_ns),
            p50_us: replayed.p50_us,
            p99_us: replayed.p99_us,
            batch: Some(1.0),
        }
    }
}

pub fn rows(rows: &[Row]) -> String {
    let mut table = String::from(
        "| load | server | locks/s | CPU us a lock: server | its Redis | client | p50 us | p99 us | requests a script call |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in rows {
        let (load, server) = row.kind.words();
        let figure = |decimals, of: fn(&Sample) -> Option<f64>| {
            shown(Spread::of(row.samples.iter().filter_map(of)), decimals)
        };
        let row = [
            load.to_owned(),
            server,
            figure(0, |sample| Some(sample.locks_per_second)),
            figure(2, |sample| sample.server_cpu_us),
            figure(2, |sample| Some(sample.redis_cpu_us)),
            figure(2, |sample| Some(sample.client_cpu_us)),
            figure(0, |sample| Some(sample.p50_us)),
            figure(0, |sample| Some(sample.p99_us)),
            figure(1, |sample| sample.batch),
        ];
        let _ = writeln!(table, "| {} |", row.join(" | "));
    }
    table
}

/// Formats the ratios with goals, and others that help to judge them. A ratio whose peer is missing
/// is left open.
pub fn ratios(rows: &[Row]) -> String {
    let mut text = String::from("\n| ratio | measured | to reach |\n| --- | ---: | ---: |\n");
    let load = |api, locks_only| RowKind::Load { api, locks_only };
    for locks_only in [false, true] {
        let (own, peer) = (load(Api::Latchd, locks_only), load(Api::Webdis, locks_only));
        let (words, _) = own.words();
        let cpu = ratio(rows, own, peer, |sample| sample.server_cpu_us);
        line(
            &mut text,
            &format!("server CPU a lock, latchd / webdis, {words}"),
            cpu,
            "at most 0.5",
        );
        let speed = ratio(rows, own, peer, |sample| Some(sample.locks_per_second));
        line(
            &mut text,
            &format!("locks/s, latchd / webdis, {words}"),
            speed,
            "above 1",
        );
        // This decides the speed on a core without other users. They slow both, but not equally.
        let both = ratio(rows, own, peer, |sample| {
            Some(sample.server_cpu_us? + sample.redis_cpu_us)
        });
        line(
            &mut text,
            &format!("CPU a lock of server and Redis, latchd / webdis, {words}"),
            both,
            "",
        );
    }
    let scripts = rows.iter().filter_map(|row| match row.kind {
        RowKind::Script { depth } => Some((depth, row.kind)),
        RowKind::Load { .. } => None,
    });
    for (depth, script) in scripts {
        for locks_only in [true, false] {
            let own = load(Api::Latchd, locks_only);
            let (words, _) = own.words();
            let (_, peer) = script.words();
            // The goal is for the same work on both sides, and no pipelining by hand.
            let wanted = match (depth, locks_only) {
                (1, true) => "at most 0.5",
                _ => "",
            };
            let cpu = ratio(rows, own, script, |sample| Some(sample.redis_cpu_us));
            line(
                &mut text,
                &format!("Redis CPU a lock, latchd, {words} / {peer}"),
                cpu,
                wanted,
            );
        }
    }
    text
}

fn line(text: &mut String, what: &str, ratio: Option<Spread>, wanted: &str) {
    let _ = writeln!(text, "| {what} | {} | {wanted} |", shown(ratio, 2));
}

/// Returns the ratios, each of figures of the same round.
fn ratio(
    rows: &[Row],
    own: RowKind,
    peer: RowKind,
    figure: impl Fn(&Sample) -> Option<f64>,
) -> Option<Spread> {
    let samples = |kind| {
        let row = rows.iter().find(|row| row.kind == kind)?;
        Some(row.samples.iter())
    };
    let pairs = samples(own)?.zip(samples(peer)?);
    Spread::of(pairs.filter_map(|(own, peer)| Some(figure(own)? / figure(peer)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: RowKind, redis_cpu_us: [f64; 2]) -> Row {
        let sample = |redis_cpu_us| Sample {
            locks_per_second: 1000.0,
            server_cpu_us: None,
            redis_cpu_us,
            client_cpu_us: 1.0,
            p50_us: 1.0,
            p99_us: 1.0,
            batch: None,
        };
        Row {
            kind,
            samples: redis_cpu_us.map(sample).into(),
        }
    }

    #[test]
    fn a_ratio_is_that_of_one_round() {
        let [_, _, own, peer, script, _] = RowKind::all(16);
        let rows = [row(own, [1.0, 4.0]), row(script, [4.0, 8.0])];
        let cpu = |sample: &Sample| Some(sample.redis_cpu_us);
        let found = ratio(&rows, own, script, cpu).unwrap();
        assert_eq!((found.min, found.max), (0.25, 0.5));
        assert_eq!(ratio(&rows, own, peer, cpu), None, "the peer is missing");
    }
}
