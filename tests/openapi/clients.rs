//! Clients that are generated from the description, used as generated against a real server.
//!
//! `tests/run` installs the generators; without them these tests say NOT RUN.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::programs::succeed;
use crate::support::{Server, StoreKind};

/// A file or folder that `tests/run` installs below `target`, if it exists.
fn installed(what: &str, path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(path);
    if path.exists() {
        return Some(path);
    }
    let line = format!("\nNOT RUN: {what}: it is not installed; see tests/run\n");
    // cargo shows no captured output of a test that passes.
    io::stderr().write_all(line.as_bytes()).expect("it is open");
    None
}

/// Runs a program in a folder, which must succeed. Generators take long on a busy machine.
#[track_caller]
fn run(folder: &TempDir, program: impl AsRef<Path>, arguments: &[&str]) {
    let mut command = Command::new("timeout");
    command
        .arg("300")
        .arg(program.as_ref())
        .args(arguments)
        .current_dir(folder)
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    succeed(&mut command, "");
}

/// The base address that the description names.
fn base(server: &Server) -> String {
    format!("{}/json", server.url())
}

#[test]
fn a_client_of_openapi_python_client_works_as_generated() {
    let what = "OpenAPI: openapi-python-client";
    let Some(generate) = installed(what, "openapi-python/bin/openapi-python-client") else {
        return;
    };
    let folder = TempDir::new().expect("a folder");
    // It would format the client with a program that may not be there, and knows no lines of JSON.
    let settings = "post_hooks: []\ncontent_type_overrides: {application/x-ndjson: application/octet-stream}\n";
    fs::write(folder.path().join("settings.yml"), settings).expect("a file");
    let server = Server::start(StoreKind::Memory);
    let description = format!("{}/openapi.json", server.url());
    run(
        &folder,
        &generate,
        &[
            "generate",
            "--url",
            &description,
            "--config",
            "settings.yml",
            "--output-path",
            "generated",
            "--fail-on-warning",
        ],
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/client.py");
    let script = script.display().to_string();
    let python = generate.with_file_name("python");
    run(&folder, python, &[&script, "generated", &base(&server)]);
}

/// That it compiles is half of the test: each answer has one type.
#[test]
fn a_client_of_openapi_typescript_and_openapi_fetch_works_as_generated() {
    let what = "OpenAPI: openapi-typescript";
    let Some(modules) = installed(what, "openapi-typescript/node_modules") else {
        return;
    };
    let folder = TempDir::new().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    symlink(&modules, at("node_modules")).expect("a link");
    fs::write(at("package.json"), r#"{"type":"module"}"#).expect("a file");
    fs::write(at("client.ts"), include_str!("client.ts")).expect("a file");
    let server = Server::start(StoreKind::Memory);
    let description = format!("{}/openapi.json", server.url());
    let generate = "node_modules/openapi-typescript/bin/cli.js";
    run(
        &folder,
        "node",
        &[generate, &description, "-o", "schema.d.ts"],
    );
    let compile = [
        "node_modules/typescript/bin/tsc",
        "--strict",
        "--noEmitOnError",
        "--skipLibCheck",
        "--preserveSymlinks",
        "--target",
        "es2022",
        "--lib",
        "es2022,dom,dom.iterable",
        "--module",
        "nodenext",
        "client.ts",
    ];
    run(&folder, "node", &compile);
    run(
        &folder,
        "node",
        &["--preserve-symlinks", "client.js", &base(&server)],
    );
}
