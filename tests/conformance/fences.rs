//! Fences in requests: a holder that slept through its time can do no harm.

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

const FENCE: &str = "`fence=F` succeeds only if the lock's fence is F (else 409 `stale`).";
const MALFORMED: &str = "An unknown or malformed one is 400";

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        row("a release with its fence", FENCE)
            .given(SEED)
            .line("POST /pool/A/lock?lease", "200 1 - 4")
            .line("DELETE /pool/A/lock/4?fence=2", "409 stale")
            .ask(bare("DELETE /pool/A/lock/4?fence=7"), fails("409 stale"))
            .ask(
                json("DELETE /pool/A/lock/4?fence=7"),
                json_fails("409 stale"),
            )
            .check("GET /pool/A/lock", "200 1 - 4")
            .ask(bare("DELETE /pool/A/lock/4?fence=1"), ok(""))
            .check("GET /pool/A/lock", "200"),
        row("a renewal with its fence", FENCE)
            .given(SEED)
            .line("POST /pool/A/lock?lease", "200 1 - 4")
            .line("PUT /pool/A/lock/4?fence=2&ttl=60", "409 stale")
            .ask(bare("PUT /pool/A/lock/4?fence=7"), fails("409 stale"))
            .check("GET /pool/A/lock", "200 1 - 4")
            .line("PUT /pool/A/lock/4?fence=1&ttl=60&lease", "200 1 60 4"),
        row("a fence of a former grant", FENCE)
            .given(r#"POST /pool {"A":["1"]}"#)
            .line("POST /pool/A/lock?lease", "200 1 - 1")
            .line("DELETE /pool/A/lock/1", "200")
            .line("POST /pool/A/lock?lease", "200 2 - 1")
            .line("DELETE /pool/A/lock/1?fence=1", "409 stale")
            .line("PUT /pool/A/lock/1?fence=1", "409 stale")
            .line("DELETE /pool/A/lock/1?fence=2", "200"),
        row("a fence after the lease has ended", FENCE)
            .given(r#"POST /pool {"A":["1"]}"#)
            .mark()
            .line("POST /pool/A/lock?lease&ttl=1", "200 1 1 1")
            .line("POST /pool/A/lock?lease&wait=9", "200 2 - 1")
            .not_before(1000)
            .line("PUT /pool/A/lock/1?fence=1", "409 stale")
            .line("DELETE /pool/A/lock/1?fence=1", "409 stale")
            .check("GET /pool/A/lock", "200 2 - 1"),
        row(
            "a fence of what is free",
            "Releasing what is free: 404 `not held`",
        )
        .given(SEED)
        .line("DELETE /pool/A/lock/4?fence=1", "404 not held")
        .line("PUT /pool/A/lock/4?fence=1", "404 not held")
        .line("DELETE /pool/A/lock/4?fence=1&owner=a", "200"),
        row("the fence of a grant of several", FENCE)
            .given(SEED)
            .line("POST /pool/A/lock?n=2&lease", "200 1 - 4\t1 - 3")
            .line("PUT /pool/A/lock/3?fence=1&ttl=60", "200")
            .line("DELETE /pool/A/lock/4?fence=1", "200")
            .line("DELETE /pool/A/lock/3?fence=1", "200"),
        row("owner and fence", FENCE)
            .given(SEED)
            .line("POST /pool/A/lock?owner=a&lease", "200 1 - 4")
            .line("PUT /pool/A/lock/4?owner=a&fence=2", "409 stale")
            .line(
                "PUT /pool/A/lock/4?owner=a&fence=1&ttl=60&lease",
                "200 1 60 4",
            )
            .line("DELETE /pool/A/lock/4?owner=a&fence=2", "409 stale")
            .line("DELETE /pool/A/lock/4?owner=a&fence=1", "200"),
        row("fences outlive a restart", FENCE)
            .durable()
            .given(SEED)
            .line("POST /pool/A/lock?lease", "200 1 - 4")
            .restart()
            .line("DELETE /pool/A/lock/4?fence=2", "409 stale")
            .line("DELETE /pool/A/lock/4?fence=1", "200"),
        row("a great fence", FENCE).given(SEED).lends(&["4"]).line(
            "DELETE /pool/A/lock/4?fence=18446744073709551615",
            "409 stale",
        ),
    ];
    let malformed = [
        "fence=",
        "fence",
        "fence=x",
        "fence=-1",
        "fence=1.0",
        "fence=+1",
        "fence=1&fence=1",
        "Fence=1",
    ];
    rows.extend(malformed.iter().map(|query| {
        row(format!("?{query}"), MALFORMED)
            .given(SEED)
            .lends(&["4"])
            .line(format!("DELETE /pool/A/lock/4?{query}"), "400 bad …")
            .line(format!("PUT /pool/A/lock/4?{query}"), "400 bad …")
            .check("GET /pool/A/lock", "200 1 - 4")
    }));
    rows
}
