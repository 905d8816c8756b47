//! The messages between latch and its guardian: lines of words over a socket.

use std::fmt;

use super::processes::CommandEnd;
use super::schedule::StopTimes;
use crate::time::Time;

/// A message of latch to its guardian. Times are those of the clock that both share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToGuardian {
    /// Start the command in this process group. Its standard input comes with the message.
    Start {
        group: i32,
        grace_ms: u64,
        lease: StopTimes,
    },
    /// Send this signal to the command.
    Signal(i32),
    /// The lease was renewed.
    Renewed(StopTimes),
    /// The lease is lost: end all processes.
    End { kill_at: Time },
}

/// A message of the guardian to latch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::latch) enum FromGuardian {
    /// The command could not be started, for this `errno`.
    NotStarted(i32),
    /// The command has ended.
    Ended(CommandEnd),
    /// This signal could not be sent to the command, for this `errno`.
    Unsent { signal: i32, errno: i32 },
    /// This number of processes was left behind, and they are being ended.
    LeftBehind { count: usize },
    /// The lease was not renewed in time, and all processes are being ended.
    Overdue,
    /// This process could not be killed, for this `errno`.
    Unkillable { pid: i32, errno: i32 },
    /// No process is left.
    Gone,
}

impl fmt::Display for ToGuardian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToGuardian::Start {
                group,
                grace_ms,
                lease,
            } => {
                let (terminate_ms, kill_ms) = (lease.terminate_at.as_ms(), lease.kill_at.as_ms());
                writeln!(f, "start {group} {grace_ms} {terminate_ms} {kill_ms}")
            }
            ToGuardian::Signal(signal) => writeln!(f, "signal {signal}"),
            ToGuardian::Renewed(lease) => {
                let (terminate_ms, kill_ms) = (lease.terminate_at.as_ms(), lease.kill_at.as_ms());
                writeln!(f, "renewed {terminate_ms} {kill_ms}")
            }
            ToGuardian::End { kill_at } => writeln!(f, "end {}", kill_at.as_ms()),
        }
    }
}

impl ToGuardian {
    pub(super) fn parse(line: &str) -> Option<ToGuardian> {
        let words: Vec<&str> = line.split(' ').collect();
        let stop_times = |terminate_ms: &str, kill_ms: &str| {
            Some(StopTimes {
                terminate_at: Time::from_ms(terminate_ms.parse().ok()?),
                kill_at: Time::from_ms(kill_ms.parse().ok()?),
            })
        };
        match words[..] {
            ["start", group, grace_ms, terminate_ms, kill_ms] => Some(ToGuardian::Start {
                group: group.parse().ok()?,
                grace_ms: grace_ms.parse().ok()?,
                lease: stop_times(terminate_ms, kill_ms)?,
            }),
            ["signal", signal] => Some(ToGuardian::Signal(signal.parse().ok()?)),
            ["renewed", terminate_ms, kill_ms] => {
                Some(ToGuardian::Renewed(stop_times(terminate_ms, kill_ms)?))
            }
            ["end", kill_ms] => Some(ToGuardian::End {
                kill_at: Time::from_ms(kill_ms.parse().ok()?),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for FromGuardian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FromGuardian::NotStarted(errno) => writeln!(f, "not-started {errno}"),
            FromGuardian::Ended(CommandEnd::Code(code)) => writeln!(f, "code {code}"),
            FromGuardian::Ended(CommandEnd::Signal(signal)) => writeln!(f, "killed {signal}"),
            FromGuardian::Unsent { signal, errno } => writeln!(f, "unsent {signal} {errno}"),
            FromGuardian::LeftBehind { count } => writeln!(f, "left-behind {count}"),
            FromGuardian::Overdue => writeln!(f, "overdue"),
            FromGuardian::Unkillable { pid, errno } => writeln!(f, "unkillable {pid} {errno}"),
            FromGuardian::Gone => writeln!(f, "gone"),
        }
    }
}

impl FromGuardian {
    pub(super) fn parse(line: &str) -> Option<FromGuardian> {
        let (word, numbers) = line.split_once(' ').unwrap_or((line, ""));
        let numbers: Vec<i32> = numbers
            .split(' ')
            .map_while(|number| number.parse().ok())
            .collect();
        match (word, &numbers[..]) {
            ("not-started", &[errno]) => Some(FromGuardian::NotStarted(errno)),
            ("code", &[code]) => {
                let code = u8::try_from(code).ok()?;
                Some(FromGuardian::Ended(CommandEnd::Code(code)))
            }
            ("killed", &[signal]) => Some(FromGuardian::Ended(CommandEnd::Signal(signal))),
            ("unsent", &[signal, errno]) => Some(FromGuardian::Unsent { signal, errno }),
            ("left-behind", &[count]) => Some(FromGuardian::LeftBehind {
                count: usize::try_from(count).ok()?,
            }),
            ("overdue", []) => Some(FromGuardian::Overdue),
            ("unkillable", &[pid, errno]) => Some(FromGuardian::Unkillable { pid, errno }),
            ("gone", []) => Some(FromGuardian::Gone),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let lease = StopTimes {
            terminate_at: Time::from_ms(1),
            kill_at: Time::from_ms(u64::MAX),
        };
        for message in [
            ToGuardian::Start {
                group: 7,
                grace_ms: 8,
                lease,
            },
            ToGuardian::Signal(15),
            ToGuardian::Renewed(lease),
            ToGuardian::End {
                kill_at: Time::from_ms(9),
            },
        ] {
            let line = message.to_string();
            assert_eq!(ToGuardian::parse(line.trim_end()), Some(message), "{line}");
        }
        for message in [
            FromGuardian::NotStarted(2),
            FromGuardian::Ended(CommandEnd::Code(255)),
            FromGuardian::Ended(CommandEnd::Signal(9)),
            FromGuardian::Unsent {
                signal: 15,
                errno: 1,
            },
            FromGuardian::LeftBehind { count: 3 },
            FromGuardian::Overdue,
            FromGuardian::Unkillable { pid: 7, errno: 1 },
            FromGuardian::Gone,
        ] {
            let line = message.to_string();
            assert_eq!(
                FromGuardian::parse(line.trim_end()),
                Some(message),
                "{line}"
            );
        }
        assert_eq!(ToGuardian::parse("signal"), None);
        assert_eq!(FromGuardian::parse("code 256"), None);
    }
}
