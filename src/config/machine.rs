//! The names of the machine, as far as it knows them without asking others.

use std::fs;

/// Returns the host name and its aliases in `/etc/hosts`, in lower case. No name server is asked: that could
/// take long, and an attacker could answer.
pub(super) fn names() -> Vec<String> {
    let host_name = rustix::system::uname();
    let host_name = host_name.nodename().to_string_lossy().to_ascii_lowercase();
    let table = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut names = aliases(&host_name, &table);
    names.push(host_name);
    names
}

/// Returns the names on each line of a table of hosts that has this one: `127.0.1.1 box.corp.example box`.
fn aliases(host_name: &str, table: &str) -> Vec<String> {
    let table = table.to_ascii_lowercase();
    let lines = table
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.map(|line| line.split_ascii_whitespace().skip(1));
    let own = names.filter(|names| names.clone().any(|name| name == host_name));
    own.flatten().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_hosts_tells_what_else_a_machine_is_called() {
        let table = "127.0.0.1 localhost\n\
                     127.0.1.1\tBox.corp.example box # box evil.example\n\
                     # 127.0.1.1 box.old.example box\n\
                     0.0.0.0 ads.example\n\
                     10.0.0.2 other.example other\n\
                     ::1 box box.v6.example\n";
        let names = aliases("box", table);
        assert_eq!(names, ["box.corp.example", "box", "box", "box.v6.example"]);
        assert_eq!(aliases("none", table), [""; 0]);
        assert!(!super::names().is_empty());
    }
}
