//! Prometheus' text format, version 0.0.4: families of samples, a line each.
//!
//! The format is so small that a crate would bring more than it saves. The known ones keep their
//! counters behind atomics and locks, and allocate to find them by their labels.

use crate::histogram::Histogram;

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricType {
    Counter,
    Gauge,
    Histogram,
}

/// A value of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Count(u64),
    /// Microseconds, written as seconds.
    Micros(u64),
}

/// Writes a page.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    /// Begins a family. `help` is one line without a backslash.
    pub(super) fn family(&mut self, name: &str, metric_type: MetricType, help: &str) {
        debug_assert!(!help.contains(['\n', '\\']), "help needs no escapes");
        let metric_type = match metric_type {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
        };
        self.text(&[
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            metric_type,
            "\n",
        ]);
    }

    /// Writes a sample. Label values may be any text.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: Value) {
        self.text(&[name]);
        self.labels(labels);
        self.text(&[if labels.is_empty() { " " } else { "} " }]);
        self.value(value);
        self.text(&["\n"]);
    }

    /// Writes a histogram into its family.
    pub(super) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], of: &Histogram) {
        for (bound_us, count) in of.bounded() {
            self.bucket(name, labels, Some(bound_us), count);
        }
        self.bucket(name, labels, None, of.count());
        for (suffix, value) in [
            ("_sum", Value::Micros(of.sum_us())),
            ("_count", Value::Count(of.count())),
        ] {
            self.text(&[name]);
            self.sample(suffix, labels, value);
        }
    }

    /// Writes the count up to a bound; `None` stands for no bound.
    fn bucket(&mut self, name: &str, labels: &[(&str, &str)], bound_us: Option<u64>, count: u64) {
        self.text(&[name, "_bucket"]);
        self.labels(labels);
        self.text(&[if labels.is_empty() { "{" } else { "," }, "le=\""]);
        match bound_us {
            Some(bound_us) => self.value(Value::Micros(bound_us)),
            None => self.text(&["+Inf"]),
        }
        self.text(&["\"} "]);
        self.value(Value::Count(count));
        self.text(&["\n"]);
    }

    /// Writes labels without their closing brace.
    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (place, (label, text)) in labels.iter().enumerate() {
            self.text(&[if place == 0 { "{" } else { "," }, label, "=\""]);
            self.escaped(text);
            self.text(&["\""]);
        }
    }

    /// Writes a family of one sample.
    pub(super) fn single(&mut self, name: &str, metric_type: MetricType, help: &str, value: Value) {
        self.family(name, metric_type, help);
        self.sample(name, &[], value);
    }

    fn value(&mut self, value: Value) {
        match value {
            Value::Count(count) => self.number(count),
            Value::Micros(us) => {
                self.number(us / 1_000_000);
                let mut fraction = us % 1_000_000;
                if fraction > 0 {
                    self.0.push(b'.');
                }
                let mut unit = 100_000;
                while fraction > 0 {
                    self.0.push(b'0' + (fraction / unit) as u8);
                    fraction %= unit;
                    unit /= 10;
                }
            }
        }
    }

    fn text(&mut self, parts: &[&str]) {
        for part in parts {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    fn number(&mut self, number: u64) {
        let mut digits = itoa::Buffer::new();
        self.text(&[digits.format(number)]);
    }

    /// Writes a label value: a backslash before backslashes, quotation marks and line feeds.
    fn escaped(&mut self, text: &str) {
        for &byte in text.as_bytes() {
            match byte {
                b'\\' | b'"' => self.0.extend_from_slice(&[b'\\', byte]),
                b'\n' => self.0.extend_from_slice(b"\\n"),
                byte => self.0.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut page = Vec::new();
        write(&mut Writer(&mut page));
        String::from_utf8(page).expect("a page is UTF-8")
    }

    #[test]
    fn a_family_names_itself_and_its_samples() {
        let page = written(|page| {
            page.family("a_total", MetricType::Counter, "What it is.");
            page.sample("a_total", &[], Value::Count(0));
            page.sample("a_total", &[("x", "1"), ("y", "2")], Value::Count(u64::MAX));
        });
        let expected = "# HELP a_total What it is.\n# TYPE a_total counter\na_total 0\n\
                        a_total{x=\"1\",y=\"2\"} 18446744073709551615\n";
        assert_eq!(page, expected);
    }

    #[test]
    fn no_label_leaves_its_quotation_marks() {
        let hostile = "\\\"}\n{a=\"1\"} 2\u{e9}";
        let page = written(|page| page.sample("a", &[("pool", hostile)], Value::Count(1)));
        let expected = "a{pool=\"\\\\\\\"}\\n{a=\\\"1\\\"} 2\u{e9}\"} 1\n";
        assert_eq!(page, expected);
    }

    #[test]
    fn microseconds_are_seconds() {
        for (us, seconds) in [
            (0, "0"),
            (50, "0.00005"),
            (100_000, "0.1"),
            (1_000_000, "1"),
            (419_430_400, "419.4304"),
            (1_000_001, "1.000001"),
        ] {
            assert_eq!(written(|page| page.value(Value::Micros(us))), seconds);
        }
    }
}
