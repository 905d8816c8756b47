//! The page of all metrics: names, help texts and values.

use super::text::{MetricType, Value, Writer};
use super::{Metrics, Process};
use crate::command::{PoolStatus, Survey};
use crate::store::{Backing, StoreFigures};
use crate::time::Time;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// All that a page is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct Scrape<'a> {
    /// The counters of the server.
    pub metrics: &'a Metrics,
    /// The state and the counters of the store.
    pub store: &'a StoreFigures,
    /// The pools, or `None` while the store cannot list them.
    pub survey: Option<&'a Survey>,
    /// Measurements of the system.
    pub process: Process,
    /// The time of this tick.
    pub now: Time,
}

impl Scrape<'_> {
    /// Appends the page.
    pub fn write(&self, page: &mut Vec<u8>) {
        let mut page = Writer(page);
        self.server(&mut page);
        self.requests(&mut page);
        self.connections(&mut page);
        self.lending(&mut page);
        self.pools(&mut page);
        self.store(&mut page);
        self.process(&mut page);
    }

    fn server(&self, page: &mut Writer<'_>) {
        let (ticks, busy_us) = self.metrics.requests.ticks();
        page.family(
            "latchd_build_info",
            MetricType::Gauge,
            "The version of this latchd.",
        );
        page.sample(
            "latchd_build_info",
            &[("version", VERSION)],
            Value::Count(1),
        );
        page.single(
            "latchd_uptime_seconds",
            MetricType::Gauge,
            "How long it has been running.",
            Value::Micros(self.metrics.requests.tick_at().as_us()),
        );
        page.single(
            "latchd_loop_busy_seconds_total",
            MetricType::Counter,
            "How long the event loop was at work. It is one thread: 1 a second is all that it can do.",
            Value::Micros(busy_us),
        );
        page.single(
            "latchd_loop_ticks_total",
            MetricType::Counter,
            "How often the event loop has waited for something to do, and done it.",
            Value::Count(ticks),
        );
        let stalls = &self.metrics.stalls;
        page.single(
            "latchd_stalls_total",
            MetricType::Counter,
            "How often the server stood still for more than a second: stopped, or on a busy machine or disk.",
            Value::Count(stalls.count),
        );
        page.single(
            "latchd_stall_seconds_total",
            MetricType::Counter,
            "How long the server stood still then.",
            Value::Micros(stalls.total_us),
        );
    }

    fn requests(&self, page: &mut Writer<'_>) {
        let requests = &self.metrics.requests;
        let name = "latchd_requests_total";
        page.family(name, MetricType::Counter, "Requests that were answered.");
        for ([route, method, status], count) in requests.answered() {
            let labels = [("route", route), ("method", method), ("status", status)];
            page.sample(name, &labels, Value::Count(count));
        }
        page.single(
            "latchd_requests_abandoned_total",
            MetricType::Counter,
            "Requests whose connection was gone before they could be answered.",
            Value::Count(requests.abandoned),
        );
        page.single(
            "latchd_wrong_keys_total",
            MetricType::Counter,
            "Requests with a key that the server does not know.",
            Value::Count(requests.wrong_keys),
        );
        page.single(
            "latchd_unchecked_keys_total",
            MetricType::Counter,
            "Requests whose key was not looked at, as too many wrong ones came from their address.",
            Value::Count(requests.unchecked_keys),
        );
        let name = "latchd_request_duration_seconds";
        page.family(
            name,
            MetricType::Histogram,
            "From the tick in which a request was whole to the end of that of its answer; without those that ask to wait.",
        );
        page.histogram(name, &[], requests.durations());
        let name = "latchd_wait_duration_seconds";
        page.family(
            name,
            MetricType::Histogram,
            "The same for acquires that ask to wait, by result.",
        );
        for (outcome, waits) in requests.waits() {
            page.histogram(name, &[("outcome", outcome)], waits);
        }
    }

    fn connections(&self, page: &mut Writer<'_>) {
        let connections = &self.metrics.connections;
        let mut counter = |name, help, count| {
            page.single(name, MetricType::Counter, help, Value::Count(count));
        };
        counter(
            "latchd_connections_accepted_total",
            "Connections that were accepted.",
            connections.accepted,
        );
        counter(
            "latchd_received_bytes_total",
            "Bytes that clients have sent.",
            connections.received_bytes,
        );
        counter(
            "latchd_sent_bytes_total",
            "Bytes that were sent to clients.",
            connections.sent_bytes,
        );
        let name = "latchd_connections_closed_total";
        page.family(
            name,
            MetricType::Counter,
            "Connections that were closed, and why.",
        );
        for (reason, count) in connections.closed() {
            page.sample(name, &[("reason", reason)], Value::Count(count));
        }
        let name = "latchd_connections_refused_total";
        page.family(
            name,
            MetricType::Counter,
            "Connections that were not accepted, and why.",
        );
        for (reason, count) in connections.refused() {
            page.sample(name, &[("reason", reason)], Value::Count(count));
        }
        let mut gauge = |name, help, count| {
            page.single(name, MetricType::Gauge, help, Value::Count(count));
        };
        gauge("latchd_connections", "Connections now.", connections.open());
        gauge(
            "latchd_connections_max",
            "The most connections at a time. Further ones wait to be accepted.",
            connections.max,
        );
    }

    fn lending(&self, page: &mut Writer<'_>) {
        let lending = &self.store.lending;
        let mut counter = |name, help, count| {
            page.single(name, MetricType::Counter, help, Value::Count(count));
        };
        counter(
            "latchd_resources_granted_total",
            "Resources that were lent. A repeated acquire of an owner lends nothing.",
            lending.granted,
        );
        counter(
            "latchd_resources_released_total",
            "Resources that were released, or taken back because the grant could not be delivered.",
            lending.released,
        );
        // Leases in Redis are ended by any of the servers that share it.
        if !matches!(self.store.backing, Backing::Redis { .. }) {
            counter(
                "latchd_resources_expired_total",
                "Resources whose lease expired.",
                lending.expired,
            );
        }
        let name = "latchd_refused_total";
        page.family(
            name,
            MetricType::Counter,
            "Requests that the store refused, and why.",
        );
        for (reason, count) in lending.refused() {
            page.sample(name, &[("reason", reason)], Value::Count(count));
        }
        page.single(
            "latchd_waiters",
            MetricType::Gauge,
            "Acquires that wait in queues through this server, including those of owners whose connection is lost.",
            Value::Count(self.store.waiting),
        );
    }

    /// Writes the pools. The sample without a label is the sum of the pools that are not shown: no
    /// pool has an empty name.
    fn pools(&self, page: &mut Writer<'_>) {
        let Some(survey) = self.survey else { return };
        let pools = Value::Count(survey.pool_count as u64);
        page.single("latchd_pools", MetricType::Gauge, "Pools.", pools);
        type Figure = fn(&PoolStatus) -> usize;
        let figures: [(&str, &str, Figure); 4] = [
            ("latchd_pool_resources", "Members of a pool.", |pool| {
                pool.resources
            }),
            (
                "latchd_pool_held",
                "Resources that are held, including removed members.",
                |pool| pool.held,
            ),
            (
                "latchd_pool_free",
                "Resources that can be lent now.",
                |pool| pool.free,
            ),
            (
                "latchd_pool_waiting",
                "Acquires that wait in the queue of a pool, of all servers that share the store.",
                |pool| pool.waiting,
            ),
        ];
        for (name, help, figure) in figures {
            page.family(name, MetricType::Gauge, help);
            for pool in &survey.shown {
                let labels = [("pool", &*pool.name)];
                page.sample(name, &labels, Value::Count(figure(pool) as u64));
            }
            if let Some(others) = &survey.others {
                page.sample(name, &[], Value::Count(figure(others) as u64));
            }
        }
    }

    fn store(&self, page: &mut Writer<'_>) {
        page.single(
            "latchd_store_up",
            MetricType::Gauge,
            "1 if the store can be asked, as far as it is known.",
            Value::Count(self.store.is_up.into()),
        );
        match &self.store.backing {
            Backing::Memory => {}
            Backing::Journal { commits, failures } => {
                let name = "latchd_journal_commit_duration_seconds";
                page.family(
                    name,
                    MetricType::Histogram,
                    "Commits to the file of the store.",
                );
                page.histogram(name, &[], commits);
                page.single(
                    "latchd_journal_failures_total",
                    MetricType::Counter,
                    "How often the file of the store could not be written, or not be opened again.",
                    Value::Count(*failures),
                );
            }
            Backing::Redis {
                round_trips,
                commands,
                losses,
                histories,
                clock_jumps,
            } => {
                let name = "latchd_redis_round_trip_duration_seconds";
                page.family(
                    name,
                    MetricType::Histogram,
                    "Time from sending the commands of one tick to Redis until its last answer.",
                );
                page.histogram(name, &[], round_trips);
                page.single(
                    "latchd_redis_commands_total",
                    MetricType::Counter,
                    "Commands that Redis has answered.",
                    Value::Count(*commands),
                );
                page.single(
                    "latchd_redis_losses_total",
                    MetricType::Counter,
                    "How often the connection to Redis was lost, or could not be made.",
                    Value::Count(*losses),
                );
                page.single(
                    "latchd_redis_histories_total",
                    MetricType::Counter,
                    "How often Redis was found started again, replaced or without its data.",
                    Value::Count(*histories),
                );
                page.single(
                    "latchd_redis_clock_jumps_total",
                    MetricType::Counter,
                    "How often the clock of Redis was found to have jumped.",
                    Value::Count(*clock_jumps),
                );
            }
        }
    }

    /// Writes the figures of the process, under the names that other programs use.
    fn process(&self, page: &mut Writer<'_>) {
        let process = &self.process;
        let up_ms = self.metrics.requests.tick_at().as_us() / 1000;
        let started_ms = self.now.as_ms().saturating_sub(up_ms);
        let memory = process.memory;
        let rows = [
            (
                "process_cpu_seconds_total",
                MetricType::Counter,
                "Processor time that was used.",
                process.cpu_us.map(Value::Micros),
            ),
            (
                "process_start_time_seconds",
                MetricType::Gauge,
                "When the process was started, since the epoch.",
                Some(Value::Micros(started_ms * 1000)),
            ),
            (
                "process_resident_memory_bytes",
                MetricType::Gauge,
                "Resident memory.",
                memory.map(|memory| Value::Count(memory.resident_bytes)),
            ),
            (
                "process_virtual_memory_bytes",
                MetricType::Gauge,
                "Virtual memory.",
                memory.map(|memory| Value::Count(memory.virtual_bytes)),
            ),
            (
                "process_open_fds",
                MetricType::Gauge,
                "Open descriptors.",
                process.open_descriptors.map(Value::Count),
            ),
            (
                "process_max_fds",
                MetricType::Gauge,
                "The most open descriptors.",
                process.max_descriptors.map(Value::Count),
            ),
        ];
        for (name, metric_type, help, value) in rows {
            if let Some(value) = value {
                page.single(name, metric_type, help, value);
            }
        }
    }
}
