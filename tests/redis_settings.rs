//! The setting of the Redis: the reading of a URL by `--check`, the message about a wrong one, and that
//! its password is shown nowhere.

use crate::configuration::{check_text, folder, value_of};
use crate::mistakes::assert_misconfigured;
use crate::support::launch::latchd_in;
use crate::support::{run, run_command};

#[test]
fn a_url_is_shown_complete_but_for_its_password() {
    for (url, shown) in [
        ("redis://h", "redis://h:6379/0"),
        ("redis://h/", "redis://h:6379/0"),
        ("redis://10.0.0.5:7000/15", "redis://10.0.0.5:7000/15"),
        ("redis://[::1]", "redis://[::1]:6379/0"),
        ("redis://[::1]:7/1", "redis://[::1]:7/1"),
        ("redis://:secret@h", "redis://:***@h:6379/0"),
        ("redis://u:secret@h:1/2", "redis://u:***@h:1/2"),
        ("redis://u:@h", "redis://u:***@h:6379/0"),
        (
            "redis://a%20b%0a:sec%2Fret@h",
            "redis://a%20b%0A:***@h:6379/0",
        ),
        (
            "redis+unix:///run/redis.sock",
            "redis+unix:///run/redis.sock?db=0",
        ),
        (
            "redis+unix:///run/a%20b?pass=secret&db=3",
            "redis+unix:///run/a%20b?db=3&pass=***",
        ),
        (
            "redis+unix:///s?db=1&user=u&pass=secret",
            "redis+unix:///s?db=1&user=u&pass=***",
        ),
    ] {
        let ended = run(&folder(), &["--check", "--store", url]);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{url}");
        assert_eq!(value_of(&ended.stdout, "store"), shown, "{url}");
        assert_eq!(value_of(&ended.stdout, "sync"), "by the settings of Redis");
        assert!(!ended.stdout.contains("warning"), "{}", ended.stdout);
    }
}

#[test]
fn a_wrong_url_is_explained() {
    for (url, words) in [
        ("redis://", "the host is missing"),
        ("redis:///1", "the host is missing"),
        ("redis://:7000", "the host is missing"),
        ("redis:h", "two slashes"),
        ("redis://h:0", "wanted 1 to 65535"),
        ("redis://h:", "wanted 1 to 65535"),
        ("redis://h:65536", "wanted 1 to 65535"),
        ("redis://h:+1", "wanted 1 to 65535"),
        ("redis://h:port", "wanted 1 to 65535"),
        ("redis://::1:6379", "in brackets"),
        ("redis://[h]", "wanted an IPv6 address"),
        ("redis://[::1", "wanted an IPv6 address"),
        ("redis://[::1]6379", "only be a port"),
        ("redis://0.0.0.0", "to connect to"),
        ("redis://[::]", "to connect to"),
        ("redis://h%20x", "neither a name nor an address"),
        ("redis://h/x", "the database is wrong"),
        ("redis://h/-1", "the database is wrong"),
        ("redis://h/1/", "the database is wrong"),
        ("redis://h/4294967296", "the database is wrong"),
        ("redis://h?db=1", "no parameters"),
        ("redis://h#1", "%23"),
        ("redis://h /1", "%20"),
        ("redis://h/1\n", "control character"),
        ("redis://user@h", "USER:PASS@"),
        ("redis://:@h", "the password is empty"),
        ("redis://:50%@h", "%25"),
        ("redis://:%ff@h", "not UTF-8"),
        ("redis+unix://run/redis.sock", "three slashes"),
        ("redis+unix:/run/redis.sock", "three slashes"),
        ("redis+unix:///", "the path of the socket is missing"),
        ("redis+unix:///?db=1", "the path of the socket is missing"),
        ("redis+unix:///s?database=1", "the parameters are db=N"),
        ("redis+unix:///s?db=x", "the database is wrong"),
        ("redis+unix:///s?db=", "the database is wrong"),
        ("redis+unix:///s?db=1&db=1", "given twice"),
        ("redis+unix:///s?user=u", "user without a password"),
        ("redis+unix:///s?user=&pass=p", "the user is empty"),
        ("redis+unix:///s?pass=", "the password is empty"),
        ("rediss:h", "two slashes"),
        ("rediss://", "the host is missing"),
        ("rediss://h?db=1", "the parameters are ca=FILE"),
        ("rediss://h?ca", "the parameters are ca=FILE"),
        ("rediss://h?ca=", "names no file"),
        ("rediss://h?ca=%", "%25"),
        ("rediss://h?ca=a&ca=b", "given twice"),
        ("rediss://h?cert=a", "need each other"),
        ("rediss://h?key=a", "need each other"),
        ("unix:///s", "redis+unix:///PATH"),
        ("valkey://h", "wanted file:PATH, memory:, redis://HOST"),
    ] {
        let ended = run(&folder(), &["--check", "--store", url]);
        assert_misconfigured(&ended, words, url);
        assert_misconfigured(&ended, "--store ", url);
        let text = serde_json::json!({"redis": {"url": url}}).to_string();
        assert_misconfigured(&check_text(&text), "redis.url ", url);
    }
    let long = format!("redis+unix:///{}", "s".repeat(200));
    let ended = run(&folder(), &["--check", "--store", &long]);
    assert_misconfigured(&ended, "too long for a socket", &long);
}

/// The readable part of a wrong URL shows which one it was.
#[test]
fn a_password_is_in_no_error() {
    for (url, shown) in [
        ("redis://u:secret@h:0", "redis://u:***@h:0"),
        ("redis://secret@h", "redis://***@h"),
        ("redis://:x%secret@h", "redis://:***@h"),
        ("redis://:x/secret@h", "redis://***"),
        ("redis://:secret?secret@h", "redis://***"),
        ("redis://:x#secret@h", "redis://***"),
        ("redis://h?pass=secret", "redis://h?pass=***"),
        ("rediss://:secret@h:0", "rediss://:***@h:0"),
        ("rediss://:secret@h?ca=/a&b=secret", "h?ca=/a&b=***"),
        ("reddis://:secret@h", "reddis://:***@h"),
        ("redis::secret@h", "***@h"),
        ("redis+unix:///s?db=x&pass=secret", "?db=x&pass=***"),
        ("redis+unix:///s?pass=x&secret", "?pass=***"),
        ("redis+unix:///s?password=secret", "?password=***"),
    ] {
        let folder = folder();
        let text = serde_json::json!({"redis": {"url": url}}).to_string();
        let mut from_environment = latchd_in(&folder, &[]);
        from_environment.env("LATCHD_STORE", url);
        for (source, ended) in [
            ("--store", run(&folder, &["--store", url])),
            ("LATCHD_STORE", run_command(from_environment)),
            ("redis.url", check_text(&text)),
            // Where a URL is given by mistake.
            ("no flag", run(&folder, &[url])),
            ("--redis-timeout", run(&folder, &["--redis-timeout", url])),
            ("--listen", run(&folder, &["--listen", url])),
        ] {
            assert_eq!(ended.code, Some(2), "{source} {url}: {}", ended.stderr);
            let masked = url.contains("://") || ["--store", "redis.url"].contains(&source);
            if masked {
                assert_misconfigured(&ended, shown, url);
                let seen = ended.stderr.contains("secret");
                assert!(!seen, "{source} {url}: {}", ended.stderr);
            }
        }
        // Where a section of the file was wanted.
        let ended = check_text(&serde_json::json!({"redis": url}).to_string());
        assert_eq!(ended.code, Some(2));
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    }
}

#[test]
fn the_keys_of_the_node_original_name_the_store() {
    let text = "{redis: {url: 'redis://:secret@h', prefix: 'lock:', purgeOnLoad: true}}";
    let folder = folder();
    let mut command = latchd_in(&folder, &["--check"]);
    command.env("NODE_CONFIG", text);
    for ended in [run_command(command), check_text(text)] {
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
        for (name, shown) in [
            ("store", "redis://:***@h:6379/0"),
            ("redis-prefix", "lock:"),
            ("purge-on-start", "yes"),
        ] {
            assert_eq!(value_of(&ended.stdout, name), shown);
        }
    }
}

#[test]
fn a_store_from_a_higher_source_comes_before_redis_url() {
    let folder = folder();
    let mut command = latchd_in(&folder, &["--check", "--store", "memory:"]);
    command.env("NODE_CONFIG", "{redis: {url: 'redis://h'}}");
    let ended = run_command(command);
    assert_eq!(
        value_of(&ended.stdout, "store"),
        "memory:",
        "{}",
        ended.stderr
    );
}

#[test]
fn a_setting_that_says_nothing_about_the_store_is_warned_of() {
    for (arguments, warned) in [
        (&["--store=redis://h", "--sync=always"][..], Some("--sync")),
        (&["--store=redis+unix:///s", "--sync=never"], Some("--sync")),
        (&["--redis-prefix=x"], Some("--redis-prefix")),
        (
            &["--store=memory:", "--redis-timeout=1"],
            Some("--redis-timeout"),
        ),
        (&["--reuse-port"], Some("--reuse-port")),
        (&["--reuse-port=false"], None),
        (&["--store=redis://h", "--reuse-port"], None),
        (
            &["--store=redis://h", "--redis-prefix=x", "--redis-timeout=1"],
            None,
        ),
        (&["--store=memory:", "--sync=always"], None),
    ] {
        let ended = run(&folder(), &[&["--check"], arguments].concat());
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{arguments:?}");
        let warnings = ended.stdout.lines().filter_map(|line| {
            let warning = line.strip_prefix("warning              ")?;
            warning.split(' ').next()
        });
        let warnings: Vec<&str> = warnings.collect();
        assert_eq!(warnings, Vec::from_iter(warned), "{arguments:?}");
    }
}
