//! The file of keys: accepted files, refused ones, and the messages about them. (The form of each line is
//! tested in `src/keys/parse.rs`.)

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::{serve, set_mode, write_keys};
use crate::support::{Ended, run};

const GOOD: &str = "root 0123456789abcdef-root admin *\n";

fn check(folder: &TempDir) -> Ended {
    run(folder, &["--check", "--keys", "keys"])
}

/// Neither checking nor serving is possible, for this reason.
#[track_caller]
fn assert_refused(folder: &TempDir, why: &str) {
    for arguments in [
        &["--check", "--keys", "keys"][..],
        &["--keys", "keys", "--store", "memory:"],
    ] {
        let ended = run(folder, arguments);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{arguments:?}");
        assert_eq!(ended.stderr, format!("error: --keys keys: {why}\n"));
    }
}

#[test]
fn comments_hashes_and_several_lines_for_a_key_are_taken() {
    let shell = "printf %s 0123456789abcdef-ci | sha256sum | cut -d' ' -f1";
    let made = Command::new("sh")
        .args(["-c", shell])
        .output()
        .expect("a shell runs");
    let hash = String::from_utf8(made.stdout).expect("sha256sum writes digits");
    let hash = hash.trim();
    let server = serve(
        &format!(
            "# Keys of the laboratory\n\n\
             \troot\t0123456789abcdef-root\tadmin\t*\r\n\
             ci   sha256:{hash}          use    build-*\n\
             ci   sha256:{hash}          read   *\n\
             door 0123456789abcdef-door  admin  front door\n"
        ),
        &[],
    );
    let mut client = server.connect();
    let seed = r#"{"build-1":["a"],"front door":["b"]}"#;
    let root = "key=0123456789abcdef-root";
    assert_eq!(
        client.ask(&format!("{root} POST /pool {seed}")),
        format!("200 {seed}")
    );
    let ci = "key=0123456789abcdef-ci";
    assert_eq!(
        client.ask(&format!("{ci} POST /pool/build-1/lock")),
        "200 a"
    );
    assert_eq!(
        client.ask(&format!("{ci} POST /pool/front%20door/lock")),
        "403 not allowed"
    );
    assert_eq!(client.ask(&format!("{ci} GET /pool/front%20door")), "200 b");
    assert_eq!(
        client.ask(&format!("{ci} GET /pool")),
        "200 1 1 0 build-1\t1 0 0 front door"
    );
    let door = "key=0123456789abcdef-door";
    assert_eq!(
        client.ask(&format!("{door} DELETE /pool/front%20door")),
        "200"
    );
    assert_eq!(client.ask(&format!("{door} GET /pool")), "200");
    assert_eq!(
        client.ask(&format!("key={hash} GET /pool")),
        "401 wrong key"
    );
    assert_eq!(
        client.ask(&format!("key=sha256:{hash} GET /pool")),
        "401 wrong key"
    );
}

#[test]
fn the_documented_example_is_taken() {
    let document = include_str!("../../docs/operations.md");
    let (_, rest) = document
        .split_once("```\n# NAME")
        .expect("there is an example");
    let (lines, _) = rest.split_once("```").expect("it ends");
    let folder = TempDir::new().expect("a folder");
    write_keys(folder.path(), format!("# NAME{lines}"));
    let ended = check(&folder);
    assert!(
        ended
            .stdout
            .contains("\nkeys                 3 in keys  (--keys)\n"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stdout.contains("warning"), "{}", ended.stdout);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = TempDir::new().expect("a folder");
    write_keys(folder.path(), GOOD);
    let file = folder.path().join("keys");
    for mode in [
        0o644, 0o640, 0o604, 0o660, 0o620, 0o602, 0o666, 0o777, 0o444,
    ] {
        set_mode(&file, mode);
        let why = format!("others can read or write it (its mode is {mode:04o}); chmod 600 keys");
        assert_refused(&folder, &why);
    }
    for mode in [0o600, 0o400, 0o700] {
        set_mode(&file, mode);
        assert_eq!(check(&folder).code, Some(0), "{mode:o}");
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = TempDir::new().expect("a folder");
    assert_refused(&folder, "No such file or directory (os error 2)");
    let place = folder.path().join("keys");
    fs::create_dir(&place).expect("a folder in it");
    assert_refused(&folder, "it is not a file");
    fs::remove_dir(&place).expect("it is empty");
    // Opening a pipe without a writer would block for ever.
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&place)
        .status();
    assert!(made.expect("mkfifo, of coreutils, is installed").success());
    assert_refused(&folder, "it is not a file");
}

#[test]
fn a_bad_file_is_refused_with_line_and_reason() {
    let folder = TempDir::new().expect("a folder");
    for (line, why) in [
        ("ci", "something is missing; wanted NAME SECRET ROLE POOLS"),
        (
            "ci hidden-secret use",
            "something is missing; wanted NAME SECRET ROLE POOLS",
        ),
        (
            "c:i hidden-secret use *",
            "the name must be 1 to 64 letters, digits, '.', '_' or '-'",
        ),
        (
            "ci hidden\u{e9}secret use *",
            "the secret must be 1 to 256 printable ASCII characters",
        ),
        (
            "ci sha256:hidden use *",
            "the hash must be sha256: and 64 hexadecimal digits",
        ),
        (
            "ci use hidden-secret *",
            "the role must be read, use or admin",
        ),
        (
            "ci hidden-secret use a\u{7}",
            "the pools must be a name of 1 to 128 bytes, in which * stands for anything",
        ),
        (
            "ci hidden-secret use * # all",
            "a comment must have a line of its own",
        ),
        (
            "ci hidden-secret use until=2027-01-31 *",
            "until= must stand between the secret and the role",
        ),
        (
            "ci hidden-secret until=31.1.2027 use *",
            "the last day must be until=YYYY-MM-DD, such as until=2027-01-31",
        ),
        (
            "root hidden-secret use *\nroot third-hidden-secret use *",
            "the key has 2 secrets already, the first in line 1; no more are taken",
        ),
        (
            "ci 0123456789abcdef-root use *",
            "the key must have another secret than that of line 1",
        ),
    ] {
        write_keys(folder.path(), format!("{GOOD}\n# more\n{line}\nx y z\n"));
        let number = 3 + line.lines().count();
        assert_refused(&folder, &format!("line {number}: {why}"));
    }
    write_keys(folder.path(), b"root 0123456789abcdef-r\xffot admin *\n");
    assert_refused(&folder, "line 1: it is not UTF-8");
    for empty in ["", "# nobody\n"] {
        write_keys(folder.path(), empty);
        assert_refused(
            &folder,
            "there is no key in it; wanted NAME SECRET ROLE POOLS",
        );
    }
    write_keys(folder.path(), format!("{GOOD}{}", "#\n".repeat(1 << 19)));
    assert_refused(&folder, "it is larger than 1 MiB");
}

#[test]
fn check_counts_the_keys_and_warns_of_short_secrets() {
    let folder = TempDir::new().expect("a folder");
    write_keys(
        folder.path(),
        "a short-one read *\na short-one use x\nb 0123456789abcdef read *\n",
    );
    let ended = check(&folder);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    assert!(
        ended
            .stdout
            .contains("\nkeys                 2 in keys  (--keys)\n"),
        "{}",
        ended.stdout
    );
    let warnings: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("warning"))
        .collect();
    assert_eq!(
        warnings,
        [
            "warning              the secret in line 1 of --keys is short, so it can be guessed; 32 random characters cannot"
        ]
    );
}

/// A name that stands where the secret belongs is short, and then the secret stands where the name belongs.
#[test]
fn swapped_columns_show_no_secret() {
    let folder = TempDir::new().expect("a folder");
    for line in [
        "0123456789hidden ci use build-*",
        "ci use 0123456789hidden *",
        "0123456789hidden use ci *",
        "use ci 0123456789hidden *",
        "ci * use 0123456789hidden",
        "ci use until=2027-01-31 0123456789hidden",
    ] {
        write_keys(folder.path(), format!("{GOOD}{line}\n"));
        let ended = check(&folder);
        let shown = ended.stdout + &ended.stderr;
        assert!(shown.contains("line 2"), "{line}: {shown}");
        assert!(!shown.contains("hidden"), "{line}: {shown}");
    }
}

#[test]
fn a_key_with_too_many_lines_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let lines = |count: usize| -> String {
        let line = |number| format!("root 0123456789abcdef-root use pool-{number}\n");
        (0..count).map(line).collect()
    };
    write_keys(folder.path(), lines(100));
    assert_eq!(check(&folder).code, Some(0));
    write_keys(folder.path(), lines(101));
    assert_refused(
        &folder,
        "line 101: a key may have 100 different lines; * stands for several pools",
    );
}

#[test]
fn a_secret_that_has_ended_is_warned_of_and_refused() {
    let keys = format!(
        "{GOOD}old 0123456789abcdef-over until=2026-01-31 admin *\n\
         new 0123456789abcdef-long until=9999-12-31 admin *\n"
    );
    let mut server = serve(&keys, &[]);
    server.signal("HUP");
    let warning = server.wait_for_log("has ended");
    let told = "the secret in line 2 of --keys has ended; it is refused as a wrong key";
    assert!(
        warning.contains("WARN") && warning.ends_with(told),
        "{warning}"
    );
    let mut client = server.connect();
    let ask = |secret: &str| format!("key=0123456789abcdef-{secret} GET /pool");
    assert_eq!(client.ask(&ask("over")), "401 wrong key");
    assert_eq!(client.ask(&ask("long")), "200");
    assert_eq!(client.ask(&ask("root")), "200");
}

/// A build without TLS has nothing better to offer; there only the documents say so.
#[test]
fn keys_that_can_be_overheard_are_warned_of_in_a_build_with_tls() {
    let folder = TempDir::new().expect("a folder");
    write_keys(folder.path(), GOOD);
    let warned = |address: &str| {
        let ended = run(&folder, &["--check", "--keys", "keys", "--listen", address]);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{address}");
        let mut lines = ended.stdout.lines();
        let warning = lines.find(|line| line.starts_with("warning"));
        warning.map(str::to_owned)
    };
    let told = "warning              it wants keys on an address that others can reach, without TLS: \
                whoever sees the traffic sees them; --tls-listen keeps them secret";
    let told = cfg!(feature = "tls").then(|| told.to_owned());
    assert_eq!(warned("0.0.0.0:1"), told);
    assert_eq!(warned("[::]:1"), told);
    assert_eq!(warned("127.0.0.1:1"), None);
    assert_eq!(warned("[::1]:1"), None);
}
