//! The comparison as Markdown: what was measured and where, then one row for each entry.

use std::{fmt::Write, fs, path::Path, process::Command, time::Duration};

use crate::{plan::Mode, process::Launcher, report::Report, spread::Spread};

/// One row of the table: a server under one kind of load.
pub struct Entry {
    pub name: &'static str,
    pub mode: Mode,
    /// The entry with the floor for the same kind of load.
    pub floor: usize,
    /// Index into the field's servers.
    pub server: usize,
    /// Whether it answers always the same, so that its answers are not looked at.
    pub fixed: bool,
    /// One for each round.
    pub reports: Vec<Report>,
}

/// What a reader must know to judge the figures.
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
         half each; the floor is sent locks only and answers without looking. Server CPU is that of its process by the \
         kernel's account, divided by all requests; times floor is against the floor's of the same round.\n\n",
        machine = machine(),
        pinning = launcher.pinning(),
        file_system = file_system(folder),
        seconds = window.as_secs_f64(),
    )
}

/// When and where.
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

/// On what kind of file system a folder is.
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
        "| load | server | requests/s | server CPU us/request | times floor | p50 us | p99 us | answer bytes | busy: server | load |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for entry in entries {
        let reports = &entry.reports;
        let ratios = reports
            .iter()
            .zip(&entries[entry.floor].reports)
            .filter_map(|(own, floor)| {
                Some(own.server_cpu_us_per_request? / floor.server_cpu_us_per_request?)
            });
        let row = [
            entry.mode.name().to_owned(),
            entry.name.to_owned(),
            spread(reports, 0, |report| Some(report.requests_per_second)),
            spread(reports, 2, |report| report.server_cpu_us_per_request),
            shown(Spread::of(ratios), 2),
            median(reports, 0, |report| Some(report.p50_us)),
            median(reports, 0, |report| Some(report.p99_us)),
            median(reports, 1, |report| Some(report.bytes_per_answer)),
            median(reports, 0, |report| Some(report.server_busy? * 100.0)) + " %",
            median(reports, 0, |report| Some(report.load_busy * 100.0)) + " %",
        ];
        let _ = writeln!(table, "| {} |", row.join(" | "));
    }
    table
}

fn spread(reports: &[Report], decimals: usize, figure: impl Fn(&Report) -> Option<f64>) -> String {
    shown(Spread::of(reports.iter().filter_map(figure)), decimals)
}

fn shown(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or("-".to_owned(), |spread| {
        spread.show(|value| format!("{value:.decimals$}"))
    })
}

fn median(reports: &[Report], decimals: usize, figure: impl Fn(&Report) -> Option<f64>) -> String {
    Spread::of(reports.iter().filter_map(figure)).map_or("-".to_owned(), |spread| {
        format!("{:.decimals$}", spread.median)
    })
}
