//! Starts and stops an Envoy under test and reads its CPU time and memory.

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

/// A running Envoy. It stops on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// The options for starting an Envoy.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The path of Envoy's binary.
    pub envoy: &'a Path,
    /// The directory of the configuration file and the log file.
    pub directory: &'a Path,
    /// The name of the variant, which is part of the file names.
    pub name: &'a str,
    /// The complete bootstrap.
    pub bootstrap: &'a Value,
    /// The port of the listener.
    pub port: u16,
    /// The number of Envoy's workers.
    pub workers: usize,
    /// `true` if Envoy runs only on the core that no other process of the benchmark uses, `false` if it can use both cores.
    pub pinned: bool,
    /// The environment variables of Envoy, in addition to PATH.
    pub environment: &'a [(String, String)],
}

impl Launch<'_> {
    /// Starts Envoy and sends `probe` until Envoy responds. Returns the process and the milliseconds until the response.
    pub fn start(&self, probe: &[u8]) -> Result<(Process, f64)> {
        let file = self.directory.join(format!("{}.json", self.name));
        fs::write(&file, serde_json::to_vec_pretty(self.bootstrap)?)?;
        let log = self.directory.join(format!("{}.log", self.name));
        // `taskset` sets the cores and then replaces itself with Envoy, so the process id stays the same. Setting the cores in
        // Rust would need an unsafe call.
        let mut command = Command::new("taskset");
        command.args(["-c", if self.pinned { ENVOY_CORE } else { ALL_CORES }]).arg(self.envoy).arg("-c").arg(&file);
        command.args(["--concurrency", &self.workers.to_string(), "--disable-hot-restart", "--log-level", "warning"]);
        command.env_clear().envs(self.environment.iter().cloned());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?).process_group(0);
        let timer = Timer::start();
        let child = command.spawn().context("`taskset` (package util-linux) cannot be started")?;
        let mut process = Process { child, address: ports::loopback(self.port), log: log.clone() };
        loop {
            if process.answers(probe) {
                return Ok((process, timer.milliseconds()));
            }
            let ended = process.child.try_wait()?;
            if ended.is_some() || timer.milliseconds() > PATIENCE_MS {
                let tail: String = fs::read_to_string(&log)?.chars().take(3000).collect();
                bail!("Envoy `{}` ({}) did not respond:\n{tail}", self.name, file.display());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Process {
    /// Returns the address that Envoy listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many lines of Envoy's log contain `text`.
    pub fn logged(&self, text: &str) -> Result<usize> {
        Ok(fs::read_to_string(&self.log)?.lines().filter(|line| line.contains(text)).count())
    }

    /// Returns the CPU time that all threads of Envoy have used so far, in nanoseconds.
    pub fn cpu_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(self.proc("task"))? {
            // The first number is the time on the CPU in nanoseconds (kernel documentation, scheduler/sched-stats).
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text
                .split(' ')
                .next()
                .unwrap_or_default()
                .parse::<u64>()
                .context("the kernel provides no schedstat")?;
        }
        Ok(sum)
    }

    /// Returns the resident memory of Envoy in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/<pid>/status has no VmRSS")?;
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .context("VmRSS in /proc/<pid>/status is not a number")
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

/// Moves all threads of this process to the core that the Envoy under test does not use.
pub fn pin_self() -> Result<()> {
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-apc", OTHER_CORE, &own]).stdout(Stdio::null()).status();
    if pinned.context("`taskset` (package util-linux) cannot be started")?.success() {
        return Ok(());
    }
    bail!(
        "the benchmark needs two cores: core {ENVOY_CORE} for Envoy, and core {OTHER_CORE} for the client and the upstream"
    )
}

const ENVOY_CORE: &str = "0";
const ALL_CORES: &str = "0,1";
const OTHER_CORE: &str = "1";
const PATIENCE_MS: f64 = 60_000.0;
