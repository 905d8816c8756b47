//! Bodies with very many resources or pools, and the effect of one on other clients: another
//! connection repeats a ping all the while.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    BenchResult,
    control::{self, Client},
    requests::request,
    tally::Histogram,
};

#[derive(Clone, Copy)]
pub enum Shape {
    OnePool,
    /// Many pools, with one resource each.
    ManyPools,
}

impl Shape {
    pub fn words(self, count: u32) -> String {
        match self {
            Self::OnePool => format!("{count} resources in one pool"),
            Self::ManyPools => format!("{count} pools of one resource"),
        }
    }

    pub fn request(self, count: u32, server: SocketAddr) -> Vec<u8> {
        let numbers = 1..=count;
        match self {
            Self::OnePool => {
                let ids: Vec<String> = numbers.map(|id| id.to_string()).collect();
                request("POST", "/pool/A", server, true, &ids.join("\n"))
            }
            Self::ManyPools => {
                let pools: Vec<String> = numbers
                    .map(|pool| format!("\"p{pool:07}\":[\"1\"]"))
                    .collect();
                let body = format!("{{{}}}", pools.join(","));
                request("POST", "/pool", server, true, &body)
            }
        }
    }
}

pub struct Seeded {
    pub took: Duration,
    /// The longest ping while the body was sent, applied and answered.
    pub longest_ping: Duration,
    /// The longest ping when the server was otherwise idle for as long; `median_usual` is the
    /// median.
    pub longest_usual: Duration,
    pub median_usual: Duration,
}

pub fn seed(server: SocketAddr, shape: Shape, count: u32) -> BenchResult<Seeded> {
    let body = shape.request(count, server);
    let start = Instant::now();
    let (pings, outcome) = pings_during(server, || control::exchange(server, &body))?;
    let took = start.elapsed();
    outcome?.success()?;
    let (usual, ()) = pings_during(server, || thread::sleep(took))?;
    let at = |pings: &Histogram, share| Duration::from_nanos(pings.quantile(share));
    Ok(Seeded {
        took,
        longest_ping: at(&pings, 1.0),
        longest_usual: at(&usual, 1.0),
        median_usual: at(&usual, 0.5),
    })
}

/// Repeats pings while `work` runs, and returns their times.
fn pings_during<T>(server: SocketAddr, work: impl FnOnce() -> T) -> BenchResult<(Histogram, T)> {
    let done = AtomicBool::new(false);
    let ping = || -> Result<Histogram, String> {
        let mut times = Histogram::new();
        let bytes = request("GET", "/ping", server, false, "");
        let mut client = Client::connect(server).map_err(|error| error.to_string())?;
        while !done.load(Ordering::Relaxed) {
            let start = Instant::now();
            client
                .ask(&bytes, "pong")
                .map_err(|error| format!("ping: {error}"))?;
            times.record(start.elapsed().as_nanos() as u64);
        }
        Ok(times)
    };
    thread::scope(|scope| {
        let pinger = scope.spawn(ping);
        let result = work();
        done.store(true, Ordering::Relaxed);
        let times = pinger.join().map_err(|_| "the pinging thread panicked")??;
        Ok((times, result))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_name_all_that_is_to_be() {
        let server = "127.0.0.1:1".parse().unwrap();
        let text = |shape: Shape| String::from_utf8(shape.request(3, server)).unwrap();
        assert!(text(Shape::OnePool).ends_with("\r\n\r\n1\n2\n3"));
        let pools = r#"{"p0000001":["1"],"p0000002":["1"],"p0000003":["1"]}"#;
        assert!(text(Shape::ManyPools).ends_with(pools));
    }
}
