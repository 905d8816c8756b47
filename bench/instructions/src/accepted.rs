//! The accepted counts, in a file that is part of the source.

use std::fmt::Write;
use std::fs;
use std::process::Command;

/// The path of that file.
pub const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/accepted.txt");

/// The accepted counts, and the tools they were counted with.
pub struct Accepted {
    tools: String,
    counts: Vec<(String, f64)>,
}

impl Accepted {
    /// Reads `COUNT NAME` from each line. Without a file there are no accepted counts.
    pub fn read() -> Result<Accepted, String> {
        let text = fs::read_to_string(PATH).unwrap_or_default();
        let mut accepted = Accepted {
            tools: String::new(),
            counts: Vec::new(),
        };
        for line in text.lines() {
            if let Some(tools) = line.strip_prefix("# ") {
                accepted.tools = tools.to_owned();
                continue;
            }
            let count = line.trim().split_once(' ');
            let count =
                count.and_then(|(count, name)| Some((name.to_owned(), count.parse().ok()?)));
            let count = count.ok_or_else(|| format!("{PATH}: not COUNT NAME: {line}"))?;
            accepted.counts.push(count);
        }
        Ok(accepted)
    }

    /// Returns the accepted count of a step.
    pub fn of(&self, name: &str) -> Option<f64> {
        let mut counts = self.counts.iter();
        counts.find_map(|(known, count)| (known == name).then_some(*count))
    }

    /// Reports that the tools differ: another compiler makes other instructions, so the source is
    /// not the reason.
    pub fn tell_other_tools(&self) {
        let tools = tools();
        if self.tools != tools {
            println!("Accepted with {}; this is {tools}.", self.tools);
        }
    }
}

/// Writes these counts as the accepted ones.
pub fn write(counts: &[(&str, f64)]) -> Result<(), String> {
    let mut text = format!("# {}\n", tools());
    for (name, count) in counts {
        writeln!(text, "{count:>8.1} {name}").map_err(|error| error.to_string())?;
    }
    fs::write(PATH, text).map_err(|error| format!("{PATH}: {error}"))
}

/// Returns the versions of the tools on which counts depend.
fn tools() -> String {
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        version.unwrap_or_default().trim().to_owned()
    };
    format!("{}, {}", version("rustc"), version("valgrind"))
}
