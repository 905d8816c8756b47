//! Faults of a server's file: its disk is full, it is moved, another file takes its place, or it is damaged
//! while the server is away.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use fastrand::Rng;

use super::chaos::{Cluster, rest};
use crate::support::launch::{Start, latchd_in, try_start};

impl Cluster<'_> {
    fn file(&self) -> PathBuf {
        self.servers[0].0.folder.path().join("latchd.redb")
    }

    fn aside(&self) -> PathBuf {
        self.servers[0].0.folder.path().join("aside")
    }

    pub(super) fn hurt_file(&mut self, random: &mut Rng) {
        match random.u8(..4) {
            0 => self.fill_disk(random),
            1 => self.move_file(random),
            2 => self.replace_file(random),
            _ => self.damage_file(random),
        }
    }

    /// The file may not grow any more, or not even be written beyond its middle.
    fn fill_disk(&mut self, random: &mut Rng) {
        let from = self.clock.now();
        let size = fs::metadata(self.file()).expect("the store's file").len();
        self.note("the disk is full".into());
        let limit = if random.bool() { size } else { size / 2 };
        self.limit_files(&limit.to_string());
        rest(random, 1_500);
        self.limit_files("unlimited");
        self.recovered(from);
    }

    fn limit_files(&self, size: &str) {
        let (pid, limit) = (self.servers[0].0.pid(), format!("--fsize={size}:unlimited"));
        let mut command = Command::new("prlimit");
        command.args(["--pid", &pid.to_string(), &limit]);
        let status = command.status().expect("prlimit runs");
        assert!(status.success(), "the size of files can be limited");
    }

    /// The file is moved away and back.
    fn move_file(&mut self, random: &mut Rng) {
        let from = self.clock.now();
        self.note("the file is moved away".into());
        fs::rename(self.file(), self.aside()).expect("the file is moved");
        rest(random, 1_500);
        fs::rename(self.aside(), self.file()).expect("the file is moved back");
        self.recovered(from);
    }

    /// A copy takes its place for a while.
    fn replace_file(&mut self, random: &mut Rng) {
        let from = self.clock.now();
        self.note("a copy takes the place of the file".into());
        fs::rename(self.file(), self.aside()).expect("the file is moved");
        fs::copy(self.aside(), self.file()).expect("the file is copied");
        rest(random, 1_500);
        fs::rename(self.aside(), self.file()).expect("the file is moved back");
        self.recovered(from);
    }

    /// The server is killed, and its file damaged: a start refuses that, or takes it for a crash. Then the
    /// file is restored.
    fn damage_file(&mut self, random: &mut Rng) {
        self.kill(0);
        let good = fs::read(self.file()).expect("the store's file");
        let mut bad = good.clone();
        for _ in 0..random.usize(1..5) {
            let at = random.usize(..bad.len());
            bad[at] ^= random.u8(1..);
        }
        self.note("the file is damaged".into());
        fs::write(self.file(), bad).expect("the damaged file");
        let arguments = ["--listen", "127.0.0.1:0", "--store", "file:latchd.redb"];
        match try_start(latchd_in(&self.servers[0].0.folder, &arguments)) {
            Start::Serves(mut process, _) => process.kill(),
            Start::Ended(ended) => assert_eq!(ended.code, Some(1), "{}", ended.stderr),
        }
        fs::write(self.file(), good).expect("the file as it was");
        self.restart(0);
    }

    /// Resets the file to its state before `happen`: a fault that the checker must find.
    pub fn set_file_back(&mut self, happen: impl FnOnce()) {
        self.kill(0);
        fs::copy(self.file(), self.aside()).expect("the file is copied");
        self.restart(0);
        happen();
        self.kill(0);
        fs::rename(self.aside(), self.file()).expect("the copy takes its place");
        self.restart(0);
    }
}
