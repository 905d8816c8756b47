//! The descendants of a process, as procfs reports them.

use std::collections::HashMap;
use std::fs;

use rustix::process::Pid;

/// Returns whether procfs is available.
pub(super) fn is_available() -> bool {
    fs::read_link("/proc/self/exe").is_ok()
}

/// Returns the live descendants of `ancestor`, except `excluded` and their descendants.
pub(super) fn descendants(ancestor: Pid, excluded: &[Pid]) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let mut dead = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let stat = pid.and_then(|_: i32| fs::read_to_string(entry.path().join("stat")).ok());
        if let (Some(pid), Some((is_dead, parent))) = (pid, stat.as_deref().and_then(parse))
            && !excluded
                .iter()
                .any(|excluded_pid| excluded_pid.as_raw_nonzero().get() == pid)
        {
            children.entry(parent).or_default().push(pid);
            if is_dead {
                dead.push(pid);
            }
        }
    }
    let mut found = children
        .remove(&ancestor.as_raw_nonzero().get())
        .unwrap_or_default();
    let mut at = 0;
    while at < found.len() {
        found.extend(children.remove(&found[at]).unwrap_or_default());
        at += 1;
    }
    // A dead process waits for its parent to reap it; its children belong to the reaper by then.
    found.retain(|pid| !dead.contains(pid));
    found.into_iter().filter_map(Pid::from_raw).collect()
}

/// Parses whether the process is dead, and its parent: proc_pid_stat(5), the fields behind the
/// name, which may have any characters.
fn parse(stat: &str) -> Option<(bool, i32)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    Some((matches!(state, "Z" | "X"), fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pretend() {
        assert_eq!(parse("7 (sh) S 1 7 7 0"), Some((false, 1)));
        assert_eq!(parse("7 (a) Z 99 (b) Z 3 7"), Some((true, 3)));
        assert_eq!(parse("7"), None);
    }
}
