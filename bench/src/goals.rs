//! The goals, beside the measurements.

use std::fmt::Write;

use crate::{
    plan::Mode,
    report::Report,
    spread::Spread,
    table::{self, Entry, FILE, FLOOR, MEMORY, NGINX, server_cpu, shown},
};

#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn words(self) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {bound:.2}"),
            Self::AtLeast(bound) => format!("at least {bound:.2}"),
        }
    }

    /// Compares the median with the bound.
    fn verdict(self, measured: Option<Spread>) -> &'static str {
        let met = measured.map(|spread| match self {
            Self::AtMost(bound) => spread.median <= bound,
            Self::AtLeast(bound) => spread.median >= bound,
        });
        match met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        }
    }
}

type Figure = fn(&Report) -> Option<f64>;

/// Formats the ratios that have a goal in `compare`.
pub fn rows(entries: &[Entry]) -> String {
    let speed: Figure = |report| Some(report.requests_per_second);
    let goals: [(&str, Figure, Mode, [&str; 2], Bound); 6] = [
        (
            "CPU per request",
            server_cpu,
            Mode::KeepAlive,
            [MEMORY, FLOOR],
            Bound::AtMost(1.1),
        ),
        (
            "CPU per request",
            server_cpu,
            Mode::KeepAlive,
            [MEMORY, NGINX],
            Bound::AtMost(0.9),
        ),
        (
            "requests/s",
            speed,
            Mode::Pipelined,
            [MEMORY, NGINX],
            Bound::AtLeast(5.0),
        ),
        (
            "requests/s",
            speed,
            Mode::KeepAlive,
            [FILE, MEMORY],
            Bound::AtLeast(0.6),
        ),
        (
            "requests/s",
            speed,
            Mode::Pipelined,
            [FILE, MEMORY],
            Bound::AtLeast(0.5),
        ),
        (
            "CPU per request",
            server_cpu,
            Mode::Close,
            [MEMORY, FLOOR],
            Bound::AtMost(1.15),
        ),
    ];
    let mut text = String::from("\n| ratio | goal | measured | |\n| --- | ---: | ---: | --- |\n");
    for (what, figure, mode, names, bound) in goals {
        let measured = table::ratio(entries, mode, names, figure);
        let _ = writeln!(
            text,
            "| {what}, {mode}, {own} / {peer} | {} | {} | {} |",
            bound.words(),
            shown(measured, 2),
            bound.verdict(measured),
            mode = mode.name(),
            own = names[0],
            peer = names[1],
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides() {
        let measured = Spread::of([1.0, 1.1, 3.0]);
        assert_eq!(Bound::AtMost(1.1).verdict(measured), "met");
        assert_eq!(Bound::AtMost(1.0).verdict(measured), "missed");
        assert_eq!(Bound::AtLeast(1.2).verdict(measured), "missed");
        assert_eq!(Bound::AtLeast(1.2).verdict(None), "not measured");
    }
}
