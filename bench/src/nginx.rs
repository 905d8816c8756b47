//! nginx, the peer that answers every request with `4`: its start.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    BenchResult, compare,
    process::{Launcher, Server, find_program, free_address},
};

/// Finds nginx, which is often only in root's PATH.
pub fn find() -> Option<PathBuf> {
    let usual = Path::new("/usr/sbin/nginx");
    find_program("nginx").or_else(|| usual.is_file().then(|| usual.to_owned()))
}

/// Starts nginx in a folder of its own, which it may fill.
pub fn start(
    nginx: &Path,
    launcher: &Launcher,
    folder: &Path,
    connections: u32,
) -> BenchResult<Server> {
    let address = free_address()?;
    configure(folder, address, connections)?;
    let mut command = launcher.command(compare::SERVER_CORE, nginx);
    add_arguments(&mut command, folder);
    Server::start_at("nginx", command, address)
}

pub fn add_arguments(command: &mut Command, folder: &Path) {
    command.arg("-p").arg(folder).args(["-c", "nginx.conf"]);
}

/// Writes its configuration. Without a master the one worker is the started process: it can be
/// measured by that id, and ends with it. The work of the worker is the same.
pub fn configure(folder: &Path, address: SocketAddr, connections: u32) -> BenchResult<()> {
    std::fs::create_dir_all(folder)?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {what};\n"))
        .concat();
    let settings = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid nginx.pid;\n\
         error_log /dev/null crit;\n\
         events {{ worker_connections {connections}; }}\n\
         http {{\naccess_log off;\nkeepalive_requests 1000000000;\nkeepalive_timeout 1h;\n\
         {temporary}\
         server {{ listen {address} backlog=4096; location / {{ return 200 \"4\"; }} }}\n}}\n"
    );
    Ok(std::fs::write(folder.join("nginx.conf"), settings)?)
}
