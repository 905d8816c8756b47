//! The report of a load: for people, and as JSON for `compare` and for scripts.

use std::fmt;

use serde_json::{Value, json};

use crate::{BenchResult, drive::Measured, plan::Plan};

#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub mode: String,
    pub connections: u64,
    pub depth: u64,
    pub seconds: f64,
    pub requests: u64,
    pub locks: u64,
    /// All requests, also those before and after the measured window.
    pub all_requests: u64,
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub bytes_per_request: f64,
    pub bytes_per_answer: f64,
    pub port_waits: u64,
    /// The share of one core, 1.0 being all of it; `server_busy` likewise.
    pub load_busy: f64,
    pub server_busy: Option<f64>,
    pub server_cpu_us_per_request: Option<f64>,
    /// The server's resident memory.
    pub server_bytes: Option<u64>,
    /// The CPU time of the Redis that the server stores in.
    pub redis_cpu_us_per_request: Option<f64>,
    /// The average number of requests in one script call of the server.
    pub requests_per_script_call: Option<f64>,
}

impl Report {
    pub fn new(plan: &Plan, measured: &Measured) -> BenchResult<Self> {
        let tally = &measured.tally;
        if tally.requests == 0 {
            return Err("the server answered nothing in the measured window".into());
        }
        let seconds = measured.window.as_secs_f64();
        let requests = tally.requests as f64;
        let latency_us = |share| tally.latency.quantile(share) as f64 / 1e3;
        let busy = |cpu_ns: u64| cpu_ns as f64 / 1e9 / seconds;
        Ok(Self {
            mode: plan.mode.name().to_owned(),
            connections: plan.connections.into(),
            depth: plan.depth.into(),
            seconds,
            requests: tally.requests,
            locks: tally.locks,
            all_requests: measured.all_requests,
            requests_per_second: requests / seconds,
            p50_us: latency_us(0.5),
            p99_us: latency_us(0.99),
            p999_us: latency_us(0.999),
            bytes_per_request: tally.request_bytes as f64 / requests,
            bytes_per_answer: tally.answer_bytes as f64 / requests,
            port_waits: tally.port_waits,
            load_busy: busy(measured.load_cpu_ns),
            server_busy: measured.server_cpu_ns.map(busy),
            server_cpu_us_per_request: measured
                .server_cpu_ns
                .map(|cpu_ns| cpu_ns as f64 / 1e3 / requests),
            server_bytes: measured.server_bytes,
            redis_cpu_us_per_request: measured
                .redis
                .map(|redis| redis.cpu_ns as f64 / 1e3 / requests),
            requests_per_script_call: measured
                .redis
                .filter(|redis| redis.script_calls > 0)
                .map(|redis| requests / redis.script_calls as f64),
        })
    }

    pub fn to_json(&self) -> Value {
        json!({
            "mode": self.mode,
            "connections": self.connections,
            "depth": self.depth,
            "seconds": self.seconds,
            "requests": self.requests,
            "locks": self.locks,
            "all_requests": self.all_requests,
            "requests_per_second": self.requests_per_second,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "p999_us": self.p999_us,
            "bytes_per_request": self.bytes_per_request,
            "bytes_per_answer": self.bytes_per_answer,
            "port_waits": self.port_waits,
            "load_busy": self.load_busy,
            "server_busy": self.server_busy,
            "server_cpu_us_per_request": self.server_cpu_us_per_request,
            "server_bytes": self.server_bytes,
            "redis_cpu_us_per_request": self.redis_cpu_us_per_request,
            "requests_per_script_call": self.requests_per_script_call,
        })
    }

    pub fn from_json(text: &str) -> BenchResult<Self> {
        let value: Value = serde_json::from_str(text)?;
        let count = |key: &str| value[key].as_u64().ok_or(format!("no {key} in the report"));
        let amount = |key: &str| value[key].as_f64().ok_or(format!("no {key} in the report"));
        Ok(Self {
            mode: value["mode"]
                .as_str()
                .ok_or("no mode in the report")?
                .to_owned(),
            connections: count("connections")?,
            depth: count("depth")?,
            seconds: amount("seconds")?,
            requests: count("requests")?,
            locks: count("locks")?,
            all_requests: count("all_requests")?,
            requests_per_second: amount("requests_per_second")?,
            p50_us: amount("p50_us")?,
            p99_us: amount("p99_us")?,
            p999_us: amount("p999_us")?,
            bytes_per_request: amount("bytes_per_request")?,
            bytes_per_answer: amount("bytes_per_answer")?,
            port_waits: count("port_waits")?,
            load_busy: amount("load_busy")?,
            server_busy: value["server_busy"].as_f64(),
            server_cpu_us_per_request: value["server_cpu_us_per_request"].as_f64(),
            server_bytes: value["server_bytes"].as_u64(),
            redis_cpu_us_per_request: value["redis_cpu_us_per_request"].as_f64(),
            requests_per_script_call: value["requests_per_script_call"].as_f64(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mode,
            connections,
            depth,
            seconds,
            requests,
            locks,
            ..
        } = self;
        writeln!(
            f,
            "load            {mode}, {connections} connections, depth {depth}, {seconds:.2} s"
        )?;
        writeln!(f, "requests        {requests}, of which {locks} locks")?;
        writeln!(
            f,
            "per second      {:.0} requests",
            self.requests_per_second
        )?;
        writeln!(
            f,
            "latency         p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us",
            self.p50_us, self.p99_us, self.p999_us
        )?;
        writeln!(
            f,
            "answer          {:.1} bytes on average",
            self.bytes_per_answer
        )?;
        if self.port_waits > 0 {
            writeln!(f, "out of ports    {} times", self.port_waits)?;
        }
        if let (Some(cpu_us), Some(busy)) = (self.server_cpu_us_per_request, self.server_busy) {
            writeln!(
                f,
                "server CPU      {cpu_us:.3} us a request, {:.0} % of a core",
                busy * 100.0
            )?;
        }
        if let Some(cpu_us) = self.redis_cpu_us_per_request {
            writeln!(f, "Redis CPU       {cpu_us:.3} us a request")?;
        }
        if let Some(requests) = self.requests_per_script_call {
            writeln!(f, "script calls    one for {requests:.1} requests")?;
        }
        write!(
            f,
            "load generator  {:.0} % of a core",
            self.load_busy * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_json() {
        let report = Report {
            mode: "close".to_owned(),
            connections: 64,
            depth: 1,
            seconds: 2.5,
            requests: 100,
            locks: 50,
            all_requests: 130,
            requests_per_second: 40.0,
            p50_us: 1.0,
            p99_us: 2.0,
            p999_us: 3.5,
            bytes_per_request: 60.5,
            bytes_per_answer: 38.5,
            port_waits: 0,
            load_busy: 1.0,
            server_busy: None,
            server_cpu_us_per_request: None,
            server_bytes: Some(4096),
            redis_cpu_us_per_request: Some(1.5),
            requests_per_script_call: None,
        };
        let text = report.to_json().to_string();
        assert_eq!(Report::from_json(&text).unwrap(), report);
    }
}
