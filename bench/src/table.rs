//! The comparison as Markdown: the conditions, then one row for each entry.

use std::{fmt::Write, fs, path::Path, process::Command, time::Duration};

use crate::{
    plan::{Api, Mode},
    process::Launcher,
    report::Report,
    spread::Spread,
};

pub const FLOOR: &str = "floor";
pub const MEMORY: &str = "latchd, memory";
pub const FILE: &str = "latchd, file";
pub const REDIS: &str = "latchd, Redis";
pub const NGINX: &str = "nginx";
pub const WEBDIS: &str = "webdis";

/// One row of the table: a server under one kind of load.
pub struct Entry {
    pub name: &'static str,
    pub mode: Mode,
    pub api: Api,
    /// Index into the servers.
    pub server: usize,
    /// One report for each round.
    pub reports: Vec<Report>,
    /// System calls for each request, counted in a round of its own.
    pub system_calls: Option<f64>,
}

impl Entry {
    pub fn new(name: &'static str, mode: Mode, api: Api, server: usize) -> Self {
        Self {
            name,
            mode,
            api,
            server,
            reports: Vec::new(),
            system_calls: None,
        }
    }

    /// Returns whether the server has a fixed answer, so that answers are not checked.
    pub fn is_fixed(&self) -> bool {
        matches!(self.name, FLOOR | NGINX)
    }
}

/// Returns a figure of one entry as a multiple of another's under the same load, each of the same
/// round.
pub fn ratio(
    entries: &[Entry],
    mode: Mode,
    [own, peer]: [&str; 2],
    figure: fn(&Report) -> Option<f64>,
) -> Option<Spread> {
    let reports = |name| {
        let entry = entries
            .iter()
            .find(|entry| entry.mode == mode && entry.name == name)?;
        Some(entry.reports.iter())
    };
    let pairs = reports(own)?.zip(reports(peer)?);
    Spread::of(pairs.filter_map(|(own, peer)| Some(figure(own)? / figure(peer)?)))
}

/// Lists the servers that are not installed, as a paragraph.
pub fn missing(names: &[&str]) -> String {
    match names.is_empty() {
        true => String::new(),
        false => format!(
            "Not measured, for it is not installed here: {}.\n\n",
            names.join(", ")
        ),
    }
}

/// Returns the conditions that a reader needs to judge the figures.
pub fn preamble(
    rounds: u32,
    window: Duration,
    connections: u32,
    launcher: &Launcher,
    folder: &Path,
) -> String {
    format!(
        "{machine}; {pinning}; the file store on {file_system}.\n\
         {connections} connections, {rounds} rounds of {seconds} s: median (lowest–highest). A request is a lock or a release, \
         half each; the floor and nginx are sent locks only, and answer without looking. Server CPU is that of its process by the \
         kernel's account (without that of a Redis behind it, which shares its core), divided by all requests; the ratios are of the \
         same round. System calls were counted in a round of their own (strace).\n\n",
        machine = machine(),
        pinning = launcher.pinning(),
        file_system = file_system(folder),
        seconds = window.as_secs_f64(),
    )
}

/// Describes the date and the machine.
pub fn machine() -> String {
    format!(
        "{date}, {cpu}, {cores} cores, Linux {kernel}",
        date = first_line_of(Command::new("date").args(["-u", "+%F"])),
        cpu = cpu_model(),
        cores = std::thread::available_parallelism().map_or(0, usize::from),
        kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim(),
    )
}

/// Returns the kind of file system of a folder.
pub fn file_system(folder: &Path) -> String {
    first_line_of(Command::new("stat").args(["-f", "-c", "%T"]).arg(folder))
}

fn first_line_of(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout);
    let text = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    text.lines().next().unwrap_or("unknown").to_owned()
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let model = line.and_then(|line| line.split_once(": "));
    model.map_or("unknown CPU", |(_, model)| model).to_owned()
}

pub fn rows(entries: &[Entry]) -> String {
    let mut table = String::from(
        "| load | server | requests/s | server CPU us/request | times floor | times nginx | system calls/request \
         | bytes in | bytes out | p50 us | p99 us | resident MB | busy: server | load |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for entry in entries {
        let reports = &entry.reports;
        let cpu_times = |peer| {
            let names = [entry.name, peer];
            shown(ratio(entries, entry.mode, names, server_cpu), 2)
        };
        let row = [
            entry.mode.name().to_owned(),
            entry.name.to_owned(),
            spread(reports, 0, |report| Some(report.requests_per_second)),
            spread(reports, 2, server_cpu),
            cpu_times(FLOOR),
            cpu_times(NGINX),
            entry
                .system_calls
                .map_or("-".to_owned(), |calls| format!("{calls:.2}")),
            median(reports, 0, |report| Some(report.bytes_per_request)),
            median(reports, 1, |report| Some(report.bytes_per_answer)),
            median(reports, 0, |report| Some(report.p50_us)),
            median(reports, 0, |report| Some(report.p99_us)),
            median(reports, 1, |report| Some(report.server_bytes? as f64 / 1e6)),
            median(reports, 0, |report| Some(report.server_busy? * 100.0)) + " %",
            median(reports, 0, |report| Some(report.load_busy * 100.0)) + " %",
        ];
        let _ = writeln!(table, "| {} |", row.join(" | "));
    }
    table
}

pub fn server_cpu(report: &Report) -> Option<f64> {
    report.server_cpu_us_per_request
}

fn spread(reports: &[Report], decimals: usize, figure: impl Fn(&Report) -> Option<f64>) -> String {
    shown(Spread::of(reports.iter().filter_map(figure)), decimals)
}

pub fn shown(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or("-".to_owned(), |spread| {
        spread.show(|value| format!("{value:.decimals$}"))
    })
}

fn median(reports: &[Report], decimals: usize, figure: impl Fn(&Report) -> Option<f64>) -> String {
    Spread::of(reports.iter().filter_map(figure)).map_or("-".to_owned(), |spread| {
        format!("{:.decimals$}", spread.median)
    })
}
