//! One Envoy under test, pinned to a core: started, asked for its CPU time and memory, stopped.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use test_harness::ports;

use crate::load::Load;
use crate::timer::Timer;

/// A running Envoy; it is stopped when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
}

/// How to start an Envoy.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The binary.
    pub envoy: &'a Path,
    /// Where the configuration and the log are written.
    pub directory: &'a Path,
    /// The name of the variant, part of the file names.
    pub name: &'a str,
    /// The whole bootstrap.
    pub bootstrap: &'a Value,
    /// The port its listener is configured with.
    pub port: u16,
    /// How many workers.
    pub workers: usize,
    /// Whether it has one core to itself; else it may use all.
    pub pinned: bool,
    /// The environment it gets besides PATH.
    pub environment: &'a [(String, String)],
}

impl Launch<'_> {
    /// Starts it and waits until `probe` is answered. Gives the process and the milliseconds from start to that answer.
    pub fn start(&self, probe: &[u8]) -> Result<(Process, f64)> {
        let file = self.directory.join(format!("{}.json", self.name));
        fs::write(&file, serde_json::to_vec_pretty(self.bootstrap)?)?;
        let log = self.directory.join(format!("{}.log", self.name));
        // Pinned through taskset, which replaces itself by Envoy: the process keeps its number, no unsafe call is needed.
        let mut command = Command::new("taskset");
        command.args(["-c", if self.pinned { ENVOY_CORE } else { ALL_CORES }]).arg(self.envoy).arg("-c").arg(&file);
        command.args(["--concurrency", &self.workers.to_string(), "--disable-hot-restart", "--log-level", "warning"]);
        command.env_clear().envs(self.environment.iter().cloned());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?).process_group(0);
        let timer = Timer::start();
        let child = command.spawn().context("`taskset` (package util-linux) cannot be started")?;
        let mut process = Process { child, address: ports::loopback(self.port) };
        loop {
            if process.answers(probe) {
                return Ok((process, timer.milliseconds()));
            }
            let ended = process.child.try_wait()?;
            if ended.is_some() || timer.milliseconds() > PATIENCE_MS {
                let tail: String = fs::read_to_string(&log)?.chars().take(3000).collect();
                bail!("Envoy `{}` ({}) does not serve:\n{tail}", self.name, file.display());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Process {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time of all its threads so far, in nanoseconds.
    pub fn cpu_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(self.proc("task"))? {
            // Kernel documentation, scheduler/sched-stats: the first number is the time spent on the CPU, in ns.
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split(' ').next().unwrap_or_default().parse::<u64>().context("no schedstat in this kernel")?;
        }
        Ok(sum)
    }

    /// Its resident memory in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        line.split_whitespace().next().and_then(|number| number.parse().ok()).context("no number in VmRSS")
    }

    fn answers(&self, probe: &[u8]) -> bool {
        Load::connect(self.address, 0).and_then(|mut load| load.ask(probe)).is_ok()
    }

    fn proc(&self, entry: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{entry}", self.child.id()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Moves this process, with all its threads, to the core that the Envoy under test does not have.
pub fn pin_self() -> Result<()> {
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-apc", OTHER_CORE, &own]).stdout(Stdio::null()).status();
    if pinned.context("`taskset` (package util-linux) cannot be started")?.success() {
        return Ok(());
    }
    bail!("the bench needs two cores: core {ENVOY_CORE} for Envoy, core {OTHER_CORE} for client and upstream")
}

const ENVOY_CORE: &str = "0";
const ALL_CORES: &str = "0,1";
const OTHER_CORE: &str = "1";
const PATIENCE_MS: f64 = 60_000.0;
