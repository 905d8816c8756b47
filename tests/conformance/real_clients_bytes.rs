//! The bytes that real clients send: modules, sketches, tools and browsers. The table is
//! `clients.md`, "What they send".

use super::request::*;
use super::runner::run;
use super::table::{Row, row};

#[test]
fn rows_hold() {
    run(rows());
}

pub fn rows() -> Vec<Row> {
    let mut rows = modules();
    rows.extend(libraries());
    rows.extend(tools());
    rows.extend(browsers());
    rows
}

fn modules() -> Vec<Row> {
    vec![
        row("ESP8266 AT sketch: no version", "`GET /u?k=1\\r\\n\\r\\n`")
            .given(SEED)
            .ask("POST /pool/A/lock?lease\r\n\r\n", "200 1 - 4\n")
            .ask("GET /pool/A/lock/4\r\n\r\n", "200 1 - 4\n"),
        row(
            "AT sketch: CRLFs after the body",
            "`…1024\\r\\n\\r\\n\\r\\n`",
        )
        .ask(
            "POST /pool/A HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n1024\r\n\r\n\r\n",
            ok(r#"["1024"]"#),
        ),
        row(
            "AT sketch: a blank line first",
            "`\\r\\nPOST /x HTTP/1.1\\r\\n…`",
        )
        .given(SEED)
        .ask("\r\nPOST /pool/A/lock HTTP/1.1\r\nHost: h\r\n\r\n", ok("4")),
        row("AT sketch: bare LF", "`POST /x HTTP/1.1\\nHost: h\\n\\n`")
            .given(SEED)
            .ask("POST /pool/A/lock HTTP/1.1\nHost: h\n\n", ok("4")),
        row(
            "Quectel: absolute form",
            "`POST http://h/p HTTP/1.1…User-Agent: QUECTEL_MODULE`",
        )
        .given(SEED)
        .ask(
            "POST http://h:8081/pool/A/lock HTTP/1.1\r\nHost: h:8081\r\n\
                 User-Agent: QUECTEL_MODULE\r\nContent-Length: 0\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nConnection: Keep-Alive\r\n\r\n",
            ok("4"),
        ),
        row(
            "SIM800: only GET and POST",
            "SIM800 modems and busybox wget have no DELETE.",
        )
        .given(SEED)
        .lends(&["4"])
        .ask(
            "POST /pool/A/lock/4?_method=DELETE HTTP/1.0\r\nHost: h\r\nUser-Agent: SIMCOM\r\n\
                 Content-Length: 0\r\n\r\n",
            closes(""),
        )
        .end()
        .check("GET /pool/A/lock", "200"),
        row(
            "u-blox: a short body",
            "u-blox POST data is at most 128 bytes",
        )
        .ask(
            "POST /pool HTTP/1.0\r\nHost: h\r\nUser-Agent: UBlox\r\nContent-Length: 17\r\n\
                 Content-Type: application/json\r\n\r\n{\"A\":[\"1\",\"2\"]}\r\n",
            closes(r#"{"A":["1","2"]}"#),
        )
        .end(),
    ]
}

fn libraries() -> Vec<Row> {
    let lock = ["POST", " ", "/pool/A/lock", " HTTP/1.1", "\r\n"];
    let headers = [
        "Host",
        ": ",
        "h",
        "\r\n",
        "User-Agent",
        ": ",
        "Arduino/2.2.0",
        "\r\n",
    ];
    vec![
        row(
            "ArduinoHttpClient: a segment a word",
            "`POST`, ` `, `/x`, … each a TCP segment",
        )
        .given(SEED)
        .pieces(&[&lock[..], &["\r\n"]].concat())
        .expect(ok("4"))
        .pieces(&[&lock[..], &headers, &["Connection: close", "\r\n", "\r\n"]].concat())
        .expect(answer("3").header("Connection", "close"))
        .end(),
        row(
            "WiFiEsp: a segment a line",
            "`POST`, ` `, `/x`, … each a TCP segment",
        )
        .given(SEED)
        .pieces(&["POST /pool/A/lock HTTP/1.1\r\n", "Host: h\r\n"])
        .silence()
        .pieces(&["Connection: close\r\n", "\r\n"])
        .expect(answer("4").header("Connection", "close"))
        .end(),
        row(
            "MicroPython: 1.0 with close",
            "`POST /x HTTP/1.0…Content-Length: 2…{}`",
        )
        .given(SEED)
        .ask(
            "POST /pool/A/lock HTTP/1.0\r\nHost: h\r\nContent-Type: application/json\r\n\
                 Content-Length: 2\r\nConnection: close\r\n\r\n{}",
            closes("4"),
        )
        .end(),
        row(
            "ESP8266HTTPClient",
            "`…chunked;q=0.1,*;q=0\\r\\n\\r\\n`: no length on an empty POST",
        )
        .given(SEED)
        .ask(
            "POST /pool/A/lock HTTP/1.1\r\nHost: 10.0.0.2:8081\r\n\
                 User-Agent: ESP8266HTTPClient\r\nConnection: keep-alive\r\n\
                 Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\n\r\n",
            ok("4"),
        )
        .ask(
            "DELETE /pool/A/lock/4 HTTP/1.0\r\nHost: 10.0.0.2:8081\r\n\
                 User-Agent: ESP8266HTTPClient\r\nConnection: close\r\n\r\n",
            closes(""),
        )
        .end(),
        row(
            "CircuitPython: the head in pieces",
            "Host may be missing; each a TCP segment",
        )
        .given(SEED)
        .pieces(&[
            "POST",
            " /",
            "pool/A/lock",
            " HTTP/1.1\r\n",
            "Host",
            ": ",
            "h",
            "\r\n",
        ])
        .pieces(&["User-Agent", ": ", "Adafruit CircuitPython", "\r\n", "\r\n"])
        .expect(ok("4")),
        row(
            "esp_http_client",
            "Client time-outs: 5 s (esp_http_client, ESP8266HTTPClient)",
        )
        .given(SEED)
        .ask(
            "POST /pool/A/lock HTTP/1.1\r\nUser-Agent: ESP32 HTTP Client/1.0\r\nHost: h\r\n\
                 Content-Length: 0\r\n\r\n",
            ok("4"),
        ),
        row("NodeMCU", "NodeMCU calls back only when the server closes")
            .given(SEED)
            .ask(
                "POST /pool/A/lock HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                 User-Agent: ESP8266\r\nContent-Length: 0\r\n\r\n",
                answer("4").header("Connection", "close"),
            )
            .end(),
        row("LuaSocket", "Real clients for tests: LuaSocket")
            .given(SEED)
            .ask(
                "POST /pool/A/lock HTTP/1.1\r\nhost: h:8081\r\nconnection: close, TE\r\n\
                 user-agent: LuaSocket 3.0.0\r\nte: trailers\r\n\r\n",
                answer("4").header("Connection", "close"),
            )
            .end(),
    ]
}

fn tools() -> Vec<Row> {
    let form = "JSON under a form type: `{\"a\":1}` from busybox wget, `curl -d`";
    vec![
        row("curl -d", form).ask(
            "POST /pool HTTP/1.1\r\nHost: h:8081\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\
             Content-Length: 11\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n\
             {\"A\":[1,2]}",
            answer(r#"{"A":["1","2"]}"#),
        ),
        row(
            "curl -X POST",
            "Everything else gets plain text: the bare id, no quotes, no newline.",
        )
        .given(SEED)
        .ask(
            "POST /pool/A/lock HTTP/1.1\r\nHost: h:8081\r\nUser-Agent: curl/8.5.0\r\n\
                 Accept: */*\r\n\r\n",
            plain_ok("4"),
        )
        .ask(
            "DELETE /pool/A/lock/4 HTTP/1.1\r\nHost: h:8081\r\nUser-Agent: curl/8.5.0\r\n\
                 Accept: */*\r\n\r\n",
            plain_ok(""),
        ),
        row(
            "curl -T -",
            "`…Transfer-Encoding: chunked\\r\\nExpect: 100-continue\\r\\n\\r\\n`",
        )
        .ask(
            "PUT /pool/A HTTP/1.1\r\nHost: h:8081\r\nUser-Agent: curl/8.5.0\r\n\
                 Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        )
        .ask("4\r\n1\n2\n\r\n0\r\n\r\n", ok(r#"["1","2"]"#)),
        row("busybox wget", form)
            .given(SEED)
            .ask(
                "POST /pool/A/lock HTTP/1.1\r\nHost: h:8081\r\nUser-Agent: Wget\r\n\
                 Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: 0\r\n\r\n",
                answer("4").header("Connection", "close"),
            )
            .end(),
        row("busybox wget --post-data", form)
            .ask(
                "POST /pool/A HTTP/1.1\r\nHost: h:8081\r\nUser-Agent: Wget\r\n\
                 Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: 5\r\n\r\n[1,2]",
                answer(r#"["1","2"]"#).header("Connection", "close"),
            )
            .end(),
        row("wget --method=DELETE", "others: `wget --method=DELETE`")
            .given(SEED)
            .lends(&["4"])
            .ask(
                "DELETE /pool/A/lock/4 HTTP/1.1\r\nHost: h:8081\r\nUser-Agent: Wget/1.21.4\r\n\
                 Accept: */*\r\nAccept-Encoding: identity\r\nConnection: Keep-Alive\r\n\r\n",
                plain_ok(""),
            ),
        row("ab -k", "HTTP/1.1 and 1.0, keep-alive and pipelining").ask(
            "GET /ping HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: h:8081\r\n\
                 User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
            plain_ok("pong").header("Connection", "keep-alive"),
        ),
        row(
            "a shell script without a blank line",
            "`GET / HTTP/1.1\\nHost: h\\n` and FIN",
        )
        .send("GET /ping HTTP/1.1\nHost: h\n")
        .half_close()
        .expect(answer("pong").optional("Connection"))
        .end(),
        row("nc -N", "One-line requests, for raw TCP")
            .given(SEED)
            .send("POST /pool/A/lock\n")
            .half_close()
            .expect("200 4\n")
            .end(),
        row("bash, /dev/tcp", "One-line requests, for raw TCP")
            .given(SEED)
            .ask("POST /pool/A/lock\n", "200 4\n")
            .ask("DELETE /pool/A/lock/4\n", "200\n"),
        row("telnet, typed", "One-line requests, for raw TCP")
            .given(SEED)
            .bytes("post /pool/A/lock\r\n")
            .expect("200 4\n")
            .bytes("\r\n")
            .silence(),
    ]
}

fn browsers() -> Vec<Row> {
    vec![
        row(
            "fetch with JSON",
            "CORS headers if the request carried Origin",
        )
        .server(&["--cors", "http://localhost:3000"])
        .given(SEED)
        .ask(
            "POST /pool/A/lock HTTP/1.1\r\nHost: h:8081\r\nConnection: keep-alive\r\n\
                 Content-Length: 0\r\nUser-Agent: Mozilla/5.0\r\nAccept: application/json\r\n\
                 Origin: http://localhost:3000\r\nSec-Fetch-Mode: cors\r\n\
                 Referer: http://localhost:3000/\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n",
            isolated(json_ok(r#""4""#))
                .header("Access-Control-Allow-Origin", "http://localhost:3000"),
        ),
        row(
            "axios",
            "`Accept: application/json` (q>0, and not ranked below text/plain)",
        )
        .given(SEED)
        .ask(
            with(
                "POST /pool/A/lock",
                "Accept: application/json, text/plain, */*\r\nHost: h",
            ),
            json_ok(r#""4""#),
        ),
        row("the address bar", "Everything else gets plain text")
            .given(SEED)
            .ask(
                with(
                    "GET /pool/A",
                    "Host: h:8081\r\nUpgrade-Insecure-Requests: 1\r\nAccept: text/html,\
                     application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
                ),
                plain_ok("1\n2\n3\n4"),
            ),
    ]
}
