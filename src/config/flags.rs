//! The command line, and the environment where no flag is given.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::ConfigError;
use super::draft::Draft;
use super::mask::masked;
use super::setting::{Setting, SettingKind, Value};
use super::table::{TABLE, settings};
use super::variables::is_of_kubernetes;
use crate::client::Trust;
use crate::ping::Target;
use crate::tls;

const AFTER_HELP: &str = "\
Each flag that takes a value can be given in the environment too, except --ping and --ping-ca;
there --max-body is LATCHD_MAX_BODY. NODE_CONFIG may hold the text of a configuration file, and
NODE_CONFIG_DIR name a folder of such files.

Examples:
  latchd
      serve on 127.0.0.1:8081, and keep pools in latchd.redb
  latchd --listen 0.0.0.0:8081 --keys /etc/latchd.keys --store file:/var/lib/latchd/pools.redb
      serve those in the network who have a key
  latchd --tls-listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --keys /etc/latchd.keys
      the same with TLS alone
  latchd --listen 0.0.0.0:8081 --reuse-port --store redis://10.0.0.5/0
      one of several servers that share a port, and a Redis
  latchd --store memory: --seed pools.json
      start with the same pools each time, and forget the locks at the end
  latchd --ping 127.0.0.1:8081
      a health check that needs no shell: is 200 answered within two seconds?

A first lock:
  curl -d '{\"A\":[\"1\",\"2\",\"3\",\"4\"]}' http://127.0.0.1:8081/pool
  curl -X POST http://127.0.0.1:8081/pool/A/lock
  curl -X DELETE http://127.0.0.1:8081/pool/A/lock/4

Exit codes: 0 stopped by a signal, 1 could not serve, 2 wrong configuration; of --ping: 0 it
lives, 1 it does not answer well.";

/// A command line in the right form. Its values are not checked yet.
pub(super) struct Flags(ArgMatches);

impl Flags {
    pub(super) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Flags, ConfigError> {
        let matches = command().try_get_matches_from(arguments);
        let matches = matches.map_err(|error| ConfigError::Usage(without_password(error)))?;
        Ok(Flags(matches))
    }

    /// Returns whether to check the configuration only.
    pub(super) fn check(&self) -> bool {
        self.0.get_flag("check")
    }

    /// Returns the target of a health check. It has no environment variable: a server and its health
    /// check share the environment. So the server's certificate is in it, too, and is trusted unless
    /// `--ping-ca` names another.
    pub(super) fn ping(&self) -> Result<Option<Target>, ConfigError> {
        let Some(url) = self.text("ping") else {
            return Ok(None);
        };
        let url = url.to_string_lossy();
        let variable = || Some(("LATCHD_TLS_CERT", env::var_os("LATCHD_TLS_CERT")?));
        let file = (self.text("ping-ca").map(|path| ("--ping-ca", path)))
            .or_else(|| Some(("--tls-cert", self.text("tls-cert")?)))
            .or_else(variable);
        let trust = match &file {
            Some((name, path)) => Trust::File {
                name,
                path: path.as_ref(),
            },
            None => Trust::System {
                instead: "--ping-ca FILE",
            },
        };
        let target = Target::parse(&url, trust);
        let target = target.map_err(|why| ConfigError::invalid("--ping", url, why))?;
        match file {
            Some(("--ping-ca", path)) if !target.has_tls() => {
                let why = match tls::IS_BUILT {
                    true => "there is no TLS; wanted --ping https://HOST[:PORT]",
                    false => tls::NOT_BUILT,
                };
                Err(ConfigError::invalid("--ping-ca", path.display(), why))
            }
            _ => Ok(Some(target)),
        }
    }

    /// Returns the file or folder of configuration, and the flag or variable that names it.
    pub(super) fn config(&self) -> Option<(&'static str, PathBuf)> {
        let flag = self.text("config").map(|path| ("--config", path));
        let variable = |name| Some((name, env::var_os(name).filter(|path| !path.is_empty())?));
        let found = flag
            .or_else(|| variable("LATCHD_CONFIG"))
            .or_else(|| variable("NODE_CONFIG_DIR"))?;
        Some((found.0, found.1.into()))
    }

    /// Puts the values of the flags, and those of the environment where no flag is given.
    pub(super) fn put(&self, draft: &mut Draft) -> Result<(), ConfigError> {
        for setting in settings() {
            let variable = setting.variable();
            if let Some(text) = self.text(setting.flag) {
                put(draft, setting, &format!("--{}", setting.flag), text)?;
            } else if let Some(text) = env::var_os(&variable)
                && !is_of_kubernetes(&variable, &text.to_string_lossy())
            {
                put(draft, setting, &variable, text)?;
            }
        }
        Ok(())
    }

    /// Returns the value of a flag; the values of a repeated flag are joined by commas.
    fn text(&self, flag: &str) -> Option<OsString> {
        let texts: Vec<&OsStr> = self.0.get_raw(flag)?.collect();
        Some(texts.join(OsStr::new(",")))
    }
}

fn put(
    draft: &mut Draft,
    setting: &Setting,
    name: &str,
    text: OsString,
) -> Result<(), ConfigError> {
    let shown = text.to_string_lossy().into_owned();
    let value = match (&setting.kind, text.into_string()) {
        (SettingKind::Path(_), text) => {
            Ok(Value::Path(text.map_or_else(PathBuf::from, PathBuf::from)))
        }
        (kind, Ok(text)) => Ok(kind.read(&text)),
        (_, Err(_)) => Err("wanted UTF-8".to_owned()),
    };
    let done = value.and_then(|value| setting.put(draft, value, name));
    done.map_err(|why| ConfigError::invalid(name, shown, why))
}

fn command() -> Command {
    let mut command = Command::new("latchd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Lends out resources from named pools, one holder at a time, over plain HTTP")
        .after_help(AFTER_HELP)
        .max_term_width(100);
    for (heading, settings) in &TABLE {
        for setting in *settings {
            command = command.arg(with_kind(setting).help_heading(*heading));
        }
    }
    for (heading, name, value, help) in OTHERS {
        command = command.arg(argument(name, value, help).help_heading(heading));
    }
    command
        .mut_arg("ping", |ping| ping.conflicts_with("check"))
        .mut_arg("ping-ca", |ca| ca.requires("ping"))
}

/// Flags that are not settings: heading, flag, value, help.
const OTHERS: [(&str, &str, &str, &str); 4] = [
    (
        "Configuration",
        "config",
        "PATH",
        "Read settings from a JSON5 file, or from a folder of them as the Node original has; flags \
         and environment come first",
    ),
    (
        "Configuration",
        "check",
        "",
        "Check the configuration, print what would be used, and exit",
    ),
    (
        "Health check",
        "ping",
        "URL",
        "Do not serve: ask the latchd at HOST:PORT, or https://HOST[:PORT], whether it lives, and exit",
    ),
    (
        "Health check",
        "ping-ca",
        "FILE",
        "Trust these certificates, in PEM, to say who https://HOST is [default: --tls-cert or \
         LATCHD_TLS_CERT or, where there is none, those of the system]",
    ),
];

fn with_kind(setting: &'static Setting) -> Arg {
    let argument = argument(setting.flag, setting.value, setting.help);
    match setting.kind {
        SettingKind::Switch(_) => argument.num_args(0..=1).default_missing_value("true"),
        SettingKind::List(_) => argument.action(ArgAction::Append),
        _ => argument,
    }
}

/// Builds a flag. It takes a value unless `value` is empty.
fn argument(flag: &'static str, value: &'static str, help: &'static str) -> Arg {
    let argument = Arg::new(flag).long(flag);
    let argument = match value {
        "" => argument.action(ArgAction::SetTrue),
        value => argument
            .value_name(value)
            .value_parser(value_parser!(OsString)),
    };
    match help.split_once("\n\n") {
        Some((first, _)) => argument.help(first).long_help(help),
        None => argument.help(help),
    }
}

/// Masks passwords in an error. A URL, or a part of one, may appear where none is expected: `--store`
/// itself is easily forgotten.
fn without_password(mut error: clap::Error) -> clap::Error {
    let urls = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) if text.contains("://") || text.contains('@') => {
            Some((kind, masked(text)))
        }
        _ => None,
    });
    let urls: Vec<(ContextKind, String)> = urls.collect();
    for (kind, shown) in urls {
        error.insert(kind, ContextValue::String(shown));
    }
    error
}
