//! A page of Prometheus' text format, version 0.0.4, read more strictly than Prometheus does: a page
//! that this takes, every scraper takes.

use std::collections::{BTreeMap, HashSet};

/// The figures of a page.
pub struct Page {
    pub text: String,
    families: BTreeMap<String, Family>,
}

struct Family {
    kind: String,
    samples: Vec<Sample>,
}

/// One line of figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Page {
    /// Reads a page, and panics on any fault in it.
    #[track_caller]
    pub fn read(text: &str) -> Page {
        assert!(text.ends_with('\n'), "the last line has an end");
        let mut page = Page {
            text: text.to_owned(),
            families: BTreeMap::new(),
        };
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = comment(line, "HELP");
            assert!(!help.is_empty() && !help.contains('\\'), "{line}");
            let (named_again, kind) = comment(lines.next().unwrap_or_default(), "TYPE");
            assert_eq!(name, named_again, "HELP and TYPE follow each other");
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                samples.push(sample(line));
            }
            check(name, kind, &samples);
            let family = Family {
                kind: kind.to_owned(),
                samples,
            };
            let before = page.families.insert(name.to_owned(), family);
            assert!(before.is_none(), "{name} comes twice");
        }
        page
    }

    /// All lines of figures whose names begin so.
    pub fn lines(&self, start: &str) -> Vec<&str> {
        let lines = self.text.lines();
        lines.filter(|line| line.starts_with(start)).collect()
    }

    /// The value of a figure with exactly these labels.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("no {name} {labels:?} in\n{}", self.text))
    }

    /// The value of a figure, if the page has it.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeMap<String, String> = labels
            .iter()
            .map(|(label, value)| (label.to_string(), value.to_string()))
            .collect();
        let mut all = self.samples();
        all.find(|sample| sample.name == name && sample.labels == wanted)
            .map(|sample| sample.value)
    }

    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.values().flat_map(|family| &family.samples)
    }

    /// Every count of `earlier` is here still, and has not fallen.
    #[track_caller]
    pub fn expect_not_below(&self, earlier: &Page) {
        for (name, family) in &earlier.families {
            for before in &family.samples {
                let is_count = family.kind == "counter" || family.kind == "histogram";
                if !is_count {
                    continue;
                }
                let now = self.samples().find(|sample| {
                    (&sample.name, &sample.labels) == (&before.name, &before.labels)
                });
                let now = now.unwrap_or_else(|| panic!("{before:?} of {name} is gone"));
                assert!(
                    now.value >= before.value,
                    "{before:?} fell to {}",
                    now.value
                );
            }
        }
    }
}

fn comment<'a>(line: &'a str, word: &str) -> (&'a str, &'a str) {
    let rest = line
        .strip_prefix("# ")
        .and_then(|line| line.strip_prefix(word));
    let rest = rest.and_then(|rest| rest.strip_prefix(' '));
    let split = rest.and_then(|rest| rest.split_once(' '));
    split.unwrap_or_else(|| panic!("{line:?} where {word} was to come"))
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line:?}"));
    let (name, rest) = line.split_at(end);
    assert!(is_name(name, ":"), "{line:?}");
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest),
        None => (BTreeMap::new(), rest),
    };
    let value = value
        .strip_prefix(' ')
        .unwrap_or_else(|| panic!("{line:?}"));
    assert!(
        value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.'),
        "a plain number: {line:?}"
    );
    Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().unwrap_or_else(|_| panic!("{line:?}")),
    }
}

/// Labels up to the brace that closes them, and the rest behind it.
fn labels(mut rest: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    loop {
        let (name, behind) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(name, ""), "{name:?}");
        let (mut value, mut characters) = (String::new(), behind.chars());
        loop {
            match characters.next().expect("a value ends") {
                '"' => break,
                '\\' => value.push(match characters.next() {
                    Some('n') => '\n',
                    Some(escaped @ ('\\' | '"')) => escaped,
                    other => panic!("{other:?} has no escape"),
                }),
                character => value.push(character),
            }
        }
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name}");
        let behind = characters.as_str();
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None => return (labels, behind.strip_prefix('}').expect("labels are closed")),
        }
    }
}

fn is_name(name: &str, others: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || others.contains(c);
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn check(family: &str, kind: &str, samples: &[Sample]) {
    assert!(is_name(family, ""), "{family}");
    let known = ["latchd_", "process_"];
    assert!(
        known.iter().any(|start| family.starts_with(start)),
        "{family}"
    );
    assert_eq!(family.ends_with("_total"), kind == "counter", "{family}");
    let mut seen = HashSet::new();
    for sample in samples {
        let labels = format!("{:?}", sample.labels);
        assert!(
            seen.insert((&sample.name, labels)),
            "{sample:?} comes twice"
        );
    }
    match kind {
        "histogram" => check_histogram(family, samples),
        "counter" | "gauge" => assert!(samples.iter().all(|sample| sample.name == family)),
        _ => panic!("{family} is of the kind {kind}"),
    }
}

/// Buckets in order, each with all that are in those before it, then the sum and the count.
fn check_histogram(family: &str, samples: &[Sample]) {
    let (bucket, sum) = (format!("{family}_bucket"), format!("{family}_sum"));
    let count = format!("{family}_count");
    let mut rest = samples;
    assert!(!rest.is_empty(), "{family} is there from the start");
    while !rest.is_empty() {
        let buckets = rest.iter().take_while(|sample| sample.name == bucket);
        let (buckets, behind) = rest.split_at(buckets.count());
        let bounds: Vec<f64> = buckets
            .iter()
            .map(|sample| match &*sample.labels["le"] {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().expect("a bound is a number"),
            })
            .collect();
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert_eq!(bounds.last(), Some(&f64::INFINITY));
        assert!(buckets.is_sorted_by_key(|sample| sample.value), "{family}");
        let [sum_of, count_of, ..] = behind else {
            panic!("{family} has a sum and a count");
        };
        assert_eq!((&sum_of.name, &count_of.name), (&sum, &count));
        assert_eq!(buckets.last().map(|last| last.value), Some(count_of.value));
        for sample in buckets {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            assert_eq!((&labels, &labels), (&sum_of.labels, &count_of.labels));
        }
        rest = &behind[2..];
    }
}
