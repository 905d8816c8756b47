//! Makes release binaries smaller: the linker folds equal functions, and leaves out unwind tables.
//!
//! A panic ends the process, and a stripped binary has no names for a backtrace, so only a debugger would read
//! these tables. Builds with debug information keep them. Linkers that do not know these arguments, such as GNU ld
//! and mold, link as usual, with a larger binary: the arguments are tried on an empty program first.

#![expect(
    clippy::print_stdout,
    reason = "cargo reads what a build script prints"
)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DISCARD: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) } } INSERT AFTER .text;\n";

fn main() {
    println!("cargo::rerun-if-changed=packaging/link.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let has_debug_information = env::var("DEBUG").is_ok_and(|debug| debug != "false");
    let is_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if !is_release || has_debug_information || !is_linux {
        return;
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let script = folder.join("discard.ld");
    if fs::write(&script, DISCARD).is_err() {
        return;
    }
    let arguments = [
        "-Wl,--icf=all".to_owned(),
        "-Wl,--no-eh-frame-hdr".to_owned(),
        format!("-Wl,-T,{}", script.display()),
    ];
    if links(&folder, &arguments) {
        for argument in arguments {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Returns true if an empty program can be linked with these arguments.
fn links(folder: &Path, arguments: &[String]) -> bool {
    let source = folder.join("empty.rs");
    if fs::write(&source, "fn main() {}\n").is_err() {
        return false;
    }
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.arg(source).arg("-o").arg(folder.join("empty"));
    rustc.args(["--target", &variable("TARGET"), "-C", "panic=abort"]);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    for argument in arguments {
        rustc.arg("-C").arg(format!("link-arg={argument}"));
    }
    let run = rustc.stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}
