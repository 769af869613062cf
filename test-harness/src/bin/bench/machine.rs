//! Records the machine and the software versions of a run, because figures from different machines cannot be compared.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

/// The machine, the software and the load during a run.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Envoy's version line.
    pub envoy: String,
    /// The CPU's model.
    pub cpu: String,
    /// The number of cores.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The measured commit, followed by `+` if the working tree has uncommitted changes.
    pub commit: String,
    /// The date of the run in UTC.
    pub date: String,
    /// The load average of the minute before the run. A value above 0.5 means that other processes used the CPU.
    pub load: f64,
}

impl Machine {
    /// Reads the fields of [`Machine`] from Envoy, the kernel and git.
    pub fn look(envoy: &Path) -> Result<Self> {
        let version = said(Command::new(envoy).arg("--version"))?;
        // `…/envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
        let stamp = version.split_once("version: ").and_then(|(_, stamp)| stamp.split('/').nth(1));
        let version = stamp.context("`envoy --version` printed no version")?.to_owned();
        let info = fs::read_to_string("/proc/cpuinfo")?;
        let mut models = info.lines().filter(|line| line.starts_with("model name"));
        let cores = models.clone().count();
        let model = models.next().and_then(|line| line.split_once(':')).map_or("unknown", |(_, model)| model.trim());
        let changed = !said(Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]))?.is_empty();
        let commit = said(Command::new("git").args(["rev-parse", "--short=10", "HEAD"]))?;
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            envoy: version,
            cpu: model.to_owned(),
            cores,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            commit: if changed { format!("{commit}+") } else { commit },
            date: said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?,
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        })
    }
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
